package netstack

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"github.com/culvert-vpn/culvert/internal/x/nstest"
	"github.com/culvert-vpn/culvert/tenant"
	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

func TestMain(m *testing.M) { os.Exit(nstest.Alone(m.Run)) }

var (
	gateway6  = netip.MustParsePrefix("2001:db8:100::1/64")
	client6IP = netip.MustParseAddr("2001:db8:100::2")
)

// prober sends single packets through a device and sees what comes back.
type prober struct {
	t    *testing.T
	d    *Device
	w    tenant.Writer
	port uint16
	hops uint8 // 0: as usual
	back chan []byte
}

func newProber(t *testing.T, change func(*Config)) *prober {
	t.Helper()
	d := newDevice(t, func(cfg *Config) {
		cfg.Addresses = append(cfg.Addresses, gateway6)
		cfg.Pool = append(cfg.Pool, gateway6.Masked())
		cfg.DialContext = nil // the host's own network
		if change != nil {
			change(cfg)
		}
	})
	p := &prober{t: t, d: d, w: d.Writer(), port: 20000, back: make(chan []byte, 1024)}
	go func() {
		for s := d.Sources()[0]; s.Read() == nil; {
			for {
				b, off, ok := s.Next()
				if !ok {
					break
				}
				p.back <- append([]byte(nil), b[off:]...)
			}
		}
	}()
	return p
}

// send sends a packet of this protocol, with its checksum, from the client.
func (p *prober) send(to netip.Addr, proto uint8, sumAt int, message []byte) {
	from := clientIP
	if to.Is6() {
		from = client6IP
	}
	b := quote(from, to, proto, message)
	ip, err := ipkt.Parse(b)
	if err != nil {
		p.t.Fatal(err)
	}
	if p.hops > 0 {
		setHopsLeft(b, p.hops)
	}
	var sum uint16
	if proto != ipkt.ProtocolICMP {
		sum = ip.PseudoChecksum(len(message))
	}
	binary.BigEndian.PutUint16(ip.Payload()[sumAt:], ^ipkt.Checksum(ip.Payload(), sum))
	p.w.Commit(b)
	p.w.Flush()
}

// answer waits for a packet that to sends, or an error about one to it.
func (p *prober) answer(to netip.Addr) (ip ipkt.Packet, fromThere bool) {
	p.t.Helper()
	for {
		select {
		case b := <-p.back:
			ip, err := ipkt.Parse(b)
			if err != nil {
				p.t.Fatal(err)
			}
			if ip.Source() == to {
				return ip, true
			}
			if ip.Protocol == ipkt.ProtocolICMP || ip.Protocol == ipkt.ProtocolICMPv6 {
				return ip, false
			}
		case <-time.After(patience):
			p.t.Fatalf("nothing comes back for %v", to)
		}
	}
}

// opens dials and reports whether somebody is there.
func (p *prober) opens(to netip.Addr, port uint16) bool {
	p.t.Helper()
	p.port++
	syn := make([]byte, header.TCPMinimumSize)
	header.TCP(syn).Encode(&header.TCPFields{
		SrcPort: p.port, DstPort: port, SeqNum: 1, DataOffset: header.TCPMinimumSize, Flags: header.TCPFlagSyn, WindowSize: 65535,
	})
	p.send(to, ipkt.ProtocolTCP, header.TCPChecksumOffset, syn)
	ip, there := p.answer(to)
	return there && header.TCP(ip.Payload()).Flags() == header.TCPFlagSyn|header.TCPFlagAck
}

// The first hop of a traceroute by TCP is the gateway, not the host that it is for
// (RFC 1812 section 5.3.1).
func TestSYNsCountHops(t *testing.T) {
	p := newProber(t, func(cfg *Config) { cfg.DialContext = (&hostNet{}).dial })
	for _, to := range addrs("198.51.100.7", "2001:db8:77::7") {
		p.hops = 1
		syn := make([]byte, header.TCPMinimumSize)
		header.TCP(syn).Encode(&header.TCPFields{SrcPort: 7, DstPort: 9, SeqNum: 1, DataOffset: header.TCPMinimumSize, Flags: header.TCPFlagSyn})
		p.send(to, ipkt.ProtocolTCP, header.TCPChecksumOffset, syn)
		ip, there := p.answer(to)
		exceeded := ip.Payload()[0] == byte(header.ICMPv4TimeExceeded) || ip.Payload()[0] == byte(header.ICMPv6TimeExceeded)
		if there || !exceeded || ip.Source() != gateway.Addr() && ip.Source() != gateway6.Addr() {
			t.Errorf("%v: % x", to, ip.Bytes)
		}
		if n := p.d.Counters().Flows; n != 0 {
			t.Errorf("%v: %d flows", to, n)
		}
	}
}

// datagram sends a datagram.
func (p *prober) datagram(to netip.Addr, port uint16) {
	p.port++
	b := make([]byte, header.UDPMinimumSize+4)
	header.UDP(b).Encode(&header.UDPFields{SrcPort: p.port, DstPort: port, Length: uint16(len(b))})
	p.send(to, ipkt.ProtocolUDP, 6, b)
}

// echo pings.
func (p *prober) echo(to netip.Addr) {
	proto, b := uint8(ipkt.ProtocolICMP), make([]byte, 16)
	b[0] = byte(header.ICMPv4Echo)
	if to.Is6() {
		proto, b[0] = ipkt.ProtocolICMPv6, byte(header.ICMPv6EchoRequest)
	}
	p.send(to, proto, 2, b)
}

