package gateway

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/internal/config"
	"github.com/culvert-vpn/culvert/internal/dialer"
	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

// askedConfig has clients whose addresses are known, and a tenant in the same kernel.
var askedConfig = strings.Replace(strings.Replace(neighboursConfig, "ikev2-psk], local: {users: [", "eap-mschapv2], local: {users: [{name: carol, password: carolpw}, ", 1), "    pool: [", "    leases: {alice: 10.100.1.7, carol: 10.100.1.8}\n    egress: {tun: {device: acme0, allow: [10.100.2.9/32]}}\n    pool: [", 1)

const askedBeside = `  - {name: globex, match: {realms: [globex]}, psk: [the-long-key-of-globex], auth: {local: {users: [{name: gina, password: ginapw12}]}}, pool: [10.100.2.0/24], egress: {tun: {device: globex0}}}
`

// asker makes policies and questions by chance.
type asker struct{ *rand.Rand }

func pick[T any](a asker, list ...T) T { return list[a.IntN(len(list))] }

// some are up to n of a list, as YAML has them.
func some(a asker, n int, list ...string) string {
	var chosen []string
	for range 1 + a.IntN(n) {
		chosen = append(chosen, `"`+pick(a, list...)+`"`)
	}
	return "[" + strings.Join(chosen, ", ") + "]"
}

// policy is what a tenant may have written, right or wrong.
func (a asker) policy() string {
	text := fmt.Sprintf(`    client_to_client: %v
    groups: {engineers: [Alice], mates: [alice, carol], others: [bob]}
    services: {files: ["10.20.0.5/32 tcp/445", "10.20.0.0/24 tcp/1000-2000 udp/53"], six: ["2001:db8:ffff::1 tcp/80", "64:ff9b::/96"]}
    schedules: {now: "fri,sat 00:00-24:00 UTC", later: "mon-fri 08:00-18:00 Europe/Berlin"}
    policy:
      default: %s
      rules:
`, a.IntN(3) > 0, pick(a, "allow", "deny"))
	for i := range 1 + a.IntN(8) {
		rule := fmt.Sprintf("name: r%d, allow: %v", i, a.IntN(2) == 0)
		if a.IntN(3) > 0 {
			rule += ", from: " + some(a, 2, "*", "pool", "user:alice", "user:CAROL", "user:bob", "group:engineers", "group:mates", "group:others", "10.100.1.7", "2001:db8:1::/48")
		}
		if a.IntN(4) > 0 {
			rule += ", to: " + some(a, 3, "*", "pool", "198.18.0.0/24", "198.18.0.2", "10.20.0.0/16", "10.20.0.6", "service:files", "service:six", "user:carol", "user:alice",
				"group:mates", "2001:db8:ffff::/48", "2001:db8:ffff::1", "0.0.0.0/0", "::/0")
		}
		if a.IntN(3) > 0 {
			rule += ", ports: " + some(a, 3, "tcp/80", "tcp", "udp", "udp/53", "udp/1000-2000", "icmp", "icmp/8", "icmp/13", "icmp6/128", "gre", "proto/89", "sctp/80", "tcp/445", "icmp/echo")
		}
		if a.IntN(5) == 0 {
			rule += ", when: " + pick(a, "now", "later", `"sat 00:00-12:00 UTC"`, `"sun 00:00-12:00 UTC"`)
		}
		if a.IntN(5) == 0 {
			rule += ", log: first"
		}
		text += "        - {" + rule + "}\n"
	}
	return text
}

// question is where a flow may lead.
func (a asker) question() string {
	if a.IntN(3) == 0 {
		return pick(a, "[2001:db8:ffff::1]", "[2001:db8:ffff::2]", "[64:ff9b::10.20.0.5]", "[2002:a14:5::1]", "[2001:db8:1::1]", "[2600::1]") + ":" +
			pick(a, "tcp/80", "tcp/22", "udp/53", "udp/1500", "icmp6/128", "proto/89", "gre")
	}
	return pick(a, "198.18.0.2", "198.18.0.3", "10.20.0.5", "10.20.0.6", "10.100.1.7", "10.100.1.8", "10.100.1.77", "10.100.1.1", "10.100.2.2", "10.100.2.9", "8.8.8.8") + ":" +
		pick(a, "tcp/80", "tcp/22", "tcp/445", "tcp/1000", "udp/53", "udp/1500", "icmp/8", "icmp/13", "gre", "proto/89", "sctp/80")
}

// askedFlow is a flow that was asked about, and sent.
type askedFlow struct {
	text    string
	src     netip.Addr
	ask     config.PolicyTest
	to      *marks // of whom it is for, if that is a client
	number  uint32
	allowed bool
	why     string
}

// packet is the first of the flow, or what answers it.
func (f *askedFlow) packet(answer bool) []byte {
	n, port, dst := f.number, uint16(10000+f.number%50000), f.ask.To.Addr()
	if answer {
		n += 1 << 24
	}
	from, to, src := port, f.ask.To.Port(), f.src
	if answer {
		from, to, src, dst = to, from, dst, src
	}
	proto, body := f.ask.Protocol, mark(n)
	switch {
	case proto == ipkt.ProtocolTCP && answer:
		body = tcpOf(from, to, 0x12, n, mark(n))
	case proto == ipkt.ProtocolTCP:
		body = tcpOf(from, to, 2, n, mark(n))
	case proto == ipkt.ProtocolUDP, proto == 132:
		body = udpOf(from, to, append(mark(n), make([]byte, 8)...))
	case proto == ipkt.ProtocolICMP && f.ask.To.Port() == 13:
		body = append([]byte{map[bool]byte{true: 14, false: 13}[answer], 0, 0, 0, byte(port >> 8), byte(port), 0, 1}, mark(n)...)
	case proto == ipkt.ProtocolICMP || proto == ipkt.ProtocolICMPv6:
		_, body = echoOf(f.src.Is6(), answer, port, mark(n))
	}
	return ipOf(src, dst, proto, body)
}

