package aesgcm

import (
	"bytes"
	"os"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// guarded is memory with pages on both sides that nobody may touch.
type guarded []byte

func wantGuarded(t *testing.T, pages int) guarded {
	t.Helper()
	page := os.Getpagesize()
	b, err := unix.Mmap(-1, 0, (pages+2)*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Munmap(b) })
	for _, at := range []int{0, (pages + 1) * page} {
		if err := unix.Mprotect(b[at:at+page], unix.PROT_NONE); err != nil {
			t.Fatal(err)
		}
	}
	return guarded(b[page : (pages+1)*page])
}

// place puts b at the beginning or at the end.
func (g guarded) place(b []byte, end bool) []byte {
	at := 0
	if end {
		at = len(g) - len(b)
	}
	copy(g[at:], b)
	return g[at : at+len(b) : at+len(b)]
}

// TestTouchesNothingElse: with all that a message consists of at the border of
// memory that must not be touched, before it or behind it.
func TestTouchesNothingElse(t *testing.T) {
	keys, in, out, nonce, aad := wantGuarded(t, 1), wantGuarded(t, 1), wantGuarded(t, 1), wantGuarded(t, 1), wantGuarded(t, 1)
	each := func(f func(p pair, m message, key *Key, end bool)) {
		tiers(t, func(name string) {
			r := testRand()
			for _, p := range everyPair(t, r) {
				key, ok := p.got.(*Key)
				p.name = name + ", " + p.name
				for n := range 600 {
					if ok {
						f(p, testMessage(r, n), key, true)
						f(p, testMessage(r, n), key, false)
					}
				}
			}
		})
	}
	each(func(p pair, m message, key *Key, end bool) {
		n, want := len(m.plain), p.want.Seal(nil, m.nonce, m.plain, m.aad)
		k := (*Key)(unsafe.Pointer(&keys.place(make([]byte, unsafe.Sizeof(Key{})), end)[0]))
		*k = *key
		iv, about := nonce.place(m.nonce, end), aad.place(m.aad, end)
		dst := out.place(make([]byte, len(want)), end)
		if got := k.Seal(dst[:0], iv, in.place(m.plain, end), about); !bytes.Equal(got, want) {
			t.Fatalf("%s: %d bytes sealed wrongly", p.name, n)
		}
		dst = out.place(make([]byte, n), end)
		if got, err := k.Open(dst[:0], iv, in.place(want, end), about); err != nil || !bytes.Equal(got, m.plain) {
			t.Fatalf("%s: %d bytes opened wrongly: %v", p.name, n, err)
		}
	})
}
