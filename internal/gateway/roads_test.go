package gateway

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/ike"
	"github.com/culvert-vpn/culvert/internal/access"
	"github.com/culvert-vpn/culvert/internal/dialer"
	"github.com/culvert-vpn/culvert/internal/store"
)

// road is a way to log in: how a user of a name and a password does so. Of those who have
// a certificate, or the key alone, the password is nothing, and names are few.
type road struct {
	name, allow string
	method      string // that the log names
	password    bool   // it is by password
	hash        bool   // for which the hash of it is enough
	account     bool   // it leads to an account, if there is one
	dial        func(c *client, user, password string) (*dialer.Connection, error)
	wire        func(access.Refusal) string // what the client says that it was told
}

// inPPP is what a client of a link is told by its method of authentication.
func inPPP(why access.Refusal) string { return "authentication failed: " + why.Message() + " (error " }

// inMSCHAP says the error of RFC 2759 beside.
func inMSCHAP(why access.Refusal) string {
	return fmt.Sprintf("authentication failed: %s (error %d)", why.Message(), why.Code())
}

// inEAPOfPPP is the Failure of EAP, which has no words.
func inEAPOfPPP(access.Refusal) string { return "authentication failed: EAP" }

// inIKEv2 tells who has no place from who does not get in.
func inIKEv2(why access.Refusal) string {
	if why.IsRoom() {
		return "INTERNAL_ADDRESS_FAILURE"
	}
	return "AUTHENTICATION_FAILED"
}

// inEAPOfIKEv2 has the words of MSCHAPv2.
func inEAPOfIKEv2(why access.Refusal) string {
	if why.IsRoom() {
		return inIKEv2(why)
	}
	return fmt.Sprintf("M=%s", why.Message())
}

// inXAUTH has a status for who does not get in, and for want of an address nothing but the end.
func inXAUTH(why access.Refusal) string {
	if why.IsRoom() {
		return "closed by the peer"
	}
	return "the server refuses our name or password"
}

// roads are all ways to log in.
func (a *authority) roads() []road {
	certificates := map[string]func(*dialer.DialConfig){}
	tls := map[string]func(*dialer.DialConfig){}
	for _, name := range []string{"alice", "bob", "carol", "dora", "past"} {
		c := a.client(name)
		if name == "past" {
			a.expire(name, c)
		}
		certificates[name] = func(d *dialer.DialConfig) { d.V2.Certificate = c }
		tls[name] = a.byTLS(c)
	}
	by := func(edits ...func(*dialer.DialConfig)) func(c *client, user, password string) (*dialer.Connection, error) {
		return func(c *client, user, password string) (*dialer.Connection, error) {
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
			defer cancel()
			return c.dial(ctx, append([]func(*dialer.DialConfig){func(d *dialer.DialConfig) { d.User, d.Password = user, password }}, edits...)...)
		}
	}
	trusts, laptop, past := a.trusts(vpn), a.signed("laptop"), a.signed("past")
	return []road{
		{"L2TP, PAP", "pap", "PAP", true, true, true, func(c *client, user, password string) (*dialer.Connection, error) { return c.dialPAP(user, password) }, inPPP},
		{"L2TP, CHAP", "chap", "CHAP-MD5", true, false, true, by(func(d *dialer.DialConfig) { d.AllowCHAP = true }), inPPP},
		{"L2TP, MS-CHAPv2", "mschapv2", "MS-CHAPv2", true, true, true, by(), inMSCHAP},
		{"L2TP, EAP-MSCHAPv2", "eap-mschapv2", "EAP-MSCHAPV2", true, true, true, by(allowEAP), inEAPOfPPP},
		{"L2TP, EAP-TLS", "eap-tls", "EAP-TLS", false, true, true, func(c *client, user, _ string) (*dialer.Connection, error) {
			return by(tls[user])(c, "", "")
		}, inEAPOfPPP},
		{"IKEv2, EAP", "eap-mschapv2", "EAP-MSCHAPV2", true, true, true, by(trusts), inEAPOfIKEv2},
		{"IKEv2, EAP-TLS", "eap-tls", "EAP-TLS", false, true, true, func(c *client, user, _ string) (*dialer.Connection, error) {
			return by(trusts, tls[user])(c, "", "")
		}, inIKEv2},
		{"IKEv2, certificate", "certificate", "certificate", false, true, true, func(c *client, user, _ string) (*dialer.Connection, error) {
			return by(trusts, certificates[user])(c, "", "")
		}, inIKEv2},
		{"IKEv2, key", "ikev2-psk", "key", false, true, false, func(c *client, user, _ string) (*dialer.Connection, error) { return by(byKeyAs(user))(c, "", "") }, inIKEv2},
		{"XAUTH, key", "xauth", "XAUTH", true, true, true, by(byXAUTH), inXAUTH},
		{"XAUTH, certificate", "xauth, certificate", "XAUTH", true, true, true, func(c *client, user, password string) (*dialer.Connection, error) {
			if user == "past" {
				return by(past, byXAUTH)(c, "alice", "alicepw")
			}
			return by(laptop, byXAUTH)(c, user, password)
		}, inXAUTH},
	}
}

