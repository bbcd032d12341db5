package ike

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/culvert-vpn/culvert/ike/wire"
)

// aligned puts octets behind the last payload of each plain message of IKEv1, as libreswan
// does to align them.
func aligned(behind ...byte) func([]byte) []byte {
	return func(b []byte) []byte {
		h, _, err := wire.ConsumeHeader(b)
		if err != nil || h.Flags&wire.FlagEncryption != 0 {
			return b
		}
		b = append(bytes.Clone(b), behind...)
		binary.BigEndian.PutUint32(b[24:], uint32(len(b)))
		return b
	}
}

// TestPaddedMessagesOfIKEv1: peers that align their messages with zeros get in, in every
// mode and on either side; what is not zero makes a message malformed, as before.
func TestPaddedMessagesOfIKEv1(t *testing.T) {
	for name, dial := range map[string]DialConfig{"main mode": dialConfig("another"), "aggressive mode": dialGroup("sales", "secret")} {
		for behind, in := range map[string]bool{"\x00": true, "\x00\x00\x00": true, "\x00\x00\x01": false} {
			p := newPair(t, 1, Config{Candidates: inGroups("sales")})
			p.alter = aligned([]byte(behind)...)
			p.dial(dial)
			if got := len(p.usable()) == 1; got != in {
				t.Errorf("%s with %x behind: in: %v; server %v, client %v", name, behind, got, p.server.failed, p.client.closed)
			}
			p.closeAll()
		}
	}
	p := newXAUTH(t, 1, fast())
	p.alter = aligned(0, 0)
	p.dial(dialXAUTH("alice's"))
	wantTunnel(t, p)
	p.closeAll()
}
