package esp

import (
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
)

// DefaultReplayWindow is how far behind the highest one a sequence number may
// come in when nothing else is configured.
const DefaultReplayWindow = 1024

const maxReplayWindow = 1 << 16

// InboundConfig describes an SA that packets are received on.
type InboundConfig struct {
	SPI       SPI // chosen by us, at least 256
	Transform Transform
	Keys      Keys // borrowed for the call of NewInbound
	// ESN: extended, 64 bit sequence numbers were negotiated.
	ESN bool
	// ReplayWindow is a multiple of 64 up to 65536; 0: DefaultReplayWindow.
	ReplayWindow int
}

// Inbound is an SA that packets are received on.
type Inbound struct {
	spi       SPI
	transform Transform
	esn       bool
	lanes     lanes[opener]
	packets   atomic.Uint64
	bytes     atomic.Uint64

	mu     sync.Mutex
	window window // guarded by mu
}

// NewInbound makes an SA that has received nothing yet. An error wraps
// ErrConfig, ErrTransform or ErrKeys.
func NewInbound(c InboundConfig) (*Inbound, error) {
	if c.ReplayWindow == 0 {
		c.ReplayWindow = DefaultReplayWindow
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	i := &Inbound{spi: c.SPI, transform: c.Transform, esn: c.ESN, window: newWindow(c.ReplayWindow)}
	var err error
	i.lanes.make, err = newOpener(c)
	if err != nil {
		return nil, err
	}
	i.lanes.claim().release()
	return i, nil
}

func (c *InboundConfig) check() error {
	if c.SPI < minSPI {
		return fmt.Errorf("%w: SPI %d is reserved", ErrConfig, c.SPI)
	}
	if c.ReplayWindow < 64 || c.ReplayWindow > maxReplayWindow || c.ReplayWindow%64 != 0 {
		return fmt.Errorf("%w: a replay window of %d is no multiple of 64 from 64 to %d", ErrConfig, c.ReplayWindow, maxReplayWindow)
	}
	return c.Transform.checkKeys(c.Keys)
}

func newOpener(c InboundConfig) (func() opener, error) {
	if c.Transform.enc.icv > 0 {
		f, err := newGCM(c.Transform, c.Keys, c.ESN)
		return func() opener { return f() }, err
	}
	f, err := newCBCOpener(c.Transform, c.Keys, c.ESN)
	return func() opener { return f() }, err
}

// Open verifies pkt and decrypts it in place. payload is the part of pkt that
// the sender gave to Seal, and nh its protocol: with NextHeaderNone the packet
// is a dummy, to be dropped by the caller, although it was authentic.
//
// The replay window is looked at first, since that costs nothing, but moved
// only by authentic packets (RFC 4303, section 3.4.3). After an error the SA
// is as it was (after ErrPadding the window has moved: the packet was
// authentic). ErrAuth leaves pkt unchanged with CBC, and spoilt with AES-GCM.
func (i *Inbound) Open(pkt []byte) (payload []byte, nh uint8, err error) {
	if err := i.checkShape(pkt); err != nil {
		return nil, 0, err
	}
	seq, ok := i.admit(binary.BigEndian.Uint32(pkt[4:]))
	if !ok {
		return nil, 0, ErrReplay
	}
	lane := i.lanes.claim()
	ok = lane.work.open(pkt, seq)
	lane.release()
	if !ok {
		return nil, 0, ErrAuth
	}
	if !i.commit(seq) {
		return nil, 0, ErrReplay
	}
	body := pkt[i.transform.HeaderLen() : len(pkt)-i.transform.ICVLen()]
	i.packets.Add(1)
	i.bytes.Add(uint64(len(body)))
	return trimTrailer(body)
}

// checkShape refuses what cannot be of this SA by its length or SPI.
func (i *Inbound) checkShape(pkt []byte) error {
	body := len(pkt) - i.transform.HeaderLen() - i.transform.ICVLen()
	if body < padFields || body&(i.transform.enc.block-1) != 0 {
		return ErrShort
	}
	if SPI(binary.BigEndian.Uint32(pkt)) != i.spi {
		return ErrSPI
	}
	return nil
}

// admit returns the whole sequence number of a packet, if it may be accepted.
func (i *Inbound) admit(low uint32) (seq uint64, ok bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	seq = uint64(low)
	if i.esn {
		if seq, ok = i.window.extend(low); !ok {
			return 0, false
		}
	}
	return seq, i.window.fresh(seq)
}

// commit moves the window. It reports false if the same packet was accepted
// meanwhile by another goroutine.
func (i *Inbound) commit(seq uint64) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.window.accept(seq)
}

// trimTrailer takes the padding, its length and the next header off (RFC 4303,
// section 2.4).
func trimTrailer(body []byte) (payload []byte, nh uint8, err error) {
	end := len(body) - padFields
	start := end - int(body[end])
	if start < 0 {
		return nil, 0, ErrPadding
	}
	for i, b := range body[start:end] {
		if b != byte(i+1) {
			return nil, 0, ErrPadding
		}
	}
	return body[:start], body[end+1], nil
}

// SPI is the SA's name in packets.
func (i *Inbound) SPI() SPI { return i.spi }

// Transform is what the SA was made with.
func (i *Inbound) Transform() Transform { return i.transform }

// Opened reports the authentic packets received so far, and the bytes the
// cipher made of them (payload, padding, pad length, next header), which is
// what the lifetime of an SA is measured by (RFC 4301, section 4.4.2.1).
func (i *Inbound) Opened() (packets, bytes uint64) {
	return i.packets.Load(), i.bytes.Load()
}

// HighSequence is the highest sequence number accepted; 0: none yet.
func (i *Inbound) HighSequence() uint64 {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.window.top
}
