package gateway

import (
	"encoding/binary"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/internal/config"
	"github.com/culvert-vpn/culvert/internal/x/nstest"
	"github.com/culvert-vpn/culvert/tenant"
	"github.com/culvert-vpn/culvert/tenant/ipkt"
	"github.com/culvert-vpn/culvert/tenant/policy"
)

func TestMain(m *testing.M) { os.Exit(nstest.Alone(m.Run)) }

func TestQueuesFollowWorkers(t *testing.T) {
	for workers, want := range map[int]int{1: 1, 2: 1, 3: 1, 4: 2, 16: 8, 1024: maxTUNQueues} {
		if got := tunQueues(workers); got != want {
			t.Errorf("%d workers: %d queues, want %d", workers, got, want)
		}
	}
	if tunQueues(0) < 1 {
		t.Error("no queue for as many workers as there are CPUs")
	}
}

// The timeouts of a configuration are those of the tenant's stack.
func TestTimeoutsReachTheStack(t *testing.T) {
	conf, err := config.Parse("test.yaml", []byte(`{listen: [127.0.0.1], tenants: [{name: acme, default: true, psk: ["acme acme acme acme acme"],
		pool: [10.100.1.0/24, 2001:db8:1::/48], delegate: 56, clients: open, auth: {local: {users: [{name: u, password: sufficient-password}]}},
		egress: {netstack: {timeouts: {tcp: 3h, tcp_half_closed: 5m, tcp_connect: 9s, udp: 6m, dns: 7s, icmp: 8m}}}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	c := (&devices{}).netstack(&conf.Tenants[0])
	if got := []time.Duration{c.TCPIdle, c.TCPHalfClosed, c.HandshakeTimeout, c.UDPIdle, c.DNSIdle, c.ICMPIdle}; !slices.Equal(got,
		[]time.Duration{3 * time.Hour, 5 * time.Minute, 9 * time.Second, 6 * time.Minute, 7 * time.Second, 8 * time.Minute}) {
		t.Errorf("timeouts %v", got)
	}
	if c.ClientBits != 55 || !c.Hairpin {
		t.Errorf("a session has a /%d, hairpins %v", c.ClientBits, c.Hairpin)
	}
}

const wallsConfig = `
listen: [127.0.0.1]
tenants:
  - {name: acme, match: {realms: [acme]}, psk: ["acme acme acme acme acme"], pool: [10.100.1.0/24, 2001:db8:1::/48],
     egress: {netstack: {allow: [10.200.7.0/24]}}}
  - {name: globex, match: {realms: [globex]}, psk: ["globex globex globex glo"], pool: [10.200.1.0/24, 10.200.7.0/24, 2001:db8:2::/48],
     egress: {tun: {device: globex0}}}
`

// opened opens the devices of a configuration.
func opened(t *testing.T, yaml string) map[string]tenant.Device {
	t.Helper()
	nstest.WantAlone(t)
	conf, err := config.Parse("test.yaml", []byte(yaml))
	if err != nil {
		t.Fatal(err)
	}
	ds, err := newDevices(conf, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(ds.close)
	all := make(map[string]tenant.Device)
	for i := range conf.Tenants {
		d, err := ds.open(&conf.Tenants[i])
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { d.Close() })
		all[conf.Tenants[i].Name] = d
	}
	return all
}

// arrivals are the TCP packets that come out of a device for addr.
func arrivals(d tenant.Device, of ...netip.Addr) <-chan ipkt.Packet {
	ch := make(chan ipkt.Packet, 64)
	go func() {
		for s := d.Sources()[0]; s.Read() == nil; {
			for {
				b, off, ok := s.Next()
				if !ok {
					break
				}
				p, err := ipkt.Parse(append([]byte(nil), b[off:]...))
				if err != nil || p.Protocol != ipkt.ProtocolTCP {
					continue
				}
				for _, a := range of {
					if p.Source() == a || p.Destination() == a {
						ch <- p
					}
				}
			}
		}
	}()
	return ch
}

// syn is a TCP segment that opens a connection to port 80.
func syn(from, to netip.Addr, port uint16) []byte {
	b := make([]byte, 60)
	b[0], b[5], b[6], b[7] = 0x60, 20, ipkt.ProtocolTCP, 64
	if from.Is4() {
		b = b[:40]
		b[0], b[3], b[5], b[6], b[7], b[8], b[9] = 0x45, 40, 0, 0, 0, 64, ipkt.ProtocolTCP
	}
	at := len(b) - 20
	copy(b[at-2*from.BitLen()/8:], from.AsSlice())
	copy(b[at-from.BitLen()/8:], to.AsSlice())
	if from.Is4() {
		ipkt.SetHeaderChecksum(b[:20])
	}
	binary.BigEndian.PutUint16(b[at:], port)
	b[at+3], b[at+7], b[at+12], b[at+13], b[at+14] = 80, 1, 0x50, 2, 0xff
	p, _ := ipkt.Parse(b)
	binary.BigEndian.PutUint16(b[at+16:], ^ipkt.Checksum(b[at:], p.PseudoChecksum(20)))
	return b
}

// Between tenants nothing passes, also where one leaves by the host's sockets and
// the other is a network of the host; unless that network is opened by name.
func TestTenantsDoNotReachEachOther(t *testing.T) {
	devices := opened(t, wallsConfig)
	closed := []netip.Addr{netip.MustParseAddr("10.200.1.2"), netip.MustParseAddr("10.200.1.1"), netip.MustParseAddr("2001:db8:2::5")}
	open := netip.MustParseAddr("10.200.7.2")
	refused, arrived := arrivals(devices["acme"], closed...), arrivals(devices["globex"], append(closed, open)...)
	w := devices["acme"].Writer()
	from := map[bool]netip.Addr{true: netip.MustParseAddr("10.100.1.2"), false: netip.MustParseAddr("2001:db8:1::2")}
	for i, to := range closed {
		w.Commit(syn(from[to.Is4()], to, uint16(4000+i)))
		w.Flush()
		select {
		case p := <-refused:
			if p.Source() != to || p.Payload()[13]&4 == 0 {
				t.Errorf("%v: no RST comes back: % x", to, p.Bytes)
			}
		case p := <-arrived:
			t.Errorf("%v: globex's client sees a connection of acme's, from %v", to, p.Source())
		case <-time.After(20 * time.Second):
			t.Errorf("%v: nothing comes back", to)
		}
	}
	w.Commit(syn(from[true], open, 5000))
	w.Flush()
	select {
	case p := <-arrived:
		if p.Destination() != open {
			t.Errorf("globex sees a packet to %v", p.Destination())
		}
	case <-time.After(20 * time.Second):
		t.Error("what is allowed by name does not arrive")
	}
}

// allow without deny closes nothing.
func TestAllowClosesNothing(t *testing.T) {
	conf, err := config.Parse("test.yaml", []byte(wallsConfig))
	if err != nil {
		t.Fatal(err)
	}
	ds, err := newDevices(conf, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ds.close()
	cfg := ds.netstack(&conf.Tenants[0])
	reach, err := policy.NewReach(cfg.Deny, cfg.Allow)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range []string{"8.8.8.8", "2001:4860:4860::8888", "10.200.7.2"} {
		if reach.Denies(netip.MustParseAddr(a)) {
			t.Errorf("%s is closed, and nothing denies it", a)
		}
	}
}
