package gateway

import (
	"net/netip"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/internal/dialer"
)

// pooledOnly lets clients begin flows, and nobody else.
const pooledOnly = "policy: {default: deny, rules: [{name: out, from: pool, allow: true}]}"

// flowsOf has a client begin as many flows of UDP as there are numbers from one on.
func flowsOf(c *client, from netip.Addr, first, count uint32) {
	for n := first; n < first+count; n++ {
		c.says(ipOf(from, netip.MustParseAddr("198.18.0.2"), 17, udpOf(uint16(n), 7, mark(n))))
	}
}

// answered is how many of them are still answered: what answers a flow that has made room
// does not get through.
func (w *world) answered(c *client, tenant string, to netip.Addr, first, count uint32) (n uint32) {
	seen := new(marks)
	c.dev.watch(seen)
	for i := first; i < first+count; i++ {
		w.nets[tenant].send(ipOf(netip.MustParseAddr("198.18.0.2"), to, 17, udpOf(7, uint16(i), mark(i))))
		time.Sleep(time.Millisecond)
	}
	time.Sleep(time.Second)
	for i := first; i < first+count; i++ {
		if seen.has(i) {
			n++
		}
	}
	return n
}

// TestFlowFloodCostsItsOwnSession: whoever begins far more flows than he may have pushes out
// his own, the oldest first. Another client of the tenant and one of another tenant keep
// all of theirs, and what they begin meanwhile goes on.
func TestFlowFloodCostsItsOwnSession(t *testing.T) {
	const most, few = 64, 40
	yaml := testConfig + "    limits: {flows: 64}\n    " + pooledOnly + "\n" + another("globex", ", limits: {flows: 64}, "+pooledOnly)
	inWorld(t, goodRoad, yaml, func(t *testing.T, w *world) {
		alice, bob, other := w.client(nil), w.client(nil), w.client(nil)
		a, b, o := alice.mustDial(), bob.mustDial(func(d *dialer.DialConfig) { d.User, d.Password = "bob", "bobpw" }), other.mustDial(carol("globex"))
		arrived := map[string]*marks{"acme": {}, "globex": {}}
		for name, m := range arrived {
			w.nets[name].watch(m)
		}
		flowsOf(bob, b.Local, 1000, few)
		flowsOf(other, o.Local, 1000, few)
		const flood, each = 100, 100
		for i := range uint32(flood) {
			flowsOf(alice, a.Local, 10000+i*each, each)
			flowsOf(bob, b.Local, 2000+i%20, 1)
			flowsOf(other, o.Local, 2000+i%20, 1)
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(time.Second)
		for i := range uint32(20) {
			if !arrived["acme"].has(2000+i) || !arrived["globex"].has(2000+i) {
				t.Errorf("flow %d of another session does not begin beside the flood", i)
			}
		}
		if n := w.answered(bob, "acme", b.Local, 1000, few); n != few {
			t.Errorf("of %d flows of another client %d are left", few, n)
		}
		if n := w.answered(other, "globex", o.Local, 1000, few); n != few {
			t.Errorf("of %d flows of another tenant's client %d are left", few, n)
		}
		if n := w.answered(alice, "acme", a.Local, 10000, flood*each); n != most {
			t.Errorf("whoever floods has %d flows", n)
		}
		if n := w.answered(alice, "acme", a.Local, 10000+flood*each-most, most); n != most {
			t.Errorf("of the newest %d he has %d", most, n)
		}
	})
}
