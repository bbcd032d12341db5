package dataplane

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/culvert-vpn/culvert/dataplane/udp"
	"github.com/culvert-vpn/culvert/esp"
	"github.com/culvert-vpn/culvert/l2tp"
	"github.com/culvert-vpn/culvert/tenant/ipkt"
	"github.com/culvert-vpn/culvert/tenant/policy"
)

// maxHostile is how many bytes a packet of fuzzing has at most: what fits beside
// all that is laid around it.
const maxHostile = 1600

// The entries of the data plane, as FuzzWays counts them.
const (
	wayRaw = iota
	wayKnownSPI
	wayIKE
	wayTunnel4
	wayTunnel6
	wayNextHeader
	wayUDP
	wayL2TP
	wayControl
	wayFrame
	wayIPv4
	wayIPv6
	wayDown
	wayLate
	wayEarly
	ways
)

// hostileRig is a client by L2TP or in tunnel mode, with both families, whose SAs are
// opened at once or side by side. A panic stays one.
func hostileRig(t testing.TB, tunnel, sideBySide, open bool) *rig {
	var r *rig
	switch {
	case tunnel:
		r = tunnelRig(t, nil)
	case sideBySide:
		r = newRig(t, esp.EncryptionAESCBC, 256, esp.IntegritySHA256)
	default:
		r = newRig(t, esp.EncryptionGCM16, 256, 0)
	}
	r.plane.Bind6(r.session, r.session.port, clientPrefix, LinkOptions{MTU: 1400})
	r.session.port.SetRules(policy.New(rigRules(open)))
	return r
}

// sealAs seals what is in an ESP packet as the client would.
func (r *rig) sealAs(plain []byte, next uint8) []byte {
	pkt, err := r.theirs.Seal(make([]byte, 0, 4096), plain, next)
	if err != nil {
		r.t.Fatal(err)
	}
	return pkt
}

// data is an L2TP data message of the client's call.
func data(frame []byte) []byte {
	return append(l2tp.AppendDataHeader(nil, l2tp.DataHeader{Tunnel: 7, Call: 9}, len(frame)), frame...)
}

// enter brings b in by one of the entries.
func (r *rig) enter(way int, b []byte) {
	datagram := func(pkt []byte) { r.worker.batch([]udp.Message{r.message(pkt)}) }
	switch way {
	case wayRaw:
		datagram(b)
	case wayKnownSPI:
		datagram(append([]byte{0, 0, 3, 0xe8, 0, 0, 0, 1}, b...))
	case wayIKE:
		datagram(append(make([]byte, 4), b...))
	case wayTunnel4:
		datagram(r.sealAs(b, protoIPv4))
	case wayTunnel6:
		datagram(r.sealAs(b, protoIPv6))
	case wayNextHeader:
		if len(b) > 0 {
			datagram(r.sealAs(b[1:], b[0]))
		}
	case wayUDP:
		datagram(r.sealAs(b, protoUDP))
	case wayL2TP:
		datagram(r.sealL2TP(b))
	case wayControl:
		datagram(r.sealL2TP(append([]byte{0xc8, 2}, b...)))
	case wayFrame:
		datagram(r.sealL2TP(data(b)))
	case wayIPv4:
		datagram(r.sealL2TP(data(append([]byte{0xff, 3, 0, 0x21}, b...))))
	case wayIPv6:
		datagram(r.sealL2TP(data(append([]byte{0, 0x57}, b...))))
	case wayDown:
		buf, off := lend(b)
		r.link.packet(buf, off)
	case wayLate:
		r.plane.Late(r.session, b)
	case wayEarly:
		r.plane.Early(r.session, b)
	}
	r.link.send.flush()
	r.plane.Flush()
}

// ownAddresses gives an IP packet the client's address in place of its source, or of
// its destination on the way down, and a header that is right, so that more of it is
// looked at.
func ownAddresses(b []byte, down bool) []byte {
	b = bytes.Clone(b)
	at := func(up, down4 int) int { return map[bool]int{false: up, true: down4}[down] }
	switch {
	case len(b) >= 20 && b[0]>>4 == 4:
		copy(b[at(12, 16):], clientAddr.AsSlice())
		binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
		if n := int(b[0]&15) * 4; n >= 20 && n <= len(b) {
			ipkt.SetHeaderChecksum(b[:n])
		}
	case len(b) >= 40 && b[0]>>4 == 6:
		copy(b[at(8, 24):], clientPrefix.Addr().Next().AsSlice())
		binary.BigEndian.PutUint16(b[4:], uint16(len(b)-40))
	}
	return b
}

