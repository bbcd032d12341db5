package bench

import (
	"context"
	"encoding/binary"
	"net/netip"
	"sync"
	"time"

	"github.com/culvert-vpn/culvert/tenant"
	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

// probes are echo requests under way, of all clients of a fleet.
type probes struct {
	mu      sync.Mutex
	next    uint32
	waiting map[uint32]chan struct{}
}

func newProbes() *probes { return &probes{waiting: make(map[uint32]chan struct{})} }

// echo sends an ICMP echo request from a client to the server's end of its
// link, and returns how long the answer took.
func (p *probes) echo(ctx context.Context, c *client) (time.Duration, error) {
	p.mu.Lock()
	p.next++
	id, answered := p.next, make(chan struct{})
	p.waiting[id] = answered
	p.mu.Unlock()
	defer p.forget(id)
	began := time.Now()
	if err := c.Send(ctx, echoRequest(c.Local, c.Remote, id)); err != nil {
		return 0, failed("echo: %w", err)
	}
	select {
	case <-answered:
		return time.Since(began), nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

func (p *probes) forget(id uint32) {
	p.mu.Lock()
	delete(p.waiting, id)
	p.mu.Unlock()
}

// received looks whether a packet is an answer.
func (p *probes) received(pkt []byte) {
	ip, err := ipkt.Parse(pkt)
	if err != nil || ip.Protocol != ipkt.ProtocolICMP {
		return
	}
	icmp := ip.Payload()
	if len(icmp) < 8 || icmp[0] != 0 {
		return
	}
	id := binary.BigEndian.Uint32(icmp[4:])
	p.mu.Lock()
	defer p.mu.Unlock()
	if answered := p.waiting[id]; answered != nil {
		close(answered)
		delete(p.waiting, id)
	}
}

// echoRequest writes an ICMP echo request whose identifier and sequence are id.
func echoRequest(from, to netip.Addr, id uint32) []byte {
	b := make([]byte, 28)
	b[0], b[8], b[9] = 0x45, 64, ipkt.ProtocolICMP
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	src, dst := from.As4(), to.As4()
	copy(b[12:], src[:])
	copy(b[16:], dst[:])
	ipkt.SetHeaderChecksum(b[:20])
	b[20] = 8
	binary.BigEndian.PutUint32(b[24:], id)
	sum := uint32(8)<<8 + id>>16 + id&0xffff
	sum = sum&0xffff + sum>>16
	binary.BigEndian.PutUint16(b[22:], ^uint16(sum&0xffff+sum>>16))
	return b
}

// probeDevice is the device of a client that sends nothing by itself: it has no
// source, and looks at what comes for answers.
type probeDevice struct{ probes *probes }

// Sources implements tenant.Device.
func (d probeDevice) Sources() []tenant.Source { return nil }

// Writer implements tenant.Device.
func (d probeDevice) Writer() tenant.Writer { return probeWriter(d) }

// MTU implements tenant.Device.
func (d probeDevice) MTU() int { return 1500 }

// Close implements tenant.Device.
func (d probeDevice) Close() error { return nil }

type probeWriter struct{ probes *probes }

// Commit implements tenant.Writer.
func (w probeWriter) Commit(pkt []byte) { w.probes.received(pkt) }

// Flush implements tenant.Writer.
func (w probeWriter) Flush() error { return nil }
