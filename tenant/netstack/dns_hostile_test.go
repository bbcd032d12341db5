package netstack

import (
	"net"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/header"

	"github.com/culvert-vpn/culvert/tenant/dns"
	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

// A client that opens connections to the gateway's DNS and acknowledges no goodbye has
// no more of them than its share, what they hold counts, and they end: by
// themselves, and with its session.
func TestDNSConnectionsOfAClientAreBounded(t *testing.T) {
	const most, tries = 20, 600
	thief := netip.MustParseAddr("10.100.1.66")
	forwarder, err := dns.New(dns.Config{Resolvers: []netip.AddrPort{newResolver(t)}})
	if err != nil {
		t.Fatal(err)
	}
	d := newDevice(t, func(cfg *Config) { cfg.DNS, cfg.FlowsPerSource = forwarder, most })
	packets := make(chan []byte, 10000)
	go lend(d, packets)
	w, shaken := d.Writer(), 0
	at := netip.AddrPortFrom(gateway.Addr(), 53)
	shake := func() {
		for {
			select {
			case b := <-packets:
				p, _ := ipkt.Parse(b)
				if syn := header.TCP(p.Payload()); syn.Flags() == header.TCPFlagSyn|header.TCPFlagAck {
					shaken++
					send(t, w, segmentTo(at, thief, syn.DestinationPort(), 101, syn.SequenceNumber()+1, header.TCPFlagAck))
				}
			case <-time.After(50 * time.Millisecond):
				return
			}
		}
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range tries {
		send(t, w, segmentTo(at, thief, uint16(10000+i), 100, 0, header.TCPFlagSyn))
		if i%most == most-1 {
			shake()
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	t.Logf("%d shaken, %d connections, heap grew by %d KB", shaken, connections(d), (after.HeapAlloc-before.HeapAlloc)>>10)
	if shaken < most {
		t.Fatalf("%d connections came about", shaken)
	}
	if n := connections(d); n > most {
		t.Errorf("%d connections of a client that may have %d", n, most)
	}
	if held, least := d.allowance.purse.used.Load(), int64(connections(d)*connectionCost); held < least {
		t.Errorf("%d bytes count of %d that are held", held, least)
	}
	d.Forget(thief)
	wantSoon(t, func() bool { return connections(d) == 0 })
	if n := connections(d); n != 0 {
		t.Errorf("%d connections last longer than the session", n)
	}
	wantFlows(t, d, 0)
	if n := d.allowance.purse.used.Load(); n != 0 {
		t.Errorf("%d bytes are not given back", n)
	}
}

// Connections that were closed in good order are forgotten by the stack when a client has
// many of them, also those of the gateway's DNS.
func TestClosedConnectionsOfAClientAreBounded(t *testing.T) {
	const tries = 4 * maxWaitingPerSource
	thief := netip.MustParseAddr("10.100.1.66")
	port := serveTCP(t, func(*net.TCPConn) {}) // closes at once
	forwarder, err := dns.New(dns.Config{Resolvers: []netip.AddrPort{newResolver(t)}, ConnsPerSource: 1})
	if err != nil {
		t.Fatal(err)
	}
	d := newDevice(t, func(cfg *Config) { cfg.DNS = forwarder })
	packets := make(chan []byte, 10000)
	go lend(d, packets)
	w, closed := d.Writer(), 0
	answer := func(at netip.AddrPort, b []byte) {
		p, _ := ipkt.Parse(b)
		s := header.TCP(p.Payload())
		switch flags := s.Flags(); {
		case flags == header.TCPFlagSyn|header.TCPFlagAck:
			send(t, w, segmentTo(at, thief, s.DestinationPort(), 101, s.SequenceNumber()+1, header.TCPFlagAck))
		case flags&header.TCPFlagFin != 0 && s.AckNumber() == 101:
			closed++
			send(t, w, segmentTo(at, thief, s.DestinationPort(), 101, s.SequenceNumber()+1, header.TCPFlagFin|header.TCPFlagAck))
		}
	}
	drain := func(at netip.AddrPort) {
		for {
			select {
			case b := <-packets:
				answer(at, b)
			case <-time.After(100 * time.Millisecond):
				return
			}
		}
	}
	for _, at := range []netip.AddrPort{netip.AddrPortFrom(gateway.Addr(), 53), netip.AddrPortFrom(serverIP, port)} {
		for i := range tries {
			send(t, w, segmentTo(at, thief, uint16(10000+i), 100, 0, header.TCPFlagSyn))
			if i%64 == 63 {
				drain(at)
			}
		}
		flows := d.Counters().Flows
		n := connections(d)
		t.Logf("%v: %d goodbyes, %d connections are left and %d flows", at, closed, n, flows)
		if n > maxWaitingPerSource+flows {
			t.Errorf("%v: %d connections are kept of %d that were closed", at, n, closed)
		}
	}
	if closed < 2*tries*3/4 {
		t.Fatalf("%d connections were closed", closed)
	}
}
