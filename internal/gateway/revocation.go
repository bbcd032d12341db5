package gateway

import (
	"bytes"
	"context"
	"crypto/x509"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/culvert-vpn/culvert/ike"
	"github.com/culvert-vpn/culvert/ike/auth"
	"github.com/culvert-vpn/culvert/internal/config"
	"github.com/culvert-vpn/culvert/internal/revocation"
)

// listInterval is how often the files of revoked certificates are looked at.
const listInterval = 10 * time.Second

// trust is who may issue the certificates of a tenant's clients. Its lists of
// revoked ones change while others ask it.
type trust struct{ now atomic.Pointer[auth.Trust] }

func (g *Gateway) newTrust(t *config.Tenant) *trust {
	in := &trust{}
	checker := revocation.New(revocation.Config{Client: g.config.Web, Context: g.asking})
	in.now.Store(&auth.Trust{Roots: t.CA, CRLs: t.CRL, Revocation: checker, Strict: t.StrictRevocation})
	return in
}

// Verify is that of auth.Trust. It may wait for the network: it belongs into the pool.
func (t *trust) Verify(now time.Time, sent []*x509.Certificate, p auth.Purpose) ([]*x509.Certificate, error) {
	return t.now.Load().Verify(now, sent, p)
}

// relist puts other lists in place of those there are.
func (t *trust) relist(lists []*x509.RevocationList) {
	other := *t.now.Load()
	other.CRLs = lists
	t.now.Store(&other)
}

// watchLists reads lists of revoked certificates anew when their files change,
// until ctx is done.
func (g *Gateway) watchLists(ctx context.Context) {
	defer g.running.Done()
	watched := slices.DeleteFunc(slices.Clone(g.tenants), func(t *tenantState) bool { return len(t.CRLFiles) == 0 })
	if len(watched) == 0 {
		return
	}
	seen := make(map[*tenantState]string)
	for _, t := range watched {
		seen[t] = stampOf(t.CRLFiles)
	}
	ticker := time.NewTicker(listInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		for _, t := range watched {
			if stamp := stampOf(t.CRLFiles); stamp != seen[t] {
				seen[t] = stamp
				g.rereadLists(t)
			}
		}
	}
}

// stampOf changes when one of the files does.
func stampOf(files []string) string {
	var b []byte
	for _, name := range files {
		if s, err := os.Stat(name); err == nil {
			b = s.ModTime().AppendFormat(b, time.RFC3339Nano)
			b = append(b, byte(s.Size()), byte(s.Size()>>8), byte(s.Size()>>16))
		}
		b = append(b, '\n')
	}
	return string(b)
}

// rereadLists takes the lists of a tenant as its files have them now; if one cannot
// be read, those from before stay.
func (g *Gateway) rereadLists(t *tenantState) {
	lists, err := config.ReadCRLs(t.CRLFiles)
	if err != nil {
		g.log.Error("crl-refused", zap.String("tenant", t.Name), zap.Error(err),
			zap.String("hint", "the list from before stays in force: write the file anew with `culvert ca crl`"))
		return
	}
	t.trust.relist(lists)
	g.log.Info("crl-read", zap.String("tenant", t.Name), zap.Int("lists", len(lists)))
	g.post(func(now time.Time) { g.expel(now, t, lists) })
}

// expel ends the sessions of those whose certificate is on a list.
func (g *Gateway) expel(now time.Time, t *tenantState, lists []*x509.RevocationList) {
	for _, p := range g.peers {
		for _, s := range p.sessions() {
			if s.tenant == t && !s.ended && (revoked(lists, p.chain) || revoked(lists, s.chain)) {
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
