package gateway

import (
	"context"
	"maps"
	"strings"
	"time"

	"github.com/culvert-vpn/culvert/internal/config"
	"github.com/culvert-vpn/culvert/internal/event"
)

// watchInterval is how often the files that a configuration names are looked at.
const watchInterval = 10 * time.Second

// watch follows the files that the configuration names, until ctx is done: lists of
// revoked certificates and files of addresses one by one, all the others together. So it does
// the users of the store.
func (g *applier) watch(ctx context.Context) {
	defer g.server.running.Done()
	seen := sight{lists: map[string]string{}}
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	for {
		g.look(ctx, &seen)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// sight is what files were when they were looked at last.
type sight struct {
	lists         map[string]string // of revoked certificates, by tenant
	accounts      accountSight
	conf          *config.Config // that named the others
	stamp, failed string         // of the others, and when they could not be applied
}

// look looks at the files once.
func (g *applier) look(ctx context.Context, seen *sight) {
	defer g.server.faults.Recover("files that the configuration names")
	var tenants []*tenantState
	var running *config.Config
	if g.server.engine.Work.Do(ctx, func(time.Time) { tenants, running = g.server.tenants, g.server.config.Config }) != nil || running == nil {
		return
	}
	g.watchLists(tenants, seen.lists)
	g.watchAccounts(ctx, &seen.accounts)
	g.watchFeeds(ctx, running, running != seen.conf)
	g.tidy(ctx)
	if running != seen.conf {
		seen.conf, seen.stamp, seen.failed = running, strings.Join(running.Stamps, "\n"), ""
	}
	if stamp := stampOf(running.Files); stamp != seen.stamp {
		seen.failed = g.reread(ctx, running, stamp, seen.failed)
	}
}

// reread applies the running configuration with its files as they are now. What cannot be
// applied, such as a new certificate whose key is still to come, is tried again; the log
// says so once for each state of the files, of which failed is the last.
func (g *applier) reread(ctx context.Context, running *config.Config, stamp, failed string) string {
	next, err := running.Again()
	if err == nil {
		_, err = g.replace(ctx, next, false)
	}
	if err != nil && stamp != failed && ctx.Err() == nil {
		g.server.emit(event.FilesRefused{Err: err, Hint: "what was read before stays in force"})
	}
	return stamp
}

// stampOf changes when one of the files does.
func stampOf(files []string) string {
	stamps := make([]string, len(files))
	for i, name := range files {
		stamps[i] = config.Stamp(name)
	}
	return strings.Join(stamps, "\n")
}

// watchLists reads the lists of revoked certificates anew whose files have changed; seen
// is what they were like, by tenant.
func (g *applier) watchLists(tenants []*tenantState, seen map[string]string) {
	here := make(map[string]bool, len(tenants))
	for _, t := range tenants {
		files := t.conf.Load().CRLFiles
		if len(files) == 0 {
			continue
		}
		stamp := stampOf(files)
		if before, known := seen[t.Name]; known && stamp != before {
			g.rereadLists(t)
		}
		seen[t.Name], here[t.Name] = stamp, true
	}
	maps.DeleteFunc(seen, func(name, _ string) bool { return !here[name] })
}

// rereadLists takes the lists of a tenant as its files have them now; if one cannot
// be read, those from before stay.
func (g *applier) rereadLists(t *tenantState) {
	lists, err := config.ReadCRLs(t.conf.Load().CRLFiles)
	if err != nil {
		g.server.emit(event.CRLRefused{Tenant: t.Name, Err: err, Hint: "the list from before stays in force: write the file anew with `culvert ca crl`"})
		return
	}
	g.server.engine.Work.Post(func(now time.Time) {
		t.trust.relist(lists)
		g.server.emit(event.CRLRead{Tenant: t.Name, Lists: len(lists)})
		g.logins.expel(now, t, lists)
	})
}
