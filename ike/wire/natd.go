package wire

// NATD is a NAT discovery payload: a hash over an address as its sender sees it
// (RFC 3947, section 3.2).
type NATD struct {
	Type PayloadType // PayloadNATD, PayloadNATDDraft or PayloadNATDApple
	Hash []byte      // borrowed
}

// PayloadType returns the number of the variant in use.
func (n NATD) PayloadType() PayloadType { return n.Type }

// AppendBody appends the hash.
func (n NATD) AppendBody(dst []byte) []byte { return append(dst, n.Hash...) }

// IsNATD reports whether t is one of the numbers of NAT-D.
func IsNATD(t PayloadType) bool {
	return t == PayloadNATD || t == PayloadNATDDraft || t == PayloadNATDApple
}
