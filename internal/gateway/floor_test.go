package gateway

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/internal/dialer"
)

// A tenant that forbids legacy algorithms does not get a client with them, also where
// another tenant with the same certificate takes such, and the realm of the login says
// only later whose client it is.
func TestFloorOfTheLoginsTenant(t *testing.T) {
	a := newAuthority(t, "shared")
	cert := strings.Split(a.server(vpn), "\n")[0] + "\n"
	yaml := `
listen: [203.0.113.1]
tenants:
  - name: acme
    match: {realms: [acme]}
    legacy: true
    auth: {allow: [eap-mschapv2], local: {users: [{name: alice, password: alicepw}]}}
    pool: [10.100.1.0/24]
` + cert + `  - name: globex
    match: {realms: [globex]}
    auth: {allow: [eap-mschapv2], local: {users: [{name: gina, password: ginapw}]}}
    pool: [10.200.1.0/24]
` + cert
	weak, err := dialer.ParseSuites2([]string{"3des-sha1-prfsha1-modp1024"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	inWorld(t, goodRoad, yaml, func(t *testing.T, w *world) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		gina := func(d *dialer.DialConfig) { d.User, d.Password = "gina@globex", "ginapw" }
		if _, err := w.client(nil).dial(ctx, a.trusts(vpn), gina, func(d *dialer.DialConfig) { d.Suites = weak }); err == nil {
			t.Error("globex has a client with 3DES")
		}
		w.client(nil).mustDial(a.trusts(vpn), gina)
		w.client(nil).mustDial(a.trusts(vpn), func(d *dialer.DialConfig) { d.User, d.Suites = "alice@acme", weak })
	})
}
