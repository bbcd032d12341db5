package gateway

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/internal/access"
	"github.com/culvert-vpn/culvert/internal/store"
)

// road is a way to log in: how a user of a name and a password does so. Of those who have
// a certificate, or the key alone, the password is nothing, and names are few.
type road struct {
	name, allow string
	password    bool // it is by password
	hash        bool // for which the hash of it is enough
	account     bool // it leads to an account, if there is one
	dial        func(c *client, user, password string) (*Connection, error)
}

// roads are all ways to log in.
func (a *authority) roads() []road {
	certificates := map[string]func(*DialConfig){}
	tls := map[string]func(*DialConfig){}
	for _, name := range []string{"alice", "bob", "carol"} {
		c := a.client(name)
		certificates[name] = func(d *DialConfig) { d.V2.Certificate = c }
		tls[name] = a.byTLS(c)
	}
	by := func(edits ...func(*DialConfig)) func(c *client, user, password string) (*Connection, error) {
		return func(c *client, user, password string) (*Connection, error) {
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
			defer cancel()
			return c.dial(ctx, append([]func(*DialConfig){func(d *DialConfig) { d.User, d.Password = user, password }}, edits...)...)
		}
	}
	trusts := a.trusts(vpn)
	return []road{
		{"L2TP, PAP", "pap", true, true, true, func(c *client, user, password string) (*Connection, error) { return c.dialPAP(user, password) }},
		{"L2TP, CHAP", "chap", true, false, true, by(func(d *DialConfig) { d.AllowCHAP = true })},
		{"L2TP, MS-CHAPv2", "mschapv2", true, true, true, by()},
		{"L2TP, EAP-MSCHAPv2", "eap-mschapv2", true, true, true, by(allowEAP)},
		{"L2TP, EAP-TLS", "eap-tls", false, true, true, func(c *client, user, _ string) (*Connection, error) {
			return by(tls[user])(c, "", "")
		}},
		{"IKEv2, EAP", "eap-mschapv2", true, true, true, by(trusts)},
		{"IKEv2, EAP-TLS", "eap-tls", false, true, true, func(c *client, user, _ string) (*Connection, error) {
			return by(trusts, tls[user])(c, "", "")
		}},
		{"IKEv2, certificate", "certificate", false, true, true, func(c *client, user, _ string) (*Connection, error) {
			return by(trusts, certificates[user])(c, "", "")
		}},
		{"IKEv2, key", "ikev2-psk", false, true, false, func(c *client, user, _ string) (*Connection, error) { return by(byKeyAs(user))(c, "", "") }},
		{"XAUTH, key", "xauth", true, true, true, by(byXAUTH)},
		{"XAUTH, certificate", "xauth, certificate", true, true, true, by(a.signed("laptop"), byXAUTH)},
	}
}

// obstacle is something that keeps somebody out.
type obstacle struct {
	refusal access.Refusal
	lines   string // of the tenant
	before  int    // so many others log in before, as who and with what the obstacle says
	user    string
	wrong   bool // with a wrong password
	fits    func(r road) bool
}

// tenant is the one that the name leads to; empty: none.
func (o obstacle) tenant() string {
	switch o.user {
	case "alice@strict":
		return "strict"
	case "alice@nowhere":
		return ""
	}
	return "acme"
}

// obstacles are what can keep somebody out, whose road it can.
func obstacles() []obstacle {
	all := func(road) bool { return true }
	password := func(r road) bool { return r.password }
	return []obstacle{
		{refusal: access.UnknownUser, user: "mallory", fits: password},
		{refusal: access.UnknownUser, user: "alice@nowhere", fits: password},
		{refusal: access.WrongPassword, user: "alice", wrong: true, fits: password},
		// A certificate opens only tenants that take certificates, whose names there are.
		{refusal: access.Method, user: "alice@strict", fits: func(r road) bool { return r.password && r.name != "XAUTH, certificate" }},
		{refusal: access.Disabled, user: "carol", fits: func(r road) bool { return r.account && r.hash }},
		{refusal: access.NeedsPassword, user: "carol", fits: func(r road) bool { return r.password && !r.hash }},
		{refusal: access.TenantFull, lines: "    limits: {sessions: 1}\n", before: 1, user: "alice", fits: all},
		// Whoever comes with the key and a name takes the place of who had it before.
		{refusal: access.UserFull, lines: "    limits: {sessions_per_user: 1}\n", before: 1, user: "alice", fits: func(r road) bool { return r.account }},
		{refusal: access.PoolEmpty, before: 2, user: "alice", fits: all},
		{refusal: access.Throttled, lines: "    limits: {login_failures: 1}\n", user: "alice", wrong: true, fits: password},
	}
}

