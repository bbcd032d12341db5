package dataplane

import (
	"bytes"
	"encoding/binary"
	"io"
	"net/netip"
	"testing"

	"github.com/culvert-vpn/culvert/dataplane/udp"
	"github.com/culvert-vpn/culvert/esp"
	"github.com/culvert-vpn/culvert/l2tp"
	"github.com/culvert-vpn/culvert/ppp"
	"github.com/culvert-vpn/culvert/tenant"
	"github.com/culvert-vpn/culvert/tenant/ipkt"
	"github.com/culvert-vpn/culvert/tenant/policy"
)

// rig is a plane with one peer, whose other end the test plays.
type rig struct {
	t       testing.TB
	plane   *Plane
	worker  *worker
	link    *downlink
	wire    *fakeConn
	device  *fakeDevice
	peer    *Peer
	session *Session
	theirs  *esp.Outbound // what the client seals with
	ours    *esp.Inbound  // what the client opens with
	path    Path
}

var clientAddr = netip.MustParseAddr("10.100.1.2")

func newRig(t testing.TB, encryption uint8, bits int, integrity uint16) *rig {
	t.Helper()
	r := &rig{t: t, wire: &fakeConn{}, device: &fakeDevice{}}
	plane, err := New(Config{
		Listen:    func(udp.Config) (udp.Conn, error) { return r.wire, nil },
		Addresses: []netip.Addr{netip.MustParseAddr("203.0.113.1")}, IKEPort: 500, NATTPort: 4500, Workers: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	r.plane, r.worker = plane, plane.workers[0]
	r.path = Path{Local: netip.MustParseAddrPort("203.0.113.1:4500"), Remote: netip.MustParseAddrPort("198.51.100.7:4500")}
	r.secure(encryption, bits, integrity)
	r.session = plane.NewSession(SessionConfig{Peer: r.peer, Tunnel: 7, Call: 9, RemoteTunnel: 70, RemoteCall: 90})
	port := plane.newPort(PortConfig{
		Device: r.device, Gateways: rigRules(false).Gateways, Rules: policy.New(rigRules(false)),
	})
	port.writers = []tenant.Writer{r.device.Writer(), nil, r.device.Writer()}
	plane.Bind(r.session, port, clientAddr, LinkOptions{MTU: 1400})
	r.link = plane.newDownlink(port, nil, r.device.Writer(), 0)
	return r
}

// rigRules are the rules of the rig's tenant.
func rigRules(open bool) policy.Config {
	return policy.Config{
		Clients:  []netip.Prefix{netip.MustParsePrefix("10.100.1.0/24"), netip.MustParsePrefix("2001:db8:1::/48")},
		Gateways: []netip.Addr{netip.MustParseAddr("10.100.1.1"), gateway6}, ClientToClient: open,
	}
}

// secure makes the SAs of both directions.
func (r *rig) secure(encryption uint8, bits int, integrity uint16) {
	transform, err := esp.ByIANA(encryption, bits, integrity)
	if err != nil {
		r.t.Fatal(err)
	}
	keys := esp.Keys{Encryption: make([]byte, transform.EncryptionKeyLen()), Integrity: make([]byte, transform.IntegrityKeyLen())}
	r.peer = NewPeer(1)
	in, err1 := NewSA(r.peer, esp.InboundConfig{SPI: 1000, Transform: transform, Keys: keys})
	out, err2 := esp.NewOutbound(esp.OutboundConfig{SPI: 2000, Transform: transform, Keys: keys})
	theirs, err3 := esp.NewOutbound(esp.OutboundConfig{SPI: 1000, Transform: transform, Keys: keys})
	ours, err4 := esp.NewInbound(esp.InboundConfig{SPI: 2000, Transform: transform, Keys: keys})
	for _, err := range []error{err1, err2, err3, err4} {
		if err != nil {
			r.t.Fatal(err)
		}
	}
	r.theirs, r.ours = theirs, ours
	r.plane.AddSA(1000, in)
	if err := r.plane.Route(r.peer, Encapsulation{Out: out, Path: r.path, LocalPort: 1701, RemotePort: 1701}); err != nil {
		r.t.Fatal(err)
	}
}

// seal makes a datagram as the client would send it, around an IP packet.
func (r *rig) seal(ip []byte) []byte {
	frame := append(ppp.AppendHeader(nil, ppp.ProtocolIPv4, false, false), ip...)
	return r.sealL2TP(append(l2tp.AppendDataHeader(nil, l2tp.DataHeader{Tunnel: 7, Call: 9}, len(frame)), frame...))
}

func (r *rig) sealL2TP(message []byte) []byte {
	datagram := make([]byte, 8, 8+len(message)+64)
	binary.BigEndian.PutUint16(datagram, 1701)
	binary.BigEndian.PutUint16(datagram[2:], 1701)
	binary.BigEndian.PutUint16(datagram[4:], uint16(8+len(message)))
	datagram = append(datagram, message...)
	pkt, err := r.theirs.Seal(make([]byte, 0, 2048), datagram, protoUDP)
	if err != nil {
		r.t.Fatal(err)
	}
	return pkt
}

func (r *rig) message(data []byte) udp.Message {
	return udp.Message{Data: data, Remote: r.path.Remote, Local: r.path.Local.Addr()}
}

// open opens what we sent and returns the UDP datagram inside.
func (r *rig) open(pkt []byte) []byte {
	r.t.Helper()
	payload, next, err := r.ours.Open(append([]byte(nil), pkt...))
	if err != nil || next != protoUDP {
		r.t.Fatalf("open: %v, next header %d", err, next)
	}
	return payload
}

// ipPacket makes an IPv4 packet of n bytes.
func ipPacket(src, dst netip.Addr, n int) []byte {
	pkt := make([]byte, n)
	pkt[0], pkt[8], pkt[9] = 0x45, 64, ipkt.ProtocolUDP
	binary.BigEndian.PutUint16(pkt[2:], uint16(n))
	s, d := src.As4(), dst.As4()
	copy(pkt[12:], s[:])
	copy(pkt[16:], d[:])
	ipkt.SetHeaderChecksum(pkt[:20])
	return pkt
}

// lend puts an IP packet where a Source would lend it.
func lend(ip []byte) ([]byte, int) {
	buf := make([]byte, tenant.Headroom+len(ip), tenant.Headroom+len(ip)+tenant.Tailroom)
	copy(buf[tenant.Headroom:], ip)
	return buf, tenant.Headroom
}

var internet = netip.MustParseAddr("198.18.0.2")

func TestUp(t *testing.T) {
	r := newRig(t, esp.EncryptionGCM16, 256, 0)
	ip := ipPacket(clientAddr, internet, 1400)
	r.worker.batch([]udp.Message{r.message(r.seal(ip))})
	if len(r.device.got) != 1 || !bytes.Equal(r.device.got[0], ip) {
		t.Fatalf("the device got %d packets", len(r.device.got))
	}
	if r.session.Up.Packets() != 1 || r.session.Up.Bytes() != 1400 {
		t.Errorf("counted %d packets, %d bytes", r.session.Up.Packets(), r.session.Up.Bytes())
	}
	if a := r.peer.TakeActivity(); a != ActiveSA|ActiveData {
		t.Errorf("activity %b", a)
	}
}

func TestUpDrops(t *testing.T) {
	ip := ipPacket(clientAddr, internet, 100)
	frame := append(ppp.AppendHeader(nil, ppp.ProtocolIPv4, false, false), ip...)
	data := func(tunnel l2tp.TunnelID, call l2tp.CallID) []byte {
		return append(l2tp.AppendDataHeader(nil, l2tp.DataHeader{Tunnel: tunnel, Call: call}, len(frame)), frame...)
	}
	for _, c := range []struct {
		name string
		make func(r *rig) []byte
		want Cause
	}{
		{"another's source", func(r *rig) []byte { return r.seal(ipPacket(netip.MustParseAddr("10.100.1.3"), internet, 100)) }, DropSource},
		{"no IP packet", func(r *rig) []byte { return r.seal([]byte{0x45, 0, 0, 0}) }, DropIP},
		{"another's call", func(r *rig) []byte { return r.sealL2TP(data(7, 10)) }, DropNoSession},
		{"another's tunnel", func(r *rig) []byte { return r.sealL2TP(data(8, 9)) }, DropNoSession},
		{"no L2TP", func(r *rig) []byte { return r.sealL2TP([]byte{0, 2, 0}) }, DropL2TP},
		{"no PPP", func(r *rig) []byte {
			return r.sealL2TP(l2tp.AppendDataHeader(nil, l2tp.DataHeader{Tunnel: 7, Call: 9}, 0))
		}, DropPPP},
		{"a changed byte", func(r *rig) []byte { b := r.seal(ip); b[30] ^= 1; return b }, DropAuth},
		{"another SPI", func(r *rig) []byte { b := r.seal(ip); b[0] ^= 1; return b }, DropUnknownSPI},
		{"a fragment of a packet", func(r *rig) []byte { return r.seal(ip)[:12] }, DropMalformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, esp.EncryptionAESCBC, 256, esp.IntegritySHA256)
			r.worker.batch([]udp.Message{r.message(c.make(r))})
			if len(r.device.got) != 0 || r.plane.Drops()[c.want] != 1 {
				t.Errorf("got %d packets, drops %v, want one %v", len(r.device.got), r.plane.Drops(), c.want)
			}
		})
	}
}

