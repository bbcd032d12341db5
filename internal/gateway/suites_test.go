package gateway

import (
	"context"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/dataplane/simnet"
	"github.com/culvert-vpn/culvert/internal/dialer"
)

func TestDialProposesTheSuitesItIsTold(t *testing.T) {
	suites, err := dialer.ParseSuites([]string{"aes256-sha256-ecp256"}, []string{"aes256gcm16"})
	if err != nil {
		t.Fatal(err)
	}
	inWorld(t, simnet.Config{Latency: time.Millisecond}, testConfig, func(t *testing.T, w *world) {
		c := w.client(nil)
		conn := c.mustDial(func(d *dialer.DialConfig) { d.Suites = suites })
		if conn.Suite != "aes256gcm16" {
			t.Errorf("ESP is %s", conn.Suite)
		}
		w.wantLog("peer-up", "ike", "aes256-sha256-ecp256")
	})
}

// TestDialProposesSuitesOfIKEv2: those by which nothing else could be chosen.
func TestDialProposesSuitesOfIKEv2(t *testing.T) {
	yaml := strings.Replace(testConfig, "auth: {", "auth: {allow: [mschapv2, ikev2-psk], ", 1)
	for ikeName, espName := range map[string]string{
		"chacha20poly1305-prfsha256-ecp384":          "chacha20poly1305",
		"aes128-sha384-curve25519":                   "aes192-sha256-esn",
		"aes256gcm16-prfsha512-curve25519-mlkem1024": "aes256gcm16",
		"aes192gcm16-prfsha256-modp3072-mlkem768":    "aes128gcm16",
		"chacha20poly1305-prfsha256-curve25519":      "aes256-sha256",
		"aes256-sha256-prfsha384-ecp521-mlkem768":    "chacha20poly1305-esn",
	} {
		suites, err := dialer.ParseSuites2([]string{ikeName}, []string{espName})
		if err != nil {
			t.Fatal(err)
		}
		inWorld(t, simnet.Config{Latency: time.Millisecond}, yaml, func(t *testing.T, w *world) {
			c := w.client(nil)
			conn := c.mustDial(func(d *dialer.DialConfig) { d.V2, d.Suites = &dialer.DialV2{}, suites })
			c.wantPing(conn, "198.18.0.2")
			if conn.Suite != strings.TrimSuffix(espName, "-esn") {
				t.Errorf("ESP is %s, not %s", conn.Suite, espName)
			}
			w.wantLog("peer-up", "ike", ikeName)
		})
	}
}

// TestSendIsForProbes: a packet given to Send leaves through the server's
// device, and its answer comes to ours.
func TestSendIsForProbes(t *testing.T) {
	inWorld(t, simnet.Config{Latency: time.Millisecond}, testConfig, func(t *testing.T, w *world) {
		c := w.client(nil)
		conn := c.mustDial()
		if err := conn.Send(context.Background(), echoRequest(conn.Local, w.addr("192.0.2.200"), 7)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if c.dev.count() != 1 {
			t.Errorf("%d answers", c.dev.count())
		}
		conn.Close(context.Background())
		<-conn.Done()
		if conn.Send(context.Background(), make([]byte, 20)) == nil {
			t.Error("sent after the end")
		}
	})
}

// TestDialInsWaitForNoTimer: when nothing is lost, nothing is sent twice, though
// the control loop be slow. The first packet in an SA and the last message of
// its quick mode arrive together then, and in queues of their own.
func TestDialInsWaitForNoTimer(t *testing.T) {
	inWorld(t, simnet.Config{}, testConfig, func(t *testing.T, w *world) {
		c := w.client(nil)
		w.net.Tap(func(from, _ netip.AddrPort, _ []byte) bool {
			if from.Addr() == c.local {
				go w.server.server.engine.Work.Post(func(time.Time) { time.Sleep(10 * time.Millisecond) })
			}
			return true
		})
		for range 20 {
			began := time.Now()
			conn := c.mustDial()
			if took := time.Since(began); took > 900*time.Millisecond {
				t.Fatalf("a dial-in took %v", took)
			}
			conn.Close(context.Background())
			<-conn.Done()
		}
	})
}

// TestSlowCryptoDelaysNobody: with the pool for slow crypto stuck, a storm of
// logins waits, and whoever is connected notices nothing.
func TestSlowCryptoDelaysNobody(t *testing.T) {
	inWorld(t, simnet.Config{Latency: time.Millisecond}, testConfig+manySessions, func(t *testing.T, w *world) {
		first := w.client(nil)
		conn := first.mustDial()
		stuck := make(chan struct{})
		for range runtime.GOMAXPROCS(0) {
			w.server.server.engine.Work.Compute(func() { <-stuck })
		}
		var storm sync.WaitGroup
		var up atomic.Int32
		for range 20 {
			c := w.client(nil)
			storm.Go(func() {
				ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
				defer cancel()
				if _, err := c.dial(ctx); err == nil {
					up.Add(1)
				}
			})
		}
		time.Sleep(500 * time.Millisecond)
		for range 10 {
			if !first.ping(conn, w.addr("192.0.2.200"), 10*time.Millisecond) {
				t.Fatal("established traffic waits for the storm")
			}
		}
		if up.Load() != 0 {
			t.Error("a login that needed no pool")
		}
		close(stuck)
		storm.Wait()
		if up.Load() != 20 {
			t.Errorf("%d of 20 logged in afterwards", up.Load())
		}
	})
}
