package gateway

import (
	"bytes"
	"crypto/x509"
	"sync/atomic"
	"time"

	"github.com/culvert-vpn/culvert/ike"
	"github.com/culvert-vpn/culvert/ike/auth"
	"github.com/culvert-vpn/culvert/internal/config"
	"github.com/culvert-vpn/culvert/internal/revocation"
)

// trust is who may issue the certificates of a tenant's clients. Its lists of
// revoked ones change while others ask it.
type trust struct{ now atomic.Pointer[auth.Trust] }

func (g *server) newTrust(t *config.Tenant) *trust {
	in := &trust{}
	checker := revocation.New(revocation.Config{Client: g.config.Web, Context: g.asking})
	in.now.Store(&auth.Trust{Roots: t.CA, CRLs: t.CRL, Revocation: checker, Strict: t.StrictRevocation})
	return in
}

// Verify is that of auth.Trust. It may wait for the network: it belongs into the pool.
func (t *trust) Verify(now time.Time, sent []*x509.Certificate, p auth.Purpose) ([]*x509.Certificate, error) {
	return t.now.Load().Verify(now, sent, p)
}

// VerifyPath is Verify for a certificate that whoever shows it has not proved to be his:
// of revocation only the lists that we have count, and nobody is asked.
func (t *trust) VerifyPath(now time.Time, sent []*x509.Certificate, p auth.Purpose) ([]*x509.Certificate, error) {
	here := *t.now.Load()
	here.Revocation, here.Strict = nil, false
	return here.Verify(now, sent, p)
}

// relist puts other lists in place of those there are.
func (t *trust) relist(lists []*x509.RevocationList) {
	other := *t.now.Load()
	other.CRLs = lists
	t.now.Store(&other)
}

// expel ends the sessions of those whose certificate is on a list.
func (g *logins) expel(now time.Time, t *tenantState, lists []*x509.RevocationList) {
	if len(lists) == 0 {
		return
	}
	for _, p := range g.server.peers {
		for _, s := range p.own() {
			if s.tenant == t && !s.Ended && (revoked(lists, p.Chain) || revoked(lists, s.chain)) {
				g.cut(now, s, "the certificate was revoked", ike.ReasonLocal)
			}
		}
	}
}

// revoked reports whether a certificate that was good when it came is on a list by now.
func revoked(lists []*x509.RevocationList, chain []*x509.Certificate) bool {
	for _, c := range chain {
		for _, list := range lists {
			if _, listed := auth.Listed(list, c); listed && bytes.Equal(list.RawIssuer, c.RawIssuer) {
				return true
			}
		}
	}
	return false
}