// hostileSeeds are packets and frames that go somewhere.
func hostileSeeds() (all [][]byte) {
	mine6, far6 := clientPrefix.Addr().Next(), netip.MustParseAddr("2001:db8:ffff::1")
	quoted := append([]byte{3, 4, 0, 0, 0, 0, 5, 0}, ipPacket(internet, clientAddr, 60)...)
	icmp := append(ipPacket(clientAddr, internet, 20), quoted...)
	icmp[9] = 1
	options := ipPacket(clientAddr, internet, 60)
	options[0], options[20], options[21], options[22] = 0x4f, 7, 39, 4
	fragment := ipPacket(clientAddr, internet, 100)
	fragment[6], fragment[7] = 0x20, 1
	syn := ipPacket(clientAddr, internet, 44)
	syn[9], syn[32], syn[33], syn[40], syn[41] = ipkt.ProtocolTCP, 0x60, 2, 2, 4
	odd := bytes.Clone(syn)
	odd[32] = 0x30
	all = [][]byte{
		ipPacket(clientAddr, internet, 1400), ipPacket(internet, clientAddr, 1500), icmp, options, fragment, syn, odd,
		udpPacket(clientAddr, netip.MustParseAddr("10.100.1.1"), 67), udpPacket(clientAddr, netip.MustParseAddr("255.255.255.255"), 67),
		ipPacket(clientAddr, netip.MustParseAddr("10.100.1.9"), 60),
		packet6(mine6, far6, 58, append([]byte{2, 0, 0, 0, 0, 0, 5, 0}, packet6(far6, mine6, 17, make([]byte, 20))...)),
		packet6(mine6, far6, 44, append([]byte{6, 0, 0, 1, 0, 0, 0, 9}, syn[20:]...)),
		packet6(mine6, far6, 0, append([]byte{6, 0, 5, 2, 0, 0, 1, 0}, syn[20:]...)),
		packet6(mine6, far6, 6, syn[20:]), packet6(far6, mine6, 6, odd[20:]),
		packet6(netip.MustParseAddr("fe80::1"), netip.MustParseAddr("ff02::2"), 58, []byte{133, 0, 0, 0, 0, 0, 0, 0}),
		packet6(netip.MustParseAddr("fe80::1"), netip.MustParseAddr("ff02::1:2"), 17, []byte{2, 34, 2, 35, 0, 12, 0, 0, 11, 1, 2, 3}),
		{0xff, 3, 0xc0, 0x21, 1, 1, 0, 4}, {0xc0, 0x21, 1, 1, 0xff, 0xff, 1, 0}, {0xff, 3, 0x80, 0x21, 1, 1, 0, 10, 3, 6, 0, 0, 0, 0},
		{0xff, 3, 0xc2, 0x27, 2, 1, 0, 2}, {0x21}, {0x57}, {0xff}, nil,
		{0, 2, 0, 7, 0, 9}, {0x4a, 2, 0, 20, 0, 7, 0, 9, 0, 1, 0, 1, 0xff, 0xff}, {0, 12, 0, 7, 0, 0, 0, 1, 0, 1, 0x80, 8, 0, 0, 0, 0, 0, 1},
	}
	return all
}

// FuzzWays: anything, by every entry of the data plane: datagrams of strangers, and
// of a client that is logged in, by L2TP and in tunnel mode, sealed with real keys, up
// and down, in both families, as they are and as the client's own. Nothing panics,
// and another packet of the client still passes.
func FuzzWays(f *testing.F) {
	for _, b := range hostileSeeds() {
		for way := range ways {
			f.Add(uint8(way), uint8(way), b)
		}
	}
	f.Fuzz(func(t *testing.T, way, how uint8, b []byte) {
		if len(b) > maxHostile {
			b = b[:maxHostile]
		}
		w := int(way) % ways
		r := hostileRig(t, how&1 == 1 || w == wayTunnel4 || w == wayTunnel6, how&2 == 2, how&4 == 4)
		defer r.plane.Close()
		for _, pkt := range [][]byte{b, ownAddresses(b, w == wayDown)} {
			r.enter(w, bytes.Clone(pkt))
		}
		for len(r.plane.Inbox().Peers()) > 0 {
			(<-r.plane.Inbox().Peers()).Release()
		}
		had := len(r.device.got)
		good := ipPacket(clientAddr, internet, 100)
		if r.session.call != 0 {
			r.worker.batch([]udp.Message{r.message(r.seal(good))})
		} else {
			r.worker.batch([]udp.Message{r.message(r.sealAs(good, protoIPv4))})
		}
		if len(r.device.got) != had+1 {
			t.Fatalf("the next packet did not pass: %v", r.plane.Drops())
		}
	})
}
