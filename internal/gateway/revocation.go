package gateway

import (
	"bytes"
	"crypto/x509"
	"maps"
	"sync/atomic"
	"time"

	"github.com/culvert-vpn/culvert/ike"
	"github.com/culvert-vpn/culvert/ike/auth"
	"github.com/culvert-vpn/culvert/internal/config"
	"github.com/culvert-vpn/culvert/internal/event"
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

// watchLists reads the lists of revoked certificates anew whose files have changed; seen
// is what they were like, by tenant.
func (g *applier) watchLists(tenants []*tenantState, seen map[string]string) {
	here := make(map[string]bool, len(tenants))
	for _, t := range tenants {
		files := t.conf.Load().CRLFiles
		if len(files) == 0 {
			continue
		}
		stamp := stampOf(files)
		if before, known := seen[t.Name]; known && stamp != before {
			g.rereadLists(t)
		}
		seen[t.Name], here[t.Name] = stamp, true
	}
	maps.DeleteFunc(seen, func(name, _ string) bool { return !here[name] })
}

// rereadLists takes the lists of a tenant as its files have them now; if one cannot
// be read, those from before stay.
func (g *applier) rereadLists(t *tenantState) {
	lists, err := config.ReadCRLs(t.conf.Load().CRLFiles)
	if err != nil {
		g.emit(event.CRLRefused{Tenant: t.Name, Err: err, Hint: "the list from before stays in force: write the file anew with `culvert ca crl`"})
		return
	}
	g.engine.Post(func(now time.Time) {
		t.trust.relist(lists)
		g.emit(event.CRLRead{Tenant: t.Name, Lists: len(lists)})
		g.expel(now, t, lists)
	})
}

// expel ends the sessions of those whose certificate is on a list.
func (g *logins) expel(now time.Time, t *tenantState, lists []*x509.RevocationList) {
	if len(lists) == 0 {
		return
	}
	for _, p := range g.peers {
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
