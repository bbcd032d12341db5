package bench

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"strings"

	"github.com/culvert-vpn/culvert/internal/config"
	"github.com/culvert-vpn/culvert/internal/dialer"
	"github.com/culvert-vpn/culvert/tenant"
	"github.com/culvert-vpn/culvert/tenant/tun"
)

// CallersCommand is the hidden sub-command of bench that RunCallers serves.
const CallersCommand = "callers"

// maxCallers is how many clients with a device each there may be.
const maxCallers = 250

// Not every server stands it when all dial in one moment, and it is not what is
// measured here.
const (
	callersAtOnce = 16
	callerDials   = 3
)

// CallersJob is many clients of one server, in one process, each with a TUN
// device and an address of its own.
type CallersJob struct {
	Dials
	IKE    string       // suite to propose; empty: the usual ones
	Route  netip.Prefix // sent through the devices
	Device string       // name of the devices, with %d for their number
}

// Dials is what many clients of one server have, in one process.
type Dials struct {
	Server  netip.Addr
	First   netip.Addr // of the first client; the others follow
	Clients int
	Secret  string // pre-shared key and password
	User    string
	ESP     string // suite
}

// arguments are those with which a command of this program dials so; secret is
// the file that has it.
func (d Dials) arguments(secret string) []string {
	return []string{
		"--server", d.Server.String(), "--first", d.First.String(), "--clients", fmt.Sprint(d.Clients),
		"--secret", "file:" + secret, "--user", d.User, "--esp", d.ESP,
	}
}

// RunCallers dials in with all clients, writes a line "up:" with the suite, and
// stays until ctx is done or one of them is cut off.
func RunCallers(ctx context.Context, j CallersJob, out io.Writer) error {
	suites, err := dialer.ParseSuites(named(j.IKE), named(j.ESP))
	if err != nil {
		return badOption("%v", err)
	}
	g, err := dialer.New(dialer.Config{Addresses: []netip.Addr{netip.IPv4Unspecified()}})
	if err != nil {
		return failed("%w", err)
	}
	defer runInBackground(ctx, g)()
	conns := make([]*dialer.Connection, j.Clients)
	err = each(ctx, j.Clients, callersAtOnce, func(ctx context.Context, i int) (err error) {
		for range callerDials {
			if conns[i], err = j.dial(ctx, g, i, suites); err == nil {
				return nil
			}
		}
		return failed("client %d: %w", i+1, err)
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "up: %d clients, %s\n", j.Clients, conns[0].Suite)
	return each(ctx, j.Clients, j.Clients, func(ctx context.Context, i int) error {
		select {
		case <-conns[i].Done():
			return failed("client %d was cut off: %w", i+1, conns[i].Err())
		case <-ctx.Done():
			return nil
		}
	})
}

// runInBackground runs a server, or who dials one, until the function that it returns is called.
func runInBackground(ctx context.Context, g interface{ Run(context.Context) error }) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		g.Run(ctx)
	}()
	return func() { cancel(); <-ended }
}

// named is a list of one name, or of none.
func named(name string) []string {
	if name == "" {
		return nil
	}
	return []string{name}
}

// dial has the i-th client dial in, from the i-th address.
func (j CallersJob) dial(ctx context.Context, g *dialer.Dialer, i int, suites dialer.Suites) (*dialer.Connection, error) {
	limit, cancel := context.WithTimeout(ctx, patience/2)
	defer cancel()
	return g.Dial(limit, dialer.DialConfig{
		Server:     netip.AddrPortFrom(j.Server, config.DefaultPortIKE),
		ServerNATT: netip.AddrPortFrom(j.Server, config.DefaultPortNATT),
		Local:      following(j.First, i), PSK: []byte(j.Secret), User: j.User, Password: j.Secret, Suites: suites,
		Device: func(a dialer.Assigned) (tenant.Device, error) { return j.device(i, a) },
	})
}

// device makes the device of the i-th client. All lead to the same network, so
// each route has a rank of its own, and who sends names the device.
func (j CallersJob) device(i int, a dialer.Assigned) (tenant.Device, error) {
	name := numberedDevice(j.Device, i)
	d, err := tun.New(tun.Config{Name: name, Addresses: []netip.Prefix{netip.PrefixFrom(a.Local, 32)}, MTU: a.MTU})
	if err != nil {
		return nil, err
	}
	if err := route(name, j.Route, i+1); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

// following returns the i-th address after first.
func following(first netip.Addr, i int) netip.Addr {
	for range i {
		first = first.Next()
	}
	return first
}

// numberedDevice is the name of the i-th device.
func numberedDevice(pattern string, i int) string {
	return strings.ReplaceAll(pattern, "%d", fmt.Sprint(i))
}

// callers starts a process with many clients and waits until all stand.
func (r *road) callers(ctx context.Context, c caller, secret string) (*process, error) {
	if err := r.addresses(firstCaller(), c.clients); err != nil {
		return nil, err
	}
	d := Dials{Server: serverAddr(), First: firstCaller(), Clients: c.clients, User: c.user, ESP: c.esp}
	command := append([]string{r.program, "bench", CallersCommand}, d.arguments(secret)...)
	return r.start(r.client, "many clients", append(command, "--ike", c.ike, "--route", c.route, "--device", callerDevice)...)
}

// addresses gives the clients' end of the road so many addresses from first on.
func (r *road) addresses(first netip.Addr, n int) error {
	return r.client.do(func() error {
		for i := range n {
			if err := address("outer", netip.PrefixFrom(following(first, i), outerBits)); err != nil {
				return err
			}
		}
		return nil
	})
}
