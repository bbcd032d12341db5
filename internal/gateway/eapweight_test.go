package gateway

import (
	"crypto/x509"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/internal/dialer"
)

// TestLoginsByTLSAreWeighed: while a client that nobody knows yet is in the middle of
// EAP-TLS, IKE is told what the server holds for that; when it is in, and when it fails,
// nothing is held.
func TestLoginsByTLSAreWeighed(t *testing.T) {
	a, b := newAuthority(t, "a"), newAuthority(t, "b")
	good, foreign := a.client("carol"), b.client("eve")
	inWorld(t, goodRoad, eapTLSConfig+a.server(vpn), func(t *testing.T, w *world) {
		held := func() (n int) {
			w.within(w.server.server.engine, func(time.Time) {
				for _, p := range w.server.server.peers {
					if p.login != nil {
						n += p.login.eap.held()
					}
				}
			})
			return n
		}
		asked, most := 0, 0
		weighed := func(d *dialer.DialConfig) {
			verify := d.EAPTLS.Verify
			d.EAPTLS.Verify = func(now time.Time, sent []*x509.Certificate) error {
				asked, most = asked+1, max(most, held())
				return verify(now, sent)
			}
		}
		w.client(nil).mustDial(a.trusts(vpn), a.byTLS(good), weighed)
		if asked != 1 || most < 32<<10 {
			t.Errorf("%d bytes are told in the middle of the login", most)
		}
		if n := held(); n != 0 {
			t.Errorf("%d bytes are told of who is in", n)
		}
		w.client(nil).wantRefused(a.trusts(vpn), a.byTLS(foreign), weighed)
		if n := held(); asked != 2 || n != 0 {
			t.Errorf("%d bytes are told of who was refused", n)
		}
	})
}
