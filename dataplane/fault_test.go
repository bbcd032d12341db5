package dataplane

import (
	"errors"
	"io"
	"net/netip"
	"testing"

	"github.com/culvert-vpn/culvert/dataplane/udp"
	"github.com/culvert-vpn/culvert/esp"
	"github.com/culvert-vpn/culvert/internal/x/fault"
	"github.com/culvert-vpn/culvert/l2tp"
	"github.com/culvert-vpn/culvert/tenant"
)

// poisonWriter panics at a packet to poison.
type poisonWriter struct{ tenant.Writer }

var poison = netip.MustParseAddr("198.18.0.66")

func (w poisonWriter) Commit(pkt []byte) {
	if netip.AddrFrom4([4]byte(pkt[16:20])) == poison {
		panic("poison")
	}
	w.Writer.Commit(pkt)
}

// TestABatchGoesOnBehindAPanic: wherever in the batch, for ESP that is opened at
// once and that is opened side by side, more of it than wait at a time. What is not
// opened is never taken for opened. The tables' locks are let go of.
func TestABatchGoesOnBehindAPanic(t *testing.T) {
	for name, suite := range map[string][3]int{"GCM": {int(esp.EncryptionGCM16), 256, 0}, "CBC": {int(esp.EncryptionAESCBC), 256, int(esp.IntegritySHA256)}} {
		r := newRig(t, uint8(suite[0]), suite[1], uint16(suite[2]))
		r.plane.faults = fault.New(func(fault.Report) {})
		port := r.link.port
		port.writers[0] = poisonWriter{port.writers[0]}
		const total = 3*openings + 7
		bad := 0
		var batch []udp.Message
		for i := range total {
			to := internet
			if i%50 == 0 || i == total-1 {
				to, bad = poison, bad+1
			}
			batch = append(batch, r.message(r.seal(ipPacket(clientAddr, to, 100))))
		}
		r.worker.batch(batch)
		if len(r.device.got) != total-bad || r.plane.faults.Count() != uint64(bad) || r.plane.Drops()[DropFault] != uint64(bad) {
			t.Errorf("%s: %d of %d carried, %d panics: %v", name, len(r.device.got), total-bad, r.plane.faults.Count(), r.plane.Drops())
		}
		for range bad {
			if m := <-r.plane.Inbox().Peers(); m.Kind != Faulty || m.Peer != r.peer {
				t.Errorf("%s: %+v", name, m)
			}
		}
		r.plane.RemoveSA(1000) // needs the lock
	}
}

// faultySource lends three packets, of which the second has the headroom of none,
// and panics itself in every second Read.
type faultySource struct {
	ip    []byte
	reads int
	lent  int
}

func (s *faultySource) Read() error {
	s.lent = 0
	switch s.reads++; s.reads {
	case 2:
		panic("the device")
	case 4:
		return io.EOF
	}
	return nil
}

func (s *faultySource) Next() ([]byte, int, bool) {
	if s.lent++; s.lent > 3 {
		return nil, 0, false
	}
	buf, off := lend(s.ip)
	if s.lent == 2 {
		return buf[off:], 0, true
	}
	return buf, off, true
}

// TestADownlinkGoesOnBehindAPanic: of a packet, and of the device.
func TestADownlinkGoesOnBehindAPanic(t *testing.T) {
	r := newRig(t, esp.EncryptionGCM16, 256, 0)
	r.plane.faults = fault.New(func(fault.Report) {})
	r.link.source = &faultySource{ip: ipPacket(internet, clientAddr, 100)}
	r.link.run()
	if len(r.wire.sent) < 2 || r.plane.faults.Count() != 3 {
		t.Errorf("%d sent, %d panics", len(r.wire.sent), r.plane.faults.Count())
	}
	if m := <-r.plane.Inbox().Peers(); m.Kind != Faulty || m.Session != r.session {
		t.Errorf("%+v", m)
	}
	r.plane.RemoveSession(r.session) // needs the lock
}

// panicWriter is a device's writer that panics when it writes.
type panicWriter struct{ tenant.Writer }

func (panicWriter) Flush() error { panic("writing") }

// heldWriter is a device's writer that panics when it writes a packet to poison.
type heldWriter struct {
	d    *heldDevice
	held [][]byte
}

type heldDevice struct{ *fakeDevice }

func (d *heldDevice) Writer() tenant.Writer { return &heldWriter{d: d} }

func (w *heldWriter) Commit(pkt []byte) { w.held = append(w.held, pkt) }

func (w *heldWriter) Flush() error {
	for _, pkt := range w.held {
		if netip.AddrFrom4([4]byte(pkt[16:20])) == poison {
			panic("poison")
		}
	}
	for _, pkt := range w.held {
		w.d.fakeDevice.Commit(pkt)
	}
	w.held = nil
	return nil
}

