package dataplane

import (
	"errors"
	"io"
	"os"
	"time"

	"github.com/culvert-vpn/culvert/tenant"
	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

// errDevice says that a device panicked.
var errDevice = errors.New("dataplane: the device met a fault")

// readPause is how long a downlink waits after its device failed to read.
const readPause = 10 * time.Millisecond

// The way down, from a tenant's network to a client:
//
//	device -> destination -> session -> hop.go: policy -> MTU and MSS -> headers laid backwards
//	-> Seal -> socket

// downlink carries the packets of one source of a device.
type downlink struct {
	port    *Port
	source  tenant.Source
	peeker  tenant.Peeker // the source, if it is one
	plan    downPlan      // of the batch
	serving *Session      // whose packet is under way
	lending bool          // the source is lending one
	back    tenant.Writer // ICMP errors go back the way the packet came
	send    *sender
	errs    []byte // room for one ICMP error
}

func (p *Plane) newDownlink(port *Port, source tenant.Source, back tenant.Writer, spread int) *downlink {
	peeker, _ := source.(tenant.Peeker)
	return &downlink{
		port: port, source: source, peeker: peeker, back: back, send: newSender(p, spread),
		errs: make([]byte, 0, ipkt.ErrorLen),
	}
}

// run moves batches until the source is closed.
func (d *downlink) run() {
	for d.read() {
		for peeker, more := d.peeker, true; more; peeker = nil {
			more = d.batch(peeker)
		}
		d.send.flush()
	}
}

// batch sends what was read, and reports whether there is more: what panics costs
// its own packet, and the session. peeker is nil if a part was sent already.
func (d *downlink) batch(peeker tenant.Peeker) (more bool) {
	d.port.routes.mu.RLock()
	defer d.port.routes.mu.RUnlock()
	defer d.survive(&more)
	d.plan.prepare(peeker, &d.port.routes)
	for {
		d.lending = true
		buf, off, ok := d.source.Next()
		d.lending = false
		if !ok {
			return false
		}
		d.packet(buf, off)
	}
}

// read waits for the next batch and reports whether there is one. Errors but
// the last are the device's passing troubles.
func (d *downlink) read() bool {
	for {
		err := d.readSource()
		if err == nil {
			return true
		}
		if errors.Is(err, os.ErrClosed) || errors.Is(err, io.EOF) {
			return false
		}
		d.send.count.dropOf(d.port, DropDevice)
		time.Sleep(readPause)
	}
}

// readSource reads, and calls a panic of the device a trouble.
func (d *downlink) readSource() (err error) {
	defer func() {
		if v := recover(); v != nil {
			d.send.plane.faults.Caught("data plane: reading a tenant's device", v)
			err = errDevice
		}
	}()
	return d.source.Read()
}

// packet sends the IP packet buf[off:] to the session that has its destination.
func (d *downlink) packet(buf []byte, off int) {
	ip, err := ipkt.Parse(buf[off:])
	if err != nil {
		d.send.count.dropOf(d.port, DropIP)
		return
	}
	s := d.plan.session(ip.Destination(), &d.port.routes)
	d.serving = s
	to := d.port.down(d.send, s, &ip)
	if to.kind == hopDrop {
		d.send.count.dropOf(d.port, to.cause)
		return
	}
	st := s.send.Load()
	if st == nil {
		d.send.count.dropOf(d.port, DropNoRoute)
		return
	}
	if len(ip.Bytes) > int(st.mtu) {
		d.tooBig(s, st, &ip, buf, off)
		return
	}
	ip.ClampMSS(int(st.mtu))
	d.forward(s, st, buf[:off+len(ip.Bytes)], off)
}

// forward lays the headers and seals.
func (d *downlink) forward(s *Session, st *sendState, buf []byte, off int) {
	d.send.down.add(&s.Down, len(buf)-off)
	mark(&s.active)
	d.send.session(s, st, buf, off)
}

// session seals the IP packet buf[off:] for the session.
func (s *sender) session(to *Session, st *sendState, buf []byte, off int) {
	if st.tried && !st.trial.take(len(buf)-off) {
		s.count.dropOf(to.place(), DropUnproven)
		return
	}
	if st.templateAt == maxTemplate {
		if sa := st.toward(buf[off:], to.out.Load()); sa != nil {
			s.seal(&st.wayOut, sa, buf[off:], ipProtocol(buf[off]))
		} else {
			s.count.dropOf(to.place(), DropSelector)
		}
		return
	}
	at := st.lay(to, buf, off)
	s.seal(&st.wayOut, to.out.Load(), buf[at:], protoUDP)
}

func ipProtocol(first byte) uint8 {
	if first>>4 == 6 {
		return protoIPv6
	}
	return protoIPv4
}

// tooBig takes a packet that does not fit the path: in fragments, or, where it
// may not be fragmented, with an ICMP error to its sender (RFC 1191, RFC 4443
// section 3.2).
func (d *downlink) tooBig(s *Session, st *sendState, ip *ipkt.Packet, buf []byte, off int) {
	if ip.DontFragment() {
		d.send.count.dropOf(d.port, DropTooBig)
		d.refuse(ip, int(st.mtu))
		return
	}
	cut := ipkt.Fragment(buf[:off+len(ip.Bytes)], off, int(st.mtu), func(buf []byte, off int) {
		d.forward(s, st, buf, off)
	})
	if !cut {
		d.send.count.dropOf(d.port, DropTooBig)
	}
}

// refuse tells the sender of a packet that it is too big.
func (d *downlink) refuse(ip *ipkt.Packet, mtu int) {
	from := d.port.own(ip)
	if !from.IsValid() {
		return
	}
	reply := ipkt.AppendError(d.errs[:0], ip, ipkt.ReasonTooBig, mtu, from)
	if len(reply) == 0 {
		return
	}
	d.back.Commit(reply)
	if d.back.Flush() != nil {
		d.send.count.dropOf(d.port, DropDevice)
	}
}
