package aesgcm

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"fmt"
	"math/rand/v2"
	"testing"
	"unsafe"

	"github.com/culvert-vpn/culvert/esp/internal/x86"
	"github.com/culvert-vpn/culvert/esp/internal/x86/x86test"
)

// tiers runs f as each kind of processor that this one can pass for.
func tiers(t testing.TB, f func(name string)) {
	x86test.Each(t, &cpu, []x86test.Tier{
		{Name: "go", Is: x86.Features{}},
		{Name: "256 bit registers", Is: x86.Features{VAES256: true}},
		{Name: "512 bit registers", Is: x86.Features{VAES256: true, VPCLMUL: true}},
	}, f)
}

func testRand() *rand.ChaCha8 { return rand.NewChaCha8([32]byte{1}) }

func testBytes(r *rand.ChaCha8, n int) []byte {
	b := make([]byte, n)
	r.Read(b)
	return b
}

// pair is a cipher and what the standard library makes of its key.
type pair struct {
	name      string
	got, want cipher.AEAD
}

func wantPair(t testing.TB, key []byte, tag int) pair {
	t.Helper()
	got, err := New(key, tag)
	if err != nil {
		t.Fatal(err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	want, err := cipher.NewGCMWithTagSize(block, tag)
	if err != nil {
		t.Fatal(err)
	}
	return pair{fmt.Sprintf("%d bits, a tag of %d", len(key)*8, tag), got, want}
}

// everyPair has all lengths of keys and tags.
func everyPair(t testing.TB, r *rand.ChaCha8) (all []pair) {
	for _, size := range []int{16, 24, 32} {
		for _, tag := range []int{12, 13, 16} {
			all = append(all, wantPair(t, testBytes(r, size), tag))
		}
	}
	return all
}

// message is one in the midst of other memory.
type message struct {
	nonce, plain, aad []byte
	room              []byte
	at                int
}

const margin = 64

func testMessage(r *rand.ChaCha8, n int) message {
	m := message{nonce: testBytes(r, nonceSize), plain: testBytes(r, n), aad: testBytes(r, 8+n%2*4)}
	m.at = margin + int(r.Uint64()%64)
	m.room = make([]byte, m.at+n+16+margin)
	return m
}

// check seals and opens a message, in place and not.
func (p pair) check(t *testing.T, m message) {
	t.Helper()
	want := p.want.Seal(nil, m.nonce, m.plain, m.aad)
	n := len(m.plain)
	for i := range m.room {
		m.room[i] = 0xEE
	}
	out := m.room[m.at:]
	seal := func(how string, src []byte) {
		got := p.got.Seal(out[:0], m.nonce, src, m.aad)
		if !bytes.Equal(got, want) || &got[0] != &out[0] {
			t.Fatalf("%s: %d bytes sealed wrongly %s", p.name, n, how)
		}
		p.wantMargins(t, m, len(want))
	}
	seal("to elsewhere", m.plain)
	copy(out, m.plain)
	seal("in place", out[:n])

	apart := make([]byte, n)
	for _, dst := range [][]byte{apart, out} {
		got, err := p.got.Open(dst[:0], m.nonce, out[:len(want)], m.aad)
		if err != nil || !bytes.Equal(got, m.plain) {
			t.Fatalf("%s: %d bytes opened wrongly: %v", p.name, n, err)
		}
		p.wantMargins(t, m, len(want))
	}
}

// wantMargins wants nothing but n bytes of the message to have changed. The
// standard library writes whole blocks where there is room.
func (p pair) wantMargins(t *testing.T, m message, n int) {
	t.Helper()
	rest := bytes.Clone(m.room[:m.at])
	rest = append(rest, m.room[m.at+n:]...)
	if _, ours := p.got.(*Key); ours && bytes.Count(rest, []byte{0xEE}) != len(rest) {
		t.Fatalf("%s: %d bytes: wrote beside them", p.name, n)
	}
}

func TestEveryLength(t *testing.T) {
	tiers(t, func(name string) {
		r := testRand()
		for _, p := range everyPair(t, r) {
			p.name = name + ", " + p.name
			for n := range 600 {
				p.check(t, testMessage(r, n))
			}
			for range 60 {
				p.check(t, testMessage(r, int(r.Uint64()%9000)))
			}
		}
	})
}

// TestForgeries: one bit of anything, and nothing opens or is left.
func TestForgeries(t *testing.T) {
	tiers(t, func(name string) {
		r := testRand()
		for _, p := range everyPair(t, r) {
			p.name = name + ", " + p.name
			for _, n := range []int{0, 1, 15, 16, 63, 64, 68, 127, 128, 129, 240, 241, 255, 256, 257, 500, 1404} {
				p.forge(t, r, testMessage(r, n))
			}
		}
	})
}

func (p pair) forge(t *testing.T, r *rand.ChaCha8, m message) {
	t.Helper()
	n := len(m.plain)
	sealed := p.got.Seal(nil, m.nonce, m.plain, m.aad)
	for _, part := range [][]byte{sealed, sealed[n:], m.nonce, m.aad} {
		for range 20 {
			bit := int(r.Uint64() % uint64(8*len(part)))
			part[bit/8] ^= 1 << (bit % 8)
			out := bytes.Repeat([]byte{0xEE}, n)
			got, err := p.got.Open(out[:0], m.nonce, sealed, m.aad)
			if part[bit/8] ^= 1 << (bit % 8); err == nil || got != nil {
				t.Fatalf("%s: %d bytes: a forgery opened", p.name, n)
			}
			if !bytes.Equal(out, make([]byte, n)) {
				t.Fatalf("%s: %d bytes: something is left of a forgery", p.name, n)
			}
		}
	}
	for short := range min(len(sealed), 40) {
		if _, err := p.got.Open(nil, m.nonce, sealed[:short], m.aad); err == nil {
			t.Fatalf("%s: %d of %d bytes opened", p.name, short, len(sealed))
		}
	}
	if got, err := p.got.Open(nil, m.nonce, sealed, m.aad); err != nil || !bytes.Equal(got, m.plain) {
		t.Fatalf("%s: %d bytes: %v", p.name, n, err)
	}
}

// TestCounterCarries: the two low bytes of the counter run over.
func TestCounterCarries(t *testing.T) {
	tiers(t, func(name string) {
		r := testRand()
		p := wantPair(t, testBytes(r, 32), 16)
		p.name = name
		p.check(t, testMessage(r, 1<<20+1<<16+37))
	})
}

func TestShapes(t *testing.T) {
	if !cpu.VAES256 {
		t.Log("this processor has no VPCLMULQDQ")
		return
	}
	r := testRand()
	k := wantPair(t, testBytes(r, 16), 16).got
	b, nonce, aad := make([]byte, 100), make([]byte, nonceSize), make([]byte, 8)
	for name, f := range map[string]func(){
		"a long nonce":   func() { k.Seal(nil, b[:13], b, aad) },
		"a short nonce":  func() { k.Open(nil, b[:11], b, aad) },
		"no AAD":         func() { k.Seal(nil, nonce, b, nil) },
		"a long AAD":     func() { k.Open(nil, nonce, b, b[:16]) },
		"a byte further": func() { k.Seal(b[1:1], nonce, b[:20], aad) },
		"a byte before":  func() { k.Open(b[:0], nonce, b[1:50], aad) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
	for _, bad := range []struct{ key, tag int }{{20, 16}, {16, 17}, {16, 11}} {
		if _, err := New(b[:bad.key], bad.tag); err == nil {
			t.Errorf("a key of %d bytes passed with a tag of %d", bad.key, bad.tag)
		}
	}
	if k.NonceSize() != nonceSize || k.Overhead() != 16 || unsafe.Sizeof(Key{}) != 512 {
		t.Errorf("a nonce of %d, a tag of %d, a key of %d bytes", k.NonceSize(), k.Overhead(), unsafe.Sizeof(Key{}))
	}
}

// TestAppends: what is in dst stays, with room behind it and without.
func TestAppends(t *testing.T) {
	r := testRand()
	p, m := wantPair(t, testBytes(r, 16), 16), testMessage(r, 100)
	for _, room := range []int{0, 200} {
		dst := append(make([]byte, 0, 3+room), "abc"...)
		sealed := p.got.Seal(dst, m.nonce, m.plain, m.aad)
		if want := p.want.Seal([]byte("abc"), m.nonce, m.plain, m.aad); !bytes.Equal(sealed, want) {
			t.Errorf("room for %d: sealed %x", room, sealed)
		}
		opened, err := p.got.Open(dst, m.nonce, sealed[3:], m.aad)
		if err != nil || !bytes.Equal(opened, append([]byte("abc"), m.plain...)) {
			t.Errorf("room for %d: opened %x: %v", room, opened, err)
		}
	}
}

func TestAllocatesNothing(t *testing.T) {
	r := testRand()
	p, m := wantPair(t, testBytes(r, 32), 16), testMessage(r, 1400)
	buf := make([]byte, 1416)
	if n := testing.AllocsPerRun(100, func() {
		sealed := p.got.Seal(buf[:0], m.nonce, m.plain, m.aad)
		if _, err := p.got.Open(buf[:0], m.nonce, sealed, m.aad); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzSeal(f *testing.F) {
	f.Add([]byte("a key of 16 byte"), []byte("a message"), true)
	f.Fuzz(func(t *testing.T, key, plain []byte, esn bool) {
		size := 16 + len(key)%3*8
		key = append(bytes.Clone(key), make([]byte, 32)...)[:size]
		r := rand.NewChaCha8([32]byte{byte(len(plain))})
		m := testMessage(r, len(plain))
		m.plain = plain
		if m.aad = testBytes(r, 8); esn {
			m.aad = testBytes(r, 12)
		}
		tiers(t, func(name string) {
			p := wantPair(t, key, 12+len(plain)%5)
			p.name = name
			p.check(t, m)
		})
	})
}

func BenchmarkKey(b *testing.B) {
	tiers(b, func(name string) {
		r := testRand()
		for _, bits := range []int{256, 128} {
			for _, n := range []int{64, 512, 1400} {
				aead, m := wantPair(b, testBytes(r, bits/8), 16).got, testMessage(r, n)
				sealed, out := aead.Seal(nil, m.nonce, m.plain, m.aad), make([]byte, n+16)
				b.Run(fmt.Sprintf("%s/%d/seal/%d", name, bits, n), func(b *testing.B) {
					b.SetBytes(int64(n))
					for b.Loop() {
						aead.Seal(out[:0], m.nonce, m.plain, m.aad)
					}
				})
				b.Run(fmt.Sprintf("%s/%d/open/%d", name, bits, n), func(b *testing.B) {
					b.SetBytes(int64(n))
					for b.Loop() {
						if _, err := aead.Open(out[:0], m.nonce, sealed, m.aad); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
		}
	})
}
