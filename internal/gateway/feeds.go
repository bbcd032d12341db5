package gateway

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/gaissmai/bart"

	"github.com/culvert-vpn/culvert/internal/bans"
	"github.com/culvert-vpn/culvert/internal/config"
	"github.com/culvert-vpn/culvert/internal/event"
)

// The files of addresses that nobody dials in from (`block`). They are read by whoever follows
// files, which takes seconds for large ones, and the control loop gets the tables.

// feed is such a file as it was read last.
type feed struct {
	path  string
	stamp string // of the file when it was looked at
	at    time.Time
	said  bans.Feed // what counts of it; without a table: nothing yet
	err   error     // why it is not what is in the file now; nil: it is
}

// feedsOf are the files that a configuration names, each once.
func feedsOf(c *config.Config) []string {
	files := slices.Clone(c.Block)
	for i := range c.Tenants {
		files = append(files, c.Tenants[i].Block...)
	}
	slices.Sort(files)
	return slices.Compact(files)
}

// readFeeds reads the files anew that have changed, or have come, and returns what it has read.
// What is not named any more is forgotten. It is called by one goroutine at a time.
func (g *applier) readFeeds(c *config.Config) (read []*feed) {
	files := feedsOf(c)
	g.feeds = slices.DeleteFunc(g.feeds, func(f *feed) bool { return !slices.Contains(files, f.path) })
	for _, path := range files {
		n := slices.IndexFunc(g.feeds, func(f *feed) bool { return f.path == path })
		stamp := config.Stamp(path)
		if n >= 0 && g.feeds[n].stamp == stamp {
			continue
		}
		if n < 0 {
			n = len(g.feeds)
			g.feeds = append(g.feeds, &feed{path: path})
		}
		room := bans.MaxFeeds
		for i, other := range g.feeds {
			if i != n {
				room -= other.said.Networks
			}
		}
		next := *g.feeds[n] // others may be looking at the former
		next.stamp, next.at = stamp, time.Now()
		said, err := bans.ReadFeed(path, room)
		if next.err = err; err == nil {
			next.said = *said
		}
		g.feeds[n] = &next
		read = append(read, &next)
	}
	return read
}

// feedTables are the tables of the files, for the server and for each tenant.
func (g *applier) feedTables(c *config.Config) map[string][]*bart.Lite {
	tables := make(map[string][]*bart.Lite)
	add := func(owner string, files []string) {
		for _, f := range g.feeds {
			if f.said.Table != nil && slices.Contains(files, f.path) {
				tables[owner] = append(tables[owner], f.said.Table)
			}
		}
	}
	add("", c.Block)
	for i := range c.Tenants {
		add(c.Tenants[i].Name, c.Tenants[i].Block)
	}
	return tables
}

// watchFeeds has what has changed of the files, or of who names them, be in force.
func (g *applier) watchFeeds(ctx context.Context, c *config.Config, another bool) {
	read := g.readFeeds(c)
	if len(read) == 0 && !another {
		return
	}
	tables, all := g.feedTables(c), slices.Clone(g.feeds)
	_ = g.server.engine.Work.Do(ctx, func(now time.Time) { // or the server ends
		g.server.bans.feeds, g.server.bans.files = tables, all
		g.server.refuse()
		for _, f := range read {
			ended := 0
			if t := f.said.Table; f.err == nil {
				ended = g.logins.endBanned(now, "the address is refused by a list", func(a netip.Addr) bool { return t.Lookup(a) })
			}
			g.server.sayFeed(f, ended)
		}
	})
}

// sayFeed says what came of reading a file, and how many sessions it has ended.
func (g *server) sayFeed(f *feed, ended int) {
	if f.err != nil {
		hint := "nobody is refused for it: write the file anew"
		if f.said.Table != nil {
			hint = "what was read of it before stays in force: write the file anew"
		}
		g.emit(event.FeedRefused{File: f.path, Err: f.err, Hint: hint})
		return
	}
	g.emit(event.FeedRead{File: f.path, Networks: f.said.Networks, Skipped: f.said.Skipped, Ended: ended})
	if f.said.Skipped > 0 {
		g.emit(event.FeedLinesSkipped{File: f.path, Lines: f.said.Told, Skipped: f.said.Skipped, Hint: "the other lines are in force: an address or a network a line, with comments behind # or ;"})
	}
}
