package access

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/internal/config"
	"github.com/culvert-vpn/culvert/internal/eap"
	"github.com/culvert-vpn/culvert/internal/store"
	"github.com/culvert-vpn/culvert/ppp"
	"github.com/culvert-vpn/culvert/ppp/auth"
)

const written = `
listen: [127.0.0.1]
tenants:
  - name: acme
    default: true
    psk: a pre-shared key
    pool: [10.0.0.0/24]
    auth: {allow: [mschapv2, chap, pap, eap-mschapv2, xauth], local: {users: [{name: alice, password: right}]}}
`

// users are alice of the configuration, and carol and dave of the store; dave is disabled.
func users(t *testing.T) (*Local, *config.Tenant, *store.Store) {
	t.Helper()
	c, err := config.Parse("test.yaml", []byte(written))
	if err != nil {
		t.Fatal(err)
	}
	kept, err := store.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { kept.Close() })
	hash := store.HashPassword("right")
	for _, u := range []store.User{{Name: "carol", Hash: hash}, {Name: "dave", Hash: hash, Disabled: true}} {
		if err := kept.AddUser("acme", u); err != nil {
			t.Fatal(err)
		}
	}
	return NewLocal(kept), &c.Tenants[0], kept
}

// judged is what an authority answers whose work is done at once.
func judged(t *testing.T, l *Local, who Who, p Proof) Judgement {
	t.Helper()
	now := time.Unix(1e9, 0)
	l.Ask(now, 7, who, p)
	e, _ := l.Next()
	w, ok := e.(Work)
	if !ok || w.ID != 7 {
		t.Fatalf("%v in place of work", e)
	}
	l.Worked(now, 7, w.Do())
	e, _ = l.Next()
	a, ok := e.(Answer)
	if _, more := l.Next(); !ok || a.ID != 7 || more {
		t.Fatalf("%v in place of one answer", e)
	}
	return a.Judgement
}

// proofs are those of a user with a password, by every way there is.
func proofs(user, password string) map[string]Proof {
	challenge, peer := [16]byte{1}, [16]byte{2}
	hash := auth.NTHash(password)
	nt := auth.NTResponse(hash, challenge, peer, user)
	response := make([]byte, 49)
	copy(response, peer[:])
	copy(response[24:], nt[:])
	digest := auth.MD5Response(7, []byte(password), challenge[:])
	return map[string]Proof{
		"PAP":       PPP{ppp.Authenticate{Method: ppp.PAP, User: user, Response: []byte(password)}},
		"CHAP":      PPP{ppp.Authenticate{Method: ppp.CHAPMD5, User: user, Identifier: 7, Challenge: bytes.Clone(challenge[:]), Response: digest[:]}},
		"MS-CHAPv2": PPP{ppp.Authenticate{Method: ppp.MSCHAPv2, User: user, Challenge: bytes.Clone(challenge[:]), Response: response}},
		"EAP":       EAP{eap.Verify{User: user, Challenge: challenge, PeerChallenge: peer, NTResponse: nt}},
		"XAUTH":     XAUTH{user, []byte(password)},
	}
}

// TestJudge: every way to prove a password, and everything that can be against it, comes
// to the same refusal.
func TestJudge(t *testing.T) {
	l, acme, _ := users(t)
	all := acme.Auth.Allow
	for _, x := range []struct {
		user, password string
		allow          config.Methods
		against        Refusal
		want           Refusal
	}{
		{"alice", "right", all, None, None},
		{"Alice", "right", all, None, None}, // telephones like capital letters
		{"alice", "wrong", all, None, WrongPassword},
		{"alice", "", all, None, WrongPassword},
		{"carol", "right", all, None, None},
		{"carol", "Right", all, None, WrongPassword},
		{"dave", "right", all, None, Disabled},
		{"dave", "wrong", all, None, WrongPassword}, // who does not know it is told nothing
		{"eve", "right", all, None, UnknownUser},
		{"alice@elsewhere", "right", all, UnknownUser, UnknownUser},
		{"alice", "right", config.Methods{}, None, Method},
	} {
		for name, p := range proofs(x.user, x.password) {
			acme.Auth.Allow = x.allow
			who := Who{Tenant: acme, User: x.user, Refusal: x.against}
			if x.against != None {
				who.Tenant = nil
			}
			want := x.want
			if name == "CHAP" && want != UnknownUser && want != Method && x.user != "alice" && x.user != "Alice" {
				want = NeedsPassword // of whom only a hash is known
			}
			j := judged(t, l, who, p)
			if j.Refusal != want {
				t.Errorf("%s by %s with %q: %q, want %q", x.user, name, x.password, j.Refusal, want)
			}
			if right := want == None; (j.MSK != nil) != (right && name == "EAP") || (j.Success != "") != (right && (name == "EAP" || name == "MS-CHAPv2")) {
				t.Errorf("%s by %s with %q: MSK of %d bytes, success %q", x.user, name, x.password, len(j.MSK), j.Success)
			}
		}
	}
}