// TestOneRoad: whoever does not get in, and whatever the reason, by every way to log in:
// it is one event, with the same cause and the same hint, and the client is told.
func TestOneRoad(t *testing.T) {
	a, lines := newRSAAuthority(t)
	server := lines[strings.Index(lines, "    certificate:"):]
	for _, r := range a.roads() {
		t.Run(r.name, func(t *testing.T) {
			for _, o := range obstacles() {
				if o.fits(r) {
					t.Run(strings.ReplaceAll(o.refusal.String()+" "+o.user, " ", "-"), func(t *testing.T) { r.meets(t, o, server) })
				}
			}
		})
	}
}

// meets has somebody take the road who meets the obstacle.
func (r road) meets(t *testing.T, o obstacle, server string) {
	t.Helper()
	kept, err := store.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	if err := kept.AddUser("acme", store.User{Name: "carol", Hash: store.HashPassword("carolpw"), Disabled: true}); err != nil {
		t.Fatal(err)
	}
	acme := strings.Replace(testConfig, "auth: {", "auth: {allow: ["+r.allow+"], ", 1) + server + o.lines
	if o.refusal == access.PoolEmpty {
		acme = strings.Replace(acme, "10.100.1.0/24", "10.100.1.0/30", 1) // ours, and one
		o.before = 1
	}
	yaml := acme + "  - name: strict\n    match: {realms: [strict]}\n    psk: [\"" + testPSK + "\"]\n" +
		"    auth: {allow: [eap-tls], local: {users: [{name: alice, password: alicepw}]}}\n    pool: [10.200.1.0/24]\n" + server
	inWorldWith(t, kept, goodRoad, yaml, func(t *testing.T, w *world) {
		for range o.before {
			if _, err := r.dial(w.client(nil), "alice", "alicepw"); err != nil {
				t.Fatalf("a client before: %v", err)
			}
		}
		password := map[string]string{"carol": "carolpw"}[o.user]
		if password == "" {
			password = "alicepw"
		}
		if o.wrong {
			password = "wrong"
		}
		tries := 1
		if o.refusal == access.Throttled {
			tries = 12
		}
		var err error
		for range tries {
			if _, err = r.dial(w.client(nil), o.user, password); err == nil {
				t.Fatal("it is open")
			}
		}
		r.wantRefusal(t, w, o, tries, err)
	})
}

// wantRefusal fails the test if the log does not have the refusal, once, or the client was
// not told at once.
func (r road) wantRefusal(t *testing.T, w *world, o obstacle, tries int, err error) {
	t.Helper()
	if strings.Contains(err.Error(), context.DeadlineExceeded.Error()) {
		t.Errorf("the client is not told: %v", err)
	}
	if o.refusal == access.Throttled {
		if n := w.log.FilterMessage("logins-throttled").Len(); n == 0 {
			t.Error("nobody is told that logins are held up")
		}
		return
	}
	lines := w.log.FilterMessage("login-refused").All()
	if len(lines) != tries {
		t.Fatalf("%d lines: %v", len(lines), lines)
	}
	said := lines[0].ContextMap()
	if said["cause"] != o.refusal.String() || said["hint"] != o.refusal.Hint() {
		t.Errorf("cause %q, want %q; hint %q", said["cause"], o.refusal, said["hint"])
	}
	if want := o.tenant(); said["tenant"] != want && want != "" {
		t.Errorf("tenant %v, want %s", said["tenant"], want)
	}
	for _, key := range []string{"tenant", "user", "client", "protocol", "method"} {
		if said[key] == nil || said[key] == "" {
			t.Errorf("the line lacks %s: %v", key, slices.Sorted(maps.Keys(said)))
		}
	}
}
