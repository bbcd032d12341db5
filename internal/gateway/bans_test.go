package gateway

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/dataplane"
	"github.com/culvert-vpn/culvert/dataplane/simnet"
	"github.com/culvert-vpn/culvert/internal/access"
	"github.com/culvert-vpn/culvert/internal/admin"
	"github.com/culvert-vpn/culvert/internal/dialer"
	"github.com/culvert-vpn/culvert/internal/store"
)

// ban bans a network as an operator does.
func (w *world) ban(prefix string, o admin.BanOrder) admin.Banned {
	w.t.Helper()
	o.Prefix = netip.MustParsePrefix(prefix)
	done, err := w.server.Ban(context.Background(), o)
	if err != nil {
		w.t.Fatal(err)
	}
	return done
}

// unban takes bans back.
func (w *world) unban(prefix string) {
	w.t.Helper()
	if gone, err := w.server.Unban(context.Background(), netip.MustParsePrefix(prefix), ""); err != nil || len(gone) == 0 {
		w.t.Fatal(gone, err)
	}
}

// bans lists who is banned.
func (w *world) bans() admin.Bans {
	w.t.Helper()
	list, err := w.server.Bans(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	return list
}

// dropped is how many packets were dropped as from a banned address.
func (w *world) dropped() uint64 {
	return w.server.server.engine.Plane.Drops()[dataplane.DropBanned]
}

// wantOut fails the test if a client gets in, or is answered anything.
func (c *client) wantOut(edits ...func(*dialer.DialConfig)) {
	c.w.t.Helper()
	before := c.w.dropped()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if _, err := c.dial(ctx, edits...); err == nil {
		c.w.t.Error("a banned address dials in")
	}
	if c.w.dropped() == before {
		c.w.t.Error("nothing was dropped as banned")
	}
}

// ways are the three that users log in by with a password.
func (a *authority) ways() map[string]func(*dialer.DialConfig) {
	return map[string]func(*dialer.DialConfig){"L2TP": func(*dialer.DialConfig) {}, "IKEv2": a.trusts(vpn), "XAUTH": byXAUTH}
}

const allWays = "auth: {allow: [mschapv2, eap-mschapv2, xauth], "

// TestBan: whoever is in from a banned network is told, and is out; nothing from there is
// answered until the ban is taken back or over; others notice nothing.
func TestBan(t *testing.T) {
	a := newAuthority(t, "a")
	yaml := strings.Replace(testConfig, "auth: {", allWays, 1) + a.server(vpn)
	for name, way := range a.ways() {
		t.Run(name, func(t *testing.T) {
			inWorld(t, goodRoad, yaml, func(t *testing.T, w *world) {
				in, other := w.clientAt(w.addr("198.51.100.7"), w.net.Listen), w.clientAt(w.addr("198.51.101.7"), w.net.Listen)
				conn, stays := in.mustDial(way), other.mustDial(way, func(d *dialer.DialConfig) { d.User, d.Password = "bob", "bobpw" })
				done := w.ban("198.51.100.0/24", admin.BanOrder{For: time.Hour, Reason: "scans"})
				if done.Ended != 1 || done.Ban.By != "operator" || done.Ban.Until.Sub(done.Ban.Made) != time.Hour {
					t.Errorf("%+v", done)
				}
				select {
				case <-conn.Done():
				case <-time.After(5 * time.Second):
					t.Error("the client was not told")
				}
				if list := w.sessions(); len(list) != 1 || list[0].User != "bob" {
					t.Errorf("sessions %+v", list)
				}
				w.wantLog("session-down", "reason", "the address was banned")
				w.wantLog("banned", "reason", "scans")
				if f, err := w.server.Figures(context.Background()); err != nil || f.Bans != 1 || f.All.Events["banned"] != 1 {
					t.Errorf("%d bans, events %v, %v", f.Bans, f.All.Events, err)
				}
				in.wantOut(way)
				other.wantPing(stays, "198.18.0.2")
				w.unban("198.51.100.0/24")
				w.wantLog("unbanned", "prefix", "198.51.100.0/24")
				again := in.mustDial(way)
				in.wantPing(again, "198.18.0.2")
				w.ban("198.51.100.7/32", admin.BanOrder{For: time.Minute})
				<-again.Done()
				in.wantOut(way)
				time.Sleep(time.Minute)
				w.wantLog("ban-expired", "prefix", "198.51.100.7/32")
				in.mustDial(way)
				if n := len(w.bans().Bans); n != 0 {
					t.Errorf("%d bans", n)
				}
			})
		})
	}
}

// TestBanKeepsSessions: where an operator wants it, who is in from a network stays, renews and
// answers, and nobody comes in beside.
func TestBanKeepsSessions(t *testing.T) {
	a := newAuthority(t, "a")
	yaml := strings.Replace(testConfig, "auth: {", allWays, 1) + "    ike: {lifetime: 10m, child_lifetime: 4m, rekey: {initiate: true}, dpd: {interval: 30s}}\n" + a.server(vpn)
	for name, way := range a.ways() {
		t.Run(name, func(t *testing.T) {
			inWorld(t, goodRoad, yaml, func(t *testing.T, w *world) {
				in, late := w.clientAt(w.addr("198.51.100.7"), w.net.Listen), w.clientAt(w.addr("198.51.100.8"), w.net.Listen)
				conn := in.mustDial(way)
				if done := w.ban("198.51.100.0/24", admin.BanOrder{Keep: true}); done.Ended != 0 {
					t.Errorf("%+v", done)
				}
				for range 30 {
					time.Sleep(time.Minute)
					in.wantPing(conn, "198.18.0.2")
				}
				if list := w.sessions(); len(list) != 1 || list[0].Rekeys == 0 {
					t.Errorf("sessions %+v", list)
				}
				late.wantOut(way)
			})
		})
	}
}

// TestBanOfATenant: a ban of one tenant among several keeps its clients out once it is known
// whose they are, by whichever way, with its cause and a bounded number of lines; those of
// another tenant come in from there.
func TestBanOfATenant(t *testing.T) {
	a := newAuthority(t, "a")
	server := a.server(vpn)
	yaml := strings.Replace(testConfig, "auth: {", allWays, 1) + server +
		"  - name: globex\n    match: {realms: [globex]}\n    psk: [\"" + testPSK + "\"]\n    " + allWays + "local: {users: [{name: carol, password: carolpw}]}}\n    pool: [10.200.1.0/24]\n" + server
	for name, way := range a.ways() {
		t.Run(name, func(t *testing.T) {
			inWorld(t, goodRoad, yaml, func(t *testing.T, w *world) {
				c, d := w.clientAt(w.addr("198.51.100.7"), w.net.Listen), w.clientAt(w.addr("198.51.100.8"), w.net.Listen)
				carol := func(d *dialer.DialConfig) { d.User, d.Password = "carol@globex", "carolpw" }
				conn, stays := c.mustDial(way), d.mustDial(way, carol)
				if done := w.ban("198.51.100.0/24", admin.BanOrder{Tenant: "acme"}); done.Ended != 1 {
					t.Errorf("%+v", done)
				}
				<-conn.Done()
				d.wantPing(stays, "198.18.0.2")
				for range 3 {
					ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
					if _, err := c.dial(ctx, way); err == nil {
						t.Fatal("the tenant's client is in")
					}
					cancel()
				}
				w.wantLog("login-refused", "cause", access.Banned.String())
				w.wantLog("login-refused", "tenant", "acme")
				w.wantLog("login-refused", "user", "alice")
				c.mustDial(way, carol)
				if n := w.dropped(); n != 0 {
					t.Errorf("%d dropped", n)
				}
			})
		})
	}
}

// TestBanOfTheOnlyTenant: it is one of the server, before any work is done.
func TestBanOfTheOnlyTenant(t *testing.T) {
	inWorld(t, goodRoad, testConfig, func(t *testing.T, w *world) {
		w.ban("198.51.100.0/24", admin.BanOrder{Tenant: "acme"})
		w.clientAt(w.addr("198.51.100.7"), w.net.Listen).wantOut()
		if n := w.log.FilterMessage("login-refused").Len() + w.log.FilterMessage("peer-up").Len(); n != 0 {
			t.Errorf("%d lines", n)
		}
	})
}

// TestBadBans: what is hardly meant is refused, and what is not there is named.
func TestBadBans(t *testing.T) {
	inWorld(t, goodRoad, testConfig, func(t *testing.T, w *world) {
		everybody := netip.MustParsePrefix("0.0.0.0/0")
		for want, o := range map[string]admin.BanOrder{
			"is everybody":              {Prefix: everybody},
			"there is no tenant globex": {Prefix: netip.MustParsePrefix("192.0.2.0/24"), Tenant: "globex"},
		} {
			if _, err := w.server.Ban(context.Background(), o); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%+v: %v", o, err)
			}
		}
		w.client(nil).mustDial()
		w.ban("0.0.0.0/0", admin.BanOrder{Force: true})
		w.client(nil).wantOut()
		w.unban("0.0.0.0/0")
		w.ban("198.51.100.0/24", admin.BanOrder{})
		if done := w.ban("198.51.100.7/32", admin.BanOrder{}); len(done.Overlaps) != 1 || done.Overlaps[0].Prefix.String() != "198.51.100.0/24" {
			t.Errorf("%+v", done)
		}
		if done := w.ban("198.51.100.7/32", admin.BanOrder{}); !done.Replaced {
			t.Errorf("%+v", done)
		}
	})
}

