package netstack

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/header"

	"github.com/culvert-vpn/culvert/tenant"
	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

// hostICMP is the host's ICMP socket of a test: a network on which only
// serverIP answers.
type hostICMP struct {
	answers chan []byte
	closed  chan struct{}
	once    sync.Once
}

func newHostICMP() *hostICMP {
	return &hostICMP{answers: make(chan []byte, 100), closed: make(chan struct{})}
}

func (h *hostICMP) WriteTo(b []byte, to net.Addr) (int, error) {
	if hostAddr(to) == serverIP {
		answer := append([]byte(nil), b...)
		answer[0], answer[4] = 0, 99 // the kernel sets ids of its own
		h.answers <- answer
	}
	return len(b), nil
}

func (h *hostICMP) ReadFrom(b []byte) (int, net.Addr, error) {
	select {
	case a := <-h.answers:
		return copy(b, a), &net.UDPAddr{IP: serverIP.AsSlice()}, nil
	case <-h.closed:
		return 0, nil, net.ErrClosed
	}
}

func (h *hostICMP) Close() error                     { h.once.Do(func() { close(h.closed) }); return nil }
func (h *hostICMP) LocalAddr() net.Addr              { return &net.UDPAddr{} }
func (h *hostICMP) SetDeadline(time.Time) error      { return nil }
func (h *hostICMP) SetReadDeadline(time.Time) error  { return nil }
func (h *hostICMP) SetWriteDeadline(time.Time) error { return nil }

// echoPacket is an ICMP echo request in an IPv4 packet.
func echoPacket(dst netip.Addr, id, seq uint16, data string) []byte {
	icmp := append([]byte{8, 0, 0, 0, 0, 0, 0, 0}, data...)
	putWord(icmp[4:], id)
	putWord(icmp[6:], seq)
	putWord(icmp[2:], ^ipkt.Checksum(icmp, 0))
	return quote(clientIP, dst, ipkt.ProtocolICMP, icmp)
}

// packetsOf returns what waits for the next ICMP packet that a device sends.
func packetsOf(t *testing.T, d *Device) func() (ipkt.Packet, bool) {
	packets := make(chan []byte, 1000)
	go lend(d, packets)
	return func() (ipkt.Packet, bool) {
		select {
		case b := <-packets:
			p, err := ipkt.Parse(b)
			if err != nil || !header.IPv4(b).IsChecksumValid() || ipkt.Checksum(p.Payload(), 0) != 0xffff {
				t.Fatalf("malformed packet % x", b)
			}
			return p, true
		case <-time.After(patience):
			return ipkt.Packet{}, false
		}
	}
}

// patience is how long a test waits for what comes at once where nothing else
// keeps the processors busy.
const patience = 30 * time.Second

// wantNothing checks that a device has sent nothing: what it answers to another
// echo is next.
func wantNothing(t *testing.T, d *Device, next func() (ipkt.Packet, bool)) {
	t.Helper()
	send(t, d.Writer(), echoPacket(gateway.Addr(), 77, 77, ""))
	if p, ok := next(); !ok || p.Source() != gateway.Addr() || p.Payload()[0] != 0 {
		t.Errorf("got % x", p.Bytes)
	}
}

