package ike

import (
	"bytes"
	"container/heap"
	"crypto/sha3"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/ike/persona"
	"github.com/culvert-vpn/culvert/ike/suite"
	"github.com/culvert-vpn/culvert/ike/v1"
	"github.com/culvert-vpn/culvert/ike/v2"
	"github.com/culvert-vpn/culvert/internal/x/deadline"
)

// start is when the tests begin.
var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// stream is a reproducible Config.Rand.
func stream(seed string) *sha3.SHAKE {
	s := sha3.NewSHAKE256()
	s.Write([]byte(seed))
	return s
}

// client is how a client dials by IKEv1, for DialConfig.Persona.
func client(name string) *v1.Persona {
	p, err := persona.V1(name)
	if err != nil {
		panic(err)
	}
	return &p
}

// client2 is the same of IKEv2.
func client2(name string) *v2.Persona {
	p, err := persona.V2(name)
	if err != nil {
		panic(err)
	}
	return &p
}

func addrPort(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

// Addresses of the tests: a client behind a NAT and a server.
var (
	serverIKE  = addrPort("203.0.113.5:500")
	serverNATT = addrPort("203.0.113.5:4500")
	clientIKE  = addrPort("192.168.1.10:500")
	clientNATT = addrPort("192.168.1.10:4500")
)

// node is one Server under test and what it has said so far.
type node struct {
	name     string
	s        *Server
	events   []Event // all but Send and Compute
	children map[SPI]*ChildSA
	active   map[SPI]bool
	sending  SPI // inbound SPI of the pair that we send on
	up       map[Peer]Up
	closed   map[Peer]Closed
	failed   []Failed
	sent     [][]byte
	grant    func(Assign) Assignment
	eap      func(EAP) EAPReply
	login    func(Login) LoginReply
	granted  []Assignment
	received map[SPI]uint64 // packets that came in a child SA
}

func (n *node) take(e Event) {
	n.events = append(n.events, e)
	switch e := e.(type) {
	case Up:
		n.up[e.Peer] = e
	case Installed:
		c := e.Child
		n.children[c.In] = &c
		n.active[c.In] = c.Active
		if c.Active {
			n.sending = c.In
		}
	case Activated:
		n.active[e.In] = true
		n.sending = e.In
	case Removed:
		delete(n.children, e.In)
		delete(n.active, e.In)
		for in := range n.children {
			if n.sending == e.In && n.active[in] {
				n.sending = in
			}
		}
	case Configured:
		n.granted = append(n.granted, e.Assignment)
	case Closed:
		n.closed[e.Peer] = e
	case Failed:
		n.failed = append(n.failed, e)
	}
}

// packet is a datagram on its way.
type packet struct {
	at       time.Time
	order    int
	to       *node
	path     Path // as the receiver sees it
	data     []byte
	compute  ComputeID
	do       func() any
	computed bool
}

type flight []packet

func (f flight) Len() int { return len(f) }
func (f flight) Less(i, j int) bool {
	if !f[i].at.Equal(f[j].at) {
		return f[i].at.Before(f[j].at)
	}
	return f[i].order < f[j].order
}
func (f flight) Swap(i, j int) { f[i], f[j] = f[j], f[i] }
func (f *flight) Push(x any)   { *f = append(*f, x.(packet)) }
func (f *flight) Pop() any {
	p := (*f)[len(*f)-1]
	*f = (*f)[:len(*f)-1]
	return p
}

// pair is a client and a server with a network between them.
type pair struct {
	t              testing.TB
	now            time.Time
	client, server *node
	fly            flight
	order          int
	random         *rand.Rand
	loss, dup      float64
	spread         time.Duration
	filter         func(from *node, data []byte) bool // false: lost
	alter          func(data []byte) []byte           // on the way; nil: not at all
}

// renew has the client renew both phases, and says what is not as it was a minute later.
func (p *pair) renew(id Peer) error {
	_ = p.client.s.Rekey(p.now, id, Phase1)
	_ = p.client.s.Rekey(p.now, id, Phase2)
	p.run(time.Minute, nil)
	if len(p.usable()) != 1 || len(p.server.up) != 1 || len(p.client.closed) != 0 {
		return fmt.Errorf("not up after renewing: %d peers, %+v", len(p.server.up), p.client.closed)
	}
	return nil
}

func newNode(t testing.TB, name string, c Config) *node {
	t.Helper()
	if c.Rand == nil {
		c.Rand = stream(name)
	}
	s, err := NewServer(c)
	if err != nil {
		t.Fatal(err)
	}
	n := &node{name: name, s: s, children: map[SPI]*ChildSA{}, active: map[SPI]bool{}, up: map[Peer]Up{}, closed: map[Peer]Closed{}, received: map[SPI]uint64{}}
	s.config.Received = func(_ Peer, in SPI) uint64 { return n.received[in] }
	return n
}

func newPair(t testing.TB, seed uint64, server Config) *pair {
	t.Helper()
	if server.Rand == nil {
		server.Rand = stream(fmt.Sprint("server", seed))
	}
	return &pair{
		t: t, now: start, random: rand.New(rand.NewPCG(seed, 7)),
		client: newNode(t, "client", Config{Rand: stream(fmt.Sprint("client", seed))}),
		server: newNode(t, "server", server),
	}
}

// psk is a Candidates of one tenant.
func psk(tenant, key string, p *Policy) func(netip.Addr, netip.Addr) []Candidate {
	list := []Candidate{{Tenant: tenant, PSK: []byte(key), Policy: p}}
	return func(netip.Addr, netip.Addr) []Candidate { return list }
}

// fast is a policy of cheap groups.
func fast() *Policy {
	return &Policy{IKE: []suite.IKESuite{{Encryption: suite.EncAESCBC, KeyBits: 256, Hash: suite.HashSHA256, Group: suite.GroupX25519}}}
}

func dialConfig(key string) DialConfig {
	return DialConfig{
		Path:     Path{Local: clientIKE, Remote: serverIKE},
		NATTPath: Path{Local: clientNATT, Remote: serverNATT, NATT: true},
		PSK:      []byte(key), IKE: fast().IKE,
	}
}

// drain moves the events of n into the network.
func (p *pair) drain(n *node) {
	for {
		e, ok := n.s.Next()
		if !ok {
			return
		}
		switch e := e.(type) {
		case Send:
			p.post(n, e)
		case Compute:
			p.push(packet{at: p.now.Add(time.Millisecond), to: n, compute: e.ID, do: e.Do, computed: true})
		case Assign:
			n.take(e)
			n.s.Assigned(p.now, e.Peer, n.assign(e))
		case Login:
			n.take(e)
			if n.login != nil {
				n.s.LoggedIn(p.now, e.Peer, n.login(e))
			}
		case EAP:
			n.take(e)
			if n.eap != nil {
				n.s.EAPReply(p.now, e.Peer, n.eap(e))
			}
		default:
			n.take(e)
		}
	}
}

func (p *pair) push(k packet) {
	p.order++
	k.order = p.order
	heap.Push(&p.fly, k)
}

// post sends a datagram through the network, which may lose, double or delay it.
func (p *pair) post(from *node, e Send) {
	from.sent = append(from.sent, bytes.Clone(e.Data))
	if p.filter != nil && !p.filter(from, e.Data) {
		return
	}
	if p.alter != nil {
		e.Data = p.alter(e.Data)
	}
	to := p.server
	if from == p.server {
		to = p.client
	}
	path := Path{Local: e.Path.Remote, Remote: e.Path.Local, NATT: e.Path.NATT}
	copies := 1
	if p.random.Float64() < p.dup {
		copies = 2
	}
	for range copies {
		if p.random.Float64() < p.loss {
			continue
		}
		delay := 10 * time.Millisecond
		if p.spread > 0 {
			delay += time.Duration(p.random.Int64N(int64(p.spread)))
		}
		p.push(packet{at: p.now.Add(delay), to: to, path: path, data: bytes.Clone(e.Data)})
	}
}

// next is the time of the next thing to happen.
func (p *pair) next() time.Time {
	at := deadline.Earliest(p.client.s.Deadline(), p.server.s.Deadline())
	if len(p.fly) > 0 {
		at = deadline.Earliest(at, p.fly[0].at)
	}
	return at
}

// run lets time pass until done says so, or until the given time is over. It
// reports whether done did.
func (p *pair) run(d time.Duration, done func() bool) bool {
	end := p.now.Add(d)
	p.drain(p.client)
	p.drain(p.server)
	for done == nil || !done() {
		at := p.next()
		if at.IsZero() || at.After(end) {
			p.now = end
			return false
		}
		if at.After(p.now) {
			p.now = at
		}
		p.step()
	}
	return true
}

func (p *pair) step() {
	for len(p.fly) > 0 && !p.fly[0].at.After(p.now) {
		k := heap.Pop(&p.fly).(packet)
		if k.computed {
			k.to.s.Computed(p.now, k.compute, k.do())
		} else {
			_ = k.to.s.Input(p.now, k.path, k.data)
		}
		p.drain(k.to)
	}
	for _, n := range []*node{p.client, p.server} {
		n.s.Advance(p.now)
		p.drain(n)
	}
}

// dial dials from the client and waits for the end of it.
func (p *pair) dial(c DialConfig) Peer {
	p.t.Helper()
	id, err := p.client.s.Dial(p.now, c)
	if err != nil {
		p.t.Fatal(err)
	}
	p.run(3*time.Minute, func() bool { return p.ended(id) })
	return id
}

// ended reports whether a dial is up on both sides, or closed.
func (p *pair) ended(id Peer) bool {
	if _, closed := p.client.closed[id]; closed {
		return true
	}
	return len(p.usable()) > 0
}

// usable lists the inbound SPIs of the client's SAs over which traffic passes in
// both directions.
func (p *pair) usable() []SPI {
	var list []SPI
	for in, c := range p.client.children {
		s := p.server.children[c.Out]
		if s == nil || s.Out != in || !p.client.active[in] || !p.server.active[s.In] {
			continue
		}
		if !bytes.Equal(c.KeyIn.Encryption, s.KeyOut.Encryption) || !bytes.Equal(c.KeyOut.Encryption, s.KeyIn.Encryption) ||
			!bytes.Equal(c.KeyIn.Integrity, s.KeyOut.Integrity) || !bytes.Equal(c.KeyOut.Integrity, s.KeyIn.Integrity) {
			p.t.Fatalf("keys of %08x differ", in)
		}
		list = append(list, in)
	}
	return list
}

// wantEmpty fails unless nothing is left in n.
func wantEmpty(t testing.TB, n *node) {
	t.Helper()
	s := n.s
	if len(s.sas)+len(s.opening)+len(s.dialing)+len(s.peers)+len(s.members)+len(s.dialled)+len(s.halfOpen.known)+
		s.alarms.Len()+s.stats.HalfOpen+s.stats.Children != 0 {
		t.Fatalf("%s: left: sas %d opening %d dialing %d peers %d members %d dialled %d waiting %d alarms %d halfopen %d children %d",
			n.name, len(s.sas), len(s.opening), len(s.dialing), len(s.peers), len(s.members), len(s.dialled), len(s.halfOpen.known),
			s.alarms.Len(), s.stats.HalfOpen, s.stats.Children)
	}
	if len(s.spis)+len(s.opening2)+len(s.sessions)+len(s.members2)+len(s.dialled2) != 0 {
		t.Fatalf("%s: left of IKEv2: spis %d opening %d sessions %d members %d dialled %d", n.name,
			len(s.spis), len(s.opening2), len(s.sessions), len(s.members2), len(s.dialled2))
	}
	if len(n.children) != 0 {
		t.Fatalf("%s: %d child SAs never removed", n.name, len(n.children))
	}
}

// closeAll closes everything and lets the network run dry.
func (p *pair) closeAll() {
	p.t.Helper()
	for _, n := range []*node{p.client, p.server} {
		for id := range n.s.sessions {
			n.s.Close(p.now, id, ReasonLocal)
		}
		for id := range n.s.peers {
			n.s.Close(p.now, id, ReasonLocal)
		}
	}
	p.run(5*time.Minute, nil)
	wantEmpty(p.t, p.client)
	wantEmpty(p.t, p.server)
}

// assign is what the node gives a client of IKEv2.
func (n *node) assign(e Assign) Assignment {
	if n.grant != nil {
		return n.grant(e)
	}
	return Assignment{OK: true, IPv4: netip.MustParseAddr("10.9.0.2"), IPv6: netip.MustParsePrefix("2001:db8::2/128"),
		DNS: []netip.Addr{netip.MustParseAddr("10.9.0.1")}, Transport: true}
}

// reaches reports whether the other side receives on what we send on.
func (n *node) reaches(to *node) bool {
	c := n.children[n.sending]
	return c != nil && to.children[c.Out] != nil
}
