package dataplane

import (
	"math/rand/v2"
	"testing"
	"unsafe"

	"github.com/culvert-vpn/culvert/esp"
)

// TestLines: whatever is put in and taken out, in whatever order, the table says
// what a map says. Keys are few, and many have one home.
func TestLines(t *testing.T) {
	for _, space := range []uint32{8, 100, 1 << 12} {
		random := rand.New(rand.NewPCG(uint64(space), 7))
		var l lines[int]
		want := make(map[uint32]*int)
		if l.get(0) != nil || l.at(0) != nil {
			t.Fatal("an empty table has something")
		}
		for i := range 20000 {
			key := random.Uint32N(space) << (i % 3 * 10)
			if random.IntN(5) < 3 {
				value := i
				l.put(key, &value)
				want[key] = &value
			} else {
				l.remove(key)
				delete(want, key)
			}
			if l.get(key) != want[key] || l.count != len(want) {
				t.Fatalf("space %d, step %d: key %d is %v, want %v; %d keys, want %d", space, i, key, l.get(key), want[key], l.count, len(want))
			}
		}
		for key, value := range want {
			if l.get(key) != value {
				t.Errorf("space %d: key %d is %v, want %v", space, key, l.get(key), value)
			}
		}
	}
}

// TestLinesAreNear: addresses that follow each other, as pools give them away,
// and those of several pools, are found where they are looked for.
func TestLinesAreNear(t *testing.T) {
	var l lines[int]
	for i := range uint32(20000) {
		l.put(10<<24+i%4<<16+i/4, new(int))
	}
	far := 0
	for i, p := range l.places {
		if p.value != nil && (i-l.home(p.key))&(len(l.places)-1) > 3 { // another line of memory, or nearly
			far++
		}
	}
	if far > l.count/50 {
		t.Errorf("%d of %d are far from their places", far, l.count)
	}
}

// TestHotFields: what every packet needs of a peer, a session and an SA lies in
// lines of memory that are side by side. What has such a size is allocated where
// a line begins.
func TestHotFields(t *testing.T) {
	var h peerBlock
	var sa SA
	for name, got := range map[string][2]uintptr{
		"a peerBlock":        {unsafe.Sizeof(h), 384},
		"a peer":             {unsafe.Sizeof(h.peer), 64},
		"a session's line":   {unsafe.Offsetof(h.session.firstBinding), 64},
		"its first way out":  {unsafe.Offsetof(h.session.firstSend), 128},
		"what goes up needs": {unsafe.Offsetof(h.session) + unsafe.Offsetof(h.session.firstSend), upLines},
		"an SA":              {unsafe.Sizeof(sa), 384},
		"its first lines":    {unsafe.Offsetof(sa.In) + esp.InboundLines, saLines},
	} {
		if got[0] != got[1] {
			t.Errorf("%s: %d bytes, want %d", name, got[0], got[1])
		}
	}
}
