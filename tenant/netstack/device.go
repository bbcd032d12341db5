package netstack

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"

	"github.com/culvert-vpn/culvert/tenant"
	"github.com/culvert-vpn/culvert/tenant/dns"
	"github.com/culvert-vpn/culvert/tenant/policy"
)

// Device is a tenant's network stack. It implements tenant.Device.
type Device struct {
	cfg     Config
	reach   atomic.Pointer[policy.Reach]
	link    *link
	stack   *stack.Stack
	sources []tenant.Source
	flows   *flows
	udp     *mappings
	judge   *judge
	clients *clients
	pieces  *fragments
	errors  errorRate
	tcp     *tcp.Forwarder
	pinger  *pinger
	buffers sync.Pool // *[copySize]byte
	private *Host     // this device's alone; nil: it is shared
	hairpin atomic.Bool

	allowance allowance // of the memory of TCP connections
	goodbyes  goodbyes

	cancel    context.CancelFunc
	dnsTCP    []*dnsConns    // before packets are delivered
	running   sync.WaitGroup // goroutines that are no flow's
	listeners []interface{ Close() error }
	closing   sync.Once
}

var _ tenant.Device = (*Device)(nil)

// Counters are what a Device refused so far, and the flows that it has.
type Counters struct {
	Flows        int    // TCP flows and UDP mappings, now
	FlowsRefused uint64 // beyond the limits, or given up for others
	QueueDrops   uint64 // packets that nobody read in time
	EchoDrops    uint64 // ICMP echoes beyond the limits, or without a socket
}

// New makes a stack and starts it. It lasts until Close.
func New(cfg Config) (*Device, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	mine := cfg.Host == nil
	if mine {
		if cfg.Host, err = NewHost(cfg.Faults); err != nil {
			return nil, err
		}
	}
	d, err := start(cfg)
	switch {
	case mine && err != nil:
		cfg.Host.Close()
	case mine:
		d.private = cfg.Host
	}
	return d, err
}

