package netstack

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"

	"github.com/culvert-vpn/culvert/internal/x/fault"
	"github.com/culvert-vpn/culvert/tenant"
)

// poison is a destination that meets a fault of the program.
var poison = netip.MustParseAddr("198.51.100.66")

type poisoned struct{}

func (poisoned) Closes(a netip.Addr) (int, bool) {
	if a == poison {
		panic("poison")
	}
	return 0, false
}

// TestAPanicCostsItsPacket: in the middle of a batch, in whatever the stack calls of
// ours, for each protocol: whose packet it was is told, what is before and behind it
// is delivered, and no lock is left.
func TestAPanicCostsItsPacket(t *testing.T) {
	var told []fault.Report
	log := fault.New(func(r fault.Report) { told = append(told, r) })
	d := newDevice(t, func(cfg *Config) {
		withICMP(cfg)
		cfg.Others, cfg.Faults = poisoned{}, log
	})
	next := packetsOf(t, d)
	w := d.Writer()
	for n, bad := range [][]byte{synWithOffset(poison, 5), udpPacket(netip.AddrPortFrom(poison, 7), "x"), echoPacket(poison, 1, 1, "")} {
		for _, p := range [][]byte{echoPacket(gateway.Addr(), 7, 1, ""), bad, echoPacket(gateway.Addr(), 7, 2, "")} {
			w.Commit(p)
		}
		met, ok := errors.AsType[*tenant.Fault](w.Flush())
		if !ok || len(met.Sources) != 1 || met.Sources[0] != clientIP || log.Count() != uint64(n+1) {
			t.Errorf("%d: %v, %d panics", n, met, log.Count())
		}
		for seq := range uint16(2) {
			if p, ok := next(); !ok || word(p.Payload()[6:]) != seq+1 {
				t.Errorf("%d: got % x", n, p.Bytes)
			}
		}
	}
	if len(told) == 0 {
		t.Error("nothing was told")
	}
	d.Forget(clientIP)
}

// TestAPanicCostsItsConnection: in the goroutine that dials for it.
func TestAPanicCostsItsConnection(t *testing.T) {
	log := fault.New(func(fault.Report) {})
	d := newDevice(t, func(cfg *Config) {
		cfg.Faults = log
		cfg.DialContext = func(context.Context, string, string) (net.Conn, error) { panic("dialling") }
	})
	send(t, d.Writer(), synWithOffset(serverIP, 5))
	wantSoon(t, func() bool { return log.Count() == 1 })
	wantFlows(t, d, 0)
}

// TestAPanicCostsItsFirstDatagram: in the goroutine that asks the kernel about new
// destinations, which goes on.
func TestAPanicCostsItsFirstDatagram(t *testing.T) {
	log := fault.New(func(fault.Report) {})
	d := newDevice(t, func(cfg *Config) { cfg.Faults = log })
	m := &mapping{holder: new(holder)} // without a filter, which is a fault
	for n := range uint64(3) {
		d.judge.ask(m, heading{}, nil)
		wantSoon(t, func() bool { return log.Count() == n+1 })
	}
}
