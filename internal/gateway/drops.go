package gateway

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/culvert-vpn/culvert/internal/admin"
	"github.com/culvert-vpn/culvert/internal/event"
)

// reportInterval is how often at most the log says what was dropped and refused.
const reportInterval = time.Minute

// tally is what was counted until now, by what was dropped or refused.
type tally admin.Named

// drops are figures with no more than what was dropped.
func (g *Gateway) drops() *admin.Figures {
	f := &admin.Figures{Refused: g.refused, Tenants: make([]admin.Tenant, len(g.tenants))}
	for i, t := range g.tenants {
		f.Tenants[i].Name = t.Name
	}
	g.countDrops(f, g.tenants)
	return f
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
	now := tally(g.drops().Losses())
	if new := now.since(g.reported); len(new) > 0 {
		g.emit(event.Dropped{Since: new[:min(len(new), maxReported)]})
	}
	g.reported = now
}
