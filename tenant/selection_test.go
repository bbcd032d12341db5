package tenant

import (
	"errors"
	"strings"
	"testing"
)

func newSelector(t testing.TB) *Selector {
	t.Helper()
	s, err := NewSelector([]Names{
		{Tenant: "acme", Realms: []string{"acme", "Acme.Example"}, Default: true},
		{Tenant: "globex", Realms: []string{"GLOBEX"}},
		{Tenant: "silent"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSelect(t *testing.T) {
	s := newSelector(t)
	for _, tc := range []struct {
		login string
		among []string
		want  Login
		err   error
	}{
		{login: "alice", want: Login{Tenant: "acme", User: "alice"}},
		{login: "alice@acme", want: Login{Tenant: "acme", User: "alice", Realm: "acme"}},
		{login: "Alice@ACME.example", want: Login{Tenant: "acme", User: "Alice", Realm: "ACME.example"}},
		{login: `globex\bob`, want: Login{Tenant: "globex", User: "bob", Realm: "globex"}},
		{login: `Globex\bob`, want: Login{Tenant: "globex", User: "bob", Realm: "Globex"}},
		{login: `DESKTOP-7Q\alice`, want: Login{Tenant: "acme", User: "alice", Domain: "DESKTOP-7Q"}},
		{login: `CORP\alice@globex`, want: Login{Tenant: "globex", User: "alice", Realm: "globex", Domain: "CORP"}},
		{login: "alice@example.com", want: Login{Tenant: "acme", User: "alice@example.com"}},
		{login: "alice@example.com@globex", want: Login{Tenant: "globex", User: "alice@example.com", Realm: "globex"}},
		{login: `globex\alice@example.com`, want: Login{Tenant: "globex", User: "alice@example.com", Realm: "globex"}},
		{login: `acme\alice@acme`, want: Login{Tenant: "acme", User: "alice", Realm: "acme"}},
		{login: `acme\alice@globex`, err: ErrAmbiguous},
		{login: `\alice`, want: Login{Tenant: "acme", User: "alice"}},
		{login: `a\b\c`, want: Login{Tenant: "acme", User: `b\c`, Domain: "a"}},
		{login: "", err: ErrLogin},
		{login: "@acme", err: ErrLogin},
		{login: `acme\`, err: ErrLogin},
		{login: "al\x00ice", err: ErrLogin},
		{login: "al\xffice", err: ErrLogin},
		{login: strings.Repeat("a", 256), err: ErrLogin},
		{login: "alice", among: []string{"globex"}, want: Login{Tenant: "globex", User: "alice"}},
		{login: "alice@globex", among: []string{"globex"}, want: Login{Tenant: "globex", User: "alice", Realm: "globex"}},
		{login: "alice@acme", among: []string{"globex"}, err: ErrOtherTenant},
		{login: "alice", among: []string{"globex", "silent"}, err: ErrNoTenant},
		{login: "alice", among: []string{"globex", "acme"}, want: Login{Tenant: "acme", User: "alice"}},
	} {
		got, err := s.Select(tc.login, tc.among...)
		if got != tc.want || !errors.Is(err, tc.err) {
			t.Errorf("%q among %v: got %+v, %v", tc.login, tc.among, got, err)
		}
	}
}

func TestSelectWithoutDefault(t *testing.T) {
	s, err := NewSelector([]Names{{Tenant: "a"}, {Tenant: "b"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Select("alice"); !errors.Is(err, ErrNoTenant) {
		t.Errorf("got %v", err)
	}
	if s, err = NewSelector([]Names{{Tenant: "only"}}); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Select("alice"); got.Tenant != "only" || err != nil {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestSelectorErrors(t *testing.T) {
	for name, names := range map[string][]Names{
		"no name":      {{}},
		"same name":    {{Tenant: "a"}, {Tenant: "a"}},
		"same realm":   {{Tenant: "a", Realms: []string{"x"}}, {Tenant: "b", Realms: []string{"X"}}},
		"two defaults": {{Tenant: "a", Default: true}, {Tenant: "b", Default: true}},
		"empty realm":  {{Tenant: "a", Realms: []string{""}}},
		"at in realm":  {{Tenant: "a", Realms: []string{"a@b"}}},
	} {
		if _, err := NewSelector(names); !errors.Is(err, ErrNames) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// What is selected is a tenant that is there, and the user is part of the login.
func FuzzSelect(f *testing.F) {
	f.Add("alice@acme")
	f.Add(`GLOBEX\bob@example.com`)
	s := newSelector(f)
	f.Fuzz(func(t *testing.T, login string) {
		got, err := s.Select(login)
		if err != nil {
			return
		}
		if got.User == "" || !strings.Contains(login, got.User) || got.Tenant != "acme" && got.Tenant != "globex" {
			t.Errorf("%q: %+v", login, got)
		}
	})
}
