package ppp

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"
)

func (e *end) up6() (Up6, bool) {
	var up Up6
	ok := false
	for _, ev := range e.events {
		switch ev := ev.(type) {
		case Up6:
			up, ok = ev, true
		case Down6:
			ok = false
		}
	}
	return up, ok
}

func TestLinkLocal(t *testing.T) {
	if got := InterfaceID(0xf21898fffe7559b0).LinkLocal(); got != netip.MustParseAddr("fe80::f218:98ff:fe75:59b0") {
		t.Error(got)
	}
}

// Who asks for IPv6 gets it where the owner of the server says so, and nobody else.
func TestEveryPersonaWithIPv6(t *testing.T) {
	for _, name := range PersonaNames() {
		for _, allowed := range []bool{false, true} {
			for _, asks := range []bool{false, true} {
				what := fmt.Sprintf("%s, allowed %v, asks %v", name, allowed, asks)
				c := clientConfig(t, name)
				c.IPv6 = asks
				p := newPair(t, 1, Config{}, c, admission{password: "secret", verdict: Verdict{IPv6: allowed}})
				p.start()
				p.run(30 * time.Second)
				p.wantUp(what)
				server, ok1 := p.server.up6()
				client, ok2 := p.client.up6()
				want := allowed && (asks || slices.Contains([]string{"windows7", "windows10", "macos", "ios"}, name))
				if ok1 != want || ok2 != want {
					t.Errorf("%s: server %v, client %v", what, ok1, ok2)
				}
				if want && (server.LocalID != client.PeerID || server.PeerID != client.LocalID || server.LocalID == server.PeerID || server.LocalID == 0 || server.PeerID == 0) {
					t.Errorf("%s: %+v %+v", what, server, client)
				}
				p.client.link.Close(p.now, Reason{Detail: "enough"})
				p.drain()
				p.run(time.Minute)
				p.wantClosed(what)
				if _, still := p.server.up6(); still {
					t.Errorf("%s: IPv6 is still up", what)
				}
			}
		}
	}
}

// RFC 5072 section 4.1: "If the two Interface-Identifiers are equal and are not zero [...]
// a different non-zero Interface-Identifier value is suggested".
func TestSameIdentifier(t *testing.T) {
	c := clientConfig(t, "")
	c.IPv6 = true
	p := newPair(t, 1, Config{}, c, admission{password: "secret", verdict: Verdict{IPv6: true}})
	p.start()
	p.client.link.ipv6.ours, p.server.link.ipv6 = 0x1234, newIPv6CP(p.server.link)
	p.server.link.ipv6.ours = 0x1234
	p.run(30 * time.Second)
	server, ok1 := p.server.up6()
	client, ok2 := p.client.up6()
	if !ok1 || !ok2 || server.LocalID == client.LocalID || server.LocalID != client.PeerID || server.PeerID != client.LocalID {
		t.Errorf("%+v %v %+v %v", server, ok1, client, ok2)
	}
}

// The link stands though the peer wants no IPv6 after all.
func TestIPv6Refused(t *testing.T) {
	for _, answer := range []string{
		"< LCP ProtRej 9 =80570101000e010a15161718191a1b1c",
		"< IPV6CP ConfRej 1 1:15161718191a1b1c",
		"< IPV6CP TermReq 9",
		"< IPV6CP CodeRej 9 =0101000e",
	} {
		f := script(t, Config{EchoInterval: -1})
		for _, line := range []string{
			"< LCP ConfReq 1 5:41131244", "< ack LCP", `< CHAP Response 1 ` + zeros49 + ` "alice"`, "verdict ok ipv6 S=x",
			"< ack IPCP", "< IPCP ConfReq 1 3:0a640007",
		} {
			f.run(line)
		}
		f.want("< IPV6CP ConfReq 1 1:0000000000000007", "> IPV6CP ConfReq 1 1:15161718191a1b1c", "> IPV6CP ConfAck 1 1:0000000000000007")
		f.run(answer)
		f.run("wait 5m")
		if f.link.phase != phaseNetwork || !f.link.told {
			t.Errorf("%s: the link did not stand", answer)
		}
	}
}

// A server asks nobody for IPv6 who has not begun with it.
func TestServerWaits(t *testing.T) {
	f := script(t, Config{EchoInterval: -1})
	for _, line := range []string{"< LCP ConfReq 1 5:41131244", "< ack LCP", `< CHAP Response 1 ` + zeros49 + ` "alice"`} {
		f.run(line)
	}
	f.want("verdict ok ipv6 S=x", `> CHAP Success 1 "S=x M=Access granted"`, "> IPCP ConfReq 1 3:0a640001")
	f.run("< ack IPCP")
	f.run("< IPCP ConfReq 1 3:0a640007")
	f.want("wait 1h")
}

// Whatever the network does, both sides agree, or neither has IPv6.
func TestIPv6UnderLoss(t *testing.T) {
	ups := 0
	const seeds = 300
	for seed := range uint64(seeds) {
		what := fmt.Sprint("seed ", seed)
		c := clientConfig(t, []string{"windows10", "macos", ""}[seed%3])
		c.IPv6, c.LoginTimeout, c.EchoInterval = true, 3*time.Minute, -1
		p := newPair(t, seed, Config{LoginTimeout: 3 * time.Minute, EchoInterval: -1}, c, admission{password: "secret", verdict: Verdict{IPv6: true}})
		p.fault = 0.15
		p.start()
		p.run(5 * time.Minute)
		if _, ok := p.server.closed(); ok {
			continue
		}
		p.wantUp(what)
		server, ok1 := p.server.up6()
		client, ok2 := p.client.up6()
		if !ok1 || !ok2 {
			continue
		}
		ups++
		if server.LocalID != client.PeerID || server.PeerID != client.LocalID {
			t.Errorf("%s: %+v %+v", what, server, client)
		}
	}
	t.Logf("%d of %d have IPv6", ups, seeds)
	if ups < seeds*8/10 {
		t.Errorf("only %d of %d have IPv6", ups, seeds)
	}
}