// TestShown: who has shown a certificate needs no account; one that is disabled counts,
// under whichever of his names.
func TestShown(t *testing.T) {
	l, acme, _ := users(t)
	for _, x := range []struct {
		user  string
		names []string
		want  Refusal
	}{
		{"eve", nil, None}, {"alice", nil, None}, {"carol", nil, None}, {"dave", nil, Disabled},
		{"eve", []string{"carol", "dave"}, Disabled}, {"eve", []string{"carol"}, None},
	} {
		if j := judged(t, l, Who{Tenant: acme, User: x.user, Names: x.names}, Shown{}); j.Refusal != x.want {
			t.Errorf("%s, %v: %q, want %q", x.user, x.names, j.Refusal, x.want)
		}
	}
}

// TestStoreThatFails: nobody gets in who may be locked out.
func TestStoreThatFails(t *testing.T) {
	l, acme, kept := users(t)
	kept.Close()
	if j := judged(t, l, Who{Tenant: acme, User: "carol"}, Shown{}); j.Refusal != StoreFailed || j.Err == nil {
		t.Errorf("by certificate: %q, %v", j.Refusal, j.Err)
	}
	for name, p := range proofs("carol", "right") {
		if j := judged(t, l, Who{Tenant: acme, User: "carol"}, p); j.Refusal != StoreFailed || j.Err == nil {
			t.Errorf("by %s: %q, %v", name, j.Refusal, j.Err)
		}
	}
}

// work counts what a judgement takes.
type work struct {
	Users
	reads, comparisons int
}

func (w *work) User(tenant, name string) (store.User, error) {
	w.reads++
	return w.Users.User(tenant, name)
}

// counted is a Proof whose comparisons are counted.
type counted struct {
	Proof
	w *work
}

func (c counted) check(a *account) Judgement {
	c.w.comparisons++
	return c.Proof.check(a)
}

// TestRefusalsTellNobodyWhoThereIs: a name that there is not is refused as a wrong
// password of the state store is, in what is said and in the work it takes; and there is one
// comparison, whoever it is.
func TestRefusalsTellNobodyWhoThereIs(t *testing.T) {
	if UnknownUser.Code() != WrongPassword.Code() || UnknownUser.Message() != WrongPassword.Message() {
		t.Error("the client is told which")
	}
	_, acme, kept := users(t)
	for what, who := range map[string]Who{
		"of the configuration": {Tenant: acme, User: "alice"}, "of the store": {Tenant: acme, User: "carol"}, "disabled": {Tenant: acme, User: "dave"},
		"unknown": {Tenant: acme, User: "mallory"}, "of an unknown realm": {User: "alice@other", Refusal: UnknownUser},
	} {
		for name, p := range proofs(who.User, "wrong") {
			w := &work{Users: kept}
			judged(t, NewLocal(w), who, counted{p, w})
			reads := 1
			if what == "of the configuration" {
				reads = 0
			}
			if w.reads != reads || w.comparisons != 1 {
				t.Errorf("a user %s, by %s: %d looks into the store and %d comparisons, want %d and one", what, name, w.reads, w.comparisons, reads)
			}
		}
	}
}

// TestRefusalsAreWhole: each has a cause of its own and says what to do.
func TestRefusalsAreWhole(t *testing.T) {
	causes := make(map[string]bool)
	for r := range refusals {
		if r == None {
			continue
		}
		if r.String() == "" || r.Hint() == "" || causes[r.String()] {
			t.Errorf("%d: cause %q, hint %q", r, r, r.Hint())
		}
		causes[fmt.Sprint(r)] = true
	}
}

// TestForgottenLogin: whoever left is answered all the same, for the throttle, and with
// nothing that only he may know.
func TestForgottenLogin(t *testing.T) {
	l, acme, _ := users(t)
	now := time.Unix(1e9, 0)
	for id, p := range []Proof{proofs("alice", "right")["EAP"], proofs("alice", "wrong")["EAP"]} {
		l.Ask(now, uint64(id), Who{Tenant: acme, User: "alice"}, p)
		e, _ := l.Next()
		j := e.(Work).Do()
		msk := j.MSK
		l.Forget(uint64(id))
		l.Worked(now, uint64(id), j)
		e, _ = l.Next()
		a := e.(Answer)
		if a.Outcome() != []Outcome{RightPassword, PasswordWrong}[id] || a.MSK != nil || a.Success != "" {
			t.Errorf("login %d: %+v", id, a)
		}
		for _, b := range msk {
			if b != 0 {
				t.Fatal("the key is left")
			}
		}
		l.Worked(now, uint64(id), Judgement{}) // once more
		if e, more := l.Next(); more {
			t.Errorf("a second answer: %v", e)
		}
	}
}

// TestWorkOverwritesWhatItWasShown: no password is left behind.
func TestWorkOverwritesWhatItWasShown(t *testing.T) {
	l, acme, _ := users(t)
	for _, p := range proofs("alice", "right") {
		if j := judged(t, l, Who{Tenant: acme, User: "alice"}, p); j.Refusal != None {
			t.Fatal(j.Refusal)
		}
		secret := []byte{0}
		switch p := p.(type) {
		case XAUTH:
			secret = p.Password
		case PPP:
			secret = p.Response
		}
		if !bytes.Equal(secret, make([]byte, len(secret))) {
			t.Errorf("%T is left", p)
		}
	}
}
