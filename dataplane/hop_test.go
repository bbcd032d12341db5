package dataplane

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/culvert-vpn/culvert/dataplane/udp"
	"github.com/culvert-vpn/culvert/l2tp"
	"github.com/culvert-vpn/culvert/ppp"
	"github.com/culvert-vpn/culvert/tenant/ipkt"
	"github.com/culvert-vpn/culvert/tenant/policy"
)

var (
	friend       = netip.MustParseAddr("10.100.1.3")
	friend6      = netip.MustParseAddr("2001:db8:1:6::7")
	friendPrefix = netip.MustParsePrefix("2001:db8:1:6::/63") // and what is delegated
	delegated6   = netip.MustParseAddr("2001:db8:1:7::7")
	ours         = netip.MustParseAddr("10.100.1.1")
)

// newNeighbours is a rig with another client, of call 91, whose link carries mtu
// bytes.
func newNeighbours(t *testing.T, open bool, mtu uint16) *rig {
	r := newRig6(t)
	r.link.port.SetRules(policy.New(rigRules(open)))
	other := r.plane.NewSession(SessionConfig{Peer: r.peer, Tunnel: 7, Call: 10, RemoteTunnel: 70, RemoteCall: 91})
	r.plane.Bind(other, r.link.port, friend, LinkOptions{MTU: mtu})
	r.plane.Bind6(other, r.link.port, friendPrefix, LinkOptions{MTU: mtu})
	return r
}

// sends has the rig's client send a packet.
func (r *rig) sends(ip []byte) {
	r.t.Helper()
	if ip[0]>>4 == 6 {
		r.worker.batch([]udp.Message{r.message(r.seal6(ip))})
		return
	}
	r.worker.batch([]udp.Message{r.message(r.seal(ip))})
}

// brings has the tenant's network bring a packet.
func (r *rig) brings(ip []byte) {
	buf, off := lend(ip)
	r.link.packet(buf, off)
	r.link.send.flush()
}

// arrived is what was sent to clients, by call.
func (r *rig) arrived() (packets [][]byte, calls []l2tp.CallID) {
	r.t.Helper()
	for _, b := range r.wire.sent {
		h, frame, err := l2tp.ParseData(r.open(b)[8:])
		_, ip, ok := ppp.ParseFrame(frame)
		if err != nil || !ok {
			r.t.Fatalf("%v, %x", err, frame)
		}
		packets, calls = append(packets, ip), append(calls, h.Call)
	}
	r.wire.sent = nil
	return packets, calls
}

// TestClientsAreClosedToEachOther: of one tenant, in both families, to addresses,
// prefixes and what is delegated; where somebody is, and where nobody is, and
// also when the device, as a kernel with forwarding does, brings the packet back.
// Each is counted. The gateway's own address is open.
func TestClientsAreClosedToEachOther(t *testing.T) {
	datagram := make([]byte, 20)
	for name, c := range map[string]struct {
		ip     []byte
		closed bool
	}{
		"another":             {ipPacket(clientAddr, friend, 100), true},
		"nobody":              {ipPacket(clientAddr, netip.MustParseAddr("10.100.1.77"), 100), true},
		"itself":              {ipPacket(clientAddr, clientAddr, 100), true},
		"broadcast of all":    {ipPacket(clientAddr, netip.MustParseAddr("10.100.1.255"), 100), true},
		"another's /64":       {packet6(client6, friend6, ipkt.ProtocolUDP, datagram), true},
		"another's delegated": {packet6(client6, delegated6, ipkt.ProtocolUDP, datagram), true},
		"nobody's prefix":     {packet6(client6, netip.MustParseAddr("2001:db8:1:99::7"), ipkt.ProtocolUDP, datagram), true},
		"the gateway":         {ipPacket(clientAddr, ours, 100), false},
		"the gateway 6":       {packet6(client6, gateway6, ipkt.ProtocolUDP, datagram), false},
		"the network":         {ipPacket(clientAddr, internet, 100), false},
		"the network 6":       {packet6(client6, internet6, ipkt.ProtocolUDP, datagram), false},
	} {
		r := newNeighbours(t, false, 1400)
		r.sends(bytes.Clone(c.ip))
		drops := r.plane.Drops()[DropNeighbour]
		if c.closed && (len(r.device.got)+len(r.wire.sent) != 0 || drops != 1) {
			t.Errorf("%s: %d to the device, %d sent, %d dropped", name, len(r.device.got), len(r.wire.sent), drops)
		}
		if !c.closed && (len(r.device.got) != 1 || drops != 0) {
			t.Errorf("%s: %d to the device, %d dropped", name, len(r.device.got), drops)
		}
		if c.closed {
			r.brings(c.ip)
			if len(r.wire.sent) != 0 {
				t.Errorf("%s: it comes in by the device", name)
			}
		}
	}
}