// TestBansAreKept: a ban is in force again after a restart, one that was taken back is not, and
// one that is over meanwhile is over.
func TestBansAreKept(t *testing.T) {
	kept, err := store.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	inWorldWith(t, kept, goodRoad, testConfig, func(t *testing.T, w *world) {
		out, free, short := w.clientAt(w.addr("198.51.100.7"), w.net.Listen), w.clientAt(w.addr("198.51.101.7"), w.net.Listen), w.clientAt(w.addr("198.51.102.7"), w.net.Listen)
		w.ban("198.51.100.0/24", admin.BanOrder{Reason: "scans"})
		w.ban("198.51.101.0/24", admin.BanOrder{})
		w.ban("198.51.102.0/24", admin.BanOrder{For: 3 * time.Minute})
		w.unban("198.51.101.0/24")
		before := w.bans().Bans
		w.stop()
		<-w.ended
		w.start()
		if after := w.bans().Bans; fmt.Sprint(after) != fmt.Sprint(before) || len(after) != 2 {
			t.Errorf("after a restart: %v\nbefore: %v", after, before)
		}
		out.wantOut()
		short.wantOut()
		free.mustDial()
		time.Sleep(3 * time.Minute)
		short.mustDial()
		w.stop()
		<-w.ended
		if list, err := kept.Bans(); err != nil || len(list) != 1 {
			t.Errorf("kept: %v, %v", list, err)
		}
		w.start()
	})
}

