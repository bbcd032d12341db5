package gateway

import (
	"strings"
	"testing"
	"time"
)

// TestIKEv2CertificateIdentity: a client that calls itself by its address, as Apple's do with
// an empty Local ID, gets in with its certificate and is whom that names; one that calls
// itself by another user's name is still itself. Where a tenant says strict, both are refused.
func TestIKEv2CertificateIdentity(t *testing.T) {
	a := newAuthority(t, "a")
	carol := a.client("carol")
	lines := a.server(vpn)
	called := func(name string) func(*DialConfig) { return func(d *DialConfig) { d.Identity = name } }
	inWorld(t, goodRoad, testConfig+lines, func(t *testing.T, w *world) {
		for _, name := range []string{"192.168.3.111", "alice", "carol", ""} {
			c := w.client(nil)
			conn := c.mustDial(a.trusts(vpn), with(carol), called(name))
			c.wantPing(conn, "198.18.0.2")
			c.close()
			time.Sleep(10 * time.Second)
		}
		for _, entry := range w.log.FilterMessage("session-up").All() {
			if user := entry.ContextMap()["user"]; user != "carol" {
				t.Errorf("carol is %v", user)
			}
		}
	})
	strict := strings.Replace(testConfig, "match: {", "match: {certificate_identity: strict, ", 1)
	inWorld(t, goodRoad, strict+lines, func(t *testing.T, w *world) {
		for _, name := range []string{"192.168.3.111", "alice"} {
			w.client(nil).wantRefused(a.trusts(vpn), with(carol), called(name))
		}
		w.wantDetail("another name")
		c := w.client(nil)
		c.wantPing(c.mustDial(a.trusts(vpn), with(carol), called("carol")), "198.18.0.2")
	})
}
