package dataplane

import (
	"errors"
	"maps"
	"net/netip"
	"testing"

	"github.com/culvert-vpn/culvert/dataplane/udp"
	"github.com/culvert-vpn/culvert/esp"
	"github.com/culvert-vpn/culvert/internal/x/fault"
	"github.com/culvert-vpn/culvert/l2tp"
	"github.com/culvert-vpn/culvert/tenant"
	"github.com/culvert-vpn/culvert/tenant/ipkt"
	"github.com/culvert-vpn/culvert/tenant/policy"
)

// sullenWriter is a device's writer that refuses everything.
type sullenWriter struct{ tenant.Writer }

func (sullenWriter) Flush() error { return errors.New("no") }

// TestDropsByTenant: what is dropped of a tenant's packets is counted for it as well, by
// cause, and for no other; what is nobody's is counted in the whole only.
func TestDropsByTenant(t *testing.T) {
	ip := func() []byte { return ipPacket(clientAddr, internet, 100) }
	big := ipPacket(internet, clientAddr, 1450)
	big[6] = 0x40 // may not be fragmented
	ipkt.SetHeaderChecksum(big[:20])
	up := func(r *rig, pkt []byte) { r.worker.batch([]udp.Message{r.message(pkt)}) }
	for name, c := range map[string]struct {
		do   func(r *rig)
		want Cause
		all  bool // in the whole only
	}{
		"another's source":    {func(r *rig) { up(r, r.seal(ipPacket(friend, internet, 100))) }, DropSource, false},
		"a neighbour":         {func(r *rig) { up(r, r.seal(ipPacket(clientAddr, friend, 100))) }, DropNeighbour, false},
		"of a neighbour":      {func(r *rig) { r.brings(ipPacket(friend, clientAddr, 100)) }, DropNeighbour, false},
		"no IP up":            {func(r *rig) { up(r, r.seal([]byte{0x45, 0, 0, 0})) }, DropIP, false},
		"no IP down":          {func(r *rig) { r.brings(make([]byte, 40)) }, DropIP, false},
		"nobody's address":    {func(r *rig) { r.brings(ipPacket(internet, netip.MustParseAddr("10.100.1.99"), 100)) }, DropNoRoute, false},
		"too big":             {func(r *rig) { r.brings(append([]byte(nil), big...)) }, DropTooBig, false},
		"a changed byte":      {func(r *rig) { b := r.seal(ip()); b[30] ^= 1; up(r, b) }, DropAuth, false},
		"twice":               {func(r *rig) { b := r.seal(ip()); again := append([]byte(nil), b...); up(r, b); up(r, again) }, DropReplay, false},
		"padding":             {func(r *rig) { up(r, r.sealAs(make([]byte, 40), esp.NextHeaderNone)) }, DropDummy, false},
		"half a packet":       {func(r *rig) { up(r, r.seal(ip())[:12]) }, DropMalformed, false},
		"no UDP":              {func(r *rig) { up(r, r.sealAs(make([]byte, 40), 6)) }, DropInner, false},
		"IP without a tunnel": {func(r *rig) { up(r, r.sealAs(ip(), protoIPv4)) }, DropInner, false},
		"a short datagram":    {func(r *rig) { up(r, r.sealAs(make([]byte, 4), protoUDP)) }, DropInner, false},
		"no L2TP":             {func(r *rig) { up(r, r.sealL2TP([]byte{0, 2, 0})) }, DropL2TP, false},
		"no PPP": {func(r *rig) {
			up(r, r.sealL2TP(l2tp.AppendDataHeader(nil, l2tp.DataHeader{Tunnel: 7, Call: 9}, 0)))
		}, DropPPP, false},
		"another's call": {func(r *rig) {
			frame := []byte{0xff, 3, 0, 0x21}
			up(r, r.sealL2TP(append(l2tp.AppendDataHeader(nil, l2tp.DataHeader{Tunnel: 7, Call: 10}, 4), frame...)))
		}, DropNoSession, false},
		"a device that refuses": {func(r *rig) {
			r.link.port.writers[0] = sullenWriter{r.link.port.writers[0]}
			up(r, r.seal(ip()))
		}, DropDevice, false},
		"a device that panics": {func(r *rig) {
			r.plane.faults = fault.New(func(fault.Report) {})
			r.link.port.writers[0] = poisonWriter{r.link.port.writers[0]}
			up(r, r.seal(ipPacket(clientAddr, poison, 100)))
		}, DropFault, false},
		"to who has moved": {func(r *rig) {
			r.rekeyed(func(e *Encapsulation) { e.Trial = new(Trial) })
			r.brings(ipPacket(internet, clientAddr, 100))
		}, DropUnproven, false},
		"beside the selectors": {func(r *rig) {
			*r = *tunnelRig(r.t, &Selectors{[]Range{rangeOf("10.1.0.0/16")}, []Range{rangeOf("10.100.1.2/32")}})
			up(r, r.sealAs(ip(), protoIPv4))
		}, DropSelector, false},
		"down beside the selectors": {func(r *rig) {
			*r = *tunnelRig(r.t, &Selectors{[]Range{rangeOf("10.1.0.0/16")}, []Range{rangeOf("10.100.1.2/32")}})
			r.brings(ipPacket(internet, clientAddr, 100))
		}, DropSelector, false},
		"closed": {func(r *rig) {
			reach, err := policy.NewReach([]netip.Prefix{netip.PrefixFrom(internet, 32)}, nil)
			if err != nil {
				t.Fatal(err)
			}
			rules := rigRules(false)
			rules.Closed = reach
			r.link.port.SetRules(policy.New(rules))
			up(r, r.seal(ip()))
		}, DropDenied, false},
		"mDNS": {func(r *rig) {
			r.plane.Bind6(r.session, r.session.port, clientPrefix, LinkOptions{MTU: 1400})
			up(r, r.seal6(packet6(client6, netip.MustParseAddr("ff02::fb"), 17, make([]byte, 8))))
		}, DropLink, false},
		"too many messages": {func(r *rig) {
			for range maxWaiting + 1 {
				up(r, r.sealL2TP([]byte{0xc8, 2, 0, 12, 0, 7, 0, 0, 0, 0, 0, 0}))
			}
		}, DropPeerFull, false},
		"nobody's SPI":   {func(r *rig) { b := r.seal(ip()); b[0] ^= 1; up(r, b) }, DropUnknownSPI, true},
		"no ESP":         {func(r *rig) { up(r, make([]byte, 3)) }, DropMalformed, true},
		"before a login": {func(r *rig) { r.plane.Unbind(r.session); up(r, r.sealL2TP([]byte{0, 2, 0})) }, DropL2TP, true},
		"of two tenants": {func(r *rig) {
			second := r.plane.NewSession(SessionConfig{Peer: r.peer, Tunnel: 7, Call: 11})
			r.plane.Bind(second, r.plane.newPort(PortConfig{Device: r.device}), friend, LinkOptions{MTU: 1400})
			up(r, r.sealL2TP([]byte{0, 2, 0}))
		}, DropL2TP, true},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, esp.EncryptionGCM16, 256, 0)
			other := r.plane.newPort(PortConfig{Device: r.device})
			c.do(r)
			whole, own := r.plane.Drops(), r.link.port.Drops()
			if whole[c.want] != 1 || len(whole) != 1 {
				t.Fatalf("%v in all, want one %v", whole, c.want)
			}
			if c.all && len(own) != 0 || !c.all && !maps.Equal(own, whole) {
				t.Errorf("%v of the tenant, %v in all", own, whole)
			}
			if len(other.Drops()) != 0 {
				t.Errorf("%v of another", other.Drops())
			}
		})
	}
}

