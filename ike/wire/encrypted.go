package wire

import "encoding/binary"

// FragmentLen is the length of the numbers at the front of an SKF payload's body.
const FragmentLen = 4

// Encrypted is the last payload of a protected message, as it stands on the wire
// (RFC 7296, section 3.14; RFC 7383, section 2.5). Keys open and seal it: see
// package suite.
type Encrypted struct {
	First         PayloadType // of the payloads inside; zero in later fragments
	Number, Total uint16      // of the fragment; both zero for an SK payload
	// Offset is where the IV begins in the message; what is before it is
	// authenticated but not encrypted.
	Offset int
	Body   []byte // from the IV to the end of the checksum, borrowed
}

// Fragment reports whether this is one piece of a message.
func (e Encrypted) Fragment() bool { return e.Total != 0 }

// ConsumeEncrypted finds the SK or SKF payload of the message msg (header h
// included), which must be the last one. Before it may stand others, which are
// appended to dst and are not protected from being read.
func ConsumeEncrypted(dst []Payload, msg []byte) (Encrypted, []Payload, error) {
	h, rest, err := ConsumeHeader(msg)
	if err != nil {
		return Encrypted{}, dst, err
	}
	next := h.Next
	for n := 0; ; n++ {
		if next == PayloadNone || n == MaxPayloads {
			return Encrypted{}, dst, ErrNext
		}
		t := next
		var p Payload
		if p, next, rest, err = ConsumePayload(V2, t, rest); err != nil {
			return Encrypted{}, dst, err
		}
		if t != PayloadSK && t != PayloadSKF {
			dst = append(dst, p)
			continue
		}
		if len(rest) != 0 {
			return Encrypted{}, dst, ErrLength
		}
		e, err := consumeEncrypted(t, next, p.Body)
		e.Offset = int(h.Length) - len(e.Body)
		return e, dst, err
	}
}

func consumeEncrypted(t, first PayloadType, b []byte) (Encrypted, error) {
	e := Encrypted{First: first, Body: b}
	if t == PayloadSK {
		return e, nil
	}
	if len(b) < FragmentLen {
		return e, ErrShort
	}
	e.Number, e.Total, e.Body = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:]), b[FragmentLen:]
	// RFC 7383, section 2.5: numbers begin at one; only the first piece names the
	// first payload.
	if e.Number == 0 || e.Number > e.Total || e.Number > 1 && first != PayloadNone {
		return e, ErrValue
	}
	return e, nil
}

// AppendEncrypted appends the header h and the generic header of the encrypted
// payload e in front of n bytes of body that the caller appends: IV, ciphertext
// and checksum. h.Next and h.Length are filled in.
func AppendEncrypted(dst []byte, h Header, e Encrypted, n int) []byte {
	h.Next, n = PayloadSK, n+genericLen
	if e.Fragment() {
		h.Next, n = PayloadSKF, n+FragmentLen
	}
	h.Length = uint32(HeaderLen + n)
	dst = AppendHeader(dst, h)
	dst = append(dst, byte(e.First), 0)
	dst = binary.BigEndian.AppendUint16(dst, uint16(n))
	if e.Fragment() {
		dst = binary.BigEndian.AppendUint16(dst, e.Number)
		dst = binary.BigEndian.AppendUint16(dst, e.Total)
	}
	return dst
}

// Chain is a chain of payloads being written without a header: what goes into an
// encrypted payload. The zero Chain is empty.
type Chain struct {
	first PayloadType
	next  int // where the next payload field waits, for a chain that is not empty
	b     []byte
}

// Add appends one payload. Like Message.Add it panics on a body longer than the
// length field can say.
func (c *Chain) Add(p Body) {
	if len(c.b) == 0 {
		c.first = p.PayloadType()
	} else {
		c.b[c.next] = byte(p.PayloadType())
	}
	c.next = len(c.b)
	c.b = p.AppendBody(append(c.b, 0, 0, 0, 0))
	n := len(c.b) - c.next
	if n > 0xffff {
		panic("wire: payload longer than its length field")
	}
	binary.BigEndian.PutUint16(c.b[c.next+2:], uint16(n))
}

// First returns the type of the first payload, zero for an empty chain.
func (c *Chain) First() PayloadType { return c.first }

// Bytes returns the chain as it stands. The slice is the Chain's own.
func (c *Chain) Bytes() []byte { return c.b }
