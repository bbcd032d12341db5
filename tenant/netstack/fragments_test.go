package netstack

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

// flood sends the first halves of datagrams that are never completed, of so many bytes
// in all, from addresses of a client.
func (n *nat) flood(to netip.AddrPort, from []netip.Addr, total int) {
	n.t.Helper()
	w := n.d.Writer()
	data := make([]byte, 1392)
	for i := 0; i*len(data) < total; i++ {
		pkt := quoteUDP(netip.AddrPortFrom(from[i%len(from)], 40000), to, data)
		f := pieces(n.t, pkt)[0]
		setID(f, uint16(i/len(from)))
		send(n.t, w, f)
	}
}

// setID names the packet that a fragment is of.
func setID(f []byte, id uint16) {
	if f[0]>>4 == 4 {
		putWord(f[4:], id)
		ipkt.SetHeaderChecksum(f[:20])
		return
	}
	putWord(f[46:], id)
}

// A client whose datagrams come in fragments is served whatever others send that they
// never complete; and one client pushes out no more than its own, many no more than theirs.
func TestFragmentsOfOthersStay(t *testing.T) {
	bothFamilies(t, func(t *testing.T, n *nat, a, _ netip.Addr) {
		s := n.listen(t, a)
		data := bytes.Repeat([]byte("fragment"), 300)
		honest := pieces(t, datagram{to: addrPort(s), data: data}.packet())
		for _, others := range []int{1, 16} {
			t.Run(fmt.Sprint(others, " others"), func(t *testing.T) {
				send(t, n.d.Writer(), honest[0])
				n.flood(addrPort(s), neighbours(a.Is4(), others), 16<<20)
				send(t, n.d.Writer(), honest[1:]...)
				if got, _ := n.arrives(s); !bytes.Equal(got, data) {
					t.Errorf("%d bytes arrived, want %d", len(got), len(data))
				}
			})
		}
	})
}

// neighbours are addresses of other clients.
func neighbours(is4 bool, count int) (out []netip.Addr) {
	for i := range count {
		b := clientIP6.As16()
		b[7] += byte(i + 1) // of the prefix
		a := netip.AddrFrom16(b)
		if is4 {
			a = netip.AddrFrom4([4]byte{10, 100, 1, byte(100 + i)})
		}
		out = append(out, a)
	}
	return out
}

// holds is what is held: bytes, packets and clients.
func (f *fragments) holds() (used, packets, clients int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.used, len(f.partials), len(f.clients)
}

// What fragments hold is bounded, for a client and in all, and nothing is left of them when
// their time is over, their session or the device.
func TestFragmentsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFragments(func(a netip.Addr) netip.Addr { return a }, func(netip.Addr, []byte) {})
		defer f.close()
		all := neighbours(true, 100)
		take := func(from netip.Addr, id uint16, size int) {
			pkt := quoteUDP(netip.AddrPortFrom(from, 1), netip.AddrPortFrom(serverIP, 2), make([]byte, 1400))
			g := pieces(t, pkt)[0][:20+size]
			putWord(g[2:], uint16(len(g)))
			setID(g, id)
			f.whole(g)
		}
		for _, size := range []int{8, 1192} {
			for i := range 1 << 15 {
				take(all[0], uint16(i), size)
			}
			if used, _, _ := f.holds(); used > fragmentBytes/fragmentShare || used < fragmentBytes/fragmentShare*9/10 {
				t.Errorf("one client holds %d bytes in fragments of %d", used, size)
			}
		}
		for i := range 1 << 15 {
			take(all[i%len(all)], uint16(i), 1192)
		}
		before, _, clients := f.holds()
		if before > fragmentBytes || before < fragmentBytes*9/10 {
			t.Errorf("%d bytes are held", before)
		}
		f.forget(all[7])
		if used, _, left := f.holds(); used >= before || left != clients-1 {
			t.Error("a client that is gone has fragments")
		}
		time.Sleep(2 * fragmentTime)
		synctest.Wait()
		if used, packets, clients := f.holds(); used != 0 || packets != 0 || clients != 0 {
			t.Errorf("%d bytes, %d packets, %d clients are left", used, packets, clients)
		}
	})
}

