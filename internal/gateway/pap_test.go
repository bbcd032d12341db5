package gateway

import (
	"context"
	"crypto/rand"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/internal/dialer"
	"github.com/culvert-vpn/culvert/internal/engine"
	"github.com/culvert-vpn/culvert/ppp"
)

// dialPAP dials as a client that knows PAP only, which ours never agrees to: as soon as
// there is a call its link is another, which does.
func (c *client) dialPAP(user, password string) (*dialer.Connection, error) {
	ctx, cancel := context.WithTimeout(c.w.t.Context(), time.Minute)
	plain := map[*engine.Session]bool{}
	var replacing sync.WaitGroup
	defer replacing.Wait()
	defer cancel()
	replacing.Go(func() {
		for ctx.Err() == nil {
			_ = c.g.Engine.Work.Do(ctx, func(now time.Time) {
				for _, s := range c.g.Engine.Table.Sessions {
					if plain[s] {
						continue
					}
					plain[s] = true
					s.Link.Forget()
					c.g.Engine.Deadlines.Stop(s)
					var err error
					s.Link, err = ppp.NewLink(ppp.Config{Role: ppp.Client, Rand: rand.Reader, User: user, Password: []byte(password), Auth: ppp.AuthPolicy{PAP: true}})
					if err != nil {
						c.w.t.Error(err)
						return
					}
					s.Link.Start(now)
					c.g.Engine.Touch(s)
				}
				c.g.Engine.DrainAll(now)
			})
			time.Sleep(time.Millisecond)
		}
	})
	return c.dial(ctx, func(d *dialer.DialConfig) { d.User, d.Password = user, password })
}

// TestPAP: clients that know nothing but PAP get in with their password where a tenant
// allows it, beside others or alone, and with no other password.
func TestPAP(t *testing.T) {
	for _, allow := range []string{"[pap]", "[mschapv2, pap]"} {
		t.Run(allow, func(t *testing.T) {
			yaml := strings.Replace(testConfig, "auth: {", "auth: {allow: "+allow+", ", 1)
			inWorld(t, goodRoad, yaml, func(t *testing.T, w *world) {
				c := w.client(nil)
				conn, err := c.dialPAP("alice", "alicepw")
				if err != nil {
					t.Fatal(err)
				}
				c.wantPing(conn, "198.18.0.2")
				if list := w.sessions(); len(list) != 1 || list[0].User != "alice" || !strings.HasPrefix(list[0].Protocol, "l2tp") {
					t.Errorf("sessions %+v", list)
				}
				for user, cause := range map[string]string{"alice": "wrong password", "mallory": "unknown user"} {
					if _, err := w.client(nil).dialPAP(user, "wrong"); err == nil {
						t.Errorf("%s gets in with a wrong password", user)
					}
					w.wantLog("login-refused", "cause", cause)
					w.wantLog("login-refused", "method", "PAP")
				}
			})
		})
	}
}

// TestPAPNotAllowed: a tenant that does not allow PAP never has a client say its password:
// the call ends before anybody is asked who he is.
func TestPAPNotAllowed(t *testing.T) {
	for _, allow := range []string{"[mschapv2]", "[chap]", "[mschapv2, chap, eap-mschapv2]"} {
		t.Run(allow, func(t *testing.T) {
			yaml := strings.Replace(testConfig, "auth: {", "auth: {allow: "+allow+", ", 1)
			inWorld(t, goodRoad, yaml, func(t *testing.T, w *world) {
				if _, err := w.client(nil).dialPAP("alice", "alicepw"); err == nil {
					t.Error("the client gets in")
				}
				if n := w.log.FilterMessage("login-refused").Len() + w.log.FilterMessage("session-up").Len(); n != 0 {
					t.Errorf("somebody has logged in, or tried to: %v", w.log.All())
				}
				time.Sleep(2 * time.Minute)
				w.wantEmpty()
			})
		})
	}
}