func TestReplayIsDropped(t *testing.T) {
	r := newRig(t, esp.EncryptionGCM16, 128, 0)
	pkt := r.seal(ipPacket(clientAddr, internet, 100))
	again := append([]byte(nil), pkt...)
	r.worker.batch([]udp.Message{r.message(pkt), r.message(again)})
	if len(r.device.got) != 1 || r.plane.Drops()[DropReplay] != 1 {
		t.Errorf("got %d packets, drops %v", len(r.device.got), r.plane.Drops())
	}
}

func TestControlReachesTheInbox(t *testing.T) {
	r := newRig(t, esp.EncryptionGCM16, 256, 0)
	r.worker.batch([]udp.Message{
		r.message(append([]byte{0, 0, 0, 0}, "an IKE message"...)),
		r.message(r.sealL2TP(append([]byte{0xc8, 2}, make([]byte, 10)...))),
		r.message(r.sealL2TP(append(l2tp.AppendDataHeader(nil, l2tp.DataHeader{Tunnel: 7, Call: 9}, 8), 0xff, 3, 0xc0, 0x21, 9, 0, 0, 8))),
		r.message([]byte{0xff}),
	})
	ike := <-r.plane.Inbox().Strangers()
	if string(ike.Data) != "an IKE message" || !ike.NATT || ike.Path != r.path {
		t.Errorf("IKE: %+v", ike)
	}
	control, frame := <-r.plane.Inbox().Peers(), <-r.plane.Inbox().Peers()
	if control.Kind != L2TP || control.Peer != r.peer || control.Port != 1701 || len(control.Data) != 12 {
		t.Errorf("L2TP: %+v", control)
	}
	if frame.Kind != PPP || frame.Session != r.session || len(frame.Data) != 8 {
		t.Errorf("PPP: %+v", frame)
	}
	if n := r.peer.waiting.Load(); n != 2 {
		t.Errorf("%d waiting", n)
	}
	control.Release()
	frame.Release()
	if n := r.peer.waiting.Load(); n != 0 {
		t.Errorf("%d waiting after Release", n)
	}
}