// TestDropsNoAllocations: to count what is dropped allocates nothing.
func TestDropsNoAllocations(t *testing.T) {
	const runs = 100
	r := newNeighbours(t, false, 1400)
	r.wire.discard = true
	batches := make([][]udp.Message, runs+1)
	for i := range batches {
		replayed := r.seal(ipPacket(clientAddr, friend, 100))
		batches[i] = []udp.Message{
			r.message(append([]byte(nil), replayed...)), r.message(replayed),
			r.message(r.seal(ipPacket(friend, internet, 100))), r.message(r.sealL2TP([]byte{0, 2, 0})),
		}
	}
	i := 0
	if n := testing.AllocsPerRun(runs, func() { r.worker.batch(batches[i]); i++ }); n != 0 {
		t.Errorf("%v allocations a batch up", n)
	}
	buf, off := lend(ipPacket(internet, netip.MustParseAddr("10.100.1.99"), 100))
	if n := testing.AllocsPerRun(runs, func() { r.link.packet(buf, off) }); n != 0 {
		t.Errorf("%v allocations a packet down", n)
	}
	for _, why := range []Cause{DropNeighbour, DropReplay, DropSource, DropL2TP, DropNoRoute} {
		if n := r.link.port.Drops()[why]; n != runs+1 {
			t.Errorf("%d of %d counted as %v", n, runs+1, why)
		}
	}
}
