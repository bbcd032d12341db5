package gateway

import (
	"bytes"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/internal/dialer"
	"github.com/culvert-vpn/culvert/internal/x/nstest"
	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

// forwards has the kernel of this namespace forward packets of both families.
func forwards(t *testing.T) {
	t.Helper()
	for _, name := range []string{"/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding"} {
		before, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte("1"), 0); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.WriteFile(name, before, 0) })
	}
}

// hears6 reports whether a datagram that is sent out of one device comes to another.
func hears6(from, to *echoDevice, pkt []byte, within time.Duration) bool {
	heard := make(chan struct{}, 1)
	to.mu.Lock()
	to.other = func(got []byte) {
		if ip, err := ipkt.Parse(got); err == nil && !ip.Is4() && string(ip.Payload()[8:]) == "hello" {
			select {
			case heard <- struct{}{}:
			default:
			}
		}
	}
	to.mu.Unlock()
	for end := time.Now().Add(within); time.Now().Before(end); { // the first may come before IPv6 is up
		from.send(bytes.Clone(pkt))
		select {
		case <-heard:
			return true
		case <-time.After(50 * time.Millisecond):
		}
	}
	return false
}

// withIPv6 dials L2TP like a client that has IPv6 in it.
func withIPv6(d *dialer.DialConfig) { d.Persona = "windows10" }

// TestClientsBehindATUNDevice: the kernel forwards, and would turn round what one
// client sends to another; they reach each other if that is opened, and not otherwise,
// by IPv4 and by IPv6. What the kernel has itself they reach either way.
func TestClientsBehindATUNDevice(t *testing.T) {
	nstest.WantAlone(t)
	forwards(t)
	for name, open := range map[string]bool{"closed": false, "clients: open": true} {
		t.Run(name, func(t *testing.T) {
			yaml := strings.Replace(neighboursConfig, "    pool: [", clientsAre(open)+"    egress: {tun: {device: tun-beside}}\n    pool: [", 1)
			w := realWorld(t, yaml)
			defer w.close()
			alice, bob := w.client(nil), w.client(nil)
			a := alice.honest(t, withIPv6)
			b := bob.honest(t, withIPv6, func(d *dialer.DialConfig) { d.User, d.Password = "bob", "bobpw" })
			within := 500 * time.Millisecond
			if open {
				within = 20 * time.Second
			}
			if !alice.ping(a, netip.MustParseAddr("10.100.1.1"), 20*time.Second) {
				t.Error("the gateway does not answer")
			}
			if alice.ping(a, b.Local, within) != open {
				t.Errorf("alice reaches bob by IPv4: %v", !open)
			}
			pkt := datagram6(w.in6(t, alice), w.in6(t, bob), []byte("hello"))
			if hears6(alice.dev, bob.dev, pkt, within) != open {
				t.Errorf("alice reaches bob by IPv6: %v", !open)
			}
		})
	}
}

// in6 is a port of the client at an address of its prefix.
func (w *world) in6(t *testing.T, c *client) netip.AddrPort {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if _, prefix := w.ours(c.local); prefix.IsValid() {
			return netip.AddrPortFrom(prefix.Addr().Next(), 4000)
		}
	}
	t.Fatal("no prefix")
	return netip.AddrPort{}
}
