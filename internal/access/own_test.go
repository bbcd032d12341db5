package access

import (
	"fmt"
	"testing"

	"github.com/culvert-vpn/culvert/internal/config"
	"github.com/culvert-vpn/culvert/internal/store"
	"github.com/culvert-vpn/culvert/ppp"
)

const ownConfig = `tenants:
  - name: acme
    psk: a-long-enough-secret
    pool: 10.1.0.0/24
    auth: {local: {users: [{name: ann, password: anns-password, groups: [staff], filters: [day]}]}}
    groups: {guests: {users: [bob], filters: [web, day]}, staff: {filters: [inside]}}
    filters: {web: {default: deny}, day: {default: allow}, inside: {default: deny}}
`

// TestGroupsAndFiltersAddUp: those of the tenant's configuration, of each group and of the
// user, each with who says so; what the tenant does not have is named.
func TestGroupsAndFiltersAddUp(t *testing.T) {
	c, err := config.Parse("test.yaml", []byte(ownConfig))
	if err != nil {
		t.Fatal(err)
	}
	tenant := &c.Tenants[0]
	for _, test := range []struct {
		user string
		own  *Own
		want string
	}{
		{"eve", nil, "[] [] , []"},
		{"ann", nil, "[staff] [inside day] , [{groups staff tenant} {filters inside group:staff} {filters day user}]"},
		{"bob", nil, "[guests] [web day] , [{groups guests tenant} {filters web, day group:guests}]"},
		{"bob", &Own{Groups: []string{"staff", "guests"}, Filters: []string{"day"}},
			"[guests staff] [web day inside] , [{groups guests tenant} {filters web, day group:guests} {filters inside group:staff} {groups staff, guests user} {filters day user}]"},
		{"eve", &Own{Groups: []string{"gone"}}, "[gone] [] group gone, [{groups gone user}]"},
		{"eve", &Own{Filters: []string{"web", "night"}}, "[] [web night] filter night, [{filters web, night user}]"},
	} {
		g := GrantOf(tenant, LayersOf(tenant, test.user, test.own)...)
		said := g.Said()
		for len(said) > 0 && said[0].Name != "groups" && said[0].Name != "filters" {
			said = said[1:]
		}
		if got := fmt.Sprintf("%v %v %s, %v", g.Groups, g.Filters, g.Missing, said); got != test.want {
			t.Errorf("%s, %+v:\n%s, want\n%s", test.user, test.own, got, test.want)
		}
	}
}

// inMemory is a store in memory.
type inMemory map[string]store.User

func (k inMemory) User(_, name string) (store.User, error) {
	if u, ok := k[name]; ok {
		return u, nil
	}
	return store.User{}, store.ErrNotFound
}

// TestOwnComesWithTheProof: whoever proves who he is gets what his account has; a
// certificate gets the filters of all accounts that its names lead to.
func TestOwnComesWithTheProof(t *testing.T) {
	c, err := config.Parse("test.yaml", []byte(ownConfig))
	if err != nil {
		t.Fatal(err)
	}
	users := inMemory{
		"dora": {Name: "dora", Hash: store.HashPassword("right"), Attributes: store.Attributes{Groups: []string{"staff"}, Filters: []string{"web"}}},
		"emil": {Name: "emil", Hash: store.HashPassword("right")},
	}
	password := func(user, password string) Judgement {
		return judge(users, Who{Tenant: &c.Tenants[0], User: user}, PPP{ppp.Authenticate{Method: ppp.PAP, User: user, Response: []byte(password)}})
	}
	c.Tenants[0].Auth.Allow.PAP = true
	if j := password("dora", "right"); j.Refusal != None || !j.Own.Equal(&Own{Groups: []string{"staff"}, Filters: []string{"web"}}) {
		t.Errorf("%+v", j)
	}
	if j := password("dora", "wrong"); j.Refusal != WrongPassword || j.Own != nil {
		t.Errorf("%+v", j)
	}
	if j := password("emil", "right"); j.Refusal != None || j.Own != nil {
		t.Errorf("%+v", j)
	}
	for _, test := range []struct {
		names []string
		want  string
	}{
		{[]string{"dora"}, "[staff] [web]"}, {[]string{"laptop"}, "none"}, {[]string{"laptop", "dora"}, "[] [inside web]"}, {[]string{"laptop", "ann"}, "[] [inside day]"},
		{[]string{"dora", "bob"}, "[staff] [web web day]"},
	} {
		who := Who{Tenant: &c.Tenants[0], User: test.names[0], Names: test.names[1:]}
		j := judge(users, who, Shown{})
		now, known, err := OwnNow(users, who)
		got := "none"
		if j.Own != nil {
			got = fmt.Sprintf("%v %v", j.Own.Groups, j.Own.Filters)
		}
		if got != test.want || err != nil || !now.Equal(j.Own) || known != (got != "none") {
			t.Errorf("%v: %s, want %s; now %+v, %v, %v", test.names, got, test.want, now, known, err)
		}
	}
}
