package dataplane

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/culvert-vpn/culvert/dataplane/shed"
	"github.com/culvert-vpn/culvert/dataplane/udp"
	"github.com/culvert-vpn/culvert/esp"
	"github.com/culvert-vpn/culvert/internal/x/fault"
	"github.com/culvert-vpn/culvert/internal/x/largepages"
	"github.com/culvert-vpn/culvert/ppp"
	"github.com/culvert-vpn/culvert/tenant"
	"github.com/culvert-vpn/culvert/tenant/policy"
)

// The errors of the package.
var (
	ErrNoSocket = errors.New("dataplane: no socket has that local address")
	ErrNoRoute  = errors.New("dataplane: the peer has no SA to send on")
	ErrTooLong  = errors.New("dataplane: control message too long")
)

// Config describes a Plane.
type Config struct {
	// Listen opens a socket. udp.Listen over the kernel, simnet in tests.
	Listen func(udp.Config) (udp.Conn, error)
	// Addresses are the local addresses to listen on; 0.0.0.0 and :: for all.
	// :: beside others is passed over on a host without IPv6.
	Addresses []netip.Addr
	// IKEPort and NATTPort are 500 and 4500; 0 takes any free port, which an
	// initiator may do.
	IKEPort, NATTPort uint16
	// Workers is how many goroutines read each NAT-T address; 0: one a CPU.
	Workers int
	// Inbox is how many control messages of each kind may wait; 0: 4096.
	Inbox int
	// ReceiveBuffer is the socket buffer to ask for, in bytes; 0: 8 MiB.
	ReceiveBuffer int
	// Faults is told of panics: what met one costs the session it is of, of which the
	// control loop learns by a Message. nil: they are not survived.
	Faults *fault.Log
}

// Plane is the data plane of one gateway. Its methods are for the control loop.
type Plane struct {
	inbox     *Inbox
	listeners []*listener
	workers   []*worker // those that read NAT-T sockets come first
	lanes     int       // how many workers may write to devices
	control   *sender
	late      *worker // the control loop's own, see Late
	plain     []byte
	lastIKE   atomic.Pointer[shed.Source] // who sent an IKE message last
	refused   atomic.Pointer[Refused]
	heap      largepages.Heap
	faults    *fault.Log
	began     time.Time      // from when policies count
	flows     *policy.Budget // of all tenants

	mu       sync.Mutex
	counters []*counters
	retired  counters // the sums of those whose goroutine has ended
	running  sync.WaitGroup
}

// listener is one local address and port, and the sockets that share it.
type listener struct {
	local netip.AddrPort // the address may be unspecified
	natt  bool
	conns []udp.Conn
}

func (l *listener) writer(spread int) udp.Writer {
	return l.conns[spread%len(l.conns)].NewWriter(batchSize)
}

// unresolved reports whether what the control loop sends there would wait in its
// socket's buffer, see udp.Resolver.
func (l *listener) unresolved(remote netip.Addr) bool {
	r, ok := l.conns[0].(udp.Resolver)
	return ok && r.Unresolved(remote)
}

// New opens the sockets. Nothing is read before Run.
func New(c Config) (*Plane, error) {
	if c.Listen == nil || len(c.Addresses) == 0 {
		return nil, errors.New("dataplane: Config needs Listen and Addresses")
	}
	if c.Workers == 0 {
		c.Workers = runtime.GOMAXPROCS(0)
	}
	if c.Inbox == 0 {
		c.Inbox = 4096
	}
	if c.ReceiveBuffer == 0 {
		c.ReceiveBuffer = 8 << 20
	}
	p := &Plane{inbox: newInbox(c.Inbox), faults: c.Faults, began: time.Now(), flows: policy.NewBudget(maxFlows)}
	for _, natt := range []bool{true, false} {
		for _, addr := range c.Addresses {
			err := p.listen(c, addr, natt)
			if addr == netip.IPv6Unspecified() && len(c.Addresses) > 1 && errors.Is(err, syscall.EAFNOSUPPORT) {
				continue // a host without IPv6
			}
			if err != nil {
				p.Close()
				return nil, err
			}
		}
	}
	p.lanes = len(p.workers) + 1
	p.late = &worker{plane: p, id: len(p.workers), down: newSender(p, 0)}
	p.late.count = p.late.down.count
	p.control = newSender(p, 0)
	p.plain = make([]byte, 0, sealedLimit)
	return p, nil
}

