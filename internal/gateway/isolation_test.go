package gateway

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/internal/dialer"
	"github.com/culvert-vpn/culvert/internal/x/nstest"
	"github.com/culvert-vpn/culvert/l2tp"
	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

// isolationTenant is one of three that have the same addresses and the same network, each
// with a policy of its own.
const isolationTenant = `
  - name: %[1]s
    match: {realms: [%[1]s]}
    psk: [the-long-key-of-%[1]s]
    auth: {allow: [mschapv2, ikev2-psk], local: {users: [{name: alice, password: alicepw}]}}
    pool: [10.100.1.0/24, "2001:db8:1::/48"]
    leases: {alice: 10.100.1.7}
    routes: [198.18.0.0/24, 10.100.1.0/24, "::/0"]
    egress: %[2]s
%[3]s`

// isolationPolicies: of acme alice alone may do a few things, globex says nothing, and
// initech is open but for one service.
var isolationPolicies = map[string]string{
	"acme": `    client_to_client: true
    policy:
      default: deny
      rules:
        - {name: out, from: user:alice, to: [198.18.0.2, "2001:db8:ffff::1"], ports: [tcp/80, udp/7, icmp/echo], allow: true}
        - {name: mates, from: user:alice, to: pool, ports: [tcp/80, udp/7, icmp/echo], allow: true}
`,
	"globex": "",
	"initech": `    client_to_client: true
    policy:
      default: allow
      rules:
        - {name: no-echo, to: 198.18.0.2, ports: [udp/7], allow: false}
`,
}

var isolationTenants = []string{"acme", "globex", "initech"}

// isolatedEnd is one end: a client, or a network behind the gateway.
type isolatedEnd struct {
	name, tenant string // of the network of an inner stack, which is the host's: no tenant
	a4, a6       netip.Addr
	network      bool
	tunnelMode   bool
	seen         *marks
	says         func(pkts ...[]byte)
	client       *client
}

// cell is one pair of ends and one kind of packet.
type cell struct {
	from, to *isolatedEnd
	kind     *packetKind
	tun      bool
	n        uint32
}

// packetKind is what is tried.
type packetKind struct {
	name string
	// packets are what is sent, all of it each time.
	packets func(c *cell) [][]byte
	// passes says whether they are to arrive.
	passes func(c *cell) bool
	// tries says whether the kind makes sense; nil: it always does.
	tries func(c *cell) bool
}

func (c *cell) port() uint16 { return uint16(20000 + c.n%40000) }

// own reports whether the ends are of one tenant.
func (c *cell) own() bool {
	return c.from != c.to && (c.to.tenant == c.from.tenant || c.to.tenant == "")
}

// may says what the tenants have written: service is tcp/80 or icmp, echo is udp/7, other
// anything else.
func (c *cell) may(what string, six bool) bool {
	if !c.own() {
		return false
	}
	switch c.from.tenant {
	case "acme":
		return c.from.client != nil && !c.from.tunnelMode && what != "other"
	case "globex":
		return c.from.network != c.to.network
	}
	return what != "echo" || !c.to.network || six
}

// stateless reports whether packets that are of no flow arrive: where there is no policy,
// and no inner stack that would have to make something of them.
func (c *cell) stateless() bool {
	return c.own() && c.from.tenant == "globex" && c.from.network != c.to.network && c.tun
}

func never(*cell) bool { return false }

func fromClient(c *cell) bool { return c.from.client != nil }

// towards makes a kind of one packet to the other end, of a family.
func towards(name string, six bool, what string, body func(c *cell) (uint8, []byte)) packetKind {
	return packetKind{name: name, passes: func(c *cell) bool { return c.may(what, six) }, packets: func(c *cell) [][]byte {
		proto, b := body(c)
		if six {
			return [][]byte{ipOf(c.from.a6, c.to.a6, proto, b)}
		}
		return [][]byte{ipOf(c.from.a4, c.to.a4, proto, b)}
	}}
}

func tcpTo(port uint16) func(c *cell) (uint8, []byte) {
	return func(c *cell) (uint8, []byte) { return 6, tcpOf(c.port(), port, 2, c.n, mark(c.n)) }
}

func echoTo(c *cell) (uint8, []byte) { return 17, udpOf(c.port(), 7, mark(c.n)) }

func pingOf(six bool) func(c *cell) (uint8, []byte) {
	return func(c *cell) (uint8, []byte) { return echoOf(six, false, c.port(), mark(c.n)) }
}

