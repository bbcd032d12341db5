package mac

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"math/rand/v2"
	"testing"

	"github.com/culvert-vpn/culvert/esp/internal/x86"
	"github.com/culvert-vpn/culvert/esp/internal/x86/x86test"
)

// tiers runs f as each kind of processor that this one can pass for.
func tiers(t testing.TB, f func(name string)) {
	x86test.Each(t, &cpu, []x86test.Tier{
		{Name: "go", Is: x86.Features{}},
		{Name: "sha", Is: x86.Features{SHA: true}},
		{Name: "wide", Is: x86.Features{Wide: true}},
		{Name: "both", Is: x86.Features{SHA: true, Wide: true}},
	}, f)
}

func testBytes(r *rand.ChaCha8, n int) []byte {
	b := make([]byte, n)
	r.Read(b)
	return b
}

// wantSum is what the standard library says.
func wantSum(h Hash, key []byte, m *Message) []byte {
	f := map[Hash]func() hash.Hash{SHA1: sha1.New, SHA256: sha256.New}[h]
	mac := hmac.New(f, key)
	mac.Write(m.Data)
	if m.Extended {
		mac.Write(m.Extra[:])
	}
	return mac.Sum(nil)
}

func randomMessage(r *rand.ChaCha8, pick *rand.Rand, n int) (m Message, want []byte) {
	h := SHA1 + Hash(pick.IntN(2))
	key := testBytes(r, 1+pick.IntN(BlockSize))
	m = Message{Key: New(h, key), Data: testBytes(r, n), Extended: pick.IntN(2) == 0}
	r.Read(m.Extra[:])
	return m, wantSum(h, key, &m)
}

func TestEveryLength(t *testing.T) {
	tiers(t, func(name string) {
		r := rand.NewChaCha8([32]byte{2})
		pick := rand.New(r)
		for n := range 600 {
			for range 4 {
				m, want := randomMessage(r, pick, n)
				m.Compute()
				if !bytes.Equal(m.Sum[:len(want)], want) {
					t.Fatalf("%s: %d bytes, hash %d: %x, want %x", name, n, m.Key.hash, m.Sum, want)
				}
			}
		}
	})
}

// Any number of messages of any lengths under any keys.
func TestLanes(t *testing.T) {
	tiers(t, func(name string) {
		r := rand.NewChaCha8([32]byte{3})
		pick := rand.New(r)
		var l Lanes
		for round := range 600 {
			longest := []int{1, 100, 1500, 9000}[round%4]
			var all []Message
			var wants [][]byte
			for range pick.IntN(65) {
				n := pick.IntN(longest)
				if round%8 > 5 {
					n = longest
				}
				m, want := randomMessage(r, pick, n)
				all, wants = append(all, m), append(wants, want)
			}
			l.Sum(all)
			for i, want := range wants {
				if !bytes.Equal(all[i].Sum[:len(want)], want) {
					t.Fatalf("%s: message %d of %d, %d bytes, hash %d", name, i, len(all), len(all[i].Data), all[i].Key.hash)
				}
			}
			wantForgotten(t, &l)
		}
	})
}

// wantForgotten holds that a Lanes between calls keeps no message from the collector.
func wantForgotten(t *testing.T, l *Lanes) {
	t.Helper()
	for i := range l.cursors {
		if c := &l.cursors[i]; c.message != nil || c.at != nil || l.data[i] != nil {
			t.Fatalf("lane %d still holds a message", i)
		}
	}
	if l.busy != 0 || l.queue.all != nil {
		t.Fatal("messages were left")
	}
}

// RFC 2202, section 3, and RFC 4231, section 4.3: test case 2 of both.
func TestVectors(t *testing.T) {
	for h, want := range map[Hash]string{
		SHA1:   "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79",
		SHA256: "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
	} {
		m := Message{Key: New(h, []byte("Jefe")), Data: []byte("what do ya want for nothing?")}
		if m.Compute(); hex.EncodeToString(m.Sum[:h.Size()]) != want {
			t.Errorf("%x, want %s", m.Sum, want)
		}
	}
}

func TestNothingIsAllocated(t *testing.T) {
	tiers(t, func(name string) {
		l, all := wantMessages(40, 1400, SHA256)
		if n := testing.AllocsPerRun(20, func() { l.Sum(all); all[0].Compute() }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	})
}

func TestKeys(t *testing.T) {
	k := New(SHA1, make([]byte, BlockSize))
	if k.Zero(); *k != (Key{}) {
		t.Error("the key survived")
	}
	defer func() {
		if recover() == nil {
			t.Error("a key longer than a block passed")
		}
	}()
	New(SHA1, make([]byte, BlockSize+1))
}

func wantMessages(n, size int, h Hash) (*Lanes, []Message) {
	r := rand.NewChaCha8([32]byte{4})
	var all []Message
	for range n {
		all = append(all, Message{Key: New(h, testBytes(r, 20)), Data: testBytes(r, size)})
	}
	return new(Lanes), all
}

func BenchmarkLanes(b *testing.B) {
	tiers(b, func(name string) {
		for _, h := range []Hash{SHA1, SHA256} {
			for _, size := range []int{104, 1440} {
				for _, n := range []int{1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 64} {
					l, all := wantMessages(n, size, h)
					b.Run(fmt.Sprintf("%s/sha%d/%d/%d", name, h, size, n), func(b *testing.B) {
						b.SetBytes(int64(n * size))
						for b.Loop() {
							l.Sum(all)
						}
					})
				}
			}
		}
	})
}
