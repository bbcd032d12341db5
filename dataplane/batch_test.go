package dataplane

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/dataplane/udp"
	"github.com/culvert-vpn/culvert/esp"
	"github.com/culvert-vpn/culvert/l2tp"
	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

// crowd is several clients of one plane, of transforms that batches differ for.
type crowd struct {
	*rig
	members []*member
}

type member struct {
	addr    netip.Addr
	spi     esp.SPI // of ours
	theirs  *esp.Outbound
	ours    *esp.Inbound
	peer    *Peer
	session *Session
}

// newCrowd makes the same clients with the same keys every time.
func newCrowd(t testing.TB) *crowd {
	t.Helper()
	c := &crowd{rig: newRig(t, esp.EncryptionGCM16, 256, 0)}
	for i, tr := range []struct {
		encryption uint8
		bits       int
		integrity  uint16
		esn        bool
	}{
		{esp.EncryptionAESCBC, 256, esp.IntegritySHA256, false}, {esp.EncryptionGCM16, 256, 0, false},
		{esp.EncryptionAESCBC, 128, esp.IntegritySHA1, true}, {esp.EncryptionAESCBC, 256, esp.IntegritySHA512, false},
		{esp.Encryption3DES, 0, esp.IntegritySHA1, false}, {esp.EncryptionAESCBC, 256, esp.IntegritySHA256, true},
	} {
		transform, err := esp.ByIANA(tr.encryption, tr.bits, tr.integrity)
		if err != nil {
			t.Fatal(err)
		}
		c.members = append(c.members, c.join(transform, i, tr.esn))
	}
	return c
}

func (c *crowd) join(transform esp.Transform, i int, esn bool) *member {
	c.t.Helper()
	keys := esp.Keys{
		Encryption: bytes.Repeat([]byte{byte(i)}, transform.EncryptionKeyLen()),
		Integrity:  bytes.Repeat([]byte{byte(i + 1)}, transform.IntegrityKeyLen()),
	}
	for j := range keys.Encryption { // three different keys of triple DES
		keys.Encryption[j] += byte(j * 7)
	}
	up, down := esp.SPI(3000+i), esp.SPI(4000+i)
	random := func() *bytes.Reader { return bytes.NewReader(make([]byte, 16)) }
	peer := NewPeer(uint64(i + 10))
	in, err1 := NewSA(peer, esp.InboundConfig{SPI: up, Transform: transform, Keys: keys, ESN: esn})
	theirs, err2 := esp.NewOutbound(esp.OutboundConfig{SPI: up, Transform: transform, Keys: keys, ESN: esn, Rand: random()})
	out, err3 := esp.NewOutbound(esp.OutboundConfig{SPI: down, Transform: transform, Keys: keys, ESN: esn, Rand: random()})
	ours, err4 := esp.NewInbound(esp.InboundConfig{SPI: down, Transform: transform, Keys: keys, ESN: esn})
	for _, err := range []error{err1, err2, err3, err4} {
		if err != nil {
			c.t.Fatal(err)
		}
	}
	m := &member{addr: netip.AddrFrom4([4]byte{10, 100, 2, byte(i + 1)}), spi: down, theirs: theirs, ours: ours, peer: peer}
	c.plane.AddSA(up, in)
	if err := c.plane.Route(m.peer, Encapsulation{Out: out, Path: c.path, LocalPort: 1701, RemotePort: 1701}); err != nil {
		c.t.Fatal(err)
	}
	m.session = c.plane.NewSession(SessionConfig{Peer: m.peer, Tunnel: 7, Call: 9, RemoteTunnel: 70, RemoteCall: l2tp.CallID(90 + i)})
	c.plane.Bind(m.session, c.link.port, m.addr, LinkOptions{MTU: 1400})
	return m
}

// seal has a member send an IP packet of n bytes.
func (c *crowd) seal(m *member, n int) []byte {
	lone := c.theirs
	c.theirs = m.theirs
	defer func() { c.theirs = lone }()
	return c.rig.seal(ipPacket(m.addr, internet, n))
}

// traffic is datagrams of all members in disorder, with what may go wrong in
// between: replays, forgeries, packets cut short, SPIs of nobody, control
// messages, IKE and keepalives. It is the same for each crowd.
func (c *crowd) traffic(n int) (all [][]byte) {
	pick := rand.New(rand.NewPCG(3, 4))
	for len(all) < n {
		m := c.members[pick.IntN(len(c.members))]
		pkt := c.seal(m, 28+pick.IntN(1372))
		switch pick.IntN(12) {
		case 0:
			all = append(all, bytes.Clone(pkt)) // and again, below
		case 1:
			pkt[len(pkt)-1-pick.IntN(len(pkt)-8)] ^= 1 << pick.IntN(8)
		case 2:
			pkt = pkt[:pick.IntN(len(pkt))]
		case 3:
			binary.BigEndian.PutUint32(pkt, 9999)
		case 4:
			pkt = append(make([]byte, 4), "an IKE message"...)
		case 5:
			pkt = []byte{0xff}
		case 6:
			lone := c.theirs
			c.theirs = m.theirs
			pkt = c.sealL2TP(append([]byte{0xc8, 2}, byte(len(all))))
			c.theirs = lone
		}
		all = append(all, pkt)
	}
	return all
}

