package wire

// KeyExchange is a key exchange payload: a Diffie-Hellman public value
// (RFC 2408, section 3.7).
type KeyExchange []byte

// PayloadType returns PayloadKE.
func (KeyExchange) PayloadType() PayloadType { return PayloadKE }

// AppendBody appends the public value.
func (k KeyExchange) AppendBody(dst []byte) []byte { return append(dst, k...) }
