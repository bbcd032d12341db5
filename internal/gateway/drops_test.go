package gateway

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/dataplane/udp"
)

// TestDropsAreTold: what is dropped and counted, an operator can read: in one line a minute
// at most, and in none where nothing was.
func TestDropsAreTold(t *testing.T) {
	inWorld(t, goodRoad, testConfig, func(t *testing.T, w *world) {
		c := w.client(nil)
		conn := c.mustDial()
		c.wantPing(conn, "198.18.0.2")
		time.Sleep(3 * time.Minute)
		if n := w.log.FilterMessage("dropped").Len(); n != 0 {
			t.Errorf("%d lines, and nothing was dropped", n)
		}
		stray, err := w.net.Listen(udp.Config{Addr: netip.MustParseAddrPort("192.0.2.222:4500")})
		if err != nil {
			t.Fatal(err)
		}
		defer stray.Close()
		out := stray.NewWriter(1)
		for range 20 {
			b := make([]byte, 64)
			b[0] = 0x77 // an SPI of nobody's
			out.Commit(b, netip.MustParseAddrPort(serverAddr+":4500"), netip.Addr{})
			_ = out.Flush()
		}
		time.Sleep(3 * time.Minute)
		lines := w.log.FilterMessage("dropped").All()
		if len(lines) != 1 || !strings.Contains(fmt.Sprint(lines[0].ContextMap()), "unknown-spi=20") {
			t.Errorf("said: %v", lines)
		}
	})
}
