package gateway

import (
	"strings"
	"testing"

	"github.com/culvert-vpn/culvert/internal/dialer"
)

// TestPPKByConfiguration: the post-quantum keys of a tenant, with each way to log
// in by IKEv2.
func TestPPKByConfiguration(t *testing.T) {
	a := newAuthority(t, "a")
	cert := a.client("carol")
	lines := strings.Replace(testConfig, "auth: {", "auth: {allow: [mschapv2, eap-mschapv2, certificate, ikev2-psk], ", 1) + a.server(vpn) +
		"    ppk: {required: REQUIRED, keys: [{id: one, secret: first-post-quantum-key}, {id: two, secret: second-post-quantum-key}]}\n"
	ppk := func(id, secret string, optional bool) func(*dialer.DialConfig) {
		return func(d *dialer.DialConfig) {
			d.V2.PPK = &dialer.DialPPK{ID: id, Secret: []byte(secret), Optional: optional}
		}
	}
	ways := map[string][]func(*dialer.DialConfig){
		"EAP": {a.trusts(vpn)}, "certificate": {a.trusts(vpn), with(cert)},
		"key":                 {func(d *dialer.DialConfig) { d.V2 = &dialer.DialV2{} }},
		"key and certificate": {a.trusts(vpn), func(d *dialer.DialConfig) { d.PSK = []byte(testPSK) }},
	}
	for _, required := range []string{"true", "false"} {
		inWorld(t, goodRoad, strings.Replace(lines, "REQUIRED", required, 1), func(t *testing.T, w *world) {
			for name, way := range ways {
				for _, good := range []func(*dialer.DialConfig){ppk("one", "first-post-quantum-key", false), ppk("two", "second-post-quantum-key", true)} {
					c := w.client(nil)
					conn := c.mustDial(append(way, good)...)
					c.wantPing(conn, "198.18.0.2")
				}
				w.wantLog("peer-up", "ike", "aes256gcm16-prfsha256-curve25519-mlkem768-ppk")
				w.client(nil).wantRefused(append(way, ppk("one", "second-post-quantum-key", true))...)
				w.client(nil).wantRefused(append(way, ppk("three", "third-post-quantum-key", false))...)
				if required == "true" {
					w.client(nil).wantRefused(way...)
					w.client(nil).wantRefused(append(way, ppk("three", "third-post-quantum-key", true))...)
					continue
				}
				c := w.client(nil)
				c.wantPing(c.mustDial(way...), "198.18.0.2")
				d := w.client(nil)
				d.wantPing(d.mustDial(append(way, ppk("three", "third-post-quantum-key", true))...), "198.18.0.2")
				if t.Failed() {
					t.Fatal(name)
				}
			}
			c := w.client(nil) // L2TP by IKEv1 knows nothing of it
			c.wantPing(c.mustDial(), "198.18.0.2")
		})
	}
}

// TestCertificateForKeys: clients that log in by the pre-shared key and ask for the
// certificate are shown it; for_psk says who else is.
func TestCertificateForKeys(t *testing.T) {
	a, b := newAuthority(t, "a"), newAuthority(t, "b")
	lines := strings.Replace(testConfig, "auth: {", "auth: {allow: [mschapv2, ikev2-psk], ", 1) + a.server(vpn)
	key := func(d *dialer.DialConfig) { d.PSK = []byte(testPSK) }
	keyOnly := func(d *dialer.DialConfig) { d.V2 = &dialer.DialV2{} }
	for forPSK, want := range map[string]struct{ both, key bool }{
		"asking": {true, true}, "all": {true, false}, "none": {false, true},
	} {
		yaml := strings.Replace(lines, "certificate: {", "certificate: {for_psk: "+forPSK+", ", 1)
		inWorld(t, goodRoad, yaml, func(t *testing.T, w *world) {
			for _, x := range []struct {
				edits []func(*dialer.DialConfig)
				ok    bool
			}{{[]func(*dialer.DialConfig){a.trusts(vpn), key}, want.both}, {[]func(*dialer.DialConfig){keyOnly}, want.key}, {[]func(*dialer.DialConfig){b.trusts(vpn), key}, false}} {
				if c := w.client(nil); x.ok {
					c.wantPing(c.mustDial(x.edits...), "198.18.0.2")
				} else {
					c.wantRefused(x.edits...)
				}
			}
			w.wantLog("session-up", "tenant", "acme")
		})
	}
}
