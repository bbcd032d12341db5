package netstack

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

// pieces are the fragments of a client's packet.
func pieces(t *testing.T, pkt []byte) (out [][]byte) {
	t.Helper()
	const size = 1200
	if pkt[0]>>4 == 4 {
		for at := 20; at < len(pkt); at += size {
			f := append(append([]byte(nil), pkt[:20]...), pkt[at:min(at+size, len(pkt))]...)
			putWord(f[2:], uint16(len(f)))
			putWord(f[4:], 77)
			offset := uint16(at-20) / 8
			if at+size < len(pkt) {
				offset |= 0x2000
			}
			putWord(f[6:], offset)
			ipkt.SetHeaderChecksum(f[:20])
			out = append(out, f)
		}
		return out
	}
	for at := 40; at < len(pkt); at += size {
		f := append(append([]byte(nil), pkt[:40]...), pkt[6], 0, 0, 0, 0, 0, 0, 77)
		offset := uint16(at - 40)
		if at+size < len(pkt) {
			offset |= 1
		}
		putWord(f[42:], offset)
		f[6] = 44
		f = append(f, pkt[at:min(at+size, len(pkt))]...)
		putWord(f[4:], uint16(len(f)-40))
		out = append(out, f)
	}
	return out
}

// joinUp reads the fragments of a datagram and returns its payload.
func (n *nat) joinUp() []byte {
	n.t.Helper()
	var whole []byte
	for got, total := 0, -1; total < 0 || got < total; {
		p := n.next()
		at, data, more := p.Offset, p.Payload(), p.More
		whole = append(whole, make([]byte, max(0, at+len(data)-len(whole)))...)
		got += copy(whole[at:], data)
		if !more {
			total = at + len(data)
		}
	}
	return whole
}

// Datagrams as large as there are go both ways, in fragments to and from the client.
func TestUDPLargestDatagrams(t *testing.T) {
	bothFamilies(t, func(t *testing.T, n *nat, a, _ netip.Addr) {
		s := n.listen(t, a)
		s.SetReadBuffer(1 << 20)
		for _, size := range []int{1472, 9000, 65507} {
			data := bytes.Repeat([]byte{1, 2, 3, 5, 8, 13, 21}, size/7+1)[:size]
			for _, f := range pieces(t, datagram{to: addrPort(s), data: data}.packet()) {
				send(t, n.d.Writer(), f)
			}
			got, from := n.arrives(s)
			if !bytes.Equal(got, data) {
				t.Fatalf("%d bytes of %d arrived", len(got), size)
			}
			s.WriteToUDPAddrPort(got, from)
			if back := n.joinUp(); len(back) != 8+size || !bytes.Equal(back[8:], data) {
				t.Errorf("%d bytes of %d came back", len(back), size)
			}
		}
	})
}

// What is too big for a link on the way is told who does not want it cut, by the
// router first, then by the host that has learnt of it; what may be cut is.
func TestUDPTooBigOnTheWay(t *testing.T) {
	a4, a6 := theWorld(t).narrow(t)
	for _, row := range []struct {
		server, router, gateway netip.Addr
		kind, code              uint8
	}{
		{a4, routerIP, gateway.Addr(), 3, 4},
		{a6, routerIP6, natGateway6.Addr(), 2, 0},
	} {
		t.Run(row.server.String(), func(t *testing.T) {
			n := newNAT(t, nil)
			s := n.listen(t, row.server)
			big := datagram{to: addrPort(s), df: true, data: make([]byte, narrowMTU)}
			for _, by := range []netip.Addr{row.router, row.gateway} {
				n.send(big)
				p := n.wantICMP(big, icmpOf{by, row.kind, row.code})
				if mtu := binary.BigEndian.Uint32(p.Payload()[4:]); mtu != narrowMTU {
					t.Errorf("told an MTU of %d, want %d", mtu, narrowMTU)
				}
			}
			for _, f := range pieces(t, datagram{to: addrPort(s), data: big.data}.packet()) {
				send(t, n.d.Writer(), f)
			}
			if got, _ := n.arrives(s); len(got) != len(big.data) {
				t.Errorf("%d bytes arrived", len(got))
			}
		})
	}
}
