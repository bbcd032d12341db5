package bench

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"time"
)

// site is what a measurement has created. close removes all of it.
type site struct {
	program string // culvert itself, which is run for what needs a process
	dir     string
	cpus    cpus // that processes are confined to which start from now on
	undo    []func()
}

// newSite makes a place for files. program is the culvert to run.
func newSite(program string) (*site, error) {
	dir, err := os.MkdirTemp("", "culvert-bench-")
	if err != nil {
		return nil, failed("%w", err)
	}
	s := &site{program: program, dir: dir}
	s.later(func() { os.RemoveAll(dir) })
	return s, nil
}

// later has something done by close, in the reverse order.
func (s *site) later(f func()) { s.undo = append(s.undo, f) }

func (s *site) close() {
	for i := len(s.undo) - 1; i >= 0; i-- {
		s.undo[i]()
	}
	s.undo = nil
}

// mark and closeTo remove what was created since.
func (s *site) mark() int { return len(s.undo) }

func (s *site) closeTo(mark int) {
	for i := len(s.undo) - 1; i >= mark; i-- {
		s.undo[i]()
	}
	s.undo = s.undo[:mark]
}

// write writes a file that only we may read, and returns its path.
func (s *site) write(name string, text string) (string, error) {
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return "", failed("%w", err)
	}
	return path, nil
}

// start starts a program that close ends.
func (s *site) start(ns *namespace, name string, argv ...string) (*process, error) {
	p, err := spawn(ns, s.cpus, name, argv)
	if err == nil {
		s.later(func() { p.stop(5 * time.Second) })
	}
	return p, err
}

// namespace makes a network that close removes.
func (s *site) namespace() (*namespace, error) {
	n, err := newNamespace()
	if err == nil {
		s.later(n.close)
	}
	return n, err
}

// road is three networks in a row: clients, the server, and what lies behind
// it. The addresses are those set aside for benchmarks (RFC 2544).
type road struct {
	*site
	client, server, behind *namespace
	// serving is the server of the VPN; nil: there is none.
	serving *process
	carried uint16 // loads so far
}

// The addresses of a road.
func clientAddr() netip.Addr  { return netip.AddrFrom4([4]byte{198, 18, 0, 1}) }
func serverAddr() netip.Addr  { return netip.AddrFrom4([4]byte{198, 18, 0, 2}) }
func firstCaller() netip.Addr { return netip.AddrFrom4([4]byte{198, 18, 1, 1}) }
func gateAddr() netip.Addr    { return netip.AddrFrom4([4]byte{198, 19, 0, 1}) }
func behindAddr() netip.Addr  { return netip.AddrFrom4([4]byte{198, 19, 0, 2}) }

const (
	outerBits     = 16
	behindNetwork = "198.19.0.0/30"
	// callerDevice is the device of each of many clients.
	callerDevice = "bench-%d"
)

// newRoad makes the networks and joins them.
func newRoad(program string) (*road, error) {
	s, err := newSite(program)
	if err != nil {
		return nil, err
	}
	r := &road{site: s}
	for _, n := range []**namespace{&r.client, &r.server, &r.behind} {
		if *n, err = s.namespace(); err != nil {
			s.close()
			return nil, err
		}
	}
	err = cable(r.client, r.server, "outer", netip.PrefixFrom(clientAddr(), outerBits), netip.PrefixFrom(serverAddr(), outerBits))
	if err == nil {
		err = cable(r.server, r.behind, "inner", netip.PrefixFrom(gateAddr(), 30), netip.PrefixFrom(behindAddr(), 30))
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return r, nil
}

// patience is how long something may take to come up.
const patience = 30 * time.Second

func patient(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, patience)
}