// The first LCP frame of a call may overtake the news of the call.
func TestLCPOfAnUnknownCall(t *testing.T) {
	r := newRig(t, esp.EncryptionGCM16, 256, 0)
	r.worker.batch([]udp.Message{
		r.message(r.sealL2TP(append(l2tp.AppendDataHeader(nil, l2tp.DataHeader{Tunnel: 7, Call: 11}, 8), 0xff, 3, 0xc0, 0x21, 1, 0, 0, 4))),
	})
	if m := <-r.plane.Inbox().Peers(); m.Kind != PPP || m.Session != nil || m.Tunnel != 7 || m.Call != 11 || len(m.Data) != 8 {
		t.Errorf("%+v", m)
	}
}

func TestOnePeerCannotFillTheInbox(t *testing.T) {
	r := newRig(t, esp.EncryptionGCM16, 256, 0)
	for range maxWaiting + 10 {
		r.worker.batch([]udp.Message{r.message(r.sealL2TP(append([]byte{0xc8, 2}, make([]byte, 10)...)))})
	}
	if n := len(r.plane.Inbox().Peers()); n != maxWaiting {
		t.Errorf("%d messages in the inbox", n)
	}
	if n := r.plane.Drops()[DropPeerFull]; n != 10 {
		t.Errorf("%d dropped", n)
	}
}

