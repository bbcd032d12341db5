package netstack

import (
	"errors"
	"net/netip"
	"os"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

func newPacket(b ...byte) *stack.PacketBuffer {
	return stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(b)})
}

func TestQueueIsBounded(t *testing.T) {
	q := newQueue(100)
	for i := range 150 {
		pkt := newPacket(byte(i))
		q.put([]*stack.PacketBuffer{pkt})
		pkt.DecRef()
	}
	if q.dropped.Load() != 50 {
		t.Errorf("dropped %d, want 50", q.dropped.Load())
	}
	s := newSource(q, 100)
	for want := range 100 {
		buf, off, ok := s.Next()
		if !ok {
			if err := s.Read(); err != nil {
				t.Fatal(err)
			}
			buf, off, ok = s.Next()
		}
		if !ok || len(buf[off:]) != 1 || buf[off] != byte(want) {
			t.Fatalf("packet %d: % x", want, buf[off:])
		}
	}
}

func TestQueueClose(t *testing.T) {
	q := newQueue(10)
	s := newSource(q, 100)
	ended := make(chan error)
	go func() { ended <- s.Read() }()
	time.Sleep(10 * time.Millisecond)
	q.close()
	if err := <-ended; !errors.Is(err, os.ErrClosed) {
		t.Errorf("got %v", err)
	}
	pkt := newPacket(1)
	if q.put([]*stack.PacketBuffer{pkt}) != 0 {
		t.Error("a closed queue takes packets")
	}
	if err := s.Read(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("again: %v", err)
	}
}

func TestSourceDoesNotAllocate(t *testing.T) {
	q := newQueue(10)
	s := newSource(q, 2000)
	pkt := newPacket(make([]byte, 1400)...)
	batch := []*stack.PacketBuffer{pkt, pkt, pkt}
	n := testing.AllocsPerRun(1000, func() {
		q.put(batch)
		s.Read()
		for _, _, ok := s.Next(); ok; _, _, ok = s.Next() {
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// A client that never completes its handshake does not hold up Close.
func TestCloseDuringHandshake(t *testing.T) {
	port := echoTCP(t)
	d := newDevice(t, nil)
	answer := payloadsOf(d)
	tcp := make([]byte, header.TCPMinimumSize)
	header.TCP(tcp).Encode(&header.TCPFields{SrcPort: 4000, DstPort: port, SeqNum: 1, DataOffset: header.TCPMinimumSize, Flags: header.TCPFlagSyn, WindowSize: 1000})
	sum := header.PseudoHeaderChecksum(header.TCPProtocolNumber, addressOf(clientIP), addressOf(serverIP), header.TCPMinimumSize)
	header.TCP(tcp).SetChecksum(^header.TCP(tcp).CalculateChecksum(sum))
	send(t, d.Writer(), quote(clientIP, serverIP, uint8(header.TCPProtocolNumber), tcp))
	p, ok := answer()
	if !ok || header.TCP(p).Flags() != header.TCPFlagSyn|header.TCPFlagAck {
		t.Fatalf("got % x, want SYN and ACK", p)
	}
	start := time.Now()
	d.Close()
	if took := time.Since(start); took > time.Second {
		t.Errorf("Close took %v", took)
	}
}

// payloadsOf returns what waits for the next IPv4 packet's payload.
func payloadsOf(d *Device) func() ([]byte, bool) {
	packets := make(chan []byte, 10)
	go lend(d, packets)
	return func() ([]byte, bool) {
		select {
		case p := <-packets:
			return header.IPv4(p).Payload(), true
		case <-time.After(2 * time.Second):
			return nil, false
		}
	}
}

// lend copies what a device sends into a channel until it is closed.
func lend(d *Device, packets chan<- []byte) {
	s := d.Sources()[0]
	for s.Read() == nil {
		for buf, off, ok := s.Next(); ok; buf, off, ok = s.Next() {
			packets <- append([]byte(nil), buf[off:]...)
		}
	}
}

// IPv6 takes the same ways.
func TestEcho6(t *testing.T) {
	own, client, silent := netip.MustParseAddr("fd00::1"), netip.MustParseAddr("fd00::2"), netip.MustParseAddr("2001:db8::9")
	d := newDevice(t, func(cfg *Config) {
		withICMP(cfg)
		cfg.Addresses = append(cfg.Addresses, netip.PrefixFrom(own, 64))
		cfg.Pool = append(cfg.Pool, netip.MustParsePrefix("fd00::/64"))
	})
	packets := make(chan []byte, 10)
	go lend(d, packets)
	for _, tc := range []struct {
		dst  netip.Addr
		want int // ICMPv6 type, or none
	}{{own, 129}, {silent, -1}, {netip.MustParseAddr("fd00::77"), 1}} {
		icmp := header.ICMPv6([]byte{128, 0, 0, 0, 0, 1, 0, 2, 'x'})
		icmp.SetChecksum(header.ICMPv6Checksum(header.ICMPv6ChecksumParams{Header: icmp, Src: addressOf(client), Dst: addressOf(tc.dst)}))
		send(t, d.Writer(), quote(client, tc.dst, uint8(header.ICMPv6ProtocolNumber), icmp))
		got := -1
		for got < 0 {
			select {
			case p := <-packets:
				if header.IPv6(p).DestinationAddress() == addressOf(client) && (p[40] == 129 || p[40] < 128) {
					got = int(p[40])
				}
				continue
			case <-time.After(300 * time.Millisecond):
			}
			break
		}
		if got != tc.want {
			t.Errorf("%v: got type %d, want %d", tc.dst, got, tc.want)
		}
	}
}
