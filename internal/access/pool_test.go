package access

import (
	"fmt"
	"testing"

	"github.com/culvert-vpn/culvert/internal/config"
)

// TestWhoseWordThePoolIs: the user's own pool prevails over those of his groups, of these the
// last, and each is named with who has said it.
func TestWhoseWordThePoolIs(t *testing.T) {
	c, err := config.Parse("c.yaml", []byte(`tenants:
  - name: acme
    psk: a-long-enough-secret
    pool: 10.1.0.0/24
    pools: {vip: 10.9.0.0/24, guests: 10.8.0.0/24}
    auth: {local: {users: [{name: ann, password: anns-password, pool: vip}]}}
    groups: {visitors: {users: [ann, bob], pool: guests}, a: {users: [bob], pool: default}}
`))
	if err != nil {
		t.Fatal(err)
	}
	tenant := &c.Tenants[0]
	for _, test := range []struct {
		user string
		own  *Own
		want string
	}{
		{"ann", nil, "[{pool vip user}]"},
		{"bob", nil, "[{pool guests group:visitors}]"},
		{"bob", &Own{Pool: "vip"}, "[{pool vip user}]"},
		{"eve", &Own{Groups: []string{"a"}}, "[{pool default group:a}]"},
		{"eve", &Own{Pool: "none"}, "[{pool none user}]"},
		{"eve", nil, "[]"},
	} {
		said := []Said{}
		for _, s := range GrantOf(tenant, LayersOf(tenant, test.user, test.own)...).Said() {
			if s.Name == "pool" {
				said = append(said, s)
			}
		}
		if got := fmt.Sprint(said); got != test.want {
			t.Errorf("%s, %+v: %s, want %s", test.user, test.own, got, test.want)
		}
	}
	if (&Own{Pool: "vip"}).Equal(&Own{}) {
		t.Error("another pool is nothing else")
	}
}
