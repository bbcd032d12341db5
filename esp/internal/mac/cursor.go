package mac

import "unsafe"

// cursor is how far a message has come: the whole blocks of its data, then the
// rest with its padding, then the outer hash.
type cursor struct {
	message *Message
	s       state
	at      unsafe.Pointer // the next block
	left    int            // blocks from there on
	stage   stage
	end     tail
}

type stage uint8

const (
	inData stage = iota
	inTail
	inOuter
)

// start begins a message.
func (c *cursor) start(m *Message) {
	c.message, c.s, c.stage, c.left = m, m.Key.inner, inData, len(m.Data)/BlockSize
	if c.left == 0 {
		c.next()
		return
	}
	c.at = unsafe.Pointer(&m.Data[0])
}

// next goes on to the next stage when the blocks of one are in the state, and
// reports whether there is one.
func (c *cursor) next() bool {
	h := c.message.Key.hash
	switch c.stage {
	case inData:
		c.stage, c.left = inTail, c.message.putTail(&c.end)
	case inTail:
		h.putDigest(c.end[:], &c.s)
		c.stage, c.left, c.s = inOuter, c.end.padDigest(h), c.message.Key.outer
	default:
		h.putDigest(c.message.Sum[:], &c.s)
		c.message, c.at = nil, nil
		return false
	}
	c.at = unsafe.Pointer(&c.end)
	return true
}

// advance takes n blocks as done and reports whether some are left in the stage.
func (c *cursor) advance(n int) bool {
	c.left -= n
	if c.left == 0 {
		return false
	}
	c.at = unsafe.Add(c.at, n*BlockSize)
	return true
}

func (c *cursor) blocks() []byte { return unsafe.Slice((*byte)(c.at), c.left*BlockSize) }
