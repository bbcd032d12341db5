package bench

import (
	"context"
	"fmt"
	"net/netip"
)

// way is one VPN between the client's network and the server's.
type way struct {
	name  string
	title string
	// missing says what this machine lacks for it; nil: nothing.
	missing func() error
	// start makes the tunnel; what it has created, the road removes.
	start func(ctx context.Context, r *road) error
	// target is where traffic is sent, and where that address is.
	target netip.Addr
	behind bool // in the network behind the server; else on the server itself
	// clients is how many dial in; 0: one, by the usual command.
	clients int
}

// sink is the namespace that the way's target is in.
func (w way) sink(r *road) *namespace {
	if w.behind {
		return r.behind
	}
	return r.server
}

// culvertWay is culvert at both ends, with an ESP suite and an egress. clients
// is as in caller.
func culvertWay(suite, egress string, clients int) way {
	w, c, call := culvertServer(suite, egress, clients)
	return w.between(c, call).many(clients)
}

// policedWay is culvert with TUN, whose tenant has a policy.
func policedWay(suite string, rules int) way {
	w, c, call := culvertServer(suite, "tun", 0)
	c.rules = rules
	w.name += "-policy"
	w.title += fmt.Sprintf(", %d rules", rules)
	return w.between(c, call)
}

// between is a way with what its two ends are told.
func (w way) between(c serverConfig, call caller) way {
	w.start = func(ctx context.Context, r *road) error {
		c.secret = newSecret()
		call.secret = c.secret
		var err error
		if r.serving, err = r.serve(ctx, r.server, c); err != nil {
			return err
		}
		return r.dialIn(ctx, call)
	}
	return w
}

// culvertServer is such a way without its start, and what its two ends are told
// but for the secret.
func culvertServer(suite, egress string, clients int) (way, serverConfig, caller) {
	w := way{
		name: "culvert-" + egress + "-" + suite, title: "culvert " + suite + " " + egress,
		missing: checkTUN, target: netip.MustParseAddr(poolGateway),
	}
	c := serverConfig{listen: serverAddr(), ike: 500, natt: 4500, egress: "{tun: {device: bench-serve}}"}
	call := caller{user: benchUser, esp: suite, route: poolNetwork, clients: clients}
	if egress == "netstack" {
		w.target, w.behind = behindAddr(), true
		c.egress = "{netstack: {allow: [" + behindNetwork + "]}}"
		call.route = behindNetwork
	}
	return w, c, call
}

// many is a way that many clients go at once; 0: it stays as it is.
func (w way) many(clients int) way {
	if clients > 0 {
		w.clients = clients
		w.name += fmt.Sprintf("-%d", clients)
		w.title += fmt.Sprintf(", %d clients", clients)
	}
	return w
}

// load is what a load becomes on this way: with many clients, each has the
// streams of one. False: it makes no sense here.
func (w way) load(l load) (load, bool) {
	if w.clients == 0 {
		return l, true
	}
	if l.proto != "tcp" || l.streams > 1 {
		return l, false
	}
	l.streams, l.device = w.clients, callerDevice
	return l, true
}

// plainWay is no VPN at all: what the machine itself can do.
func plainWay() way {
	return way{
		name: "plain", title: "no VPN", target: serverAddr(),
		missing: func() error { return nil },
		start:   func(context.Context, *road) error { return nil },
	}
}