func TestMovedOnlyAfterAuthentication(t *testing.T) {
	r := newRig(t, esp.EncryptionGCM16, 256, 0)
	forged, real := r.message(r.seal(ipPacket(clientAddr, internet, 100))), r.message(r.seal(ipPacket(clientAddr, internet, 100)))
	forged.Data[20] ^= 1
	forged.Remote, real.Remote = netip.MustParseAddrPort("192.0.2.66:1"), netip.MustParseAddrPort("198.51.100.8:1024")
	r.worker.batch([]udp.Message{forged, real})
	if len(r.plane.Inbox().Peers()) != 1 {
		t.Fatalf("%d messages", len(r.plane.Inbox().Peers()))
	}
	if m := <-r.plane.Inbox().Peers(); m.Kind != Moved || m.Path.Remote != real.Remote {
		t.Errorf("%+v", m)
	}
}

func TestDown(t *testing.T) {
	r := newRig(t, esp.EncryptionAESCBC, 256, esp.IntegritySHA1)
	ip := ipPacket(internet, clientAddr, 1400)
	buf, off := lend(ip)
	r.link.packet(buf, off)
	r.link.send.flush()
	if len(r.wire.sent) != 1 {
		t.Fatalf("%d datagrams sent, drops %v", len(r.wire.sent), r.plane.Drops())
	}
	datagram := r.open(r.wire.sent[0])
	h, frame, err := l2tp.ParseData(datagram[8:])
	if err != nil || h.Tunnel != 70 || h.Call != 90 || int(binary.BigEndian.Uint16(datagram[4:])) != len(datagram) {
		t.Fatalf("%+v %v, UDP length %d of %d", h, err, binary.BigEndian.Uint16(datagram[4:]), len(datagram))
	}
	if proto, payload, ok := ppp.ParseFrame(frame); !ok || proto != ppp.ProtocolIPv4 || !bytes.Equal(payload, ip) {
		t.Errorf("PPP %v %v, %d bytes", proto, ok, len(payload))
	}
}

func TestDownTooBig(t *testing.T) {
	r := newRig(t, esp.EncryptionGCM16, 256, 0)
	whole := ipPacket(internet, clientAddr, 1500)
	whole[6] = 0x40 // DF
	ipkt.SetHeaderChecksum(whole[:20])
	buf, off := lend(whole)
	r.link.packet(buf, off)
	r.link.send.flush()
	if len(r.wire.sent) != 0 || len(r.device.got) != 1 {
		t.Fatalf("%d sent, %d ICMP errors", len(r.wire.sent), len(r.device.got))
	}
	icmp, err := ipkt.Parse(r.device.got[0])
	if err != nil || icmp.Payload()[0] != 3 || icmp.Payload()[1] != 4 || binary.BigEndian.Uint16(icmp.Payload()[6:]) != 1400 {
		t.Errorf("%v %x", err, icmp.Payload()[:8])
	}
	buf, off = lend(ipPacket(internet, clientAddr, 1500))
	r.link.packet(buf, off)
	r.link.send.flush()
	if len(r.wire.sent) != 2 {
		t.Errorf("%d fragments", len(r.wire.sent))
	}
}

func TestUnbindStopsPackets(t *testing.T) {
	r := newRig(t, esp.EncryptionGCM16, 256, 0)
	r.plane.Unbind(r.session)
	r.worker.batch([]udp.Message{r.message(r.seal(ipPacket(clientAddr, internet, 100)))})
	buf, off := lend(ipPacket(internet, clientAddr, 100))
	r.link.packet(buf, off)
	m := <-r.plane.Inbox().Peers()
	if m.Kind != PPP || !r.plane.Late(m.Session, m.Data) {
		t.Errorf("the packet became %+v", m)
	}
	if drops := r.plane.Drops(); drops[DropNoSession] != 1 || drops[DropNoRoute] != 1 {
		t.Errorf("%v", drops)
	}
}

