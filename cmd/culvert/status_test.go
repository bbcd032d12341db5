package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/internal/admin"
)

// TestStatus: what a server has counted is a table, in all or of one tenant, and JSON for
// programs.
func TestStatus(t *testing.T) {
	acme, globex, all := admin.NewCounted(), admin.NewCounted(), admin.NewCounted()
	acme.Sessions, acme.Up, acme.Down, acme.Dropped["replay"] = 2, admin.Traffic{Packets: 9, Bytes: 1000}, admin.Traffic{Bytes: 51249152}, 3
	acme.Causes["login-refused"] = admin.Named{"wrong password": 7, "unknown user": 8}
	all.Sessions, all.Up, all.Down, all.Dropped["replay"], all.Dropped["unknown-spi"] = 2, acme.Up, acme.Down, 3, 20
	all.Causes["login-refused"], all.Causes["ike-refused"] = acme.Causes["login-refused"], admin.Named{"no proposal chosen": 9}
	now := time.Now()
	c := &crowd{figures: admin.Figures{
		At: now, Since: now.Add(-3*time.Hour - 12*time.Minute), Version: "culvert v1.2.3", Listen: []netip.Addr{netip.IPv4Unspecified()},
		IKEPort: 500, NATTPort: 4500, Peers: 3, All: all, Refused: admin.Named{"ike": 1}, IKE: admin.IKE{HalfOpen: 4, Children: 5},
		Tenants: []admin.Tenant{
			{Name: "acme", Counted: acme, Addresses: admin.Addresses{InUse: 2, Free: 251}, Prefixes: &admin.Addresses{InUse: 1, Free: 3}, Stack: &admin.Stack{Refused: 6}},
			{Name: "globex", Counted: globex, Addresses: admin.Addresses{Free: 253}},
		},
	}}
	conf := serveCrowd(t, c)
	want := `culvert v1.2.3
since    ` + c.figures.Since.Local().Format(time.DateTime) + `, for 3h12m
listens  0.0.0.0, ports 500 and 4500
clients  3, of whom 2 are logged in; 4 half open, 5 child SAs
traffic  1000B up, 48.9MiB down
jobs     0 at work, 0 in line, 0 refused
faults   0

TENANT  SESSIONS  ADDRESSES  PREFIXES  UP     DOWN     DROPPED  REFUSED
acme    2         2/253      1/4       1000B  48.9MiB  9        15
globex  0         0/253      -         0B     0B       0        0

DROPPED       TIMES
unknown-spi   20
acme-flows    6
replay        3
ike-messages  1

REFUSED                          TIMES
ike-refused: no proposal chosen  9
login-refused: unknown user      8
login-refused: wrong password    7
`
	if o := wantCall(t, exitOK, "", "", "status", "--config", conf); o.out != want {
		t.Errorf("%s\nwant\n%s", o.out, want)
	}
	o := wantCall(t, exitOK, "wrong password", "", "status", "--tenant", "acme", "--config", conf)
	for _, others := range []string{"globex", "unknown-spi", "ike-", "clients"} {
		if strings.Contains(o.out, others) {
			t.Errorf("what is of acme has %s: %s", others, o.out)
		}
	}
	c.figures.Tenants[0].Flows = &admin.FlowCounts{Live: 1, Begun: 20, Denied: 3, PushedBySession: 4, PushedByTenant: 5, PushedByAll: 6, Full: 7, Lost: 8, Stray: 9, Forged: 10}
	wantFlows := `
TENANT  FLOWS  BEGUN  DENIED  MADE ROOM  NO ROOM  LOST  STRAY  FORGED
acme    1      20     3       15         7        8     9      10

DROPPED`
	if o := wantCall(t, exitOK, "", "", "status", "--config", conf); !strings.Contains(o.out, wantFlows) {
		t.Errorf("%s\nwant\n%s", o.out, wantFlows)
	}
	var f admin.Figures
	if o := wantCall(t, exitOK, "", "", "status", "--json", "--config", conf); json.Unmarshal([]byte(o.out), &f) != nil || f.All.Dropped["unknown-spi"] != 20 || len(f.Tenants) != 2 {
		t.Error(o.out)
	}
	var of admin.Tenant
	if o := wantCall(t, exitOK, "", "", "status", "--json", "--tenant", "acme", "--config", conf); json.Unmarshal([]byte(o.out), &of) != nil || of.Name != "acme" || of.Sessions != 2 || of.Stack.Refused != 6 {
		t.Error(o.out)
	}
	wantCall(t, exitFailed, "no tenant initech; it has acme, globex", "", "status", "--tenant", "initech", "--config", conf)
	wantCall(t, exitUsage, "takes no arguments", "", "status", "acme", "--config", conf)
	wantCall(t, exitInvalid, "", "", "status", "--config", write(t, "bad.yaml", "tenants: [\n"))
}

// TestStatusOfAServer: what happens to a real server is in its status; where none runs,
// that is said.
func TestStatusOfAServer(t *testing.T) {
	port := freePorts(t)
	conf := write(t, "c.yaml", fmt.Sprintf("listen: [127.0.0.1]\nstate: %s\nports: {ike: %d, nat_t: %d}\n"+
		"tenants: [{name: acme, psk: a-long-enough-key, pool: [10.1.0.0/24, \"2001:db8:1::/56\"]}]\n", t.TempDir(), port, port+1))
	wantCall(t, exitFailed, "no server is running", "", "status", "--config", conf)
	stop, ended, log := startServe(t, conf)
	wantSoon(t, "answer", func() bool { return call(t, "", "status", "--config", conf).code == exitOK || len(ended) > 0 })
	stray, err := net.Dial("udp4", fmt.Sprintf("127.0.0.1:%d", port+1))
	if err != nil {
		t.Fatal(err)
	}
	defer stray.Close()
	for range 5 {
		if _, err := stray.Write([]byte("\x77 an SPI of nobody's, and something")); err != nil {
			t.Fatal(err)
		}
	}
	var f admin.Figures
	wantSoon(t, "count", func() bool {
		o := call(t, "", "status", "--json", "--config", conf)
		return o.code == exitOK && json.Unmarshal([]byte(o.out), &f) == nil && f.All.Dropped["unknown-spi"] == 5
	})
	acme, ok := f.Tenant("acme")
	if !ok || acme.Addresses.Free != 253 || acme.Prefixes == nil || acme.Stack == nil || acme.DNS == nil || f.Sockets.Received < 5 || f.Sockets.Calls == 0 ||
		int(f.IKEPort) != port || f.All.Events["serving"] != 1 || f.At.Before(f.Since) || !strings.HasPrefix(f.Version, "culvert ") {
		t.Errorf("%+v", f)
	}
	o := wantCall(t, exitOK, "unknown-spi  5", "", "status", "--config", conf)
	if !strings.Contains(o.out, fmt.Sprintf("listens  127.0.0.1, ports %d and %d", port, port+1)) {
		t.Error(o.out)
	}
	stop()
	if code := <-ended; code != exitOK {
		t.Errorf("code %d: %s", code, log)
	}
	wantCall(t, exitFailed, "no server is running", "", "status", "--config", conf)
}
