package mac

import (
	"encoding/binary"

	"github.com/culvert-vpn/culvert/esp/internal/x86"
)

var cpu = x86.Detect()

// MaxSize is the length in bytes of the longest HMAC there is here.
const MaxSize = 32

// Key is the states of an HMAC after its key.
type Key struct {
	hash         Hash
	inner, outer state
}

// New prepares a key of at most BlockSize bytes, which it does not keep.
func New(h Hash, key []byte) *Key {
	if len(key) > BlockSize {
		panic("mac: key longer than a block")
	}
	return &Key{hash: h, inner: h.after(key, 0x36), outer: h.after(key, 0x5C)}
}

// after is the state after the block that a key makes with a pad.
func (h Hash) after(key []byte, pad byte) state {
	var block [BlockSize]byte
	defer clear(block[:])
	copy(block[:], key)
	for i := range block {
		block[i] ^= pad
	}
	s := h.initial()
	h.compressGo(&s, block[:])
	return s
}

// Zero overwrites the key. It is of no use afterwards.
func (k *Key) Zero() { *k = Key{} }

// Fast reports whether single messages are better given to this package than to
// the standard library.
func Fast() bool { return cpu.SHA }

// SideBySide reports whether Lanes do better than one message after the other.
func SideBySide() bool { return cpu.SHA || cpu.Wide }

// Message is what an HMAC is made of.
type Message struct {
	Key      *Key
	Data     []byte
	Extra    [4]byte // behind Data, if Extended
	Extended bool
	Sum      [MaxSize]byte // the result; the first Hash.Size bytes of it
}

// Compute fills in Sum.
func (m *Message) Compute() {
	h, s := m.Key.hash, m.Key.inner
	var end tail
	h.compress(&s, m.Data)
	h.compress(&s, end[:m.putTail(&end)*BlockSize])
	h.putDigest(end[:], &s)
	s = m.Key.outer
	h.compress(&s, end[:end.padDigest(h)*BlockSize])
	h.putDigest(m.Sum[:], &s)
}

// tail is the last blocks of a message, with its padding.
type tail [2 * BlockSize]byte

// putTail lays what the whole blocks left of the message, and returns its blocks.
func (m *Message) putTail(t *tail) int {
	n := copy(t[:], m.Data[len(m.Data)&^(BlockSize-1):])
	total := BlockSize + len(m.Data)
	if m.Extended {
		n += copy(t[n:], m.Extra[:])
		total += len(m.Extra)
	}
	return t.pad(n, total)
}

// padDigest ends the message of the outer hash, whose digest is in t.
func (t *tail) padDigest(h Hash) int { return t.pad(h.Size(), BlockSize+h.Size()) }

// pad ends a message of total bytes whose last n are in t (FIPS 180-4, section
// 5.1.1), and returns the blocks there.
func (t *tail) pad(n, total int) int {
	blocks := 1
	if n >= BlockSize-8 {
		blocks = 2
	}
	end := blocks*BlockSize - 8
	t[n] = 0x80
	clear(t[n+1 : end])
	binary.BigEndian.PutUint64(t[end:], uint64(total)*8)
	return blocks
}

func (h Hash) putDigest(to []byte, s *state) {
	for i, w := range s[:h.words()] {
		binary.BigEndian.PutUint32(to[4*i:], w)
	}
}