// mayBegin reports whether what answers the flow may as well begin one.
func (f *askedFlow) mayBegin() bool {
	return f.ask.Protocol != ipkt.ProtocolTCP && f.ask.Protocol != ipkt.ProtocolICMP && f.ask.Protocol != ipkt.ProtocolICMPv6
}

// TestAskPolicyIsWhatPacketsMeet: what is said of flows is what becomes of their packets in
// the gateway, by both ways in, of the first of each and of what answers it.
func TestAskPolicyIsWhatPacketsMeet(t *testing.T) {
	const policies, flows = 120, 100
	authority := newAuthority(t, "a")
	tenant := askedConfig + authority.server(vpn)
	inWorld(t, goodRoad, tenant+"    policy: {default: deny}\n"+askedBeside, func(t *testing.T, w *world) {
		alice, carol := w.client(nil), w.client(nil)
		conns := map[string]*dialer.Connection{"alice": alice.mustDial(withIPv6), "carol": carol.mustDial(authority.trusts(vpn), func(d *dialer.DialConfig) { d.User, d.Password = "carol", "carolpw" })}
		clients := map[string]*client{"alice": alice, "carol": carol}
		seen := map[string]*marks{"alice": {}, "carol": {}, "": {}}
		alice.dev.watch(seen["alice"])
		carol.dev.watch(seen["carol"])
		w.nets["acme"].watch(seen[""])
		six := map[string]netip.Addr{"alice": w.in6(t, alice).Addr(), "carol": conns["carol"].Local6.Addr().Next()}
		a := asker{rand.New(rand.NewPCG(1, 2))}
		number, asked, refused, allowed := uint32(0), 0, 0, 0
		for range policies {
			yaml := tenant + a.policy() + askedBeside
			next, err := config.Parse("test.yaml", []byte(yaml))
			for err != nil { // a rule that contradicts another is refused
				refused++
				yaml = tenant + a.policy() + askedBeside
				next, err = config.Parse("test.yaml", []byte(yaml))
			}
			w.apply(yaml)
			var sent []*askedFlow
			for range flows {
				number++
				f := &askedFlow{text: a.question(), number: number}
				f.ask.User = pick(a, "alice", "carol")
				f.ask.To, f.ask.Protocol, _ = config.ParseFlow(f.text)
				if f.src = conns[f.ask.User].Local; f.ask.To.Addr().Is6() {
					f.src = six[f.ask.User]
				}
				if f.ask.To.Addr() == f.src {
					continue // to itself
				}
				f.to = seen[""]
				for name, conn := range conns {
					if next.Tenants[0].ClientToClient && conn.Local == f.ask.To.Addr() {
						f.to = seen[name]
					}
				}
				if f.ask.To.Port() == 0 && f.to != seen[""] {
					continue // without ports it answers what the other one may have begun
				}
				f.ask.At = time.Now()
				answer, err := next.AskPolicy(&next.Tenants[0], f.ask)
				if err != nil {
					t.Fatal(err)
				}
				f.allowed, f.why = answer.Allow, answer.Reason()
				clients[f.ask.User].says(f.packet(false))
				sent, asked = append(sent, f), asked+1
			}
			time.Sleep(time.Second)
			for _, f := range sent {
				if f.to.has(f.number) != f.allowed {
					t.Errorf("%s to %s: said to be allowed %v, by %s; arrived %v\n%s", f.ask.User, f.text, f.allowed, f.why, !f.allowed, yaml)
				}
				if f.allowed {
					allowed++
				}
			}
			w.wantAnswers(t, sent, clients, seen)
			if t.Failed() {
				return
			}
		}
		t.Logf("%d flows of %d policies, %d allowed; %d policies refused", asked, policies, allowed, refused)
		if asked < 10000 || allowed < asked/10 || allowed > asked*9/10 {
			t.Error("the flows are too dull")
		}
	})
}

// wantAnswers fails the test unless what answers flows gets through, and what answers none
// does not.
func (w *world) wantAnswers(t *testing.T, sent []*askedFlow, clients map[string]*client, seen map[string]*marks) {
	t.Helper()
	for _, f := range sent {
		if !f.allowed && f.mayBegin() {
			continue // what would answer it begins a flow of its own, which is not asked about
		}
		pkt := f.packet(true)
		for name, m := range seen {
			switch {
			case m != f.to:
			case name == "":
				w.nets["acme"].send(pkt)
			default:
				clients[name].says(pkt)
			}
		}
	}
	time.Sleep(time.Second)
	for _, f := range sent {
		if got := seen[f.ask.User].has(f.number + 1<<24); got != f.allowed {
			t.Errorf("%s to %s, allowed %v by %s: the answer arrives: %v", f.ask.User, f.text, f.allowed, f.why, got)
		}
	}
}
