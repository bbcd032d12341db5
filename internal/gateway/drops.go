package gateway

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/culvert-vpn/culvert/internal/event"
	"github.com/culvert-vpn/culvert/tenant/dns"
	"github.com/culvert-vpn/culvert/tenant/netstack"
)

// reportInterval is how often at most the log says what was dropped and refused.
const reportInterval = time.Minute

// tally is what was counted until now, by what was dropped or refused.
type tally map[string]uint64

// tally collects what was dropped: packets by the data plane's causes, what the tenants'
// own stacks refused, and messages that a protocol made nothing of.
func (g *Gateway) tally() tally {
	all := tally{}
	for cause, n := range g.plane.Drops() {
		all[cause.String()] = n
	}
	for machine, n := range g.refused {
		all[machine+"-messages"] = n
	}
	for _, t := range g.tenants {
		if d, ok := t.device.(interface{ DNS() dns.Counters }); ok {
			c := d.DNS()
			all[t.Name+"-dns-failed"], all[t.Name+"-dns-malformed"], all[t.Name+"-dns-dropped"] = c.Failed, c.Malformed, c.Dropped
		}
		if d, ok := t.device.(interface{ Counters() netstack.Counters }); ok {
			c := d.Counters()
			for what, n := range map[string]uint64{"flows": c.FlowsRefused, "queue": c.QueueDrops, "echoes": c.EchoDrops} {
				all[t.Name+"-"+what] = n
			}
		}
	}
	return all
}

// since is what has been added to an earlier tally, the largest first, as name=number.
func (t tally) since(before tally) []string {
	added := tally{}
	for what, n := range t {
		if n > before[what] {
			added[what] = n - before[what]
		}
	}
	names := slices.SortedFunc(maps.Keys(added), func(a, b string) int {
		return cmp.Or(cmp.Compare(added[b], added[a]), strings.Compare(a, b))
	})
	for i, name := range names {
		names[i] = fmt.Sprintf("%s=%d", name, added[name])
	}
	return names
}

// maxReported bounds how much one line names.
const maxReported = 40

// report says in the log what was dropped since it last said so.
func (g *Gateway) report() {
	now := g.tally()
	if new := now.since(g.reported); len(new) > 0 {
		g.emit(event.Dropped{Since: new[:min(len(new), maxReported)]})
	}
	g.reported = now
}