// echoes pings and reports whether the answer came.
func (p *prober) echoes(to netip.Addr) bool {
	p.t.Helper()
	p.echo(to)
	ip, there := p.answer(to)
	return there && (ip.Payload()[0] == byte(header.ICMPv4EchoReply) || ip.Payload()[0] == byte(header.ICMPv6EchoReply))
}

// addressed makes an interface with addresses.
func addressed(t *testing.T, addrs ...string) netlink.Link {
	t.Helper()
	nstest.WantAlone(t)
	link := &netlink.Tuntap{LinkAttrs: netlink.LinkAttrs{Name: "own0"}, Mode: netlink.TUNTAP_MODE_TUN}
	if err := netlink.LinkAdd(link); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { netlink.LinkDel(link) })
	if err := netlink.LinkSetUp(link); err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		addAddr(t, link, a)
	}
	return link
}

func addAddr(t *testing.T, link netlink.Link, addr string) {
	t.Helper()
	a, err := netlink.ParseAddr(addr)
	if err != nil {
		t.Fatal(err)
	}
	a.Flags = unix.IFA_F_NODAD
	if err := netlink.AddrAdd(link, a); err != nil {
		t.Fatal(addr, err)
	}
}

// service is TCP and UDP of the host on all its addresses.
type service struct {
	port uint16
	got  atomic.Int32 // datagrams
}

func newService(t *testing.T) *service {
	t.Helper()
	ln, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	s := &service{port: ln.Addr().(*net.TCPAddr).AddrPort().Port()}
	pc, err := net.ListenPacket("udp", ":"+strconv.Itoa(int(s.port)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close(); pc.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			defer c.Close()
		}
	}()
	go func() {
		for {
			if _, _, err := pc.ReadFrom(make([]byte, 100)); err != nil {
				return
			}
			s.got.Add(1)
		}
	}()
	return s
}

func addrs(list ...string) (all []netip.Addr) {
	for _, a := range list {
		all = append(all, netip.MustParseAddr(a))
	}
	return all
}

// No client comes in by the host's own addresses, past its firewall: not by those
// of its interfaces, not by ranges that are routed to itself, not by
// broadcasts.
func TestHostIsClosed(t *testing.T) {
	addressed(t, "192.0.2.1/24", "192.0.2.9/24", "2001:db8:77::1/64")
	_, whole, _ := net.ParseCIDR("198.18.0.0/24")
	lo, _ := netlink.LinkByName("lo")
	itself := &netlink.Route{LinkIndex: lo.Attrs().Index, Dst: whole, Type: unix.RTN_LOCAL, Scope: netlink.SCOPE_HOST, Table: unix.RT_TABLE_LOCAL}
	if err := netlink.RouteAdd(itself); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { netlink.RouteDel(itself) })
	s, p := newService(t), newProber(t, nil)
	for _, own := range addrs("192.0.2.1", "192.0.2.9", "2001:db8:77::1", "198.18.0.5") {
		if p.opens(own, s.port) {
			t.Errorf("TCP to %v: open", own)
		}
	}
	for _, own := range addrs("192.0.2.1", "192.0.2.9", "192.0.2.255", "2001:db8:77::1") {
		p.datagram(own, s.port)
		if p.echoes(own) { // whose answer comes behind the datagram
			t.Errorf("ping to %v: answered", own)
		}
	}
	ranged := netip.MustParseAddr("198.18.0.5") // only the kernel knows that it is the host
	p.echo(ranged)
	for silent := time.After(300 * time.Millisecond); silent != nil; {
		select {
		case b := <-p.back:
			if ip, err := ipkt.Parse(b); err == nil && ip.Source() == ranged {
				t.Errorf("ping to %v: answered", ranged)
			}
		case <-silent:
			silent = nil
		}
	}
	if n := s.got.Load(); n != 0 {
		t.Errorf("UDP: %d datagrams came through", n)
	}
}

// The operator opens what clients may reach of the host by its name.
func TestHostIsOpenedByName(t *testing.T) {
	addressed(t, "192.0.2.1/24", "192.0.2.9/24", "2001:db8:77::1/64")
	s := newService(t)
	p := newProber(t, func(cfg *Config) {
		cfg.Allow = prefixes("192.0.2.0/24", "192.0.2.1/32", "2001:db8:77::1/128")
	})
	for _, own := range addrs("192.0.2.1", "2001:db8:77::1") {
		if !p.opens(own, s.port) || !p.echoes(own) {
			t.Errorf("%v is allowed by name, and closed", own)
		}
	}
	if p.opens(netip.MustParseAddr("192.0.2.9"), s.port) {
		t.Error("192.0.2.9 is open, and only its network is allowed")
	}
}

// An address that the host gets while clients are there is closed at once.
func TestHostIsFollowed(t *testing.T) {
	link := addressed(t, "192.0.2.1/24")
	s, p := newService(t), newProber(t, nil)
	addAddr(t, link, "203.0.113.9/32")
	addAddr(t, link, "2001:db8:99::9/128")
	for _, own := range addrs("203.0.113.9", "2001:db8:99::9") {
		if p.opens(own, s.port) {
			t.Errorf("TCP to %v: open", own)
		}
		wantSoon(t, func() bool { return p.d.reach.Load().Denies(own) })
		if p.echoes(own) {
			t.Errorf("ping to %v: answered", own)
		}
	}
}

func prefixes(list ...string) (all []netip.Prefix) {
	for _, p := range list {
		all = append(all, netip.MustParsePrefix(p))
	}
	return all
}