// spoofed is udp/7 from an address that is not the sender's.
func spoofed(name string, from func(c *cell) netip.Addr) packetKind {
	return packetKind{name: name, packets: func(c *cell) [][]byte {
		to := c.to.a4
		if from(c).Is6() {
			to = c.to.a6
		}
		return [][]byte{ipOf(from(c), to, 17, udpOf(c.port(), 7, mark(c.n)))}
	}, passes: func(c *cell) bool {
		// A network that its tenant's clients are open to says what it likes, but for the
		// address of a client that is connected.
		return c.from.network && c.own() && c.from.tenant == "initech" && name != "source of alice"
	}, tries: func(c *cell) bool { return from(c) != c.from.a4 && from(c) != c.from.a6 }}
}

// cut makes fragments of an IPv4 packet, the first with so many bytes, the second from an
// offset on.
func cut(pkt []byte, id uint32, first, offset int) [][]byte {
	part := func(at int, more bool, body []byte) []byte {
		b := append(append([]byte(nil), pkt[:20]...), body...)
		binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
		binary.BigEndian.PutUint16(b[4:], uint16(id))
		binary.BigEndian.PutUint16(b[6:], uint16(at/8))
		if more {
			b[6] |= 0x20
		}
		ipkt.SetHeaderChecksum(b[:20])
		return b
	}
	return [][]byte{part(0, true, pkt[20:20+first]), part(offset, false, pkt[20+offset:])}
}

// fragmented is a datagram to udp/7 in fragments; its mark is in the second.
func fragmented(name string, passes func(c *cell) bool, cut func(pkt []byte, id uint32) [][]byte) packetKind {
	return packetKind{name: name, passes: passes, packets: func(c *cell) [][]byte {
		body := udpOf(c.port(), 7, append(make([]byte, 24), mark(c.n)...))
		return cut(ipOf(c.from.a4, c.to.a4, 17, body), c.n)
	}}
}

// embedded is udp/7 to an address of IPv6 that stands for one of IPv4.
func embedded(name string, form func(a [4]byte) netip.Addr) packetKind {
	return packetKind{name: name, tries: fromClient, packets: func(c *cell) [][]byte {
		return [][]byte{ipOf(c.from.a6, form(c.to.a4.As4()), 17, udpOf(c.port(), 7, mark(c.n)))}
	}, passes: func(c *cell) bool {
		closed := name == "mapped" && !c.tun // by design
		return c.own() && c.to.network && c.from.tenant == "globex" && !closed
	}}
}

func in6(prefix string, at int, a [4]byte) netip.Addr {
	b := netip.MustParseAddr(prefix).As16()
	copy(b[at:], a[:])
	return netip.AddrFrom16(b)
}

// isolationForms are the spellings of an IPv4 address in IPv6.
var isolationForms = []struct {
	name string
	of   func(a [4]byte) netip.Addr
}{
	{"mapped", func(a [4]byte) netip.Addr { return in6("::ffff:0:0", 12, a) }},
	{"6to4", func(a [4]byte) netip.Addr { return in6("2002::1", 2, a) }},
	{"NAT64", func(a [4]byte) netip.Addr { return in6("64:ff9b::", 12, a) }},
	{"Teredo", func(a [4]byte) netip.Addr {
		return in6("2001:0:4136:e378:8000:63bf::", 12, [4]byte{^a[0], ^a[1], ^a[2], ^a[3]})
	}},
	{"ISATAP", func(a [4]byte) netip.Addr { return in6("2001:db8:ffff::5efe:0:0", 12, a) }},
}

// isolationKinds is all that is tried.
func isolationKinds() []packetKind {
	udp := func(c *cell) bool { return c.may("echo", false) }
	stateless := func(c *cell) bool { return c.stateless() }
	kinds := []packetKind{
		towards("TCP", false, "service", tcpTo(80)), towards("UDP", false, "echo", echoTo), towards("ICMP", false, "service", pingOf(false)),
		towards("TCP/6", true, "service", tcpTo(80)), towards("UDP/6", true, "echo", echoTo), towards("ICMP/6", true, "service", pingOf(true)),
		towards("TCP other port", false, "other", tcpTo(81)),
		spoofed("source of nobody", func(*cell) netip.Addr { return netip.MustParseAddr("10.100.1.99") }),
		spoofed("source of alice", func(*cell) netip.Addr { return netip.MustParseAddr("10.100.1.7") }),
		spoofed("source of another/6", func(*cell) netip.Addr { return netip.MustParseAddr("2001:db8:1:77::1") }),
		{name: "crafted call ids", passes: never, tries: func(c *cell) bool { return fromClient(c) && c.to.client != nil && !c.to.tunnelMode && c.from != c.to },
			packets: func(c *cell) [][]byte {
				return [][]byte{ipOf(c.to.a4, netip.MustParseAddr("198.18.0.2"), 17, udpOf(c.port(), 7, mark(c.n)))}
			}},
		{name: "outside of selectors", tries: func(c *cell) bool { return fromClient(c) && c.to.network },
			passes: func(c *cell) bool { return c.may("other", true) && !c.from.tunnelMode },
			packets: func(c *cell) [][]byte {
				return [][]byte{ipOf(c.from.a4, netip.MustParseAddr("198.19.0.2"), 17, udpOf(c.port(), 7, mark(c.n)))}
			}},
		fragmented("fragments", udp, func(pkt []byte, id uint32) [][]byte { return cut(pkt, id, 16, 16) }),
		fragmented("without the first", stateless, func(pkt []byte, id uint32) [][]byte { return cut(pkt, id, 16, 16)[1:] }),
		fragmented("overlapping", stateless, func(pkt []byte, id uint32) [][]byte { return cut(pkt, id, 24, 8) }),
		{name: "tiny first", passes: func(c *cell) bool { // an inner stack puts it together first
			return stateless(c) || c.own() && c.from.tenant == "globex" && c.to.network
		}, packets: func(c *cell) [][]byte {
			return cut(ipOf(c.from.a4, c.to.a4, 6, tcpOf(c.port(), 80, 2, c.n, mark(c.n))), c.n, 8, 8)
		}},
		{name: "error of another's flow", passes: stateless, packets: func(c *cell) [][]byte {
			about := ipOf(c.to.a4, netip.MustParseAddr("198.18.0.9"), 17, udpOf(c.port(), 7, mark(c.n)))
			return [][]byte{ipOf(c.from.a4, c.to.a4, 1, append([]byte{3, 1, 0, 0, 0, 0, 0, 0}, about...))}
		}},
	}
	for _, f := range isolationForms {
		kinds = append(kinds, embedded(f.name, f.of))
	}
	return kinds
}

