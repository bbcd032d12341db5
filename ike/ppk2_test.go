package ike

import (
	"crypto/x509"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/ike/auth"
)

// ways are the ways to prove who one is by IKEv2: what the server takes, and what
// the client does.
func ways(t *testing.T) map[string]func() (Candidate, DialConfig, func(*pair)) {
	ca := newAuthority(t, "ca")
	server := ca.issue(t, "vpn.example.org", x509.ExtKeyUsageServerAuth, 0)
	client := ca.issue(t, "alice", x509.ExtKeyUsageClientAuth, 0)
	certified := func(edit func(*Candidate, *DialConfig)) (Candidate, DialConfig, func(*pair)) {
		c := Candidate{Tenant: "acme", Certificate: server}
		d := dialV2("")
		d.PSK, d.V2.Verify, d.V2.RemoteIdentity = nil, ca.verifier(auth.PurposeServer), "vpn.example.org"
		d.V2.Authorities = []*x509.Certificate{ca.cert}
		edit(&c, &d)
		return c, d, func(p *pair) { p.server.eap, p.client.eap = toy{}.server, toy{}.client }
	}
	return map[string]func() (Candidate, DialConfig, func(*pair)){
		"key": func() (Candidate, DialConfig, func(*pair)) {
			return Candidate{Tenant: "acme", PSK: []byte("secret")}, dialV2("secret"), func(*pair) {}
		},
		"certificate": func() (Candidate, DialConfig, func(*pair)) {
			return certified(func(c *Candidate, d *DialConfig) {
				c.Verify, d.V2.Certificate = ca.verifier(auth.PurposeClient), client
			})
		},
		"EAP": func() (Candidate, DialConfig, func(*pair)) {
			return certified(func(c *Candidate, d *DialConfig) { c.EAP, d.V2.EAP = true, true })
		},
		"key and certificate": func() (Candidate, DialConfig, func(*pair)) {
			return certified(func(c *Candidate, d *DialConfig) {
				*c = Candidate{Tenant: "acme", PSK: []byte("secret"), Shown: server}
				d.PSK = []byte("secret")
			})
		},
	}
}

// TestV2PPKInEveryWay: RFC 8784, section 3, with each way to prove who one is.
func TestV2PPKInEveryWay(t *testing.T) {
	key := func(id []byte) []byte {
		if string(id) == "p1" {
			return []byte("post-quantum")
		}
		return nil
	}
	tests := []struct {
		name                      string
		serverHas, serverRequires bool
		clientHas                 string
		clientRequires, wrong     bool
		ok, used                  bool
	}{
		{"both insist", true, true, "p1", true, false, true, true},
		{"both have it", true, false, "p1", false, false, true, true},
		{"only the client has it", false, false, "p1", false, false, true, false},
		{"only the server has it", true, false, "", false, false, true, false},
		{"nobody has one", false, false, "", false, false, true, false},
		{"the server does not know this one", true, false, "p2", false, false, true, false},
		{"the client insists", false, false, "p1", true, false, false, false},
		{"the client insists on another", true, false, "p2", true, false, false, false},
		{"the server insists", true, true, "", false, false, false, false},
		{"the server insists on another", true, true, "p2", false, false, false, false},
		{"another secret", true, false, "p1", false, true, false, false},
	}
	for way, parts := range ways(t) {
		for _, x := range tests {
			t.Run(way+"/"+x.name, func(t *testing.T) {
				cand, c, prepare := parts()
				if cand.PPKRequired = x.serverRequires; x.serverHas {
					cand.PPK = key
				}
				p := newPair(t, 1, Config{V2: true, Candidates: only(cand)})
				prepare(p)
				if x.clientHas != "" {
					c.V2.PPK, c.V2.PPKID, c.V2.PPKRequired = []byte("post-quantum"), []byte(x.clientHas), x.clientRequires
				}
				if x.wrong {
					c.V2.PPK = []byte("guessed")
				}
				id := p.dial(c)
				p.run(time.Second, nil)
				if ok := len(p.usable()) == 1; ok != x.ok || len(p.server.up) > 0 != x.ok && !x.clientRequires {
					t.Fatalf("in: %v; client %v, server %v", ok, p.client.failed, p.server.failed)
				}
				for _, n := range []*node{p.client, p.server} {
					for _, up := range n.up {
						if x.ok && strings.HasSuffix(up.Suite, "-ppk") != x.used {
							t.Errorf("%s has %s", n.name, up.Suite)
						}
					}
				}
				if x.ok { // what follows is made of the same keys
					in := wantOneChild(t, p)
					for _, phase := range []Phase{Phase2, Phase1, Phase2} {
						_ = p.client.s.Rekey(p.now, id, phase)
						p.run(5*time.Second, nil)
					}
					if wantOneChild(t, p) == in {
						t.Error("not renewed")
					}
				}
				p.closeAll()
			})
		}
	}
}

// TestV2CertificateForKeys: who proves himself by the key is shown the certificate
// if he asks for it, and the key if not.
func TestV2CertificateForKeys(t *testing.T) {
	ca, other := newAuthority(t, "ca"), newAuthority(t, "other")
	server := ca.issue(t, "vpn.example.org", x509.ExtKeyUsageServerAuth, 0)
	byCertificate := func(name string, verify Verifier) func(*DialConfig) {
		return func(c *DialConfig) {
			c.V2.Verify, c.V2.RemoteIdentity, c.V2.Authorities = verify, name, []*x509.Certificate{ca.cert}
		}
	}
	good := ca.verifier(auth.PurposeServer)
	tests := []struct {
		name  string
		shown *Certificate
		all   bool
		edit  func(*DialConfig)
		ok    bool
	}{
		{"the client asks", server, false, byCertificate("vpn.example.org", good), true},
		{"the client asks for nobody", server, false, byCertificate("", good), false},
		{"the client asks for nobody, and all are shown it", server, true, byCertificate("", good), true},
		{"the client asks for another", server, false, byCertificate("evil.example.org", good), false},
		{"the client trusts another authority", server, false, byCertificate("vpn.example.org", other.verifier(auth.PurposeServer)), false},
		{"there is none, and the client wants one", nil, false, byCertificate("vpn.example.org", good), false},
		{"the client has the key only", server, false, func(*DialConfig) {}, true},
		{"the client has the key only and names the server", server, false, func(c *DialConfig) { c.V2.RemoteIdentity = "vpn.example.org" }, true},
		{"the client has the key only, and all are shown the certificate", server, true, func(*DialConfig) {}, false},
		{"the client guesses the key", server, false, func(c *DialConfig) { byCertificate("vpn.example.org", good)(c); c.PSK = []byte("guess") }, false},
	}
	for _, x := range tests {
		t.Run(x.name, func(t *testing.T) {
			p := newPair(t, 1, Config{V2: true, Candidates: func(_, _ netip.Addr) []Candidate {
				return []Candidate{{Tenant: "acme", PSK: []byte("secret"), Shown: x.shown, ShowAlways: x.all},
					{Tenant: "acme+certificate", Certificate: server, EAP: true}}
			}})
			c := dialV2("secret")
			x.edit(&c)
			p.dial(c)
			if ok := len(p.usable()) == 1; ok != x.ok {
				t.Fatalf("in: %v; client %v, server %v", ok, p.client.failed, p.server.failed)
			}
			p.closeAll()
		})
	}
}
