package netstack

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/culvert-vpn/culvert/internal/x/nstest"
	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

var client6 = netip.MustParseAddr("2001:db8:1::2")

// with6 gives a device addresses of both families.
func with6(cfg *Config) {
	cfg.Addresses = append(cfg.Addresses, netip.MustParsePrefix("2001:db8::1/64"))
	cfg.Pool = append(cfg.Pool, netip.MustParsePrefix("2001:db8:1::/48"))
}

// synWithOffset is a TCP SYN whose data offset is of so many words, in a packet
// to that destination.
func synWithOffset(to netip.Addr, words int) []byte {
	tcp := make([]byte, 20)
	binary.BigEndian.PutUint16(tcp, 4321)
	binary.BigEndian.PutUint16(tcp[2:], 80)
	tcp[12], tcp[13] = uint8(words)<<4, 2
	src := clientIP
	if to.Is6() {
		src = client6
	}
	b := quote(src, to, ipkt.ProtocolTCP, tcp)
	p := ipkt.Packet{Bytes: b, Protocol: ipkt.ProtocolTCP}
	at := len(b) - len(tcp)
	binary.BigEndian.PutUint16(b[at+16:], ^ipkt.Checksum(b[at:], p.PseudoChecksum(len(tcp))))
	return b
}

// neverThere dials what does not answer: the flow is there until it is given up.
func neverThere(ctx context.Context, _, _ string) (net.Conn, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// TestSegmentWithoutAHeader: a data offset is the client's word, and the stack
// hands segments over before it has looked at it.
func TestSegmentWithoutAHeader(t *testing.T) {
	for _, to := range []netip.Addr{serverIP, netip.MustParseAddr("2001:db8:9::7")} {
		for words := range 16 {
			d := newDevice(t, func(cfg *Config) {
				with6(cfg)
				cfg.DialContext = neverThere
			})
			send(t, d.Writer(), synWithOffset(to, words))
			if n := d.flows.count(); words != 5 && n != 0 {
				t.Errorf("a SYN to %v with %d words has a flow", to, words)
			}
			if words == 5 && d.flows.count() != 1 {
				t.Errorf("a SYN to %v with 5 words has no flow", to)
			}
			d.Close()
		}
	}
}

// TestEchoesToNobodyHoldNobodyUp: echoes to addresses of a link on which nobody
// answers stay in the buffer of the tenant's socket for seconds. Whoever delivers
// them carries everybody else's packets, and must not wait.
func TestEchoesToNobodyHoldNobodyUp(t *testing.T) {
	for name, network := range map[string]string{"ping": family4.unprivileged, "raw": family4.privileged} {
		t.Run(name, func(t *testing.T) {
			var conn net.PacketConn
			nstest.Silent(t, func() (err error) {
				conn, err = listenICMP(network, "0.0.0.0")
				return err
			})
			d := newDevice(t, func(cfg *Config) {
				cfg.EchoesPerSource, cfg.EchoesPerSecond = 1<<20, 1<<20
				cfg.ListenPacket = func(asked, _ string) (net.PacketConn, error) {
					if asked != network {
						return nil, errors.New("not this one")
					}
					return conn, nil
				}
			})
			const clients, each = 100, 30
			done := make(chan bool)
			go func() {
				defer close(done)
				w := d.Writer()
				for i := range clients * each {
					b := echoPacket(netip.AddrFrom4([4]byte{192, 0, 2, byte(100 + i%8)}), 1, uint16(i), strings.Repeat("x", 1300))
					copy(b[12:16], []byte{10, 100, 1, byte(2 + i%clients)})
					ipkt.SetHeaderChecksum(b[:20])
					w.Commit(b)
					w.Flush()
				}
			}()
			select {
			case <-done:
			case <-time.After(patience):
				t.Fatal("who delivers waits for the socket")
			}
			if n := d.Counters().EchoDrops; n < clients*each/2 {
				t.Errorf("%d of %d dropped", n, clients*each)
			}
		})
	}
}

// TestEchoesAreBoundedInBytes: of the socket that a tenant's clients share, one
// takes a part; and the pings that people use to find a path's MTU go through.
func TestEchoesAreBoundedInBytes(t *testing.T) {
	r := echoRate{total: 1 << 20, perSource: 1 << 20, sources: make(map[netip.Addr]echoes)}
	now := time.Unix(1000, 0)
	if !r.admit(clientIP, 4000, now) || r.admit(clientIP, 16000, now) {
		t.Error("a ping of 4,000 bytes is refused, or one of 16,000 is not")
	}
	sent := 4000
	for r.admit(clientIP, 1300, now) {
		sent += 1300
	}
	if sent > 64<<10 || sent < 63<<10 {
		t.Errorf("%d bytes in a second", sent)
	}
	if !r.admit(serverIP, 1300, now) {
		t.Error("another source pays for it")
	}
	if !r.admit(clientIP, 1300, now.Add(time.Second)) {
		t.Error("it is not over in the next second")
	}
}

// TestDatagramsToNobodyHoldNobodyUp: a socket whose buffer is full, of datagrams to
// addresses that nobody has, costs datagrams, and nobody's time.
func TestDatagramsToNobodyHoldNobodyUp(t *testing.T) {
	var conn *net.UDPConn
	nstest.Silent(t, func() (err error) {
		conn, err = listenUDP(true)
		return err
	})
	defer conn.Close()
	conn.SetWriteBuffer(4096)
	o := &outbox{}
	s := newSender(newHostConn(conn, newBuffers()), o)
	try, full := s.try, 0
	s.try = func(fd uintptr) bool {
		done := try(fd)
		if errors.Is(s.err, unix.EAGAIN) {
			full++
		}
		return done
	}
	done := make(chan bool)
	go func() {
		defer close(done)
		for i := range 3000 {
			to := netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(100 + i%8)}), 7)
			s.send(heading{to: to, hops: 63}, make([]byte, 1300))
			o.flush()
		}
	}()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatal("who delivers waits for the socket")
	}
	if full == 0 {
		t.Error("the socket was never full")
	}
}