// isolation is a gateway with its tenants, their clients and their networks.
type isolation struct {
	t       *testing.T
	w       *world
	tun     bool
	places  []*isolatedEnd
	targets []*isolatedEnd
	cells   []*cell
}

// TestIsolationMatrix: three tenants with the same addresses and the same network, by both
// ways in and both ways out: from every client and network to every other one goes what a
// rule allows, and nothing else, however it is made.
func TestIsolationMatrix(t *testing.T) {
	nstest.WantAlone(t)
	for _, egress := range []string{"netstack", "tun"} {
		t.Run(egress, func(t *testing.T) {
			x := newIsolation(t, egress == "tun")
			defer x.w.close()
			kinds := isolationKinds()
			for i := range kinds {
				for _, from := range x.places {
					for _, to := range x.targets {
						c := &cell{from: from, to: to, kind: &kinds[i], tun: x.tun, n: uint32(len(x.cells) + 1)}
						if from != to && (!from.network || !to.network) && (c.kind.tries == nil || c.kind.tries(c)) {
							x.cells = append(x.cells, c)
						}
					}
				}
			}
			x.send()
			t.Log("each cell says what has become of it, and what was to\n" + x.table(kinds))
			x.judge()
			x.w.wantNoFault()
		})
	}
}

// send sends everything, what is to arrive again and again until it does.
func (x *isolation) send() {
	for _, c := range x.cells {
		x.try(c)
	}
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		missing := 0
		for _, c := range x.cells {
			if c.kind.passes(c) && !c.arrived() {
				missing++
				x.try(c)
			}
		}
		if missing == 0 {
			break
		}
	}
	time.Sleep(time.Second) // and what is not to arrive has had its time
}

func (x *isolation) try(c *cell) {
	pkts := c.kind.packets(c)
	if c.kind.name != "crafted call ids" {
		c.from.says(pkts...)
		return
	}
	tunnel, call := x.w.callOf(c.to.client)
	for _, pkt := range pkts {
		b := l2tp.AppendDataHeader(nil, l2tp.DataHeader{Tunnel: tunnel, Call: call}, len(pkt)+2)
		c.from.client.g.Engine.Work.Do(context.Background(), func(time.Time) {
			for _, s := range c.from.client.g.Engine.Table.Sessions {
				c.from.client.g.Engine.Plane.SendL2TP(s.Peer.Plane, append(append(b, 0, 0x21), pkt...))
			}
			c.from.client.g.Engine.Plane.Flush()
		})
	}
}

// arrived reports whether the packet has come to the other end; a connection that an inner
// stack has made there is known by what it answers.
func (c *cell) arrived() bool {
	return c.to.seen.has(c.n) || c.to.network && !c.tun && c.from.seen.hasAnswered(c.n)
}

// judge fails the test where something else has become of a packet than was to, or where one
// has come out at another tenant's.
func (x *isolation) judge() {
	for _, c := range x.cells {
		if got := c.arrived(); got != c.kind.passes(c) {
			x.t.Errorf("%s from %s to %s: %s", c.kind.name, c.from.name, c.to.name, c.said())
		}
		for _, p := range x.targets {
			if p.seen.has(c.n) && p.tenant != c.from.tenant && p.tenant != "" {
				x.t.Errorf("%s from %s to %s came to %s", c.kind.name, c.from.name, c.to.name, p.name)
			}
		}
	}
}