// TestNobodyMovesToABannedAddress: a client whose NAT gives it another address stays with it,
// unless that is banned: then nothing of it counts, and its session ends as that of one that has
// left.
func TestNobodyMovesToABannedAddress(t *testing.T) {
	a := newAuthority(t, "a")
	yaml := strings.Replace(testConfig, "auth: {", allWays, 1) + a.server(vpn) + "    ike: {dpd: {interval: 10s, tries: 3}}\n"
	for name, way := range a.ways() {
		t.Run(name, func(t *testing.T) {
			inWorld(t, goodRoad, yaml, func(t *testing.T, w *world) {
				nat := w.net.NAT(w.addr("198.51.100.7"))
				c := w.client(nat)
				conn := c.mustDial(way)
				c.wantPing(conn, "198.18.0.2") // the last message of the dial is there
				nat.Renumber(w.addr("198.51.101.7"))
				c.ping(conn, w.addr("198.18.0.2"), time.Second)
				c.wantPing(conn, "198.18.0.2")
				w.ban("198.51.102.0/24", admin.BanOrder{})
				nat.Renumber(w.addr("198.51.102.7"))
				if c.ping(conn, w.addr("198.18.0.2"), 10*time.Second) {
					t.Error("a packet from a banned address arrives")
				}
				if list := w.sessions(); len(list) > 0 && list[0].Client.Addr() == w.addr("198.51.102.7") {
					t.Errorf("it has moved: %+v", list)
				}
				if w.dropped() == 0 {
					t.Error("nothing was dropped as banned")
				}
				time.Sleep(10 * time.Minute)
				if list := w.sessions(); len(list) != 0 {
					t.Errorf("its session is there: %+v", list)
				}
			})
		})
	}
}

