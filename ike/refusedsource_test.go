package ike

import (
	"bytes"
	"errors"
	"net/netip"
	"testing"
	"time"
)

// TestRefusedAddresses: by either version, nobody dials in from a refused address, who is in
// from there goes on, and who is in from elsewhere does not move there.
func TestRefusedAddresses(t *testing.T) {
	for version, dial := range map[string]DialConfig{"IKEv1": dialConfig("secret"), "IKEv2": dialV2("secret")} {
		t.Run(version, func(t *testing.T) {
			refused := map[netip.Addr]bool{}
			p := newPair(t, 1, Config{V2: true, Candidates: psk("acme", "secret", nil), Refused: func(a netip.Addr) bool { return refused[a] }})
			refused[clientIKE.Addr()] = true
			p.dial(dial)
			if len(p.server.up) != 0 || p.server.s.Stats().HalfOpen != 0 || p.server.s.Stats().Dropped[ErrBanned.Error()] == 0 || len(p.server.sent) != 0 {
				t.Fatalf("a refused address dials in: %d up, %v, %d sent", len(p.server.up), p.server.s.Stats(), len(p.server.sent))
			}
			clear(refused)
			id := p.dial(dial)
			in := wantOneUsable(t, p)
			refused[clientIKE.Addr()] = true
			if err := p.client.s.Rekey(p.now, id, Phase2); err != nil {
				t.Fatal(err)
			}
			p.run(20*time.Second, nil)
			if now := wantOneUsable(t, p); now == in {
				t.Error("who is in cannot renew")
			}
			clear(refused)
			refused[netip.MustParseAddr("198.51.100.9")] = true
			var said []byte
			p.filter = func(from *node, b []byte) bool {
				if from == p.client && said == nil {
					said = bytes.Clone(b)
				}
				return said == nil
			}
			if err := p.client.s.Rekey(p.now, id, Phase2); err != nil {
				t.Fatal(err)
			}
			p.run(time.Second, nil)
			elsewhere := Path{Local: serverNATT, Remote: addrPort("198.51.100.9:4500"), NATT: true}
			if err := p.server.s.Input(p.now, elsewhere, said); !errors.Is(err, ErrBanned) {
				t.Errorf("a message of a peer from a refused address: %v", err)
			}
			for server := range p.server.up {
				if at := p.server.s.pathOf(server).Remote; at != clientNATT {
					t.Errorf("the peer has moved to %s", at)
				}
			}
			p.filter = nil
			p.run(time.Minute, nil)
			wantOneUsable(t, p)
		})
	}
}

// wantOneUsable fails unless there is one child SA that both have.
func wantOneUsable(t *testing.T, p *pair) SPI {
	t.Helper()
	list := p.usable()
	if len(list) == 0 {
		t.Fatalf("no child SA; client %v, server %v", p.client.failed, p.server.failed)
	}
	return p.client.sending
}

// pathOf is where a peer is sent to.
func (s *Server) pathOf(id Peer) Path {
	if p := s.peers[id]; p != nil {
		return p.path
	}
	return Path(s.sessions[id].machine.Path())
}
