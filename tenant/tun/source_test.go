package tun

import (
	"bytes"
	"errors"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/tenant"
)

// hasPiece reports whether the last Read of a source got several packets in one
// piece.
func hasPiece(s tenant.Source) bool {
	return slices.ContainsFunc(s.(*source).loads, func(l load) bool { return l.packets() > 2 })
}

// What the kernel has in single packets is read at once, and its source says
// where each of them goes before it lends the first.
func TestReadGathers(t *testing.T) {
	for name, cfg := range map[string]Config{"offload": {}, "no offload": {NoOffload: true}} {
		t.Run(name, func(t *testing.T) { testReadGathers(t, newDevice(t, cfg)) })
	}
}

func testReadGathers(t *testing.T, d *Device) {
	const count = 3 * enough
	conn := listenUDP(t, d)
	for i := range count {
		if _, err := conn.WriteTo(bytes.Repeat([]byte{byte(i)}, 10+i), &net.UDPAddr{IP: clientIP.AsSlice(), Port: 5000}); err != nil {
			t.Fatal(err)
		}
	}
	stop := time.AfterFunc(5*time.Second, func() { d.Close() })
	defer stop.Stop()
	s := d.Sources()[0]
	most := 0
	for got := 0; got < count; {
		if err := s.Read(); err != nil {
			t.Fatalf("after %d datagrams: %v", got, err)
		}
		told := peeked(s.(tenant.Peeker))
		lent := 0
		for buf, off, ok := s.Next(); ok; buf, off, ok = s.Next() {
			pkt := buf[off:]
			if lent >= len(told) || !bytes.Equal(told[lent], pkt[:20]) {
				t.Fatalf("packet %d of %d told of is another", lent, len(told))
			}
			lent++
			if pkt[0]>>4 == 4 && pkt[9] == 17 {
				wantValid(t, pkt)
				if want := bytes.Repeat([]byte{byte(got)}, 10+got); !bytes.Equal(pkt[28:], want) {
					t.Fatalf("datagram %d: % x", got, pkt)
				}
				got++
			}
			clear(buf[off-tenant.Headroom : len(buf)+tenant.Tailroom]) // a borrower may
		}
		most = max(most, lent)
	}
	if most != enough {
		t.Errorf("%d packets in a Read, want %d", most, enough)
	}
}

// peeked returns the beginnings of the packets that a source tells of.
func peeked(h tenant.Peeker) (all [][]byte) {
	for i := 0; h.Peek(i) != nil; i++ {
		all = append(all, bytes.Clone(h.Peek(i)[:20]))
	}
	return all
}

// A piece that makes no sense costs itself only, and the next Read tells of it.
func TestMalformedPiece(t *testing.T) {
	good := stream{udp: true, payloads: []int{100}}.packets()[0]
	s := &source{vnet: true, buf: make([]byte, 4096)}
	at := tenant.Headroom
	for _, gsoType := range []uint8{0, 0x7f, 0} {
		end := at + copy(s.buf[at:], good)
		s.loads = append(s.loads, load{at, end, vnetHeader{gsoType: gsoType}})
		at = end + tenant.Tailroom + tenant.Headroom
	}
	lent := 0
	for buf, off, ok := s.Next(); ok; buf, off, ok = s.Next() {
		if !bytes.Equal(buf[off:], good) {
			t.Errorf("packet %d is another", lent)
		}
		lent++
	}
	if lent != 2 {
		t.Errorf("%d packets lent, want 2", lent)
	}
	if err := s.Read(); !errors.Is(err, errVnet) {
		t.Errorf("the next Read returned %v", err)
	}
	if _, _, ok := s.Next(); ok {
		t.Error("something is lent after a Read that failed")
	}
}