func send(t *testing.T, w tenant.Writer, packets ...[]byte) {
	t.Helper()
	for _, p := range packets {
		w.Commit(p)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
}

func withICMP(cfg *Config) {
	cfg.ListenPacket = func(string, string) (net.PacketConn, error) { return newHostICMP(), nil }
}

func TestEcho(t *testing.T) {
	d := newDevice(t, withICMP)
	next := packetsOf(t, d)
	for _, dst := range []netip.Addr{gateway.Addr(), serverIP} {
		send(t, d.Writer(), echoPacket(dst, 7, 3, "data of the echo"))
		p, ok := next()
		if !ok {
			t.Errorf("%v does not answer", dst)
			continue
		}
		icmp := p.Payload()
		if p.Source() != dst || p.Destination() != clientIP || icmp[0] != 0 || word(icmp[4:]) != 7 || word(icmp[6:]) != 3 || string(icmp[8:]) != "data of the echo" {
			t.Errorf("%v answers % x", dst, p.Bytes)
		}
	}
}

// Nobody answers for a destination that is silent.
func TestEchoIsNotFaked(t *testing.T) {
	d := newDevice(t, withICMP)
	next := packetsOf(t, d)
	send(t, d.Writer(), echoPacket(netip.MustParseAddr("203.0.113.77"), 1, 1, ""))
	wantNothing(t, d, next)
}

func TestEchoDenied(t *testing.T) {
	d := newDevice(t, withICMP)
	next := packetsOf(t, d)
	send(t, d.Writer(), echoPacket(netip.MustParseAddr("169.254.169.254"), 1, 1, ""))
	p, ok := next()
	if !ok || p.Source() != gateway.Addr() || p.Payload()[0] != 3 || p.Payload()[1] != 13 {
		t.Errorf("got % x, want ICMP: administratively prohibited", p.Bytes)
	}
}

func TestEchoRateBounded(t *testing.T) {
	d := newDevice(t, func(cfg *Config) { withICMP(cfg); cfg.EchoesPerSource = 5 })
	next := packetsOf(t, d)
	began := time.Now()
	for i := range 50 {
		send(t, d.Writer(), echoPacket(serverIP, 1, uint16(i), ""))
	}
	most := 10 + 5*int(time.Since(began).Seconds())
	answered := 0
	for answered+int(d.Counters().EchoDrops) < 50 {
		if _, ok := next(); !ok {
			break
		}
		answered++
	}
	if answered < 5 || answered > most || int(d.Counters().EchoDrops) != 50-answered {
		t.Errorf("%d answered, at most %d should be, %d dropped", answered, most, d.Counters().EchoDrops)
	}
}

// Without any ICMP socket of the host pings are dropped, and counted.
func TestEchoWithoutSocket(t *testing.T) {
	d := newDevice(t, func(cfg *Config) {
		cfg.ListenPacket = func(string, string) (net.PacketConn, error) { return nil, errors.New("not permitted") }
	})
	next := packetsOf(t, d)
	send(t, d.Writer(), echoPacket(serverIP, 1, 1, ""), echoPacket(serverIP, 1, 2, ""))
	wantNothing(t, d, next)
	if d.Counters().EchoDrops != 2 {
		t.Errorf("%+v", d.Counters())
	}
}

// toLoopback is a socket of the host to which serverIP is loopback.
type toLoopback struct{ net.PacketConn }

func (c toLoopback) WriteTo(b []byte, to net.Addr) (int, error) {
	switch to := to.(type) {
	case *net.UDPAddr:
		to.IP = net.IPv4(127, 0, 0, 1)
	case *net.IPAddr:
		to.IP = net.IPv4(127, 0, 0, 1)
	}
	return c.PacketConn.WriteTo(b, to)
}

func (c toLoopback) ReadFrom(b []byte) (int, net.Addr, error) {
	n, _, err := c.PacketConn.ReadFrom(b)
	return n, &net.UDPAddr{IP: serverIP.AsSlice()}, err
}

// With the host's own sockets, unprivileged and raw.
func TestEchoOfTheHost(t *testing.T) {
	theWorld(t)
	grantPing(t)
	for _, network := range []string{"udp4", "ip4:icmp"} {
		t.Run(network, func(t *testing.T) {
			d := newDevice(t, func(cfg *Config) {
				cfg.ListenPacket = func(asked, address string) (net.PacketConn, error) {
					if asked != network {
						return nil, errors.New("not this one")
					}
					conn, err := listenICMP(network, address)
					return toLoopback{conn}, err
				}
			})
			next := packetsOf(t, d)
			send(t, d.Writer(), echoPacket(serverIP, 5, 6, "ping"))
			if p, ok := next(); !ok || p.Payload()[0] != 0 || word(p.Payload()[4:]) != 5 || string(p.Payload()[8:]) != "ping" {
				t.Errorf("got % x", p.Bytes)
			}
		})
	}
}

func TestWriterRefusesOtherProtocols(t *testing.T) {
	d := newDevice(t, nil)
	w := d.Writer()
	w.Commit(nil)
	w.Commit([]byte{0x10})
	if err := w.Flush(); err == nil {
		t.Error("no error")
	}
	send(t, w, []byte{0x45}, []byte{0x60}) // malformed: dropped by the stack
}
