package main

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"github.com/culvert-vpn/culvert/internal/admin"
)

// bansOf lists the bans as programs do.
func bansOf(t *testing.T, conf string) admin.Bans {
	t.Helper()
	var all admin.Bans
	o := wantCall(t, exitOK, "", "", "bans", "list", "--json", "--config", conf)
	if err := json.Unmarshal([]byte(o.out), &all); err != nil {
		t.Fatal(err, o.out)
	}
	return all
}

// TestBans: an operator bans, sees and takes back, without a server and with one, which takes
// over what was banned before and leaves what was banned with it.
func TestBans(t *testing.T) {
	port := freePorts(t)
	feed := write(t, "drop.txt", "198.18.7.0/24\nnonsense\n")
	conf := write(t, "c.yaml", fmt.Sprintf("listen: [127.0.0.1]\nstate: %s\nports: {ike: %d, nat_t: %d}\nblock: [file:%s]\n"+
		"tenants: [{name: acme, psk: a-long-enough-key, pool: 10.1.0.0/24}, {name: globex, psk: another-long-key, pool: 10.2.0.0/24}]\n", t.TempDir(), port, port+1, feed))
	bans := func(code int, says string, args ...string) outcome {
		t.Helper()
		return wantCall(t, code, says, "", append([]string{"bans"}, append(args, "--config", conf)...)...)
	}
	for says, bad := range map[string][]string{
		"write 192.0.2.0/24 for the network, or 192.0.2.7": {"192.0.2.7/24"},
		"is no address or network":                         {"example.org"},
		"is everybody":                                     {"0.0.0.0/0"},
		"is over already":                                  {"192.0.2.7", "--for", "-2h"},
		"or leave it out for ever":                         {"192.0.2.7", "--for", "0s"},
	} {
		bans(exitUsage, says, append([]string{"add"}, bad...)...)
	}
	bans(exitOK, "\"bans\": [],\n  \"feeds\": []", "list", "--json")
	bans(exitFailed, "there is no tenant initech", "add", "192.0.2.7", "--tenant", "initech")
	bans(exitOK, "in force from the next start on", "add", "192.0.2.0/24", "--reason", "scans\x1b[2J")
	bans(exitOK, "overlaps with the ban of 192.0.2.0/24, for ever", "add", "192.0.2.7", "--for", "2h", "--tenant", "acme", "--keep")
	if o := bans(exitOK, `"scans\x1b[2J"`, "list"); strings.Count(o.out, "\n") != 3 || !regexp.MustCompile(`1h59m|2h00m`).MatchString(o.out) || !strings.Contains(o.err, "files of addresses are not shown") {
		t.Errorf("%+v", o)
	}
	stop, ended, log := startServe(t, conf)
	wantSoon(t, "answer", func() bool { return call(t, "", "status", "--config", conf).code == exitOK || len(ended) > 0 })
	all := bansOf(t, conf)
	if len(all.Bans) != 2 || all.Bans[1].Tenant != "acme" || !all.Bans[1].Keep || len(all.Feeds) != 1 || all.Feeds[0].Networks != 1 || all.Feeds[0].Skipped != 1 {
		t.Errorf("%+v", all)
	}
	if o := bans(exitOK, "0 session(s) from there ended", "add", "127.0.0.0/8"); !strings.Contains(o.err, "an address of this host") {
		t.Errorf("%+v", o)
	}
	bans(exitOK, "in the place of an earlier ban", "add", "127.0.0.0/8", "--for", "90m")
	bans(exitFailed, "there is no ban of just 127.0.0.1/32", "del", "127.0.0.1")
	bans(exitOK, "127.0.0.0/8 is not banned any more", "del", "127.0.0.0/8")
	if o := bans(exitOK, "192.0.2.7/32 for tenant acme is not banned any more", "del", "192.0.2.7"); !strings.Contains(o.out, "the ban of 192.0.2.0/24 holds it still") {
		t.Errorf("%+v", o)
	}
	bans(exitOK, "is banned for tenant globex", "add", "2001:db8::/32", "--tenant", "globex")
	if o := bans(exitOK, "2001:db8::/32", "list", "--tenant", "globex"); strings.Contains(o.out, "192.0.2.0/24") || !strings.Contains(o.out, feed) {
		t.Errorf("%+v", o)
	}
	stop()
	if code := <-ended; code != exitOK {
		t.Errorf("code %d: %s", code, log)
	}
	all = bansOf(t, conf)
	if len(all.Bans) != 2 || all.Bans[0].Prefix != netip.MustParsePrefix("192.0.2.0/24") || all.Bans[1].Tenant != "globex" {
		t.Errorf("after the server: %+v", all)
	}
	bans(exitOK, "is not banned any more", "del", "2001:db8::/32")
}

// TestConfigCheckReadsFeeds: what is wrong with files of addresses is said before they are served.
func TestConfigCheckReadsFeeds(t *testing.T) {
	mixed := write(t, "mixed.txt", "192.0.2.0/24\n"+strings.Repeat("198.51.100.7/24\n", 10))
	absurd := write(t, "absurd.txt", "0.0.0.0/0\n")
	conf := write(t, "c.yaml", fmt.Sprintf("block: [file:%s, file:/none]\ntenants: [{name: acme, psk: a-long-enough-key, pool: 10.1.0.0/24, block: [file:%s]}]\n", mixed, absurd))
	o := wantCall(t, exitOK, "is right", "", "config", "check", conf)
	for _, says := range []string{mixed + ": line 2: 198.51.100.7/24 has bits behind", mixed + ": 2 more lines make no sense", absurd + ":1: 0.0.0.0/0 is everybody", "/none cannot be read"} {
		if !strings.Contains(o.err, says) {
			t.Errorf("%q is not said: %s", says, o.err)
		}
	}
	if strings.Count(o.err, "\n") != 11 {
		t.Error(o.err)
	}
}

// TestBansOfGuessers: what wrong passwords have led to is shown with whom it is about, why and
// for how long.
func TestBansOfGuessers(t *testing.T) {
	c := &crowd{bans: admin.Bans{Bans: []admin.Ban{
		{Prefix: netip.MustParsePrefix("198.51.100.7/32"), Tenant: "acme", User: "alice", Device: "d\x1b[2J", By: "lockout", Reason: "too many"},
		{Prefix: netip.MustParsePrefix("198.51.100.7/32"), Tenant: "acme", Strangers: true, By: "lockout"},
	}}}
	conf := serveCrowd(t, c)
	o := wantCall(t, exitOK, `user alice, device "d\x1b[2J"`, "", "bans", "list", "--config", conf)
	if !strings.Contains(o.out, "unknown devices") || !strings.Contains(o.out, "too many") {
		t.Error(o.out)
	}
	wantCall(t, exitFailed, "nobody is banned here", "", "bans", "add", "192.0.2.1", "--config", conf)
}
