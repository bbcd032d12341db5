package aescbc

import (
	"unsafe"

	"github.com/culvert-vpn/culvert/esp/internal/aeskey"
)

// laneCount is how many messages are encrypted side by side at the most.
const laneCount = 16

// stepMax bounds the blocks of one call of the assembly, and the memory that
// idle lanes work in.
const stepMax = 128

// Lanes is the memory in which messages are encrypted side by side. The zero
// value is ready. Between calls it holds no key and no message.
type Lanes struct {
	// The assembly knows where these four are.
	src  [laneCount]unsafe.Pointer
	dst  [laneCount]unsafe.Pointer
	iv   [laneCount][BlockSize]byte
	keys [aeskey.MaxRounds + 1][laneCount][BlockSize]byte

	left [laneCount]int // blocks still to do
	busy int            // lanes with blocks left
	idle [stepMax * BlockSize]byte
}

// Both are negative, and so do not compile, if the assembly's idea of Lanes is
// not Go's.
const (
	_ = uint(unsafe.Offsetof(Lanes{}.keys) - 512)
	_ = uint(512 - unsafe.Offsetof(Lanes{}.keys))
)

// SideBySide reports whether Lanes do better than one message after the other.
func SideBySide() bool { return cpu.AES }

// Message is one message to encrypt, as Key.Encrypt takes it.
type Message struct {
	Key     *Key
	Message []byte // the IV and the place for the ciphertext
	Src     []byte // the plaintext: Message[BlockSize:] or elsewhere
}

// Encrypt encrypts all messages.
func (l *Lanes) Encrypt(all []Message) {
	for _, rounds := range [...]int{10, 12, 14} {
		n := count(all, rounds)
		if n > 1 && cpu.AES {
			l.encrypt(all, rounds, width(n))
			continue
		}
		for i := range all {
			if n > 0 && all[i].Key.rounds == rounds {
				all[i].Key.Encrypt(all[i].Message, all[i].Src)
			}
		}
	}
}

// count is how many messages have keys of so many rounds.
func count(all []Message, rounds int) (n int) {
	for i := range all {
		if all[i].Key.rounds == rounds {
			n++
		}
	}
	return n
}

// width is how many lanes are best for n messages. AES-NI is busy with eight;
// with four a step of all of them takes no longer than one block.
func width(n int) int {
	switch {
	case n <= 4:
		return 4
	case n <= 8 || !cpu.VAES:
		return 8
	}
	return laneCount
}

// encrypt does the messages whose keys have that many rounds. A lane that is
// done takes the next message.
func (l *Lanes) encrypt(all []Message, rounds, width int) {
	for i := range width {
		all = l.fill(i, all, rounds)
	}
	for l.busy > 0 {
		n := l.step(width)
		l.run(width, rounds, n)
		for i := range width {
			if l.left[i] == 0 {
				continue
			}
			if l.left[i] -= n; l.left[i] == 0 {
				l.busy--
				all = l.fill(i, all, rounds)
				continue
			}
			l.src[i] = unsafe.Add(l.src[i], n*BlockSize)
			l.dst[i] = unsafe.Add(l.dst[i], n*BlockSize)
		}
	}
	for r := range rounds + 1 {
		clear(l.keys[r][:width])
	}
}

// run encrypts the next n blocks of each lane.
func (l *Lanes) run(width, rounds, n int) {
	switch width {
	case 4:
		encryptLanesNI4(l, rounds, n)
	case 8:
		encryptLanesNI8(l, rounds, n)
	default:
		encryptLanesVAES(l, rounds, n)
	}
}

// step is for how many blocks nothing changes.
func (l *Lanes) step(width int) int {
	n := stepMax
	for _, left := range l.left[:width] {
		if left > 0 {
			n = min(n, left)
		}
	}
	return n
}

// fill gives a lane the first of the messages that it can take, and returns the
// others. Without one the lane idles.
func (l *Lanes) fill(i int, all []Message, rounds int) []Message {
	for len(all) > 0 {
		m := &all[0]
		all = all[1:]
		if m.Key.rounds != rounds {
			continue
		}
		if l.left[i] = blocks(m.Message, m.Src); l.left[i] == 0 {
			continue
		}
		l.busy++
		l.src[i], l.dst[i] = unsafe.Pointer(&m.Src[0]), unsafe.Pointer(&m.Message[BlockSize])
		l.iv[i] = [BlockSize]byte(m.Message)
		for r := range rounds + 1 {
			l.keys[r][i] = m.Key.enc[r]
		}
		return all
	}
	l.src[i], l.dst[i] = unsafe.Pointer(&l.idle), unsafe.Pointer(&l.idle)
	return nil
}