// A packet that came before the workers knew of the session is not lost.
func TestLate(t *testing.T) {
	r := newRig(t, esp.EncryptionGCM16, 256, 0)
	port, ip := r.link.port, ipPacket(clientAddr, internet, 100)
	r.plane.Unbind(r.session)
	r.worker.batch([]udp.Message{r.message(r.seal(ip))})
	r.plane.Bind(r.session, port, clientAddr, LinkOptions{MTU: 1400})
	m := <-r.plane.Inbox().Peers()
	if !r.plane.Late(m.Session, m.Data) || len(r.device.got) != 1 || !bytes.Equal(r.device.got[0], ip) {
		t.Errorf("the device got %d packets, drops %v", len(r.device.got), r.plane.Drops())
	}
}

// noAllocBatch is how many packets a batch of TestNoAllocations has.
const noAllocBatch = 5

// The packet path allocates nothing: CBC and GCM, up and down.
func TestNoAllocations(t *testing.T) {
	for _, c := range []struct {
		name       string
		encryption uint8
		integrity  uint16
	}{{"gcm", esp.EncryptionGCM16, 0}, {"cbc", esp.EncryptionAESCBC, esp.IntegritySHA256}} {
		t.Run(c.name, func(t *testing.T) {
			const runs = 100
			r := newRig(t, c.encryption, 256, c.integrity)
			r.device.discard, r.wire.discard = true, true
			batches := make([][]udp.Message, runs+1)
			for i := range batches {
				for range noAllocBatch {
					batches[i] = append(batches[i], r.message(r.seal(ipPacket(clientAddr, internet, 1400))))
				}
			}
			i := 0
			up := testing.AllocsPerRun(runs, func() { r.worker.batch(batches[i]); i++ })
			ip := ipPacket(internet, clientAddr, 1400)
			buf, off := lend(ip)
			down := testing.AllocsPerRun(runs, func() {
				for range noAllocBatch {
					copy(buf[off:], ip)
					r.link.packet(buf, off)
				}
				r.link.send.flush()
			})
			if up != 0 || down != 0 {
				t.Errorf("%v allocations up, %v down", up, down)
			}
			const packets = (runs + 1) * noAllocBatch
			if r.session.Up.Packets() != packets || r.session.Down.Packets() != packets {
				t.Errorf("%d up, %d down: %v", r.session.Up.Packets(), r.session.Down.Packets(), r.plane.Drops())
			}
		})
	}
}

type fakeConn struct {
	sent    [][]byte
	discard bool
}

func (c *fakeConn) NewReader(int) udp.Reader  { return nil }
func (c *fakeConn) NewWriter(int) udp.Writer  { return &fakeWriter{c} }
func (c *fakeConn) LocalAddr() netip.AddrPort { return netip.MustParseAddrPort("203.0.113.1:4500") }
func (c *fakeConn) Close() error              { return nil }

type fakeWriter struct{ c *fakeConn }

func (w *fakeWriter) Commit(data []byte, _ netip.AddrPort, _ netip.Addr) {
	if !w.c.discard {
		w.c.sent = append(w.c.sent, append([]byte(nil), data...))
	}
}

func (w *fakeWriter) Flush() error { return nil }

type fakeDevice struct {
	got     [][]byte
	discard bool
	taken   func(pkt []byte)
}

func (d *fakeDevice) Sources() []tenant.Source { return nil }
func (d *fakeDevice) Writer() tenant.Writer    { return d }
func (d *fakeDevice) MTU() int                 { return 1500 }
func (d *fakeDevice) Close() error             { return io.EOF }
func (d *fakeDevice) Flush() error             { return nil }

func (d *fakeDevice) Commit(pkt []byte) {
	if d.taken != nil {
		d.taken(pkt)
	}
	if !d.discard {
		d.got = append(d.got, append([]byte(nil), pkt...))
	}
}

// Many peers that send what is for the control loop leave room in the inbox for others:
// who has the key of one tenant can be many peers.
func TestManyPeersCannotFillTheInbox(t *testing.T) {
	const size = 4096
	i := newInbox(size)
	for range 100 {
		flooder := &Peer{}
		for range 2 * maxWaiting {
			i.fromPeer(Message{Kind: L2TP, Peer: flooder}, nil)
		}
	}
	for n := range size/16 - 100 {
		if why, ok := i.fromPeer(Message{Kind: PPP, Peer: &Peer{}}, nil); !ok {
			t.Fatalf("after %d others, a peer that has sent nothing finds no room among %d: %v", n, len(i.peers), why)
		}
	}
}
