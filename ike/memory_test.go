package ike

import (
	"net/netip"
	"runtime"
	"testing"
)

// TestMemoryOfAClient: a server has room for tens of thousands of clients that are in. What
// only their logins needed is gone by then, and what repeated messages need a minute later.
func TestMemoryOfAClient(t *testing.T) {
	const clients = 256
	p := newPair(t, 1, Config{Candidates: psk("acme", "secret", fast())})
	dialled := 0
	dial := func(n int) {
		for range n {
			dialled++
			host := netip.AddrFrom4([4]byte{10, 0, byte(dialled >> 8), byte(dialled)})
			c := dialConfig("secret")
			c.Path.Local, c.NATTPath.Local = netip.AddrPortFrom(host, 500), netip.AddrPortFrom(host, 4500)
			p.client = newNode(t, "client", Config{Rand: stream(host.String())})
			p.dial(c)
			if len(p.usable()) != 1 {
				t.Fatalf("not up: %v", p.server.events)
			}
			p.forget()
		}
	}
	settle := func() { p.run(2*lingerTime, nil); p.forget() }
	dial(clients) // tables have a size to begin with
	settle()
	before := heapInUse()
	dial(clients)
	fresh := (heapInUse() - before) / clients
	settle()
	settled := (heapInUse() - before) / clients
	if n := p.server.s.Stats().Children; n != 2*clients {
		t.Fatalf("%d child SAs", n)
	}
	if fresh > 5300 || settled > 4800 { // bytes
		t.Errorf("a client that has just come takes %d bytes, and later %d", fresh, settled)
	}
	runtime.KeepAlive(p)
}

// heapInUse is how many bytes of the heap are in use, garbage excepted.
func heapInUse() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // for what pools hold on to
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// forget drops the clients and what the server has said of them.
func (p *pair) forget() {
	p.client = newNode(p.t, "client", Config{})
	s := p.server.s
	p.server = newNode(p.t, "server", Config{})
	p.server.s, p.fly = s, nil
}
