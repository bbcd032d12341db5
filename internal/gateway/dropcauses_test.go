package gateway

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/dataplane"
	"github.com/culvert-vpn/culvert/tenant"
	"github.com/culvert-vpn/culvert/tenant/dns"
	"github.com/culvert-vpn/culvert/tenant/netstack"
)

// countedDevice is a network with all the counters that one has.
type countedDevice struct{ *echoDevice }

func (countedDevice) DNS() dns.Counters {
	return dns.Counters{Queries: 1, Failed: 2, Malformed: 3, Dropped: 4}
}
func (countedDevice) Counters() netstack.Counters {
	return netstack.Counters{Flows: 5, FlowsRefused: 7, QueueDrops: 8, EchoDrops: 9}
}

// machines are the names under which the gateway counts messages that it makes nothing of.
func machines(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	ofEngine, err := filepath.Glob("../engine/*.go")
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, f := range append(files, ofEngine...) {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`\.(?:Count\(.*, |Refused\[)"([a-z0-9]+)"[\])]`).FindAllSubmatch(b, -1) {
			names[string(m[1])] = true
		}
	}
	if len(names) < 5 {
		t.Fatalf("found %d machines only", len(names))
	}
	return slices.Sorted(maps.Keys(names))
}

// TestDropCausesAreExplained: an operator finds each cause that a line dropped can name in
// docs/log.md, and none that it cannot.
func TestDropCausesAreExplained(t *testing.T) {
	b, err := os.ReadFile("../../docs/log.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(b), "## Causes")
	explained := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([A-Za-z0-9-]+)` \\| \\S.* \\|$").FindAllStringSubmatch(text, -1) {
		explained[m[1]] = true
	}
	counted := map[string]bool{}
	for c := dataplane.Cause(0); c.String() != "unknown"; c++ {
		counted[c.String()] = true
	}
	names := machines(t)
	inWorld(t, goodRoad, testConfig, func(t *testing.T, w *world) {
		err := w.server.server.engine.Work.Do(context.Background(), func(time.Time) {
			for _, name := range names {
				w.server.server.engine.Refused[name]++
			}
			for _, state := range w.server.server.tenants {
				device := state.device
				state.way.Store(&way{countedDevice{device.(*echoDevice)}, state.port})
				defer func() { state.way.Store(&way{device, state.port}) }()
			}
			for what := range w.server.server.drops().Losses() {
				counted[strings.Replace(what, "acme-", "TENANT-", 1)] = true
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	})
	for what := range counted {
		if !explained[what] {
			t.Errorf("docs/log.md does not explain %s", what)
		}
	}
	for what := range explained {
		if !counted[what] {
			t.Errorf("docs/log.md explains %s, which nothing counts", what)
		}
	}
}

var _ tenant.Device = countedDevice{}