// start makes a device of a complete configuration.
func start(cfg Config) (*Device, error) {
	reach, err := cfg.reach()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	q, clients := newQueue(cfg.Queue), newClients(cfg.ClientBits)
	q.of = clients.of
	l := &link{queue: q, mtu: uint32(cfg.MTU)}
	s, err := newStack(cfg, l)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	d := &Device{
		cfg: cfg, link: l, stack: s, cancel: cancel,
		sources: []tenant.Source{newSource(q, cfg.MTU)},
		clients: clients,
		flows:   newFlows(ctx, cfg, clients),

		allowance: allowance{stack: s},
		goodbyes:  goodbyes{sources: make(map[netip.Addr]int)},
	}
	d.reach.Store(reach)
	if cfg.DialContext == nil {
		d.cfg.DialContext = dialOpen(&d.reach)
	}
	d.errors.rate = echoRate{total: maxErrors, perSource: maxErrorsPerSource, sources: make(map[netip.Addr]echoes)}
	d.hairpin.Store(cfg.Hairpin)
	d.udp, d.judge = newMappings(d, cfg), newJudge(d)
	d.running.Go(func() { d.judge.run(ctx) })
	d.allowance.purse = d.flows.purse
	d.buffers.New = func() any { return new([copySize]byte) }
	d.pieces = newFragments(clients.of, d.sendLate)
	d.pinger = newPinger(d)
	d.handleTransports()
	if err := d.serveDNS(); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

// handleTransports makes the stack hand over what no endpoint of its own is
// there for.
func (d *Device) handleTransports() {
	// The limits are kept by flows, before the forwarder sees a packet.
	d.tcp = tcp.NewForwarder(d.stack, 0, 1<<30, d.acceptTCP)
	d.stack.SetTransportProtocolHandler(tcp.ProtocolNumber, d.handleTCP)
	d.stack.SetTransportProtocolHandler(udp.ProtocolNumber, d.handleUDP)
	d.stack.SetTransportProtocolHandler(icmp.ProtocolNumber4, d.pinger.handleEcho)
	d.stack.SetTransportProtocolHandler(icmp.ProtocolNumber6, d.pinger.handleEcho)
}

// serveDNS answers queries at the gateway addresses.
func (d *Device) serveDNS() error {
	if d.cfg.DNS == nil {
		return nil
	}
	for _, a := range d.cfg.Addresses {
		at := netip.AddrPortFrom(a.Addr(), dnsPort)
		pc, err := d.listen(at)
		if err != nil {
			return err
		}
		ln := newDNSConns(at)
		d.dnsTCP = append(d.dnsTCP, ln)
		d.listeners = append(d.listeners, pc, ln)
		d.running.Go(func() { d.cfg.DNS.Serve(pc, ln, d.clients.of) })
	}
	return nil
}

// listen opens a UDP socket of the stack on one of its own addresses.
func (d *Device) listen(at netip.AddrPort) (net.PacketConn, error) {
	full := tcpip.FullAddress{NIC: nicID, Addr: tcpip.AddrFromSlice(at.Addr().AsSlice()), Port: at.Port()}
	pc, err := gonet.DialUDP(d.stack, &full, nil, protocolFor(at.Addr()))
	if err != nil {
		return nil, fmt.Errorf("netstack: listen on UDP %v: %w", at, err)
	}
	return pc, nil
}

// Sources implements tenant.Device; there is one.
func (d *Device) Sources() []tenant.Source { return d.sources }

// Writer implements tenant.Device.
func (d *Device) Writer() tenant.Writer {
	return &writer{link: d.link, clients: d.clients, fragments: d.pieces, faults: d.cfg.Faults}
}

// MTU implements tenant.Device.
func (d *Device) MTU() int { return d.cfg.MTU }

// Forget ends all flows of the session that has an address, so that the next client with it inherits none.
func (d *Device) Forget(addr netip.Addr) {
	addr = addr.Unmap()
	client := d.clients.of(addr)
	d.flows.forget(client)
	d.udp.forget(client)
	d.pinger.forget(client)
	d.pieces.forget(client)
	if addr.Is6() {
		d.clients.part(addr)
	}
}

// Hairpin says whether clients reach each other where they are seen from outside,
// from now on.
func (d *Device) Hairpin(open bool) { d.hairpin.Store(open) }

// Reaching is where clients may go by another configuration of the device, of which no
// more counts than Addresses, Pool, Deny and Allow. SetReach has it hold.
func (d *Device) Reaching(c Config) (*policy.Reach, error) {
	c.Host, c.Others = d.cfg.Host, d.cfg.Others
	return c.reach()
}

// SetReach has clients go where that says, and nowhere else, from now on. What they have
// under way goes on.
func (d *Device) SetReach(r *policy.Reach) { d.reach.Store(r) }

// Counters returns what the device refused so far.
func (d *Device) Counters() Counters {
	return Counters{d.flows.count() + d.udp.count(), d.flows.refused.Load() + d.udp.refused.Load(), d.link.queue.dropped.Load(), d.pinger.dropped.Load()}
}

// DNS returns what the forwarder on the gateway's address did so far.
func (d *Device) DNS() dns.Counters {
	if d.cfg.DNS == nil {
		return dns.Counters{}
	}
	return d.cfg.DNS.Counters()
}

// Close implements tenant.Device. It returns when every goroutine has ended.
func (d *Device) Close() error {
	d.closing.Do(d.shut)
	return nil
}

func (d *Device) shut() {
	d.flows.close()
	d.udp.close()
	d.cancel()
	d.pinger.close()
	d.pieces.close()
	for _, l := range d.listeners {
		l.Close()
	}
	ended := make(chan struct{})
	go func() {
		d.running.Wait()
		d.flows.running.Wait()
		d.udp.running.Wait()
		close(ended)
	}()
	for done := false; !done; {
		d.stack.Close() // again for handshakes that began in between
		select {
		case <-ended:
			done = true
		case <-time.After(20 * time.Millisecond):
		}
	}
	if d.private != nil {
		d.private.Close()
	}
	d.link.queue.close()
	d.stack.RemoveNIC(nicID)
	d.stack.TransportProtocolInstance(header.TCPProtocolNumber).Wait()
}
