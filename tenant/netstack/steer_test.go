package netstack

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

// toldTooBig is an ICMP error that says that a packet from the server to a client was too
// big for a link with that MTU.
func toldTooBig(from, about netip.Addr, port, clientPort uint16, mtu uint16) []byte {
	server := serverIP
	proto, kind, code := uint8(ipkt.ProtocolICMP), uint8(header.ICMPv4DstUnreachable), uint8(header.ICMPv4FragmentationNeeded)
	if from.Is6() {
		server, proto, kind, code = server6, ipkt.ProtocolICMPv6, uint8(header.ICMPv6PacketTooBig), 0
	}
	segment := make([]byte, header.TCPMinimumSize)
	putWord(segment, port)
	putWord(segment[2:], clientPort)
	segment[12] = header.TCPMinimumSize / 4 << 4
	message := []byte{kind, code, 0, 0, 0, 0, 0, 0}
	putWord(message[6:], mtu)
	b := quote(from, server, proto, append(message, quote(server, about, ipkt.ProtocolTCP, segment)...))
	return sumICMP(b)
}

// sumICMP sets the checksum of an ICMP message.
func sumICMP(b []byte) []byte {
	p, _ := ipkt.Parse(b)
	icmp, sum := p.Payload(), uint16(0)
	if !p.Is4() {
		sum = p.PseudoChecksum(len(icmp))
	}
	putWord(icmp[2:], ^ipkt.Checksum(icmp, sum))
	return b
}

// behindOptions puts destination options before the message of an IPv6 packet.
func behindOptions(b []byte) []byte {
	options := []byte{b[6], 0, 1, 4, 0, 0, 0, 0}
	b = append(append(append([]byte(nil), b[:40]...), options...), b[40:]...)
	b[6] = uint8(header.IPv6DestinationOptionsExtHdrIdentifier)
	binary.BigEndian.PutUint16(b[4:], uint16(len(b)-40))
	return b
}

// cutAt cuts a packet into two fragments, the first of so many bytes of payload.
func cutAt(b []byte, n int) [][]byte {
	var out [][]byte
	if b[0]>>4 == 4 {
		for i, part := range [][]byte{b[20 : 20+n], b[20+n:]} {
			f := append(append([]byte(nil), b[:20]...), part...)
			putWord(f[2:], uint16(len(f)))
			putWord(f[4:], 99)
			putWord(f[6:], [2]uint16{0x2000, uint16(n / 8)}[i])
			ipkt.SetHeaderChecksum(f[:20])
			out = append(out, f)
		}
		return out
	}
	for i, part := range [][]byte{b[40 : 40+n], b[40+n:]} {
		f := append(append([]byte(nil), b[:40]...), b[6], 0, 0, 0, 0, 0, 0, 99)
		putWord(f[42:], [2]uint16{1, uint16(n)}[i])
		f[6] = ipkt.ProtocolFragment
		f = append(f, part...)
		putWord(f[4:], uint16(len(f)-40))
		out = append(out, f)
	}
	return out
}

// victim is a client that has a connection.
type victim struct {
	t       *testing.T
	d       *Device
	at      netip.AddrPort
	packets chan []byte
	more    chan struct{} // has the server send 1,000 bytes
}

func newVictim(t *testing.T, at netip.AddrPort) *victim {
	v := &victim{t: t, at: at, packets: make(chan []byte, 1000), more: make(chan struct{})}
	port := serveTCP(t, func(conn *net.TCPConn) {
		<-v.more
		conn.Write(make([]byte, 1000))
		<-v.more
	})
	v.d = newDevice(t, func(cfg *Config) {
		cfg.Addresses, cfg.Pool = append(cfg.Addresses, natGateway6), append(cfg.Pool, natGateway6.Masked())
		cfg.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&hostNet{}).dial(ctx, "tcp", fmt.Sprint("127.0.0.1:", port))
		}
	})
	go lend(v.d, v.packets)
	send(t, v.d.Writer(), v.segment(100, 0, header.TCPFlagSyn))
	syn := header.TCP(v.next())
	if syn.Flags() != header.TCPFlagSyn|header.TCPFlagAck {
		t.Fatalf("no connection: % x", []byte(syn))
	}
	send(t, v.d.Writer(), v.segment(101, syn.SequenceNumber()+1, header.TCPFlagAck))
	wantSoon(t, func() bool {
		f := v.d.flows.find(flowKey{tcp: true, id: stack.TransportEndpointID{
			LocalPort: 80, LocalAddress: addressOf(v.server()), RemotePort: at.Port(), RemoteAddress: addressOf(at.Addr())}})
		v.d.flows.mu.Lock()
		defer v.d.flows.mu.Unlock()
		return f != nil && f.holding != nil
	})
	t.Cleanup(func() { close(v.more) })
	return v
}