// TestOfWhomADeviceWasGivenThePacket: a panic while a whole batch is written costs
// the packet and the session that it came of; all others arrive.
func TestOfWhomADeviceWasGivenThePacket(t *testing.T) {
	r := newRig(t, esp.EncryptionGCM16, 256, 0)
	r.plane.faults = fault.New(func(fault.Report) {})
	port := r.link.port
	held := &heldDevice{r.device}
	port.device, port.writers[0] = held, held.Writer()
	other := r.plane.NewSession(SessionConfig{Peer: r.peer, Tunnel: 7, Call: 10, RemoteTunnel: 70, RemoteCall: 91})
	r.plane.Bind(other, port, netip.MustParseAddr("10.100.1.3"), LinkOptions{MTU: 1400})
	frame := append([]byte{0xff, 3, 0, 0x21}, ipPacket(netip.MustParseAddr("10.100.1.3"), poison, 100)...)
	var batch []udp.Message
	for i := range 20 {
		if i == 10 {
			batch = append(batch, r.message(r.sealL2TP(append(l2tp.AppendDataHeader(nil, l2tp.DataHeader{Tunnel: 7, Call: 10}, len(frame)), frame...))))
		}
		batch = append(batch, r.message(r.seal(ipPacket(clientAddr, internet, 100))))
	}
	r.worker.batch(batch)
	if len(r.device.got) != 20 || r.plane.Drops()[DropFault] != 1 {
		t.Errorf("%d of 20 written: %v", len(r.device.got), r.plane.Drops())
	}
	if n := len(r.plane.Inbox().Peers()); n != 1 {
		t.Fatalf("%d sessions are told of", n)
	}
	if m := <-r.plane.Inbox().Peers(); m.Kind != Faulty || m.Session != other {
		t.Errorf("%+v", m)
	}
}

// TestOfWhomAPacketWasThatIsOpened: a panic while packets are opened side by side
// costs whose packet it was; all others are carried, then and afterwards.
func TestOfWhomAPacketWasThatIsOpened(t *testing.T) {
	r := newRig(t, esp.EncryptionAESCBC, 256, esp.IntegritySHA256)
	r.plane.faults = fault.New(func(fault.Report) {})
	guilty := NewPeer(66)
	bad := r.message(r.seal(ipPacket(clientAddr, internet, 100)))
	o := &r.worker.waiting
	o.jobs = append(o.jobs, esp.OpenJob{Packet: bad.Data}) // without an SA, which is a fault
	o.from = append(o.from, arrival{&SA{Peer: guilty}, &bad})
	var batch []udp.Message
	for range 20 {
		batch = append(batch, r.message(r.seal(ipPacket(clientAddr, internet, 100))))
	}
	for range 3 {
		r.worker.batch(batch)
		batch = []udp.Message{r.message(r.seal(ipPacket(clientAddr, internet, 100)))}
	}
	if len(r.device.got) != 22 {
		t.Errorf("%d of 22 carried: %v", len(r.device.got), r.plane.Drops())
	}
	if n := len(r.plane.Inbox().Peers()); n != 1 {
		t.Fatalf("%d sessions are told of", n)
	}
	if m := <-r.plane.Inbox().Peers(); m.Kind != Faulty || m.Peer != guilty {
		t.Errorf("%+v", m)
	}
}

// TestADeviceThatPanics: another writer takes the place of the one that is half done.
func TestADeviceThatPanics(t *testing.T) {
	r := newRig(t, esp.EncryptionGCM16, 256, 0)
	r.plane.faults = fault.New(func(fault.Report) {})
	r.link.port.writers[0] = panicWriter{r.device.Writer()}
	for range 2 {
		r.worker.batch([]udp.Message{r.message(r.seal(ipPacket(clientAddr, internet, 100)))})
	}
	if r.plane.faults.Count() != 1 || len(r.device.got) == 0 {
		t.Errorf("%d panics, %d written", r.plane.faults.Count(), len(r.device.got))
	}
}

// TestWithoutFaultsAPanicIsOne: tests and fuzzing are to find it.
func TestWithoutFaultsAPanicIsOne(t *testing.T) {
	r := newRig(t, esp.EncryptionGCM16, 256, 0)
	r.link.port.writers[0] = poisonWriter{r.device.Writer()}
	defer func() {
		if err := errors.New("it was survived"); recover() == nil {
			t.Error(err)
		}
	}()
	r.worker.batch([]udp.Message{r.message(r.seal(ipPacket(clientAddr, poison, 100)))})
}
