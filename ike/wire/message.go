package wire

import "encoding/binary"

// Body is a payload that can be added to a Message.
type Body interface {
	// PayloadType is the number the payload before this one announces.
	PayloadType() PayloadType
	// AppendBody appends what follows the generic header.
	AppendBody(dst []byte) []byte
}

// Message is a message being written. Its bytes are those of the slice it was
// started with, grown by append; they belong to whoever started it.
type Message struct {
	b     []byte
	start int // where the header begins
	next  int // where the next payload field waits for the following type
}

// StartMessage begins a message with header h behind dst. The fields Next and
// Length of h are not used: Add and Finish fill them in.
func StartMessage(dst []byte, h Header) *Message {
	h.Next, h.Length = PayloadNone, 0
	return &Message{b: AppendHeader(dst, h), start: len(dst), next: len(dst) + 16}
}

// Add appends one payload and returns where its body begins, counted from the
// start of the message. A payload's length field has 16 bits: Add panics on a
// body that does not fit, which no peer can bring about.
func (m *Message) Add(p Body) int {
	m.b[m.next] = byte(p.PayloadType())
	m.next = len(m.b)
	m.b = append(m.b, 0, 0, 0, 0)
	m.b = p.AppendBody(m.b)
	n := len(m.b) - m.next
	if n > 0xffff {
		panic("wire: payload longer than its length field")
	}
	binary.BigEndian.PutUint16(m.b[m.next+2:], uint16(n))
	return m.next + genericLen - m.start
}

// Bytes returns the message as it stands, header first. The slice is the
// Message's own: a HASH added as zeroes is filled in here.
func (m *Message) Bytes() []byte { return m.b[m.start:] }

// Pad adds zero bytes until what follows the header is a multiple of block.
func (m *Message) Pad(block int) {
	for (len(m.b)-m.start-HeaderLen)%block != 0 {
		m.b = append(m.b, 0)
	}
}

// Finish writes the length into the header and returns the message.
func (m *Message) Finish() []byte {
	msg := m.Bytes()
	binary.BigEndian.PutUint32(msg[24:], uint32(len(msg)))
	return msg
}
