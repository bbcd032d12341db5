package gateway

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/internal/dialer"
)

var eapConfig = strings.Replace(testConfig, "auth: {local:", "legacy: true\n    auth: {allow: [eap-mschapv2], local:", 1)

func allowEAP(d *dialer.DialConfig) { d.AllowEAP = true }

// TestEAP: a client that is asked for EAP alone gets in with its password, and
// not with another.
func TestEAP(t *testing.T) {
	inWorld(t, goodRoad, eapConfig, func(t *testing.T, w *world) {
		for _, persona := range []string{"culvert", "windows10"} {
			c := w.client(nil)
			conn := c.mustDial(func(d *dialer.DialConfig) { d.Persona, d.User, d.AllowEAP = persona, `acme\alice`, true })
			c.wantPing(conn, "198.18.0.2")
			conn.Close(context.Background())
			<-conn.Done()
		}
		w.wantLog("session-up", "user", "alice")
		for cause, edit := range map[string]func(*dialer.DialConfig){
			"wrong password": func(d *dialer.DialConfig) { d.AllowEAP, d.Password = true, "wrong" },
			"unknown user":   func(d *dialer.DialConfig) { d.AllowEAP, d.User = true, "mallory" },
		} {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			if _, err := w.client(nil).dial(ctx, edit); err == nil || ctx.Err() != nil {
				t.Errorf("%s: %v", cause, err)
			}
			cancel()
			w.wantLog("login-refused", "cause", cause)
		}
		time.Sleep(2 * time.Minute)
		w.wantEmpty()
	})
}

// TestEAPOnABadRoad: what is lost is said again.
func TestEAPOnABadRoad(t *testing.T) {
	road := goodRoad
	road.Loss = 0.1
	inWorld(t, road, eapConfig, func(t *testing.T, w *world) {
		for range 10 {
			c := w.client(nil)
			conn := c.mustDial(allowEAP)
			conn.Close(context.Background())
			<-conn.Done()
		}
	})
}

// TestEAPBesideOthers: where both are allowed, MS-CHAPv2 is asked for first.
func TestEAPBesideOthers(t *testing.T) {
	inWorld(t, goodRoad, strings.Replace(eapConfig, "[eap-mschapv2]", "[mschapv2, eap-mschapv2]", 1), func(t *testing.T, w *world) {
		c := w.client(nil)
		c.wantPing(c.mustDial(allowEAP), "198.18.0.2")
	})
}