// expire issues a client's certificate anew, for a time that is over.
func (a *authority) expire(name string, c *ike.Certificate) {
	a.t.Helper()
	issuer, err := tls.LoadX509KeyPair(a.path("ca.crt"), a.path("ca.key"))
	if err != nil {
		a.t.Fatal(err)
	}
	x := &x509.Certificate{
		SerialNumber: big.NewInt(4001), Subject: c.Chain[0].Subject, NotBefore: bubbleStart.Add(-48 * time.Hour), NotAfter: bubbleStart.Add(-24 * time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, x, issuer.Leaf, c.Signer.Public(), issuer.PrivateKey)
	if err != nil {
		a.t.Fatal(err)
	}
	if c.Chain[0], err = x509.ParseCertificate(der); err != nil {
		a.t.Fatal(err)
	}
	put(a.t, a.path(name+".crt"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// obstacle is something that keeps somebody out.
type obstacle struct {
	refusal access.Refusal
	lines   string // of the tenant
	before  int    // so many others log in before, as who and with what the obstacle says
	user    string
	wrong   bool // with a wrong password
	// never says why nobody can meet it on a road; empty: he can.
	never func(r road) string
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

// obstacles are what can keep somebody out. Whom nobody knows by name, or by a wrong
// password, is only who has one to say; a certificate that is not good, or a key, IKE refuses
// before there is a user.
func obstacles() []obstacle {
	always := func(road) string { return "" }
	unless := func(can bool, why string) string {
		if can {
			return ""
		}
		return why
	}
	password := func(r road) string {
		return unless(r.password, "there is no password, and a certificate or the key needs no account")
	}
	return []obstacle{
		{refusal: access.UnknownUser, user: "mallory", never: password},
		{refusal: access.UnknownUser, user: "alice@nowhere", never: password},
		{refusal: access.WrongPassword, user: "alice", wrong: true, never: password},
		{refusal: access.Method, user: "alice@strict", never: func(r road) string {
			return unless(r.password && r.name != "XAUTH, certificate", "a certificate opens only tenants that take certificates, whose names there are, and a key is asked for no method")
		}},
		{refusal: access.Disabled, user: "carol", never: func(r road) string {
			return unless(r.account && r.hash, "the key leads to no account, and of an account of the store CHAP knows no password")
		}},
		{refusal: access.NoFilter, user: "dora", never: func(r road) string {
			return unless(r.account && r.hash, "the key leads to no account, and of an account of the store CHAP knows no password")
		}},
		{refusal: access.NeedsPassword, user: "carol", never: func(r road) string { return unless(!r.hash, "the hash is enough") }},
		{refusal: access.TenantFull, lines: "    limits: {sessions: 1}\n", before: 1, user: "alice", never: always},
		{refusal: access.UserFull, lines: "    limits: {sessions_per_user: 1}\n", before: 1, user: "alice", never: func(r road) string {
			return unless(r.account, "whoever comes with the key and a name takes the place of who had it before")
		}},
		{refusal: access.PoolEmpty, before: 2, user: "alice", never: always},
		{refusal: access.Throttled, lines: "    limits: {login_failures: 1}\n", user: "alice", wrong: true, never: password},
		{refusal: access.EAPFailed, user: "past", never: func(r road) string {
			return unless(strings.Contains(r.name, "TLS") || strings.Contains(r.name, "certificate"), "only a certificate expires: an account is disabled, and a session has its limit")
		}},
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
				if why := o.never(r); why != "" {
					t.Logf("no %s: %s", o.refusal, why)
					continue
				}
				t.Run(strings.ReplaceAll(o.refusal.String()+" "+o.user, " ", "-"), func(t *testing.T) { r.meets(t, o, server) })
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
	if err := kept.AddUser("acme", store.User{Name: "dora", Hash: store.HashPassword("dorapw"), Attributes: store.Attributes{Filters: []string{"gone"}}}); err != nil {
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
		password := map[string]string{"carol": "carolpw", "dora": "dorapw"}[o.user]
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

// wantRefusal fails the test if the log does not have the refusal, once, it is not counted for
// the tenant, or the client was not told, at once and as its protocol says it.
func (r road) wantRefusal(t *testing.T, w *world, o obstacle, tries int, err error) {
	t.Helper()
	if o.user == "past" && !strings.Contains(r.name, "TLS") { // there is no user yet
		w.wantDetail("expired")
		return
	}
	words := r.wire(o.refusal)
	if o.user == "past" && r.name == "IKEv2, EAP-TLS" { // TLS says it first
		words = "bad certificate"
	}
	if !strings.Contains(err.Error(), words) {
		t.Errorf("the client is told %q, want %q", err, words)
	}
	counted := uint64(0)
	for _, c := range w.server.server.counter.Counts() {
		if c.Name == "login-refused" && c.Cause == o.refusal.String() && (c.Tenant == o.tenant() || o.tenant() == "") {
			counted += c.N
		}
	}
	lines := w.log.FilterMessage("login-refused").All()
	if o.refusal == access.Throttled {
		if n := w.log.FilterMessage("logins-throttled").Len(); n != 1 || counted == 0 || len(lines)+int(counted) != tries {
			t.Errorf("of %d logins %d are refused in words, and %d held up, which is said %d times", tries, len(lines), counted, n)
		}
		return
	}
	if len(lines) != tries || counted != uint64(tries) {
		t.Fatalf("%d refusals are counted, and there are %d lines: %v", counted, len(lines), lines)
	}
	r.wantLine(t, lines[0].ContextMap(), o)
}

// wantLine fails the test if the line of a refusal does not say all that every one says.
func (r road) wantLine(t *testing.T, said map[string]any, o obstacle) {
	t.Helper()
	if said["cause"] != o.refusal.String() || said["hint"] != o.refusal.Hint() {
		t.Errorf("cause %q, want %q; hint %q", said["cause"], o.refusal, said["hint"])
	}
	if said["method"] != r.method {
		t.Errorf("method %q, want %q", said["method"], r.method)
	}
	if want := o.tenant(); said["tenant"] != want && want != "" {
		t.Errorf("tenant %v, want %s", said["tenant"], want)
	}
	if o.user == "past" && !strings.Contains(fmt.Sprint(said["error"]), "expired") {
		t.Errorf("error %v", said["error"])
	}
	for _, key := range []string{"tenant", "user", "client", "protocol"} {
		if said[key] == nil || said[key] == "" {
			t.Errorf("the line lacks %s: %v", key, slices.Sorted(maps.Keys(said)))
		}
	}
}
