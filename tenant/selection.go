package tenant

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxLogin bounds a login name in bytes: PPP carries no longer one.
const maxLogin = 255

// Names is how logins find one tenant.
type Names struct {
	// Tenant is the tenant's name.
	Tenant string
	// Realms are the names that stand behind "@" or before "\" in a login.
	// Upper and lower case are the same.
	Realms []string
	// Default makes this tenant the one of logins that name no realm.
	Default bool
}

// Login is what a login name says.
type Login struct {
	// Tenant is the tenant selected.
	Tenant string
	// User is the name within the tenant, without the realm that selected it
	// and without a domain.
	User string
	// Realm is the realm as the client wrote it; empty when it named none.
	Realm string
	// Domain is what stood before "\" and is no realm: Windows puts the name
	// of the domain or of the machine there.
	Domain string
}

// Selector finds the tenant that a login name means. It is never changed after
// NewSelector and may be used concurrently.
type Selector struct {
	realms   map[string]string // lower case realm -> tenant
	tenants  []string
	fallback string // the default tenant; empty when there is none
}

// NewSelector checks that no realm belongs to two tenants and that at most one
// of them is the default. A tenant alone is the default without saying so.
func NewSelector(names []Names) (*Selector, error) {
	s := &Selector{realms: make(map[string]string)}
	for _, n := range names {
		if n.Tenant == "" || slices.Contains(s.tenants, n.Tenant) {
			return nil, fmt.Errorf("%w: tenant %q has no name of its own", ErrNames, n.Tenant)
		}
		s.tenants = append(s.tenants, n.Tenant)
		if err := s.addRealms(n); err != nil {
			return nil, err
		}
		if n.Default {
			if s.fallback != "" {
				return nil, fmt.Errorf("%w: %q and %q are both the default", ErrNames, s.fallback, n.Tenant)
			}
			s.fallback = n.Tenant
		}
	}
	if len(s.tenants) == 1 {
		s.fallback = s.tenants[0]
	}
	return s, nil
}

func (s *Selector) addRealms(n Names) error {
	for _, realm := range n.Realms {
		key := fold(realm)
		if key == "" || strings.ContainsAny(key, `@\`) || !printable(key) {
			return fmt.Errorf("%w: %q is no realm", ErrNames, realm)
		}
		if other, taken := s.realms[key]; taken && other != n.Tenant {
			return fmt.Errorf("%w: realm %q belongs to %q and %q", ErrNames, realm, other, n.Tenant)
		}
		s.realms[key] = n.Tenant
	}
	return nil
}

// Select reads a login name: "alice@acme" and "acme\alice" name the realm
// acme, "alice" none. What stands before "\" and is no realm is a Windows
// domain or machine name and is cut off; what stands behind "@" and is no
// realm is part of the user's name, as in "alice@example.com".
//
// among lists the tenants whose key the client has shown; none means that this
// is not known. A login that names the realm of any other tenant is refused,
// and a single one of them takes the logins that name no realm.
func (s *Selector) Select(login string, among ...string) (Login, error) {
	if login == "" || len(login) > maxLogin || !printable(login) {
		return Login{}, ErrLogin
	}
	l, err := s.split(login)
	if err != nil {
		return Login{}, err
	}
	if l.User == "" {
		return Login{}, ErrLogin
	}
	if l.Tenant == "" {
		l.Tenant = s.withoutRealm(among)
	}
	switch {
	case l.Tenant == "":
		return Login{}, ErrNoTenant
	case len(among) > 0 && !slices.Contains(among, l.Tenant):
		return Login{}, ErrOtherTenant
	}
	return l, nil
}

// split takes the realm and the domain off a login. Tenant is empty when
// neither side of it is a realm.
func (s *Selector) split(login string) (Login, error) {
	l := Login{User: login}
	if before, after, ok := strings.Cut(login, `\`); ok {
		l.User = after
		if tenant, isRealm := s.realms[fold(before)]; isRealm {
			l.Tenant, l.Realm = tenant, before
		} else {
			l.Domain = before
		}
	}
	at := strings.LastIndexByte(l.User, '@')
	if at < 0 {
		return l, nil
	}
	tenant, isRealm := s.realms[fold(l.User[at+1:])]
	if !isRealm {
		return l, nil
	}
	if l.Tenant != "" && l.Tenant != tenant {
		return Login{}, ErrAmbiguous
	}
	l.Tenant, l.Realm, l.User = tenant, l.User[at+1:], l.User[:at]
	return l, nil
}

// withoutRealm is the tenant of a login that names no realm.
func (s *Selector) withoutRealm(among []string) string {
	if len(among) == 1 {
		return among[0]
	}
	if len(among) > 0 && !slices.Contains(among, s.fallback) {
		return ""
	}
	return s.fallback
}

func fold(realm string) string { return strings.ToLower(realm) }

// printable reports whether s is valid UTF-8 without control characters.
func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}
