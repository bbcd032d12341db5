package netstack

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// open makes a mapping of a client's port, and reports whether it has one.
func (n *nat) open(client netip.Addr, port int) bool {
	n.t.Helper()
	return n.d.udp.open(netip.AddrPortFrom(client, uint16(port))) != nil
}

func (n *nat) has(client netip.Addr, port int) bool {
	return n.d.udp.find(netip.AddrPortFrom(client, uint16(port))) != nil
}

// held is how many mappings a client has.
func (n *nat) held(client netip.Addr) int {
	n.d.udp.ports.mu.Lock()
	defer n.d.udp.ports.mu.Unlock()
	if h := n.d.udp.holders[n.d.clients.of(client)]; h != nil {
		return h.ordered.Len()
	}
	return 0
}

// Mappings never take all ports and descriptors of the host: what is left is the
// host's, and of culvert's own DNS forwarders.
func TestUDPLeavesPortsToTheHost(t *testing.T) {
	theWorld(t)
	if n := hostPorts(); n != defaultPorts-defaultPorts/hostShare && n >= defaultPorts {
		t.Errorf("%d ports", n)
	}
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		t.Fatal(err)
	}
	if err := set("40000 40799", "ipv4/ip_local_port_range"); err != nil {
		t.Fatal(err)
	}
	defer set("32768 60999", "ipv4/ip_local_port_range")
	if n := hostPorts(); n != 700 {
		t.Errorf("%d ports of 800", n)
	}
	few := files
	few.Cur = 400
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &few); err != nil {
		t.Fatal(err)
	}
	n := hostPorts()
	unix.Setrlimit(unix.RLIMIT_NOFILE, &files)
	if n != 175 {
		t.Errorf("%d ports with 400 descriptors", n)
	}
}

// Seven sessions with all that one may have leave the others, other tenants and
// the host what they need.
func TestUDPHogsLeaveOthersTheirs(t *testing.T) {
	ports := NewPorts(160)
	one := newNAT(t, func(cfg *Config) { cfg.Ports = ports })
	two := newNAT(t, func(cfg *Config) { cfg.Ports = ports })
	for hog := range 7 {
		for port := range 200 {
			one.open(clientAt(10+hog), 1000+port)
		}
	}
	// A tenant has half, and the last sixteenth of it is for who has nothing: three of the hogs had.
	if n := one.d.udp.count(); n != 78 {
		t.Errorf("a tenant's hogs have %d mappings of 160", n)
	}
	for guest := range 60 {
		if !two.open(clientAt(10+guest), 5000) || !one.open(clientAt(100+guest), 5000) {
			t.Fatalf("guest %d gets no mapping", guest)
		}
	}
	if n := ports.taken; n > 160 {
		t.Errorf("%d mappings of 160", n)
	}
	for guest := range 60 {
		if !two.has(clientAt(10+guest), 5000) || !one.has(clientAt(100+guest), 5000) {
			t.Errorf("guest %d lost its mapping to a hog", guest)
		}
	}
	one.d.Close()
	two.d.Close()
}

// When all ports are in use, a tenant that comes late has room made for each of its clients
// by who holds most, in whichever tenant that is, and nobody who has little gives up his.
func TestUDPLateTenantFindsRoom(t *testing.T) {
	ports := NewPorts(160)
	var all []*nat
	for range 3 {
		all = append(all, newNAT(t, func(cfg *Config) { cfg.Ports = ports }))
	}
	for _, n := range all[:2] {
		n.open(clientAt(1), 5000)
		for hog := range 7 {
			for port := range 200 {
				n.open(clientAt(10+hog), 1000+port)
			}
		}
	}
	if ports.taken < 150 {
		t.Fatalf("%d mappings of 160 are in use", ports.taken)
	}
	late := all[2]
	for guest := range 60 {
		if !late.open(clientAt(10+guest), 5000) {
			t.Fatalf("guest %d gets no mapping", guest)
		}
	}
	for guest := range 60 {
		if !late.has(clientAt(10+guest), 5000) {
			t.Errorf("guest %d lost its mapping", guest)
		}
	}
	if !all[0].has(clientAt(1), 5000) || !all[1].has(clientAt(1), 5000) || ports.taken > 160 {
		t.Errorf("who had one mapping has it: %v, %v; %d in use", all[0].has(clientAt(1), 5000), all[1].has(clientAt(1), 5000), ports.taken)
	}
	for _, n := range all {
		n.d.Close()
	}
}

// Who holds most gives up first, and of his what he used longest ago.
func TestUDPOldestOfTheLargestGoesFirst(t *testing.T) {
	n := newNAT(t, func(cfg *Config) { cfg.Flows = 16 })
	hog, other := clientAt(1), clientAt(2)
	n.open(other, 1)
	for port := range 4 {
		n.open(hog, port)
	}
	n.d.udp.find(netip.AddrPortFrom(hog, 0)).used.Add(int64(time.Second))
	n.open(hog, 4) // a client has four of sixteen at most
	if n.has(hog, 1) || !n.has(hog, 0) || !n.has(hog, 4) || !n.has(other, 1) {
		t.Error("another one was given up than the one that was used longest ago")
	}
	if d := n.d.Counters(); d.Flows != 5 || d.FlowsRefused != 1 {
		t.Errorf("%+v", d)
	}
}

