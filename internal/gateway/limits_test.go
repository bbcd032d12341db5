package gateway

import (
	"strings"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/internal/config"
	"github.com/culvert-vpn/culvert/internal/dialer"
)

// protocols are the ways into a tenant that has them all.
func (a *authority) protocols() map[string]func(*dialer.DialConfig) {
	return map[string]func(*dialer.DialConfig){"L2TP": func(*dialer.DialConfig) {}, "XAUTH": byXAUTH, "IKEv2": a.trusts(vpn)}
}

// TestIdleTimeout: whoever is silent for as long as the tenant says is let go, and nobody
// who is not, by each protocol.
func TestIdleTimeout(t *testing.T) {
	a := newAuthority(t, "a")
	inWorld(t, goodRoad, promisesConfig+a.server(vpn)+"    limits: {idle_timeout: 1m}\n", func(t *testing.T, w *world) {
		for name, how := range a.protocols() {
			c := w.client(nil)
			conn := c.mustDial(how)
			for range 4 {
				c.wantPing(conn, "198.18.0.2")
				time.Sleep(58 * time.Second)
			}
			select {
			case <-conn.Done():
				t.Errorf("%s: a session that is used has ended", name)
			default:
			}
			select {
			case <-conn.Done():
			case <-time.After(10 * time.Second):
				t.Errorf("%s: a session that is silent goes on", name)
			}
			w.wantLog("session-down", "reason", "idle timeout")
		}
		time.Sleep(2 * time.Minute)
		w.wantEmpty()
	})
}

// TestLimitsOfAnotherConfiguration: sessions that are up keep to the limits of the
// configuration that is in force, whichever they began with.
func TestLimitsOfAnotherConfiguration(t *testing.T) {
	a := newAuthority(t, "a")
	const before, after = "    limits: {session_timeout: 10h}\n", "    limits: {session_timeout: 10m}\n"
	yaml := promisesConfig + a.server(vpn) + before
	inWorld(t, goodRoad, yaml, func(t *testing.T, w *world) {
		ends := make(map[string]<-chan struct{})
		for name, how := range a.protocols() {
			ends[name] = w.client(nil).mustDial(how).Done()
		}
		time.Sleep(5 * time.Minute)
		next, err := config.Parse("test.yaml", []byte(strings.Replace(yaml, before, after, 1)))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.server.Apply(t.Context(), next); err != nil {
			t.Fatal(err)
		}
		time.Sleep(4 * time.Minute)
		for name, end := range ends {
			select {
			case <-end:
				t.Errorf("%s ended too soon", name)
			default:
			}
		}
		time.Sleep(2 * time.Minute)
		for name, end := range ends {
			select {
			case <-end:
			default:
				t.Errorf("%s goes on", name)
			}
		}
	})
}
