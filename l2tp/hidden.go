package l2tp

import (
	"crypto/md5"
	"crypto/subtle"
	"encoding/binary"
)

// hiddenBlock: a hidden value is padded to a multiple of it, so that its length tells
// little (RFC 2661 section 4.3 leaves the padding to the sender).
const hiddenBlock = md5.Size

// hideValue returns the value of a hidden AVP (RFC 2661 section 4.3): its length and
// itself, padded, XORed with a chain of MD5:
//
//	b1 = MD5(type | secret | random vector)    c1 = p1 xor b1
//	bi = MD5(secret | c(i-1))                  ci = pi xor bi
func hideValue(t AttributeType, secret, vector, value []byte) []byte {
	size := (2 + len(value) + hiddenBlock - 1) / hiddenBlock * hiddenBlock
	out := make([]byte, size)
	binary.BigEndian.PutUint16(out, uint16(len(value)))
	copy(out[2:], value)
	pad := hiddenPad(t, secret, vector)
	for i := 0; i < size; i += hiddenBlock {
		subtle.XORBytes(out[i:], out[i:], pad[:])
		pad = hiddenNext(secret, out[i:i+hiddenBlock])
	}
	return out
}

// revealValue undoes hideValue; it does not touch hidden. There is no integrity in it:
// with a wrong secret the length is most likely, but not surely, found wrong.
func revealValue(t AttributeType, secret, vector, hidden []byte) ([]byte, error) {
	if len(secret) == 0 || len(vector) == 0 || len(hidden) < 2 {
		return nil, ErrHidden
	}
	out := make([]byte, len(hidden))
	pad := hiddenPad(t, secret, vector)
	for i := 0; i < len(hidden); i += hiddenBlock {
		end := min(i+hiddenBlock, len(hidden))
		subtle.XORBytes(out[i:end], hidden[i:end], pad[:])
		pad = hiddenNext(secret, hidden[i:end])
	}
	n := int(binary.BigEndian.Uint16(out))
	if n > len(out)-2 {
		return nil, ErrHidden
	}
	return out[2 : 2+n], nil
}

func hiddenPad(t AttributeType, secret, vector []byte) [md5.Size]byte {
	h := md5.New()
	h.Write([]byte{byte(t >> 8), byte(t)})
	h.Write(secret)
	h.Write(vector)
	return [md5.Size]byte(h.Sum(nil))
}

func hiddenNext(secret, block []byte) [md5.Size]byte {
	h := md5.New()
	h.Write(secret)
	h.Write(block)
	return [md5.Size]byte(h.Sum(nil))
}

// challengeResponse is the CHAP-like answer of tunnel authentication (RFC 2661 sections
// 4.4.3 and 5.1.1): the identifier is the type of the message that carries it.
func challengeResponse(carrier MessageType, secret, challenge []byte) [md5.Size]byte {
	h := md5.New()
	h.Write([]byte{byte(carrier)})
	h.Write(secret)
	h.Write(challenge)
	return [md5.Size]byte(h.Sum(nil))
}

// tunnelAuth is what tunnel authentication needs until the tunnel is established.
type tunnelAuth struct {
	challenge  []byte         // ours, sent; nil: we asked for no proof
	response   [md5.Size]byte // what we answer to the peer's challenge
	challenged bool           // the peer asked for proof
}

// verify says whether response, carried by the given message, proves the secret.
func (a *tunnelAuth) verify(carrier MessageType, secret, response []byte) bool {
	want := challengeResponse(carrier, secret, a.challenge)
	return subtle.ConstantTimeCompare(want[:], response) == 1
}

func (a *tunnelAuth) answer(carrier MessageType, secret, challenge []byte) {
	a.challenged = true
	a.response = challengeResponse(carrier, secret, challenge)
}