func (p *Plane) listen(c Config, addr netip.Addr, natt bool) error {
	port, workers := c.IKEPort, 1
	if natt {
		port, workers = c.NATTPort, c.Workers
	}
	l := &listener{local: netip.AddrPortFrom(addr, port), natt: natt}
	for i := range workers {
		conn, err := c.Listen(udp.Config{Addr: l.local, ReusePort: workers > 1, ReceiveBuffer: c.ReceiveBuffer, SendBuffer: c.ReceiveBuffer})
		if err != nil {
			return fmt.Errorf("dataplane: %w", err)
		}
		if i == 0 {
			p.listeners = append(p.listeners, l)
		}
		l.local = netip.AddrPortFrom(addr, conn.LocalAddr().Port())
		l.conns = append(l.conns, conn)
		p.workers = append(p.workers, newWorker(p, len(p.workers), l, conn))
	}
	return nil
}

// Run starts a goroutine for every worker and returns when ctx is done and all
// of them, and all downlinks, have ended. Devices must be closed by their owner
// for their downlinks to end.
func (p *Plane) Run(ctx context.Context) {
	for _, w := range p.workers {
		p.running.Add(1)
		go func() {
			defer p.running.Done()
			w.run()
		}()
	}
	<-ctx.Done()
	p.Close()
	p.running.Wait()
}

// Close closes the sockets.
func (p *Plane) Close() {
	for _, l := range p.listeners {
		for _, c := range l.conns {
			c.Close()
		}
	}
}

// Inbox returns what waits for the control loop.
func (p *Plane) Inbox() *Inbox { return p.inbox }

// Sockets returns what all sockets have counted; those of tests count nothing. It may be
// called by any goroutine.
func (p *Plane) Sockets() (sum udp.Stats) {
	for _, l := range p.listeners {
		for _, c := range l.conns {
			if s, ok := c.(interface{ Stats() udp.Stats }); ok {
				sum.Add(s.Stats())
			}
		}
	}
	return sum
}

// Local returns the local address and port of the n-th configured address, for
// IKE or for NAT-T.
func (p *Plane) Local(n int, natt bool) netip.AddrPort {
	for _, l := range p.listeners {
		if l.natt == natt {
			if n == 0 {
				return l.local
			}
			n--
		}
	}
	return netip.AddrPort{}
}

// listenerFor returns the sockets that packets from local leave through: those
// bound to just that address, else those bound to all of its family.
func (p *Plane) listenerFor(local netip.AddrPort) *listener {
	var wild *listener
	for _, l := range p.listeners {
		if l.local.Port() != local.Port() {
			continue
		}
		if l.local.Addr() == local.Addr() {
			return l
		}
		if l.local.Addr().IsUnspecified() && l.local.Addr().Is4() == local.Addr().Is4() {
			wild = l
		}
	}
	return wild
}

// AddSA makes the SA known to every worker.
func (p *Plane) AddSA(spi esp.SPI, sa *SA) {
	for _, w := range p.workers {
		if w.natt {
			w.table.put(spi, sa)
		}
	}
	p.gather(sa)
}

// RemoveSA forgets the SA. Its keys may be zeroed once this returns: no worker
// is inside of a batch that could still use it.
func (p *Plane) RemoveSA(spi esp.SPI) {
	for _, w := range p.workers {
		if w.natt {
			w.table.remove(spi)
		}
	}
}

// PortConfig describes a tenant's place in the plane.
type PortConfig struct {
	Device tenant.Device
	// Gateways are our own addresses there, at most one a family: ICMP errors come
	// from them.
	Gateways []netip.Addr
	// Rules are the policy of the tenant; nil: everything goes on. See Port.SetRules.
	Rules *policy.Rules
	// Flows are how many a session may have under way, where there are rules of flows; 0:
	// 4096. Those of Former go on.
	Flows int
	// Former is the port of the tenant that this one takes the place of, whose counts go
	// on; nil: there is none.
	Former *Port
}

// AddDevice connects a tenant's device: it starts a downlink for each of its
// sources. They end when the device is closed.
func (p *Plane) AddDevice(c PortConfig) *Port {
	port := p.newPort(c)
	for range p.lanes {
		port.writers = append(port.writers, c.Device.Writer())
	}
	for i, source := range c.Device.Sources() {
		link := p.newDownlink(port, source, c.Device.Writer(), i)
		port.links = append(port.links, link)
		p.running.Add(1)
		port.running.Go(func() {
			defer p.running.Done()
			link.run()
		})
	}
	return port
}

