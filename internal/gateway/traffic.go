package gateway

import (
	"github.com/culvert-vpn/culvert/internal/admin"
)

// carried is the traffic of a session, or of several.
type carried struct{ up, down admin.Traffic }

func (c *carried) add(o carried) {
	addTraffic(&c.up, o.up)
	addTraffic(&c.down, o.down)
}

func addTraffic(to *admin.Traffic, t admin.Traffic) {
	to.Packets += t.Packets
	to.Bytes += t.Bytes
}

// traffic is what the session has carried until now.
func (s *session) traffic() carried {
	return carried{
		up:   admin.Traffic{Packets: s.Plane.Up.Packets(), Bytes: s.Plane.Up.Bytes()},
		down: admin.Traffic{Packets: s.Plane.Down.Packets(), Bytes: s.Plane.Down.Bytes()},
	}
}

// taking is Figures that are being taken.
type taking struct {
	f        admin.Figures
	tenants  []*tenantState // in the order of those of f
	left     []carried      // by their sessions that had ended
	byName   map[string]*admin.Counted
	sessions []*session           // that had not ended when it began
	ended    map[*session]carried // what those have carried that have since
}

// carried adds what a tenant's sessions have carried.
func (t *taking) carried(of *admin.Counted, c carried) {
	for _, to := range []*admin.Counted{of, &t.f.All} {
		addTraffic(&to.Up, c.up)
		addTraffic(&to.Down, c.down)
	}
}
