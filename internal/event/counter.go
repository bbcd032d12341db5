package event

import (
	"cmp"
	"slices"
	"strings"
	"sync"
)

// maxCounts bounds how many counts are kept apart. What is counted is told apart by
// words of the program and of its configuration, so that no client can fill it.
const maxCounts = 1 << 16

// Count is how often something happened since the start.
type Count struct {
	Name   string // of the event
	Tenant string // whose; empty: nobody's in particular
	Cause  string // why somebody did not get what he wanted; empty: that is not what happened
	N      uint64
}

// Counter is a Sink that counts events, those that are not worth a line of the log as
// well. It may be used concurrently.
type Counter struct {
	mu     sync.Mutex
	counts map[Count]uint64 // by all but N
}

// NewCounter returns a Counter of nothing.
func NewCounter() *Counter { return &Counter{counts: make(map[Count]uint64)} }

// Take implements Sink.
func (c *Counter) Take(t Told) {
	of, n := Count{Name: t.Name, Tenant: t.Tenant, Cause: t.Cause}, uint64(1)
	if e, ok := t.Event.(IKERefusedUntold); ok {
		n = e.Attempts
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.counts[of]; !known && len(c.counts) >= maxCounts {
		of = Count{Name: t.Name}
	}
	c.counts[of] += n
}

// Forget has what was counted of a tenant that is gone be nobody's in particular: sums stay
// what they are.
func (c *Counter) Forget(tenant string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for of, n := range c.counts {
		if of.Tenant == tenant && tenant != "" {
			delete(c.counts, of)
			of.Tenant = ""
			c.counts[of] += n
		}
	}
}

// Counts returns what was counted, by name, tenant and cause.
func (c *Counter) Counts() []Count {
	c.mu.Lock()
	all := make([]Count, 0, len(c.counts))
	for of, n := range c.counts {
		of.N = n
		all = append(all, of)
	}
	c.mu.Unlock()
	slices.SortFunc(all, func(a, b Count) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Tenant, b.Tenant), strings.Compare(a.Cause, b.Cause))
	})
	return all
}
