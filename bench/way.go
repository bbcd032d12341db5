package bench

import (
	"context"
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
}

// sink is the namespace that the way's target is in.
func (w way) sink(r *road) *namespace {
	if w.behind {
		return r.behind
	}
	return r.server
}

// culvertWay is culvert at both ends, with an ESP suite and an egress.
func culvertWay(suite, egress string) way {
	w := way{
		name: "culvert-" + egress + "-" + suite, title: "culvert " + suite + " " + egress,
		missing: checkTUN, target: netip.MustParseAddr(poolGateway),
	}
	c := serverConfig{listen: serverAddr(), ike: 500, natt: 4500, egress: "{tun: {device: bench-serve}}"}
	call := caller{user: benchUser, esp: suite, route: poolNetwork, device: "bench-connect"}
	if egress == "netstack" {
		w.target, w.behind = behindAddr(), true
		c.egress = "{netstack: {allow: [198.18.1.0/30]}}"
		call.route = "198.18.1.0/30"
	}
	w.start = func(ctx context.Context, r *road) error {
		c.secret = newSecret()
		call.secret = c.secret
		if _, err := r.serve(ctx, r.server, c); err != nil {
			return err
		}
		return r.connect(ctx, call)
	}
	return w
}

// plainWay is no VPN at all: what the machine itself can do.
func plainWay() way {
	return way{
		name: "plain", title: "no VPN", target: serverAddr(),
		missing: func() error { return nil },
		start:   func(context.Context, *road) error { return nil },
	}
}