func (c *cell) said() string {
	word := map[bool]string{true: "passed", false: "held"}
	got, want := c.arrived(), c.kind.passes(c)
	if got == want {
		return word[got] + "=" + word[want]
	}
	return strings.ToUpper(word[got]) + "!" + word[want]
}

// table is the matrix: a block a sender, a row a kind, a column an end.
func (x *isolation) table(kinds []packetKind) string {
	var b strings.Builder
	said := map[[3]string]string{}
	for _, c := range x.cells {
		said[[3]string{c.from.name, c.to.name, c.kind.name}] = c.said()
	}
	for _, from := range x.places {
		fmt.Fprintf(&b, "from %-22s", from.name)
		for _, to := range x.targets {
			fmt.Fprintf(&b, " %-16s", to.name)
		}
		b.WriteString("\n")
		for i := range kinds {
			fmt.Fprintf(&b, "  %-25s", kinds[i].name)
			for _, to := range x.targets {
				cell := said[[3]string{from.name, to.name, kinds[i].name}]
				if cell == "" {
					cell = "-"
				}
				fmt.Fprintf(&b, " %-16s", cell)
			}
			b.WriteString("\n")
		}
	}
	return b.String()
}

// isolationHost is what the host of an inner stack has, and its tenants open by name.
func isolationHost() (all []string) {
	for _, a := range hostAddrs(netip.MustParseAddr("198.18.0.2")) {
		all = append(all, fmt.Sprintf("%q", netip.PrefixFrom(a, a.BitLen())))
	}
	return all
}

// newIsolation makes the tenants, dials, and has the networks.
func newIsolation(t *testing.T, tun bool) *isolation {
	x := &isolation{t: t, tun: tun}
	yaml := "\nlisten: [203.0.113.1]\ntenants:"
	paths := map[string]string{}
	for _, name := range isolationTenants {
		egress := "{netstack: {allow: [" + strings.Join(isolationHost(), ", ") + "]}}"
		if tun {
			paths[name] = filepath.Join(t.TempDir(), name)
			namespaceAt(t, paths[name])
			egress = fmt.Sprintf("{tun: {device: tun-%s, netns: %s}}", name, paths[name])
		}
		yaml += fmt.Sprintf(isolationTenant, name, egress, isolationPolicies[name])
	}
	x.w = realWorld(t, yaml)
	for _, name := range isolationTenants {
		x.join(name, false)
		x.join(name, true)
	}
	if !tun {
		x.networks("the host", "", "", "lo")
	}
	for _, name := range isolationTenants {
		if tun {
			x.networks(name+" network", name, paths[name], "tun-"+name)
		}
	}
	x.targets = x.places
	if !tun {
		x.places = x.places[:len(x.places)-1] // an inner stack lets nobody begin from outside
	}
	return x
}

// join has a client of a tenant dial in.
func (x *isolation) join(tenant string, tunnelMode bool) {
	c := x.w.client(nil)
	p := &isolatedEnd{tenant: tenant, name: tenant + " L2TP", tunnelMode: tunnelMode, client: c, seen: new(marks), says: c.says}
	edits := []func(*dialer.DialConfig){func(d *dialer.DialConfig) { d.PSK, d.User = []byte("the-long-key-of-"+tenant), "alice@"+tenant }, withIPv6}
	if tunnelMode {
		p.name, edits[1] = tenant+" IKEv2", func(d *dialer.DialConfig) { d.V2 = &dialer.DialV2{} }
	}
	conn := c.honest(x.t, edits...)
	if p.a4, p.a6 = conn.Local, conn.Local6.Addr(); !tunnelMode {
		p.a6 = x.w.in6(x.t, c).Addr()
	} else {
		forgetSelectors(c.g.Engine, x.t)
	}
	c.dev.watch(p.seen)
	x.places = append(x.places, p)
}

// networks adds what is behind a device, in the namespace at a path.
func (x *isolation) networks(name, tenant, path, device string) {
	p := &isolatedEnd{name: name, tenant: tenant, network: true, seen: new(marks), a4: netip.MustParseAddr("198.18.0.2"), a6: netip.MustParseAddr("2001:db8:ffff::1")}
	p.says = hostBehind(x.t, path, device, p.a4, p.seen)
	x.places = append(x.places, p)
}

// callOf is what the server calls the L2TP call of a client.
func (w *world) callOf(c *client) (tunnel l2tp.TunnelID, call l2tp.CallID) {
	w.server.server.engine.Work.Do(context.Background(), func(time.Time) {
		for _, s := range w.server.server.sessions {
			if s.peer.Path.Remote.Addr() == c.local {
				tunnel, call = s.Call.Tunnel, s.Call.Call
			}
		}
	})
	return tunnel, call
}
