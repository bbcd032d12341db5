package wire

// Lengths of a nonce (RFC 2409, section 5).
const (
	MinNonce = 8
	MaxNonce = 256
)

// Nonce is a nonce payload.
type Nonce []byte

// PayloadType returns PayloadNonce.
func (Nonce) PayloadType() PayloadType { return PayloadNonce }

// AppendBody appends the nonce.
func (n Nonce) AppendBody(dst []byte) []byte { return append(dst, n...) }

// ConsumeNonce reads the body of a nonce payload. "The length of nonce payload
// MUST be between 8 and 256 bytes inclusive" (RFC 2409, section 5).
func ConsumeNonce(b []byte) (Nonce, error) {
	if len(b) < MinNonce {
		return nil, ErrShort
	}
	if len(b) > MaxNonce {
		return nil, ErrLength
	}
	return Nonce(b), nil
}