// TestFeeds: nobody dials in from what a file says, of the server or of a tenant; within ten
// seconds of another content that counts, for who is in, too; and what makes no sense changes
// nothing.
func TestFeeds(t *testing.T) {
	dir := t.TempDir()
	file, own := filepath.Join(dir, "drop.txt"), filepath.Join(dir, "own.txt")
	write := func(name, text string) { put(t, name, []byte(text)) }
	write(file, "# a list\n198.51.100.0/24 ; SBL1\n")
	write(own, "198.51.101.0/24\nnonsense\n")
	yaml := "block: [file:" + file + "]\n" + testConfig + "    block: [file:" + own + "]\n"
	inWorld(t, goodRoad, yaml, func(t *testing.T, w *world) {
		one, two, three := w.clientAt(w.addr("198.51.100.7"), w.net.Listen), w.clientAt(w.addr("198.51.101.7"), w.net.Listen), w.clientAt(w.addr("198.51.102.7"), w.net.Listen)
		one.wantOut()
		two.wantOut()
		conn := three.mustDial()
		w.wantLog("feed-read", "file", file)
		w.wantLog("feed-lines-skipped", "skipped", "1")
		if list := w.bans(); len(list.Bans) != 0 || len(list.Feeds) != 2 || list.Feeds[0].Networks != 1 || list.Feeds[1].Skipped != 1 {
			t.Errorf("%+v", list)
		}
		write(file, "198.51.102.0/24\n198.51.103.0/24\n")
		time.Sleep(watchInterval + time.Second)
		<-conn.Done()
		three.wantOut()
		w.wantLog("feed-read", "ended", "1")
		again := one.mustDial()
		for _, absurd := range []string{"198.51.100.0/24\n0.0.0.0/0\n", "<html>\n</html>\n"} {
			write(file, absurd)
			time.Sleep(watchInterval + time.Second)
			one.wantPing(again, "198.18.0.2")
			three.wantOut()
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		time.Sleep(watchInterval + time.Second)
		three.wantOut()
		w.wantLog("feed-refused", "hint", "what was read of it before stays in force: write the file anew")
		if n := w.log.FilterMessage("feed-refused").Len(); n != 3 {
			t.Errorf("%d lines", n)
		}
		w.apply(testConfig)
		time.Sleep(watchInterval + time.Second)
		three.mustDial()
		two.mustDial()
	})
}

// wantBans fails the test unless what a guesser has earned is listed, each with its reason and
// its end, and no address is banned as a whole.
func (x guess) wantBans(t *testing.T, w *world) {
	t.Helper()
	list := w.bans().Bans
	if len(list) == 0 {
		t.Error("nobody is banned")
	}
	for _, b := range list {
		left := time.Until(b.Until)
		if b.By != "lockout" || b.Reason == "" || b.Tenant != "acme" || left <= 0 || left > 15*time.Minute || b.User == "" && b.Device == "" && !b.Strangers {
			t.Errorf("%+v", b)
		}
	}
	if n := w.log.FilterMessage("banned").Len(); n == 0 || n > 60 {
		t.Errorf("%d lines of bans", n)
	}
	if x.tries >= 200 && x.user(0) == x.user(1) {
		w.wantLog("brute-force-seen", "user", x.user(0))
		w.wantLog("brute-force-seen", "state", "begun")
	}
}

// TestLockoutIsTakenBack: a device that is locked out for wrong passwords does not get in with the
// right one, until an operator takes the ban back: then it does at once.
func TestLockoutIsTakenBack(t *testing.T) {
	a := newAuthority(t, "a")
	yaml := strings.Replace(testConfig, "auth: {", allWays, 1) + a.server(vpn)
	for name, way := range a.ways() {
		t.Run(name, func(t *testing.T) {
			inWorld(t, goodRoad, yaml, func(t *testing.T, w *world) {
				c := w.clientAt(w.addr("198.51.100.7"), w.net.Listen)
				try := func(password string) error {
					ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
					defer cancel()
					_, err := c.dial(ctx, way, func(d *dialer.DialConfig) { d.Password = password })
					return err
				}
				for range 12 {
					if try("wrong") == nil {
						t.Fatal("a wrong password opens")
					}
				}
				if list := w.bans().Bans; len(list) != 1 || list[0].User != "alice" || list[0].By != "lockout" {
					t.Fatalf("%+v", list)
				}
				if try("alicepw") == nil {
					t.Error("who is locked out is in")
				}
				w.unban("198.51.100.7/32")
				if err := try("alicepw"); err != nil {
					t.Errorf("after the ban was taken back: %v", err)
				}
			})
		})
	}
}

// spray is passwords of many users, a few of each, from many addresses.
type spray struct {
	users, addresses int
	call             func(*dialer.DialConfig)
}

// TestSprayingIsSeenAndNamed: 1,000 users from 100 addresses, ten each: however little each
// address does, it is said what it is, with how many users and addresses, and when it is over; who
// took part is locked out; and right users, from those addresses as from others, log in at once.
func TestSprayingIsSeenAndNamed(t *testing.T) {
	a := newAuthority(t, "a")
	yaml := strings.Replace(testConfig, "auth: {", allWays, 1) + a.server(vpn)
	for name, way := range a.ways() {
		users := 300
		if name == "L2TP" {
			users = 1000
		}
		t.Run(name, func(t *testing.T) {
			inWorld(t, goodRoad, yaml, func(t *testing.T, w *world) { spray{users, 100, way}.run(t, w) })
		})
	}
}

func (x spray) run(t *testing.T, w *world) {
	nats := make([]*simnet.NAT, x.addresses)
	from := make([]*client, x.addresses)
	for n := range from {
		nats[n] = w.net.NAT(netip.AddrFrom4([4]byte{198, 51, 100, byte(n + 1)}))
		from[n] = w.client(nats[n])
	}
	var attack sync.WaitGroup
	for worker := range 10 {
		attack.Go(func() {
			for n := worker; n < x.users; n += 10 {
				ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
				if _, err := from[n%x.addresses].dial(ctx, x.call, func(d *dialer.DialConfig) { d.User, d.Password = fmt.Sprintf("user%d", n), "Summer2026!" }); err == nil {
					t.Error("a wrong password opens")
				}
				cancel()
				time.Sleep(time.Second)
			}
		})
	}
	attack.Wait()
	w.wantLog("spraying-seen", "state", "begun")
	w.wantLog("spraying-seen", "tenant", "acme")
	looks := w.log.FilterMessage("login-refused").Len()
	if looks >= x.users && x.users >= 1000 {
		t.Errorf("all of %d passwords were looked at", x.users)
	}
	if x.users >= 1000 && len(w.bans().Bans) == 0 {
		t.Error("nobody is banned")
	}
	for _, c := range []*client{w.client(nats[0]), w.client(nil)} {
		began := time.Now()
		conn := c.mustDial(x.call)
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("a right user waited %v", took)
		}
		conn.Close(context.Background())
		<-conn.Done()
	}
	time.Sleep(2 * time.Hour)
	lines := w.log.FilterMessage("spraying-seen").All()
	last := lines[len(lines)-1].ContextMap()
	if len(lines) > 20 || last["state"] != "over" || fmt.Sprint(last["sources"]) != fmt.Sprint(x.addresses) {
		t.Errorf("%d lines, the last %v", len(lines), last)
	}
}

