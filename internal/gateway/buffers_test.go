package gateway

import (
	"errors"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/culvert-vpn/culvert/dataplane/udp"
	"github.com/culvert-vpn/culvert/internal/config"
)

// stingy is a socket of a kernel that grants buffers of so many bytes.
type stingy struct {
	udp.Conn
	granted int
}

func (s stingy) Granted() udp.Granted { return udp.Granted{ReceiveBuffer: s.granted} }

// A kernel that grants less than is wanted is named in one line, with what to
// do about it, however many sockets there are.
func TestSmallReceiveBuffersAreNamed(t *testing.T) {
	const wanted, unknown = 8 << 20, -1
	for granted, lines := range map[int]int{208 << 10: 1, wanted: 0, unknown: 0} {
		core, logs := observer.New(zapcore.InfoLevel)
		conf, err := config.Parse("test.yaml", []byte(strings.Replace(testConfig, serverAddr, "127.0.0.1", 1)))
		if err != nil {
			t.Fatal(err)
		}
		conf.Ports, conf.Workers = config.Ports{}, 3
		g, err := New(Config{Config: conf, Log: zap.New(core), Listen: func(c udp.Config) (udp.Conn, error) {
			if c.ReceiveBuffer != wanted {
				return nil, errors.New("another buffer")
			}
			conn, err := udp.Listen(c)
			if granted == unknown {
				return struct{ udp.Conn }{conn}, err // which does not say
			}
			return stingy{conn, granted}, err
		}})
		if err != nil {
			t.Fatal(err)
		}
		g.Close()
		all := logs.FilterMessage("receive-buffer-small").All()
		if len(all) != lines {
			t.Fatalf("%d lines for %d bytes, want %d", len(all), granted, lines)
		}
		if lines > 0 && !strings.Contains(all[0].ContextMap()["help"].(string), "sysctl -w net.core.rmem_max=8388608") {
			t.Errorf("%v", all[0].ContextMap())
		}
	}
}
