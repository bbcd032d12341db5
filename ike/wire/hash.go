package wire

// Hash is a hash payload (RFC 2408, section 3.11). Its length is that of the
// negotiated PRF, which the reader checks when it compares.
type Hash []byte

// PayloadType returns PayloadHash.
func (Hash) PayloadType() PayloadType { return PayloadHash }

// AppendBody appends the hash.
func (h Hash) AppendBody(dst []byte) []byte { return append(dst, h...) }

// Signature is a signature payload (RFC 2408, section 3.12).
type Signature []byte

// PayloadType returns PayloadSignature.
func (Signature) PayloadType() PayloadType { return PayloadSignature }

// AppendBody appends the signature.
func (s Signature) AppendBody(dst []byte) []byte { return append(dst, s...) }
