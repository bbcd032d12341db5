package ppp

import (
	"runtime"
	"testing"
	"unsafe"
)

// TestSize holds a link to its budget: 20,000 of them are nothing.
func TestSize(t *testing.T) {
	if n := unsafe.Sizeof(Link{}); n > 1024 {
		t.Errorf("a Link has %d bytes", n)
	}
	const links, budget = 200, 1536
	before := liveBytes()
	kept := make([]*Link, links)
	for i := range kept {
		p := newPair(t, uint64(i), Config{}, clientConfig(t, "windows10"), admission{password: "secret"})
		p.start()
		p.run(10e9)
		p.wantUp("windows10")
		kept[i] = p.server.link
		kept[i].rand = nil // the randomness of the test is no part of it
	}
	n := int(liveBytes()-before) / links
	if n > budget {
		t.Errorf("a server's link that is up has %d bytes, more than %d", n, budget)
	}
	t.Logf("a server's link that is up has %d bytes", n)
	runtime.KeepAlive(kept)
}

func liveBytes() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