// result is what became of traffic.
func (c *crowd) result(t *testing.T) string {
	t.Helper()
	var b bytes.Buffer
	for _, m := range c.members {
		fmt.Fprintf(&b, "%v: %d packets, %d bytes; ", m.addr, m.session.Up.Packets(), m.session.Up.Bytes())
		for _, pkt := range c.device.got {
			if ip, err := ipkt.Parse(pkt); err == nil && ip.Source() == m.addr {
				fmt.Fprintf(&b, "%d ", len(pkt)) // in order
			}
		}
		for n := len(c.plane.inbox.peers); n > 0; n-- {
			msg := <-c.plane.inbox.peers
			if msg.Peer == m.peer {
				fmt.Fprintf(&b, "control %x ", msg.Data)
			}
			c.plane.inbox.peers <- msg
		}
	}
	fmt.Fprintf(&b, "%d of IKE, drops %v", len(c.plane.inbox.strangers), c.plane.Drops())
	return b.String()
}

// A batch, of whatever size and mixture, does what its datagrams do one by one.
func TestBatchUp(t *testing.T) {
	one := newCrowd(t)
	for _, data := range one.traffic(900) {
		one.worker.batch([]udp.Message{one.message(data)})
	}
	want := one.result(t)
	for why, least := range map[Cause]uint64{DropReplay: 20, DropAuth: 20, DropMalformed: 10, DropUnknownSPI: 20} {
		if one.plane.Drops()[why] < least {
			t.Errorf("%d dropped as %v: the traffic is too tame", one.plane.Drops()[why], why)
		}
	}
	for _, size := range []int{2, 5, 16, 64, 65, 200, 901} {
		many := newCrowd(t)
		var batch []udp.Message
		for _, data := range many.traffic(900) {
			if batch = append(batch, many.message(data)); len(batch) == size {
				many.worker.batch(batch)
				batch = nil
			}
		}
		many.worker.batch(batch)
		if got := many.result(t); got != want {
			t.Errorf("in batches of %d:\n%s\none by one:\n%s", size, got, want)
		}
		if n := len(many.worker.waiting.jobs); n != 0 {
			t.Errorf("%d still wait", n)
		}
	}
}

// What goes down in batches arrives, each client's packets in order, although
// the memory they were lent in is used again at once, and although some of
// them cannot be sealed.
func TestBatchDown(t *testing.T) {
	c := newCrowd(t)
	pick := rand.New(rand.NewPCG(5, 6))
	sent := make(map[netip.Addr][][]byte)
	buf, off := lend(make([]byte, 1400))
	tooLong := 0
	for i := range 700 {
		m := c.members[pick.IntN(len(c.members))]
		ip := ipPacket(internet, m.addr, 28+pick.IntN(1340))
		ip[len(ip)-1] = byte(i)
		n := copy(buf[off:cap(buf)], ip)
		c.link.packet(buf[:off+n], off)
		sent[m.addr] = append(sent[m.addr], ip)
		clear(buf[:cap(buf)])
		if i%10 == 0 {
			c.link.send.seal(&m.session.send.Load().wayOut, m.session.out.Load(), make([]byte, 2040+pick.IntN(60)), protoUDP)
			tooLong++
		}
	}
	c.link.send.flush()
	if n := c.plane.Drops()[DropSend]; n != uint64(tooLong) {
		t.Errorf("%d dropped, want %d", n, tooLong)
	}
	for _, m := range c.members {
		want := sent[m.addr]
		for _, pkt := range c.wire.sent {
			if esp.SPI(binary.BigEndian.Uint32(pkt)) != m.spi {
				continue
			}
			before := m.ours.HighSequence()
			payload, _, err := m.ours.Open(bytes.Clone(pkt))
			if err != nil || len(want) == 0 || !bytes.HasSuffix(payload, want[0]) || m.ours.HighSequence() <= before {
				t.Fatalf("%v: %v, %d still to come", m.addr, err, len(want))
			}
			want = want[1:]
		}
		if len(want) > 0 {
			t.Errorf("%v: %d did not arrive", m.addr, len(want))
		}
	}
}

// A control message does not pass the packets that were sent before it.
func TestPlainStaysBehind(t *testing.T) {
	r := newRig(t, esp.EncryptionAESCBC, 256, esp.IntegritySHA256)
	if err := r.plane.SendL2TP(r.peer, []byte{0xc8, 2, 0, 12, 0, 1, 0, 0, 0, 0, 0, 0}); err != nil {
		t.Fatal(err)
	}
	if err := r.plane.SendIKE(r.path, true, []byte("delete")); err != nil {
		t.Fatal(err)
	}
	r.plane.Flush()
	if len(r.wire.sent) != 2 || !bytes.HasSuffix(r.wire.sent[1], []byte("delete")) {
		t.Errorf("sent %x", r.wire.sent)
	}
}

// RemoveSA returns when no batch has the SA in use any more.
func TestRemoveSAWaitsForTheBatch(t *testing.T) {
	r := newRig(t, esp.EncryptionAESCBC, 256, esp.IntegritySHA256)
	removed, early := make(chan struct{}), false
	r.device.taken = func([]byte) {
		if len(r.device.got) == 0 {
			go func() { r.plane.RemoveSA(1000); close(removed) }()
			time.Sleep(20 * time.Millisecond)
		}
		select {
		case <-removed:
			early = true
		default:
		}
	}
	var batch []udp.Message
	for range 40 {
		batch = append(batch, r.message(r.seal(ipPacket(clientAddr, internet, 100))))
	}
	r.worker.batch(batch)
	<-removed
	if len(r.device.got) != 40 || early {
		t.Errorf("%d of 40 arrived, removed early: %v", len(r.device.got), early)
	}
	r.worker.batch([]udp.Message{r.message(r.seal(ipPacket(clientAddr, internet, 100)))})
	if r.plane.Drops()[DropUnknownSPI] != 1 {
		t.Errorf("after the removal: %v", r.plane.Drops())
	}
}
