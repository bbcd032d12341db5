package dataplane

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/culvert-vpn/culvert/dataplane/udp"
	"github.com/culvert-vpn/culvert/tenant/policy"
)

// policed has the rig's tenant allow one port of UDP to ann, who is its client, and the
// other client nothing.
func (r *rig) policed(port uint16) {
	c := rigRules(true)
	c.Sets = []policy.Set{{Name: "tenant", Rules: []policy.Rule{
		{Name: "one port", From: []policy.Peer{{Kind: policy.IsUser, Name: "ann"}}, Ports: []policy.Ports{{Protocol: 17, First: port, Last: port}}, Allow: true},
	}}}
	rules, err := policy.Compile(c)
	if err != nil {
		r.t.Fatal(err)
	}
	r.link.port.SetRules(rules)
}

// passes reports whether a packet arrives: from the client with up, else from the network.
func (r *rig) passes(up bool, ip []byte) bool {
	r.t.Helper()
	before := len(r.device.got)
	if up {
		r.sends(bytes.Clone(ip))
	} else {
		r.brings(bytes.Clone(ip))
	}
	packets, _ := r.arrived()
	return len(r.device.got)-before+len(packets) == 1
}

// TestFlowsArePoliced: by user and port, in both directions, to the network and to another
// client; answers pass, and what is no answer does not.
func TestFlowsArePoliced(t *testing.T) {
	r := newNeighbours(t, true, 1400)
	r.policed(53)
	r.plane.SetIdentity(r.session, &policy.Identity{User: "ann"}, nil)
	for i, c := range []struct {
		up   bool
		ip   []byte
		pass bool
	}{
		{false, fromPort(internet, clientAddr, 80, 1000), false},
		{true, fromPort(clientAddr, internet, 1000, 80), false},
		{true, fromPort(clientAddr, internet, 1000, 53), true},
		{false, fromPort(internet, clientAddr, 53, 1000), true},
		{false, fromPort(internet, clientAddr, 54, 1001), false},
		{false, fromPort(internet, friend, 53, 1000), false},
		{true, fromPort(clientAddr, friend, 1000, 53), true},
		{true, fromPort(clientAddr, friend, 1000, 54), false},
		{true, fromPort(clientAddr, netip.MustParseAddr("10.100.1.77"), 1000, 54), false}, // nobody's
	} {
		if got := r.passes(c.up, c.ip); got != c.pass {
			t.Errorf("%d: passes %v: %v", i, got, r.plane.Drops())
		}
	}
	if n := r.plane.Drops()[DropDenied]; n != 6 {
		t.Errorf("%d denied", n)
	}
}

// TestRulesSwapUnderFlows: those that the next rules allow go on, others end.
func TestRulesSwapUnderFlows(t *testing.T) {
	r := newNeighbours(t, true, 1400)
	r.policed(53)
	r.plane.SetIdentity(r.session, &policy.Identity{User: "ann"}, nil)
	answer := fromPort(internet, clientAddr, 53, 1000)
	if !r.passes(true, fromPort(clientAddr, internet, 1000, 53)) {
		t.Fatal("it is denied")
	}
	r.policed(53)
	if !r.passes(false, answer) {
		t.Error("the same rules end a flow")
	}
	r.policed(54)
	if r.passes(false, answer) {
		t.Error("rules that deny a flow do not end it")
	}
	r.policed(53)
	if !r.passes(true, fromPort(clientAddr, internet, 1000, 53)) || !r.passes(false, answer) {
		t.Error("it does not begin again")
	}
	r.link.port.SetRules(policy.New(rigRules(true)))
	if !r.passes(false, fromPort(internet, clientAddr, 99, 99)) {
		t.Error("without rules of flows something is denied")
	}
}

// TestSuccessorHasNoFlows: whoever gets the address of a session that is over gets none of
// what is still under way to it, nor may he go on with it.
func TestSuccessorHasNoFlows(t *testing.T) {
	r := newNeighbours(t, true, 1400)
	r.policed(53)
	r.plane.SetIdentity(r.session, &policy.Identity{User: "ann"}, nil)
	begins, answer := fromPort(clientAddr, internet, 1000, 53), fromPort(internet, clientAddr, 53, 1000)
	if !r.passes(true, begins) || !r.passes(false, answer) {
		t.Fatal("it does not begin")
	}
	c := SessionConfig{Peer: r.peer, Tunnel: r.session.tunnel, Call: r.session.call, RemoteTunnel: r.session.remoteTunnel, RemoteCall: r.session.remoteCall}
	r.plane.RemoveSession(r.session)
	if r.passes(false, answer) {
		t.Error("an answer arrives, and nobody is there")
	}
	r.session = r.plane.NewSession(c)
	r.plane.SetIdentity(r.session, &policy.Identity{User: "eve"}, nil)
	r.plane.Bind(r.session, r.link.port, clientAddr, LinkOptions{MTU: 1400})
	for range 2 {
		if r.passes(false, answer) {
			t.Error("the successor gets an answer to who was there before")
		}
		if r.passes(true, begins) {
			t.Error("the successor goes on with it")
		}
	}
	r.plane.SetIdentity(r.session, &policy.Identity{User: "ann"}, nil)
	if !r.passes(true, begins) || !r.passes(false, answer) {
		t.Error("who may begin it cannot")
	}
}

// TestPolicyNoAllocations: neither up nor down, for what is of a flow.
func TestPolicyNoAllocations(t *testing.T) {
	const runs = 100
	r := newNeighbours(t, true, 1400)
	r.policed(53)
	r.plane.SetIdentity(r.session, &policy.Identity{User: "ann"}, nil)
	r.wire.discard, r.device.discard = true, true
	batches := make([][]udp.Message, runs+1)
	for i := range batches {
		batches[i] = []udp.Message{r.message(r.seal(fromPort(clientAddr, internet, 1000, 53)))}
	}
	answer, i := fromPort(internet, clientAddr, 53, 1000), 0
	buf, off := lend(answer)
	whole := bytes.Clone(buf)
	if n := testing.AllocsPerRun(runs, func() {
		r.worker.batch(batches[i])
		copy(buf, whole)
		r.link.packet(buf, off)
		r.link.send.flush()
		i++
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if drops := r.plane.Drops(); len(drops) != 0 {
		t.Errorf("%v", drops)
	}
}

// TestTheNetworkIsNoClient: open clients hear each other, and nobody in the network who says
// that he is one of them.
func TestTheNetworkIsNoClient(t *testing.T) {
	r := newNeighbours(t, true, 1400)
	forged, forged6 := fromPort(friend, clientAddr, 53, 1000), packet6(delegated6, client6, 17, make([]byte, 20))
	if r.passes(false, forged) || r.passes(false, forged6) {
		t.Error("the network passes for another client")
	}
	if n := r.plane.Drops()[DropSource]; n != 2 {
		t.Errorf("%d are counted", n)
	}
	if !r.passes(true, fromPort(clientAddr, friend, 1000, 53)) || !r.passes(false, fromPort(internet, clientAddr, 53, 1000)) || !r.passes(false, fromPort(ours, clientAddr, 53, 1000)) {
		t.Error("what is honest does not pass")
	}
}
