package dns

import (
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// recheck is how often the resolver file is looked at, at most.
const recheck = time.Second

// resolvers knows whom to ask: a fixed list, or what a file says.
type resolvers struct {
	fixed []netip.AddrPort
	path  string

	mu      sync.Mutex
	checked time.Time
	changed time.Time // the file's when it was read
	size    int64
	current []netip.AddrPort
}

// get returns the resolvers in the order in which they are asked. The slice is
// never changed. While the file cannot be read the last good list stands.
func (r *resolvers) get(now time.Time) []netip.AddrPort {
	if len(r.fixed) > 0 {
		return r.fixed
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.checked.IsZero() && now.Sub(r.checked) < recheck {
		return r.current
	}
	r.checked = now
	info, err := os.Stat(r.path)
	if err != nil || info.ModTime().Equal(r.changed) && info.Size() == r.size {
		return r.current
	}
	if list := readResolvers(r.path); len(list) > 0 {
		r.current, r.changed, r.size = list, info.ModTime(), info.Size()
	}
	return r.current
}

// readResolvers returns the nameservers of a resolv.conf(5).
func readResolvers(path string) []netip.AddrPort {
	conf, err := dns.ClientConfigFromFile(path)
	if err != nil {
		return nil
	}
	var list []netip.AddrPort
	for _, s := range conf.Servers {
		if addr, err := netip.ParseAddr(s); err == nil {
			list = append(list, netip.AddrPortFrom(addr.Unmap(), 53))
		}
	}
	return list
}
