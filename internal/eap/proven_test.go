package eap

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"testing"
	"time"
)

// TestVerifyProven: what takes others' time is asked of who has shown its key alone, and
// what comes of it counts, with every version of TLS.
func TestVerifyProven(t *testing.T) {
	no := errors.New("revoked yesterday")
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, tt := range []struct {
			copied bool
			answer error
			asked  int
		}{{false, nil, 1}, {false, no, 1}, {true, nil, 0}} {
			k, asked := newPKI(t), 0
			k.server.MaxVersion = version
			k.server.VerifyProven = func(_ time.Time, sent []*x509.Certificate) error {
				if asked++; len(sent) != 1 {
					t.Errorf("%d certificates", len(sent))
				}
				return tt.answer
			}
			if tt.copied {
				k.client.Certificate.PrivateKey, _ = issue(t, "thief", nil, nil)
			}
			p := newPair(t, ServerConfig{Methods: []Type{TypeTLS}, TLS: k.server}, ClientConfig{Identity: "alice", Methods: []Type{TypeTLS}, TLS: k.client})
			server, _ := p.run()
			if server == nil || server.OK != (tt.asked == 1 && tt.answer == nil) || tt.answer != nil && !errors.Is(server.Err, no) || (server.MSK != nil) != server.OK {
				t.Errorf("%x, %+v: %+v", version, tt, server)
			}
			if asked != tt.asked {
				t.Errorf("%x, %+v: asked %d times", version, tt, asked)
			}
		}
	}
}
