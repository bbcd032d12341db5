package esp

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"sync"
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
	// Vault keeps the expanded keys of an AEAD; nil: the heap.
	Vault *Vault
	// ReplayWindow is a multiple of 64 up to 65536; 0: DefaultReplayWindow.
	ReplayWindow int
}

// Inbound is an SA that packets are received on.
type Inbound struct {
	// This is what every packet needs.
	spi   SPI
	shape shape
	aead  aeadKeys // none with CBC
	cbc   *cbcKeys // nil with an AEAD

	mu      sync.Mutex // guards what follows
	window  window
	packets uint64
	bytes   uint64

	*inboundRest
	near [nearRing]uint64 // the ring of a window that is not larger
}

// nearRing is how many words the ring of the default window has.
const nearRing = 32

// InboundLines is how many bytes of an Inbound every packet needs, beside a word
// of what is behind them: two lines of memory less 16 bytes, which its owner may
// have in front of it.
const InboundLines = 112

// inboundRest is what few packets need.
type inboundRest struct {
	transform Transform
	lanes     lanes[opener]
}

// NewInbound makes an SA that has received nothing yet. An error wraps
// ErrConfig, ErrTransform or ErrKeys.
func NewInbound(c InboundConfig) (*Inbound, error) {
	i := new(Inbound)
	if err := i.Init(c); err != nil {
		return nil, err
	}
	return i, nil
}

// Init makes a zero Inbound, which is part of something else, what NewInbound
// returns. After an error it must not be used.
func (i *Inbound) Init(c InboundConfig) error {
	if c.ReplayWindow == 0 {
		c.ReplayWindow = DefaultReplayWindow
	}
	if err := c.check(); err != nil {
		return err
	}
	i.spi, i.shape, i.inboundRest = c.SPI, c.Transform.shape(), &inboundRest{transform: c.Transform}
	i.window = newWindow(c.ReplayWindow, c.ESN, i.near[:])
	if err := i.setOpener(c); err != nil {
		return err
	}
	i.lanes.claim().release()
	return nil
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

// setOpener makes the ciphers, and what makes the lanes.
func (i *Inbound) setOpener(c InboundConfig) error {
	if c.Transform.enc.icv > 0 {
		k, err := newAEADKeys(c.Transform, c.Keys, c.ESN)
		i.aead, i.lanes.make = k, func() opener { return &aeadLane{aeadKeys: &i.aead} }
		keep(c.Vault, i, &i.aead)
		return err
	}
	k, err := newCBCKeys(c.Transform, c.Keys, c.ESN)
	if err == nil {
		wipe(i, k)
	}
	i.cbc, i.lanes.make = k, func() opener { return newCBCOpener(k) }
	return err
}

// Open verifies pkt and decrypts it in place. payload is the part of pkt that
// the sender gave to Seal, and nh its protocol: with NextHeaderNone the packet
// is a dummy, to be dropped by the caller, although it was authentic.
//
// The replay window is looked at first, since that costs nothing, but moved
// only by authentic packets (RFC 4303, section 3.4.3). After an error the SA
// is as it was (after ErrPadding the window has moved: the packet was
// authentic). ErrAuth leaves pkt unchanged with CBC, and spoilt with an AEAD.
func (i *Inbound) Open(pkt []byte) (payload []byte, nh uint8, err error) {
	seq, err := i.admit(pkt)
	if err != nil {
		return nil, 0, err
	}
	lane := i.lanes.claim()
	ok := lane.work.open(pkt, seq)
	lane.release()
	runtime.KeepAlive(i) // or its keys are wiped too soon
	if !ok {
		return nil, 0, ErrAuth
	}
	return i.finish(pkt, seq)
}

// admit returns the whole sequence number of a packet that may be opened.
func (i *Inbound) admit(pkt []byte) (seq uint64, err error) {
	if err := i.checkShape(pkt); err != nil {
		return 0, err
	}
	seq, ok := i.extend(binary.BigEndian.Uint32(pkt[4:]))
	if !ok {
		return 0, ErrReplay
	}
	return seq, nil
}

// refusal is why a packet that is not authentic is refused: if its number was
// used up since it was admitted, that comes first.
func (i *Inbound) refusal(seq uint64) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if !i.window.fresh(seq) {
		return ErrReplay
	}
	return ErrAuth
}

// finish takes an authentic, decrypted packet.
func (i *Inbound) finish(pkt []byte, seq uint64) (payload []byte, nh uint8, err error) {
	body := pkt[i.shape.header : len(pkt)-int(i.shape.icv)]
	if !i.commit(seq, len(body)) {
		return nil, 0, ErrReplay
	}
	return trimTrailer(body)
}

// checkShape refuses what cannot be of this SA by its length or SPI.
func (i *Inbound) checkShape(pkt []byte) error {
	body := len(pkt) - int(i.shape.header) - int(i.shape.icv)
	if body < padFields || body&(int(i.shape.block)-1) != 0 {
		return ErrShort
	}
	if SPI(binary.BigEndian.Uint32(pkt)) != i.spi {
		return ErrSPI
	}
	return nil
}

// extend returns the whole sequence number of a packet, if it may be accepted.
func (i *Inbound) extend(low uint32) (seq uint64, ok bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	seq = uint64(low)
	if i.window.esn {
		if seq, ok = i.window.extend(low); !ok {
			return 0, false
		}
	}
	return seq, i.window.fresh(seq)
}

// commit moves the window and counts n bytes. It reports false if the same
// packet was accepted meanwhile by another goroutine.
func (i *Inbound) commit(seq uint64, n int) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if !i.window.accept(seq) {
		return false
	}
	i.packets++
	i.bytes += uint64(n)
	return true
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

// Opened reports the authentic packets received so far, and the bytes the
// cipher made of them (payload, padding, pad length, next header), which is
// what the lifetime of an SA is measured by (RFC 4301, section 4.4.2.1).
func (i *Inbound) Opened() (packets, bytes uint64) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.packets, i.bytes
}

// HighSequence is the highest sequence number accepted; 0: none yet.
func (i *Inbound) HighSequence() uint64 {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.window.top
}