// TestClosedClientsHearTheNetwork: the gateway and everybody else reach them.
func TestClosedClientsHearTheNetwork(t *testing.T) {
	r := newNeighbours(t, false, 1400)
	r.brings(ipPacket(ours, friend, 100))
	r.brings(ipPacket(internet, friend, 100))
	r.brings(packet6(gateway6, delegated6, ipkt.ProtocolUDP, make([]byte, 20)))
	r.brings(packet6(internet6, friend6, ipkt.ProtocolUDP, make([]byte, 20)))
	if packets, _ := r.arrived(); len(packets) != 4 {
		t.Errorf("%d of 4 arrived: %v", len(packets), r.plane.Drops())
	}
	r.brings(ipPacket(friend, clientAddr, 100))
	r.brings(packet6(delegated6, client6, ipkt.ProtocolUDP, make([]byte, 20)))
	if packets, _ := r.arrived(); len(packets) != 0 || r.plane.Drops()[DropNeighbour] != 2 {
		t.Errorf("%d from another client arrived: %v", len(packets), r.plane.Drops())
	}
}

// TestNeighbours: opened, clients reach each other, and none comes back to whom
// it is from.
func TestNeighbours(t *testing.T) {
	r := newNeighbours(t, true, 1400)
	for _, ip := range [][]byte{
		ipPacket(clientAddr, friend, 100), packet6(client6, friend6, ipkt.ProtocolUDP, make([]byte, 20)),
		packet6(client6, delegated6, ipkt.ProtocolUDP, make([]byte, 20)),
	} {
		r.sends(bytes.Clone(ip))
		packets, calls := r.arrived()
		if len(r.device.got) != 0 || len(packets) != 1 || calls[0] != 91 || !bytes.Equal(packets[0], ip) {
			t.Fatalf("%d to the device, %x to %v", len(r.device.got), packets, calls)
		}
	}
	r.sends(ipPacket(clientAddr, clientAddr, 100))
	if len(r.wire.sent) != 0 {
		t.Error("a packet goes round")
	}
}

// TestTooBigForANeighbour: what is larger than another client's path carries is
// fragmented, or its sender is told how large it may be.
func TestTooBigForANeighbour(t *testing.T) {
	r := newNeighbours(t, true, 1300)
	whole := ipPacket(clientAddr, friend, 1390)
	r.sends(bytes.Clone(whole))
	packets, calls := r.arrived()
	if len(packets) != 2 || calls[0] != 91 || calls[1] != 91 || len(packets[0]) > 1300 || len(packets[0])+len(packets[1]) != 1390+20 {
		t.Fatalf("%d fragments to %v", len(packets), calls)
	}
	whole[6] = 0x40
	ipkt.SetHeaderChecksum(whole[:20])
	r.sends(whole)
	packets, calls = r.arrived()
	if len(packets) != 1 || calls[0] != 90 {
		t.Fatalf("%d answers to %v", len(packets), calls)
	}
	if b := packets[0]; b[20] != 3 || b[21] != 4 || binary.BigEndian.Uint16(b[26:]) != 1300 || netip.AddrFrom4([4]byte(b[12:])) != ours {
		t.Errorf("% x", b)
	}
	r.sends(packet6(client6, friend6, ipkt.ProtocolUDP, make([]byte, 1350)))
	packets, calls = r.arrived()
	if len(packets) != 1 || calls[0] != 90 || packets[0][40] != 2 || binary.BigEndian.Uint32(packets[0][44:]) != 1300 {
		t.Errorf("%d answers to %v", len(packets), calls)
	}
	if r.plane.Drops()[DropTooBig] != 2 {
		t.Errorf("%v", r.plane.Drops())
	}
}

// TestNeighboursMSS: a TCP connection between two clients fits the smaller path.
func TestNeighboursMSS(t *testing.T) {
	r := newNeighbours(t, true, 1300)
	tcp := make([]byte, 24)
	tcp[12], tcp[13], tcp[20], tcp[21] = 6<<4, 2, 2, 4
	binary.BigEndian.PutUint16(tcp[22:], 1460)
	ip := append(ipPacket(clientAddr, friend, 44)[:20], tcp...)
	ip[9] = ipkt.ProtocolTCP
	ipkt.SetHeaderChecksum(ip[:20])
	r.sends(ip)
	packets, _ := r.arrived()
	if len(packets) != 1 || binary.BigEndian.Uint16(packets[0][42:]) != 1260 {
		t.Errorf("% x", packets)
	}
}

// TestNeighboursNoAllocations: a packet that is turned round allocates nothing.
func TestNeighboursNoAllocations(t *testing.T) {
	const runs = 100
	r := newNeighbours(t, true, 1400)
	r.wire.discard = true
	batches := make([][]udp.Message, runs+1)
	for i := range batches {
		batches[i] = []udp.Message{r.message(r.seal(ipPacket(clientAddr, friend, 1000)))}
	}
	i := 0
	if n := testing.AllocsPerRun(runs, func() { r.worker.batch(batches[i]); i++ }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestTunnelModeClientsAreClosed: without L2TP and PPP it is the same road.
func TestTunnelModeClientsAreClosed(t *testing.T) {
	for _, open := range []bool{false, true} {
		r := newNeighbours(t, open, 1400)
		r.tunnelMode()
		pkt, err := r.theirs.Seal(make([]byte, 0, 2048), ipPacket(clientAddr, friend, 100), protoIPv4)
		if err != nil {
			t.Fatal(err)
		}
		r.worker.batch([]udp.Message{r.message(pkt)})
		if got := len(r.wire.sent); got != 0 != open || len(r.device.got) != 0 {
			t.Errorf("open %v: %d arrive", open, got)
		}
	}
}

// tunnelMode makes the rig's SA one of tunnel mode.
func (r *rig) tunnelMode() {
	r.worker.table.sas.get(1000).TunnelMode = r.session
}