// TestBansFollowTenants: a ban of the only tenant holds before any work, and from the login on
// once there is another; when that is gone it is as before.
func TestBansFollowTenants(t *testing.T) {
	const more = "  - name: globex\n    match: {realms: [globex]}\n    psk: [\"" + testPSK + "\"]\n" +
		"    auth: {local: {users: [{name: carol, password: carolpw}]}}\n    pool: [10.200.1.0/24]\n"
	inWorld(t, goodRoad, testConfig, func(t *testing.T, w *world) {
		c := w.clientAt(w.addr("198.51.100.7"), w.net.Listen)
		w.ban("198.51.100.0/24", admin.BanOrder{Tenant: "acme"})
		c.wantOut()
		w.apply(testConfig + more)
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if _, err := c.dial(ctx); err == nil || !strings.Contains(err.Error(), access.Banned.Message()) {
			t.Errorf("a client of acme: %v", err)
		}
		conn := c.mustDial(func(d *dialer.DialConfig) { d.User, d.Password = "carol@globex", "carolpw" })
		w.apply(testConfig)
		<-conn.Done()
		c.wantOut()
	})
}

// TestCertificatesKeepAnAddress: an address from which somebody was in by a certificate is not
// locked out as a whole for the passwords that others there try.
func TestCertificatesKeepAnAddress(t *testing.T) {
	a := newAuthority(t, "a")
	yaml := strings.Replace(testConfig, "auth: {", "auth: {allow: [mschapv2, eap-tls], ", 1) + a.server(vpn)
	certificate := a.byTLS(a.client("alice"))
	for name, version := range map[string]func(*dialer.DialConfig){"L2TP": func(*dialer.DialConfig) {}, "IKEv2": a.trusts(vpn)} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, goodRoad, yaml, func(t *testing.T, w *world) {
				nat := w.net.NAT(netip.MustParseAddr("198.51.100.7"))
				right := w.client(nat)
				conn := right.mustDial(version, certificate)
				conn.Close(context.Background())
				<-conn.Done()
				var guessers []*client
				for range 4 {
					guessers = append(guessers, w.client(nat))
				}
				for n := range 60 {
					ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
					if _, err := guessers[n%4].dial(ctx, func(d *dialer.DialConfig) { d.User, d.Password = fmt.Sprint("user", n), "wrong" }); err == nil {
						t.Error("a wrong password opens")
					}
					cancel()
				}
				for _, b := range w.bans().Bans {
					if b.User == "" && b.Device == "" && !b.Strangers {
						t.Errorf("%+v", b)
					}
				}
				right.mustDial(version, certificate)
			})
		})
	}
}
