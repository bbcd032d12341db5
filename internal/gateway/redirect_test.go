package gateway

import (
	"context"
	"errors"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/culvert-vpn/culvert/internal/config"
	"github.com/culvert-vpn/culvert/internal/dialer"
	"github.com/culvert-vpn/culvert/tenant"
)

// second starts another server in the world, and returns its log.
func (w *world) second(yaml string) *observer.ObservedLogs {
	w.t.Helper()
	conf, err := config.Parse("second.yaml", []byte(yaml))
	if err != nil {
		w.t.Fatal(err)
	}
	conf.Workers = 1
	core, logs := observer.New(zap.InfoLevel)
	g, err := New(Config{Config: conf, Log: zap.New(core), Listen: w.net.Listen,
		OpenDevice: func(*config.Tenant) (tenant.Device, error) { return newEchoDevice(1500), nil }})
	if err != nil {
		w.t.Fatal(err)
	}
	c := &client{w: w}
	_, c.stop, c.ended = run(g)
	w.clients = append(w.clients, c)
	return logs
}

const secondAddr = "203.0.113.2"

// elsewhere is the configuration of the second server.
func elsewhere(yaml string) string { return strings.Replace(yaml, serverAddr, secondAddr, 1) }

// TestRedirectAlways: a server that is to be emptied sends new clients to another
// one, before anything else, and serves those that do not understand it.
func TestRedirectAlways(t *testing.T) {
	a := newAuthority(t, "a")
	plain := testConfig + a.server(vpn)
	inWorld(t, goodRoad, "redirect: {to: "+secondAddr+", when: always}\n"+plain, func(t *testing.T, w *world) {
		logs := w.second(elsewhere(plain))
		c := w.client(nil)
		conn := c.mustDial(a.trusts(vpn))
		c.wantPing(conn, "198.18.0.2")
		if logs.FilterMessage("session-up").Len() != 1 || conn.Remote != w.addr(secondAddr) || w.log.FilterMessage("session-up").Len() != 0 {
			t.Errorf("served by %s", conn.Remote)
		}
		d := w.client(nil) // Windows does not understand it
		d.wantPing(d.mustDial(a.trusts(vpn), func(d *dialer.DialConfig) { d.Persona = "windows10-ikev2" }), "198.18.0.2")
		w.wantLog("session-up", "tenant", "acme")
		e := w.client(nil) // nor does L2TP
		e.wantPing(e.mustDial(), "198.18.0.2")
	})
}

// TestRedirectTwice: who was sent here is not sent on.
func TestRedirectTwice(t *testing.T) {
	a := newAuthority(t, "a")
	plain := testConfig + a.server(vpn)
	inWorld(t, goodRoad, "redirect: {to: "+secondAddr+", when: always}\n"+plain, func(t *testing.T, w *world) {
		w.second("redirect: {to: " + serverAddr + ", when: always}\n" + elsewhere(plain))
		c := w.client(nil)
		conn := c.mustDial(a.trusts(vpn))
		if c.wantPing(conn, "198.18.0.2"); conn.Remote != w.addr(secondAddr) {
			t.Errorf("served by %s", conn.Remote)
		}
	})
}

// TestRedirectTenant: the clients of a tenant that has moved are told once both
// sides have proved who they are, in each way to do that; others are not.
func TestRedirectTenant(t *testing.T) {
	a := newAuthority(t, "a")
	cert := a.client("carol")
	plain := strings.Replace(testConfig, "auth: {", "auth: {allow: [mschapv2, eap-mschapv2, certificate, ikev2-psk], ", 1) + a.server(vpn)
	inWorld(t, goodRoad, plain+"    redirect: vpn9.example.org\n", func(t *testing.T, w *world) {
		for name, edits := range map[string][]func(*dialer.DialConfig){
			"EAP": {a.trusts(vpn)}, "certificate": {a.trusts(vpn), with(cert)},
			"key": {func(d *dialer.DialConfig) { d.V2 = &dialer.DialV2{} }},
		} {
			var sent *dialer.RedirectedError
			if _, err := w.client(nil).dial(context.Background(), edits...); !errors.As(err, &sent) || sent.Gateway != "vpn9.example.org" {
				t.Errorf("%s: %v", name, err)
			}
			w.client(nil).wantRefused(append(edits, func(d *dialer.DialConfig) {
				d.Password, d.PSK = "wrong", nil
				if d.V2.Verify == nil {
					d.PSK = []byte("guess")
				}
				d.V2.Certificate = nil
			})...)
			c := w.client(nil) // one that comes from there is served
			c.wantPing(c.mustDial(append(edits, func(d *dialer.DialConfig) { d.RedirectedFrom = w.addr("192.0.2.200") })...), "198.18.0.2")
		}
		if n := w.log.FilterMessage("client-redirected").Len(); n != 3 {
			t.Errorf("%d were redirected", n)
		}
		w.close()
		w.clients = nil
	})
}

// TestRedirectAtShutdown: clients that are connected are told where to go when the
// server ends.
func TestRedirectAtShutdown(t *testing.T) {
	a := newAuthority(t, "a")
	inWorld(t, goodRoad, "redirect: {to: vpn2.example.org, when: shutdown}\n"+testConfig+a.server(vpn), func(t *testing.T, w *world) {
		c, d := w.client(nil), w.client(nil)
		conn, old := c.mustDial(a.trusts(vpn)), d.mustDial()
		c.wantPing(conn, "198.18.0.2")
		w.stop()
		<-w.ended
		<-conn.Done()
		<-old.Done()
		var sent *dialer.RedirectedError
		if !errors.As(conn.Err(), &sent) || sent.Gateway != "vpn2.example.org" || errors.As(old.Err(), &sent) {
			t.Errorf("ended because of %v; L2TP: %v", conn.Err(), old.Err())
		}
		w.wantLog("clients-redirected", "clients", "1")
	})
}