// A packet is put together of its fragments in any order, with some of them twice; of
// those that contradict each other nothing comes (RFC 5722, RFC 8200 section 4.5).
func TestFragmentsInAnyOrder(t *testing.T) {
	for _, to := range []netip.Addr{serverIP, server6} {
		data := make([]byte, 5000)
		for i := range data {
			data[i] = byte(i * 7)
		}
		pkt := datagram{to: netip.AddrPortFrom(to, 9), data: data}.packet()
		whole, other := pieces(t, pkt), pieces(t, pkt)
		shorter := slices.Clone(other[1])
		shorter = shorter[:len(shorter)-8]
		setLength(shorter)
		for name, row := range map[string]struct {
			sent [][]byte
			want bool
		}{
			"in order":        {whole, true},
			"backwards":       {reversed(whole), true},
			"each twice":      {[][]byte{whole[1], whole[1], whole[0], whole[0], whole[4], whole[4], whole[3], whole[2]}, true},
			"one is missing":  {whole[:4], false},
			"they overlap":    {[][]byte{whole[0], shorter, whole[1], whole[2], whole[3], whole[4]}, false},
			"two of the last": {[][]byte{whole[4], lastOf(whole[3]), whole[0], whole[1], whole[2], whole[3]}, false},
		} {
			f := newFragments(func(a netip.Addr) netip.Addr { return a }, nil)
			var got []byte
			for _, b := range row.sent {
				if w, joined := f.whole(slices.Clone(b)); joined {
					got = w
				}
			}
			if (got != nil) != row.want {
				t.Errorf("%v, %s: a packet of %d bytes", to, name, len(got))
			}
			if p, err := ipkt.Parse(got); got != nil && (err != nil || p.Fragment() || !bytes.Equal(p.Payload()[8:], data)) {
				t.Errorf("%v, %s: another packet: %v", to, name, err)
			}
			f.close()
		}
	}
}

func reversed(list [][]byte) [][]byte {
	list = slices.Clone(list)
	slices.Reverse(list)
	return list
}

// setLength sets a packet's length to what there is.
func setLength(b []byte) {
	if b[0]>>4 == 4 {
		putWord(b[2:], uint16(len(b)))
		ipkt.SetHeaderChecksum(b[:20])
		return
	}
	putWord(b[4:], uint16(len(b)-40))
}

// lastOf is a fragment that says that none follow.
func lastOf(b []byte) []byte {
	b = slices.Clone(b)
	if b[0]>>4 == 4 {
		b[6] &^= 0x20
		ipkt.SetHeaderChecksum(b[:20])
	} else {
		b[43] &^= 1
	}
	return b
}

// Who sends the beginning of a packet alone is told after a while that its rest did not come
// (RFC 1122 section 3.3.2, RFC 8200 section 4.5); who sends an end alone is not.
func TestLateFragmentsAreTold(t *testing.T) {
	for _, to := range []netip.Addr{serverIP, server6} {
		synctest.Test(t, func(t *testing.T) {
			told := 0
			f := newFragments(func(a netip.Addr) netip.Addr { return a }, func(_ netip.Addr, first []byte) {
				p, err := ipkt.Parse(first)
				if told++; err != nil || p.Offset != 0 || !p.More || len(p.Payload()) != 1200 {
					t.Errorf("told about % x: %v", first, err)
				}
			})
			defer f.close()
			g := pieces(t, datagram{to: netip.AddrPortFrom(to, 9), data: make([]byte, 2000)}.packet())
			f.whole(g[0])
			time.Sleep(fragmentTime / 2)
			setID(g[1], 5)
			f.whole(g[1])
			time.Sleep(fragmentTime/2 + time.Second)
			synctest.Wait()
			if _, packets, _ := f.holds(); told != 1 || packets != 1 {
				t.Errorf("%v: told %d times, %d packets are held", to, told, packets)
			}
			time.Sleep(fragmentTime)
			synctest.Wait()
			if _, packets, _ := f.holds(); told != 1 || packets != 0 {
				t.Errorf("%v: told %d times, %d packets are held in the end", to, told, packets)
			}
		})
	}
}