func (v *victim) server() netip.Addr {
	if v.at.Addr().Is6() {
		return server6
	}
	return serverIP
}

func (v *victim) segment(seq, ack uint32, flags header.TCPFlags) []byte {
	const mss = 1200
	b := make([]byte, header.TCPMinimumSize+4)
	header.TCP(b).Encode(&header.TCPFields{
		SrcPort: v.at.Port(), DstPort: 80, SeqNum: seq, AckNum: ack, DataOffset: uint8(len(b)), Flags: flags, WindowSize: 65535,
	})
	copy(b[header.TCPMinimumSize:], []byte{header.TCPOptionMSS, header.TCPOptionMSSLength, mss >> 8, mss & 255})
	p, _ := ipkt.Parse(quote(v.at.Addr(), v.server(), ipkt.ProtocolTCP, b))
	putWord(p.Payload()[16:], ^ipkt.Checksum(p.Payload(), p.PseudoChecksum(len(b))))
	return p.Bytes
}

// next is the next segment that the victim gets.
func (v *victim) next() []byte {
	v.t.Helper()
	for {
		select {
		case b := <-v.packets:
			if p, err := ipkt.Parse(b); err == nil && p.Protocol == ipkt.ProtocolTCP && p.Destination() == v.at.Addr() {
				return p.Payload()
			}
		case <-time.After(patience):
			v.t.Fatal("nothing comes")
		}
	}
}

// gets is how many bytes are in the first packet of what the server sends.
func (v *victim) gets() int {
	v.t.Helper()
	v.more <- struct{}{}
	for {
		if b := v.next(); header.TCP(b).Flags()&header.TCPFlagPsh != 0 || len(header.TCP(b).Payload()) > 0 {
			return len(header.TCP(b).Payload())
		}
	}
}

// A client that says that packets to another one are too big, or do not arrive,
// changes nothing for that one, in whatever way it says so: only who was sent a
// packet may complain of it.
func TestNobodySpeaksForAnother(t *testing.T) {
	const clientPort = 4321
	thief4, thief6 := netip.MustParseAddr("10.100.1.66"), netip.MustParseAddr("2001:db8:f00:66::2")
	for _, family := range []struct {
		name          string
		thief, victim netip.Addr
	}{{"IPv4", thief4, clientIP}, {"IPv6", thief6, clientIP6}} {
		other := netip.AddrPortFrom(family.victim, clientPort)
		lie := toldTooBig(family.thief, family.victim, 80, clientPort, 200)
		ways := map[string][][]byte{
			"at once":                  {lie},
			"in fragments":             cutAt(lie, 16),
			"in fragments from inside": cutAt(lie, 40),
		}
		if family.victim.Is6() {
			ways["behind options"] = [][]byte{behindOptions(lie)}
			ways["behind options, in fragments"] = cutAt(behindOptions(lie), 8)
			ways["behind options, in two"] = cutAt(behindOptions(lie), 24)
		}
		for name, packets := range ways {
			t.Run(family.name+" "+name, func(t *testing.T) {
				v := newVictim(t, other)
				for _, b := range packets {
					send(t, v.d.Writer(), b)
				}
				if got := v.gets(); got != 1000 {
					t.Errorf("what is sent to another client comes in packets with %d bytes now", got)
				}
			})
		}
		t.Run(family.name+" of its own", func(t *testing.T) {
			v := newVictim(t, other)
			mtu, want := uint16(800), 1000 // IPv6 has no links of less than 1,280 bytes
			if family.victim.Is4() {
				want = 800
			}
			send(t, v.d.Writer(), toldTooBig(family.victim, family.victim, 80, clientPort, mtu))
			if got := v.gets(); got > want || got < want/2 {
				t.Errorf("%d bytes in a packet to who was sent some that were too big", got)
			}
		})
	}
}
