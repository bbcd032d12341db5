package v1

import (
	"io"
	"net/netip"

	"github.com/culvert-vpn/culvert/ike/suite"
	"github.com/culvert-vpn/culvert/ike/wire"
)

// Ends are the addresses between which phase 1 runs, as seen here.
type Ends struct {
	Local, Remote netip.AddrPort
	// HideRemote and HideLocal make the NAT-D hash of that address one that can
	// never match, so that the peer takes that side to be behind a NAT and ESP
	// travels in UDP.
	HideRemote, HideLocal bool
}

// natHash is the body of a NAT-D payload (RFC 3947, section 3.2):
//
//	HASH = HASH(CKY-I | CKY-R | IP | Port)
func natHash(h suite.Hash, i, r wire.Cookie, a netip.AddrPort) []byte {
	port := []byte{byte(a.Port() >> 8), byte(a.Port())}
	return h.Sum(i[:], r[:], a.Addr().Unmap().AsSlice(), port)
}

// addNATD adds the two NAT-D payloads: "the first one contains the remote
// party's address, the following ones the local addresses" (RFC 3947, section
// 3.2). local replaces the hash of our own address if it is set.
func (m *Phase1) addNATD(msg *wire.Message, rand io.Reader, local []byte) error {
	remote, err := m.natHashOf(rand, m.ends.Remote, m.ends.HideRemote)
	if err != nil {
		return err
	}
	if local == nil {
		if local, err = m.natHashOf(rand, m.ends.Local, m.ends.HideLocal); err != nil {
			return err
		}
	}
	t := m.features.NATT.natD()
	msg.Add(wire.NATD{Type: t, Hash: remote})
	msg.Add(wire.NATD{Type: t, Hash: local})
	return nil
}

func (m *Phase1) natHashOf(rand io.Reader, a netip.AddrPort, hide bool) ([]byte, error) {
	if hide {
		return random(rand, m.choice.Hash.Size())
	}
	return natHash(m.choice.Hash, m.i, m.r, a), nil
}