// RemovePort closes a tenant's device and frees what the plane has for it. No session is
// bound to it any more, or all have moved; what a worker has of a batch is dropped. It waits for downlinks to
// end, and so is not for the control loop, but may be called beside it. Errors are those
// of the device.
func (p *Plane) RemovePort(port *Port) error {
	err := port.device.Close()
	port.running.Wait()
	for _, l := range port.links {
		p.retire(l.send.count)
	}
	return err
}

// Flows of policies, 110 bytes each: how many there may be in all, beside those that every
// tenant has for itself; of one tenant; and of a session where nothing else is said.
const (
	maxFlows     = 1 << 20
	tenantFlows  = 1 << 18
	reserveFlows = 1 << 10
	sessionFlows = 1 << 12
)

func (p *Plane) newPort(c PortConfig) *Port {
	port := &Port{device: c.Device, dropped: new(counters)}
	if c.Rules == nil {
		c.Rules = policy.New(policy.Config{})
	}
	if c.Flows == 0 {
		c.Flows = sessionFlows
	}
	if c.Former != nil {
		port.dropped, port.flows = c.Former.dropped, c.Former.flows
	} else {
		port.flows = policy.NewFlows(policy.Bounds{Session: c.Flows, Tenant: tenantFlows, Budget: p.flows, Reserve: reserveFlows}, c.Rules)
	}
	port.SetRules(c.Rules)
	for _, a := range c.Gateways {
		if a.Is6() {
			port.gateway6 = a
		} else {
			port.gateway = a
		}
	}
	return port
}

// SendIKE sends an IKE message, with the non-ESP marker of RFC 3948 section
// 2.2 where natt says so. It leaves at the next Flush. While a send buffer fills, what
// is for an address of our own link that nobody has is dropped: strangers are answered
// where they say they are, and such answers would take the room of all others.
func (p *Plane) SendIKE(path Path, natt bool, message []byte) error {
	l := p.listenerFor(path.Local)
	if l == nil {
		return ErrNoSocket
	}
	if l.unresolved(path.Remote.Addr()) {
		p.control.count.drop(DropUnresolved)
		return nil
	}
	if natt {
		message = append(make([]byte, 4, 4+len(message)), message...)
	}
	p.control.plain(l, message, path)
	return nil
}

// SendKeepalive sends the one byte of RFC 3948 section 2.3.
func (p *Plane) SendKeepalive(path Path) error {
	l := p.listenerFor(path.Local)
	if l == nil {
		return ErrNoSocket
	}
	p.control.plain(l, []byte{0xff}, path)
	return nil
}

// SendL2TP sends an L2TP control message in the peer's newest SA. It leaves at
// the next Flush.
func (p *Plane) SendL2TP(peer *Peer, message []byte) error {
	r := peer.route.Load()
	if r == nil {
		return ErrNoRoute
	}
	if len(message) > r.Out.MaxPayload(sealedLimit)-udpHeaderLen {
		return ErrTooLong
	}
	p.plain = append(r.appendUDP(p.plain[:0]), message...)
	r.finishUDP(p.plain)
	p.control.seal(&r.wayOut, r.Out, p.plain, protoUDP)
	return nil
}

// SendPPP sends a PPP frame in the session. It leaves at the next Flush.
func (p *Plane) SendPPP(s *Session, frame []byte) error {
	st := s.send.Load()
	if st == nil {
		return ErrNoRoute
	}
	if len(frame) > s.out.Load().MaxPayload(sealedLimit)-maxTemplate {
		return ErrTooLong
	}
	p.plain = append(s.appendHeaders(st, p.plain[:0]), frame...)
	st.finishUDP(p.plain)
	p.control.seal(&st.wayOut, s.out.Load(), p.plain, protoUDP)
	return nil
}

// Late takes a PPP frame of a Message. It reports whether it is an IP packet,
// and if so carries it up: one that came right behind the frame that opened
// the link, before the workers knew of it.
func (p *Plane) Late(s *Session, frame []byte) bool {
	proto, payload, ok := ppp.ParseFrame(frame)
	if !ok || proto != ppp.ProtocolIPv4 && proto != ppp.ProtocolIPv6 {
		return false
	}
	p.late.packet(s, payload)
	p.late.flush()
	return true
}

// Early carries up the IP packet of an Early message, whose session is bound by
// now.
func (p *Plane) Early(s *Session, pkt []byte) {
	p.late.packet(s, pkt)
	p.late.flush()
}

// Flush sends what SendIKE, SendL2TP, SendPPP and SendIP have queued.
func (p *Plane) Flush() { p.control.flush() }
