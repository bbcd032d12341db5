package esp

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"runtime"
	"sync/atomic"
	"unsafe"
)

// OutboundConfig describes an SA that packets are sent on.
type OutboundConfig struct {
	SPI       SPI // chosen by the receiver, at least 256
	Transform Transform
	Keys      Keys // borrowed for the call of NewOutbound
	// ESN: extended, 64 bit sequence numbers were negotiated.
	ESN bool
	// After is the last sequence number that counts as used; 0 for a new key.
	After uint64
	// Vault keeps the expanded keys of an AEAD; nil: the heap.
	Vault *Vault
	// Rand seeds the initialisation vectors of CBC; nil: crypto/rand.Reader.
	Rand io.Reader
}

// Outbound is an SA that packets are sent on. One key must have no more than
// one Outbound, ever: an AEAD breaks when two of them use the same sequence
// number.
type Outbound struct {
	// This is what every packet needs: one line of the cache.
	spi      SPI
	shape    shape
	sequence atomic.Uint64 // the last one taken
	bytes    atomic.Uint64
	aead     aeadKeys // none with CBC
	cbc      *cbcKeys // nil with an AEAD
	*outboundRest
}

// outboundRest is what few packets need.
type outboundRest struct {
	limit     uint64 // the last sequence number there is, shortLimit or more
	transform Transform
	lanes     lanes[sealer]
}

// shortLimit is the last sequence number of those that are not extended.
const shortLimit = math.MaxUint32

// NewOutbound makes an SA whose first packet has the sequence number after c.After. An
// error wraps ErrConfig, ErrTransform or ErrKeys.
func NewOutbound(c OutboundConfig) (*Outbound, error) {
	if c.SPI < minSPI {
		return nil, fmt.Errorf("%w: SPI %d is reserved", ErrConfig, c.SPI)
	}
	if err := c.Transform.checkKeys(c.Keys); err != nil {
		return nil, err
	}
	o := &Outbound{spi: c.SPI, shape: c.Transform.shape(), outboundRest: &outboundRest{transform: c.Transform, limit: shortLimit}}
	if c.ESN {
		o.limit = math.MaxInt64
	}
	if err := o.setSealer(c); err != nil {
		return nil, err
	}
	o.sequence.Store(c.After)
	o.lanes.claim().release()
	return o, nil
}

// setSealer makes the ciphers, and what makes the lanes.
func (o *Outbound) setSealer(c OutboundConfig) error {
	if c.Transform.enc.icv > 0 {
		k, err := newAEADKeys(c.Transform, c.Keys, c.ESN)
		o.aead, o.lanes.make = k, func() sealer { return &aeadLane{aeadKeys: &o.aead} }
		keep(c.Vault, o, &o.aead)
		return err
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	k, err := newCBCSendKeys(c.Transform, c.Keys, c.ESN, c.Rand)
	if err == nil {
		wipe(o, k)
	}
	o.cbc, o.lanes.make = k, func() sealer { return newCBCSealer(k) }
	return err
}

// Seal encrypts the payload plain, whose protocol is nh, and returns the
// packet, which is dst[:SealedLen(len(plain))]. dst needs that capacity
// (ErrSpace); its length does not matter, and bytes beyond the packet are not
// touched. plain may be anywhere, dst's own memory included; if it begins
// HeaderLen bytes into dst, nothing is copied. It returns
// ErrSequenceExhausted when every number was used; a number is never used
// twice.
func (o *Outbound) Seal(dst, plain []byte, nh uint8) ([]byte, error) {
	pkt, src, seq, err := o.lay(dst, plain, nh, 0)
	if err != nil {
		return nil, err
	}
	o.seal(pkt, src, seq)
	return pkt, nil
}

// seal completes a packet that lay began.
func (o *Outbound) seal(pkt, src []byte, seq uint64) {
	lane := o.lanes.claim()
	lane.work.seal(pkt, src, seq)
	lane.release()
	runtime.KeepAlive(o) // or its keys are wiped too soon
}

// lay takes a sequence number, writes the header and puts the trailer behind
// the payload. src is both of them: in their place in pkt or, if the tailroom
// behind plain is enough for the trailer, where plain is.
func (o *Outbound) lay(dst, plain []byte, nh uint8, tailroom int) (pkt, src []byte, seq uint64, err error) {
	n := o.shape.sealedLen(len(plain))
	if cap(dst) < n {
		return nil, nil, 0, ErrSpace
	}
	if last := o.sequence.Load(); last >= shortLimit && last >= o.limit {
		return nil, nil, 0, ErrSequenceExhausted
	}
	if seq = o.sequence.Add(1); seq > shortLimit && seq > o.limit {
		return nil, nil, 0, ErrSequenceExhausted
	}
	pkt = dst[:n]
	src = pkt[o.shape.header : n-int(o.shape.icv)]
	o.bytes.Add(uint64(len(src)))
	if there := plain[:min(len(plain)+max(tailroom, 0), cap(plain))]; len(there) >= len(src) && !overlap(there, pkt) {
		src = there[:len(src)]
	} else if len(plain) > 0 && &plain[0] != &src[0] {
		copy(src, plain)
	}
	putTrailer(src, len(plain), nh)
	binary.BigEndian.PutUint32(pkt, uint32(o.spi))
	binary.BigEndian.PutUint32(pkt[4:], uint32(seq))
	return pkt, src, seq, nil
}

// overlap reports whether two slices, neither of them empty, share memory.
func overlap(a, b []byte) bool {
	return uintptr(unsafe.Pointer(&a[0])) <= uintptr(unsafe.Pointer(&b[len(b)-1])) &&
		uintptr(unsafe.Pointer(&b[0])) <= uintptr(unsafe.Pointer(&a[len(a)-1]))
}

// putTrailer fills body behind its n bytes of payload: padding 1, 2, 3, ..., its
// length, and the next header (RFC 4303, section 2.4).
func putTrailer(body []byte, n int, nh uint8) {
	pad := body[n : len(body)-padFields]
	for i := range pad {
		pad[i] = byte(i + 1)
	}
	body[len(body)-2] = byte(len(pad))
	body[len(body)-1] = nh
}

// Transform is what the SA was made with.
func (o *Outbound) Transform() Transform { return o.transform }

// HeaderLen is what precedes the payload in a sealed packet, in bytes.
func (o *Outbound) HeaderLen() int { return int(o.shape.header) }

// MaxPayload is the longest payload whose packet has at most size bytes, or -1.
func (o *Outbound) MaxPayload(size int) int { return o.transform.MaxPayload(size) }

// Sealed reports the packets sealed so far, and the bytes given to the cipher
// for them (payload, padding, pad length, next header), which is what the
// lifetime of an SA is measured by (RFC 4301, section 4.4.2.1).
func (o *Outbound) Sealed() (packets, bytes uint64) {
	return o.HighSequence(), o.bytes.Load()
}

// HighSequence is the sequence number that was taken last; 0: none yet.
func (o *Outbound) HighSequence() uint64 { return min(o.sequence.Load(), o.limit) }

// Remaining is how many packets can still be sealed.
func (o *Outbound) Remaining() uint64 { return o.limit - o.HighSequence() }