// A session's mappings are counted together, whichever of its addresses they are
// of: a delegated prefix has 256 networks, and one session.
func TestUDPCountsBySession(t *testing.T) {
	n := newNAT(t, func(cfg *Config) { cfg.Flows, cfg.ClientBits = 64, 56 })
	prefix := netip.MustParsePrefix("2001:db8:f00:500::/56")
	n.d.Join(clientIP, prefix)
	for i := range 30 {
		at := prefix.Addr().As16()
		at[7] = byte(i)
		n.open(netip.AddrFrom16(at), 7)
		n.open(clientIP, i)
	}
	if got := n.held(clientIP); got != 16 || n.d.udp.count() != 16 {
		t.Errorf("a session has %d mappings, and all have %d; want 16", got, n.d.udp.count())
	}
	n.d.Forget(clientIP)
	n.d.Forget(prefix.Addr())
	wantFlows(t, n.d, 0)
	n.open(prefix.Addr(), 7)
	if n.held(clientIP) != 0 {
		t.Error("the next session with the prefix is counted with the old one")
	}
}

// Who goes through all ports makes no more sockets than a worker can bear.
func TestUDPMappingsASecond(t *testing.T) {
	n := newNAT(t, func(cfg *Config) { cfg.Flows = 16 })
	begin, opened := time.Now(), 0
	for port := range 20000 {
		if n.open(clientIP, port) {
			opened++
		}
	}
	if most := opensPerSecond * int(2+time.Since(begin).Seconds()); opened > most || opened < opensPerSecond {
		t.Errorf("%d mappings made, at most %d", opened, most)
	}
	if !n.open(clientAt(1), 1) {
		t.Error("another client gets none")
	}
}

// A client that uses a port for DNS alone gives it back when it is answered.
func TestUDPMappingOfDNSIsShort(t *testing.T) {
	cfg := &Config{UDPIdle: DefaultUDPIdle, DNSIdle: DefaultDNSIdle}
	at := netip.MustParseAddrPort("198.51.100.7:53")
	f := &filter{holder: &holder{}}
	for range 2 {
		if idle, _ := f.sent(at, 1, cfg, true); idle != DefaultDNSIdle {
			t.Errorf("%v after a query", idle)
		}
	}
	if idle, ok := f.admits(at, 2, cfg); !ok || idle != DefaultDNSIdle {
		t.Errorf("%v after the first answer of two", idle)
	}
	if idle, ok := f.admits(at, 3, cfg); !ok || idle != dnsLinger {
		t.Errorf("%v after the last answer", idle)
	}
	f.sent(netip.MustParseAddrPort("198.51.100.8:3478"), 4, cfg, true)
	if idle, _ := f.sent(at, 5, cfg, true); idle != DefaultUDPIdle {
		t.Errorf("%v for a port that is used for more", idle)
	}
}

// Nothing goes to the broadcast address of a network that the host is in, not
// even where the operator has opened what its address is in.
func TestUDPNoDirectedBroadcast(t *testing.T) {
	everybody := netip.MustParseAddr("172.31.0.255")
	n := newNAT(t, func(cfg *Config) {
		cfg.Allow = []netip.Prefix{netip.PrefixFrom(everybody, 32), netip.PrefixFrom(routerIP, 32)}
	})
	var s *net.UDPConn
	n.router.enter(t, func() (err error) {
		s, err = net.ListenUDP("udp4", &net.UDPAddr{})
		return err
	})
	defer s.Close()
	for _, to := range []netip.Addr{everybody, routerIP} {
		n.send(datagram{to: netip.AddrPortFrom(to, addrPort(s).Port()), data: []byte(to.String())})
		time.Sleep(50 * time.Millisecond) // where it takes a goroutine to get there
	}
	if got, _ := n.arrives(s); string(got) != routerIP.String() {
		t.Errorf("what was sent to %s arrives", got)
	}
}

// Clients reach each other by the ports of the host only where they may.
func TestUDPHairpin(t *testing.T) {
	for _, open := range []bool{false, true} {
		n := newNAT(t, func(cfg *Config) {
			cfg.Hairpin = open
			cfg.Allow = []netip.Prefix{netip.PrefixFrom(hostIP, 32)} // the host is no obstacle
		})
		outside := func(port uint16) netip.AddrPort {
			s := n.listen(t, serverIP)
			n.send(datagram{from: port, to: addrPort(s), data: []byte("stun")})
			_, at := n.arrives(s)
			return at
		}
		a, b := outside(40001), outside(40002)
		g := datagram{from: 40001, to: b, data: []byte("a hole for answers")}
		n.send(g)
		if !open {
			n.wantICMP(g, icmpOf{gateway.Addr(), 3, 3})
			continue
		}
		wantSoon(t, func() bool {
			return n.d.udp.find(netip.AddrPortFrom(clientIP, 40001)).filter.knows(b, n.d.flows.now(), &n.d.cfg)
		})
		time.Sleep(50 * time.Millisecond) // the other has not asked yet, and gets nothing
		n.send(datagram{from: 40002, to: a, data: []byte("hello")})
		p := n.next()
		if udp := p.Payload(); p.Source() != b.Addr() || word(udp) != b.Port() || word(udp[2:]) != 40001 || string(udp[8:]) != "hello" {
			t.Errorf("got % x", p.Bytes)
		}
	}
}
