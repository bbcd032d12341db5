package tun

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/culvert-vpn/culvert/tenant"
	"github.com/culvert-vpn/culvert/tenant/dns"
)

// Device is a TUN device. It implements tenant.Device.
type Device struct {
	cfg     Config
	got     granted
	files   []*os.File
	sources []tenant.Source
	writers atomic.Uint32 // made so far

	sockets []interface{ Close() error } // of DNS
	serving sync.WaitGroup
	closing sync.Once
	closed  error
}

var _ tenant.Device = (*Device)(nil)

// New makes the device, addresses it, routes to it and sets it up.
func New(cfg Config) (*Device, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	d := &Device{cfg: cfg}
	err = inNamespace(cfg.Netns, d.make)
	if err == nil {
		err = d.serveDNS()
	}
	if err != nil {
		d.Close()
		return nil, err
	}
	for _, f := range d.files {
		source, err := newSource(f, d.got.vnet, cfg.MTU)
		if err != nil {
			d.Close()
			return nil, err
		}
		d.sources = append(d.sources, source)
	}
	return d, nil
}

// make does what is to be done in the device's namespace.
func (d *Device) make() error {
	var err error
	if d.files, d.got, err = openQueues(d.cfg); err != nil {
		return err
	}
	if err := d.configure(d.setUp); err != nil {
		return err
	}
	if d.cfg.DNS == nil {
		return nil
	}
	return d.listenDNS()
}

// AddAddress gives the device another address.
func (d *Device) AddAddress(p netip.Prefix) error {
	return inNamespace(d.cfg.Netns, func() error {
		return d.configure(func(h *netlink.Handle, link netlink.Link) error { return d.addAddress(h, link, p) })
	})
}

func (d *Device) addAddress(h *netlink.Handle, link netlink.Link, p netip.Prefix) error {
	if err := h.AddrReplace(link, address(p)); err != nil {
		return setUpError("address "+p.String()+" on", d.got.name, err)
	}
	return nil
}

// configure runs do with the device as netlink knows it, in the namespace of the
// calling thread.
func (d *Device) configure(do func(*netlink.Handle, netlink.Link) error) error {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("tun: netlink: %w", err)
	}
	defer h.Close()
	link, err := h.LinkByName(d.got.name)
	if err != nil {
		return fmt.Errorf("tun: device %q: %w", d.got.name, err)
	}
	return do(h, link)
}

// setUp gives the device its MTU, addresses and routes and sets it up.
func (d *Device) setUp(h *netlink.Handle, link netlink.Link) error {
	if err := h.LinkSetMTU(link, d.cfg.MTU); err != nil {
		return setUpError("MTU of", d.got.name, err)
	}
	for _, a := range d.cfg.Addresses {
		if err := d.addAddress(h, link, a); err != nil {
			return err
		}
	}
	if err := h.LinkSetUp(link); err != nil {
		return setUpError("setting up", d.got.name, err)
	}
	for _, r := range d.cfg.Routes {
		if err := d.addRoute(h, link, r); err != nil {
			return err
		}
	}
	return nil
}

// address is an address as netlink has it. IPv6 addresses are used at once: on
// a device without neighbours nobody can have the same one.
func address(p netip.Prefix) *netlink.Addr {
	a := &netlink.Addr{IPNet: &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}}
	if p.Addr().Is6() {
		a.Flags = unix.IFA_F_NODAD
	}
	return a
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

func setUpError(what, name string, err error) error {
	if errors.Is(err, unix.EPERM) {
		return fmt.Errorf("%w: %s device %q needs CAP_NET_ADMIN: %w", ErrPermission, what, name, err)
	}
	return fmt.Errorf("tun: %s device %q: %w", what, name, err)
}

// listenDNS opens the sockets of DNS in the device's namespace.
func (d *Device) listenDNS() error {
	for _, a := range d.cfg.Addresses {
		at := netip.AddrPortFrom(a.Addr(), 53)
		pc, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
		if err != nil {
			return fmt.Errorf("tun: DNS at %v: %w", at, err)
		}
		d.sockets = append(d.sockets, pc)
		ln, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(at))
		if err != nil {
			return fmt.Errorf("tun: DNS at %v: %w", at, err)
		}
		d.sockets = append(d.sockets, ln)
	}
	return nil
}

// serveDNS answers on the sockets of listenDNS. It is called outside of the
// namespace, so that queries to resolvers leave from the process's own.
func (d *Device) serveDNS() error {
	for i := 0; i+1 < len(d.sockets); i += 2 {
		pc, ln := d.sockets[i].(net.PacketConn), d.sockets[i+1].(net.Listener)
		d.serving.Go(func() { d.cfg.DNS.Serve(pc, ln, d.cfg.sessionOf) })
	}
	return nil
}

// Sources implements tenant.Device: one for each queue.
func (d *Device) Sources() []tenant.Source { return d.sources }

// Writer implements tenant.Device. Writers are spread over the queues.
func (d *Device) Writer() tenant.Writer {
	n := int(d.writers.Add(1)-1) % len(d.files)
	w, err := newWriter(d.files[n], d.got.vnet, d.got.uso)
	if err != nil {
		return closedWriter{err}
	}
	return w
}

// closedWriter is the Writer of a device that is closed.
type closedWriter struct{ err error }

func (closedWriter) Commit([]byte)  {}
func (w closedWriter) Flush() error { return w.err }

// MTU implements tenant.Device.
func (d *Device) MTU() int { return d.cfg.MTU }

// Offload reports whether the device has vnet headers, and whether for UDP too.
func (d *Device) Offload() (tcp, udp bool) { return d.got.vnet, d.got.uso }

// DNS returns what the forwarder on the gateway's address did so far.
func (d *Device) DNS() dns.Counters {
	if d.cfg.DNS == nil {
		return dns.Counters{}
	}
	return d.cfg.DNS.Counters()
}

// Close implements tenant.Device.
func (d *Device) Close() error {
	d.closing.Do(func() {
		for _, s := range d.sockets {
			s.Close()
		}
		for _, f := range d.files {
			d.closed = errors.Join(d.closed, f.Close())
		}
		d.serving.Wait()
	})
	return d.closed
}
