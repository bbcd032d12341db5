package aescbc

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
		{Name: "ni", Is: x86.Features{AES: true}},
		{Name: "vaes", Is: x86.Features{AES: true, Wide: true, VAES: true}},
	}, f)
}

func testRand() *rand.ChaCha8 { return rand.NewChaCha8([32]byte{1}) }

func testBytes(r *rand.ChaCha8, n int) []byte {
	b := make([]byte, n)
	r.Read(b)
	return b
}

func wantKey(t testing.TB, key []byte) *Key {
	t.Helper()
	k, err := New(key)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// wantEncrypted is what the standard library makes of it: IV and ciphertext.
func wantEncrypted(t testing.TB, key, iv, plain []byte) []byte {
	t.Helper()
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	out := append(bytes.Clone(iv), plain...)
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(out[BlockSize:], out[BlockSize:])
	return out
}

func TestEveryLength(t *testing.T) {
	tiers(t, func(name string) {
		r := testRand()
		for _, size := range []int{16, 24, 32} {
			for n := range 200 {
				key, iv, plain := testBytes(r, size), testBytes(r, BlockSize), testBytes(r, n*BlockSize)
				k := wantKey(t, key)
				want := wantEncrypted(t, key, iv, plain)
				memory := bytes.Repeat([]byte{0xEE}, len(want)+512)
				got := memory[256:][:len(want)]
				copy(got, iv)
				k.Encrypt(got, plain)
				if !bytes.Equal(got, want) {
					t.Fatalf("%s: %d bits, %d blocks: encrypted wrongly", name, size*8, n)
				}
				k.Decrypt(got)
				if !bytes.Equal(got[:BlockSize], iv) || !bytes.Equal(got[BlockSize:], plain) {
					t.Fatalf("%s: %d bits, %d blocks: decrypted wrongly", name, size*8, n)
				}
				k.Encrypt(got, got[BlockSize:])
				if !bytes.Equal(got, want) {
					t.Fatalf("%s: %d bits, %d blocks: encrypted wrongly in place", name, size*8, n)
				}
				rest := append(bytes.Clone(memory[:256]), memory[256+len(want):]...)
				if !bytes.Equal(rest, bytes.Repeat([]byte{0xEE}, 512)) {
					t.Fatalf("%s: %d bits, %d blocks: wrote beside the message", name, size*8, n)
				}
			}
		}
	})
}

func TestEncryptBlock(t *testing.T) {
	tiers(t, func(name string) {
		r := testRand()
		for _, size := range []int{16, 24, 32} {
			key := testBytes(r, size)
			b := [BlockSize]byte(testBytes(r, BlockSize))
			want := b
			block, err := aes.NewCipher(key)
			if err != nil {
				t.Fatal(err)
			}
			block.Encrypt(want[:], want[:])
			if wantKey(t, key).EncryptBlock(&b); b != want {
				t.Errorf("%s: %d bits: %x, want %x", name, size*8, b, want)
			}
		}
	})
}

// Any number of messages of any lengths under any keys, in place and not.
func TestLanes(t *testing.T) {
	tiers(t, func(name string) {
		r := testRand()
		pick := rand.New(r)
		var l Lanes
		for round := range 400 {
			var all []Message
			var want [][]byte
			longest := []int{1, 3, 90, 600}[round%4]
			for range 1 + pick.IntN(64) {
				key := testBytes(r, 16+8*pick.IntN(3))
				iv, plain := testBytes(r, BlockSize), testBytes(r, BlockSize*pick.IntN(longest+1))
				m := Message{Key: wantKey(t, key), Message: append(iv, plain...), Src: plain}
				if pick.IntN(2) == 0 {
					m.Src = m.Message[BlockSize:]
				}
				want = append(want, wantEncrypted(t, key, iv, plain))
				all = append(all, m)
			}
			l.Encrypt(all)
			for i := range all {
				if !bytes.Equal(all[i].Message, want[i]) {
					t.Fatalf("%s: message %d of %d, %d bytes: encrypted wrongly", name, i, len(all), len(want[i]))
				}
			}
			for i := range l.src {
				if idle := unsafe.Pointer(&l.idle); l.dst[i] != idle && l.dst[i] != nil {
					t.Fatalf("%s: lane %d still holds a message", name, i)
				}
			}
		}
	})
}

func TestLanesAllocateNothing(t *testing.T) {
	tiers(t, func(name string) {
		l, all := wantMessages(t, 40, 1408)
		if n := testing.AllocsPerRun(20, func() { l.Encrypt(all) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	})
}

func TestShapes(t *testing.T) {
	k := wantKey(t, make([]byte, 16))
	for name, f := range map[string]func(){
		"half a block": func() { k.Decrypt(make([]byte, 40)) },
		"no IV":        func() { k.Encrypt(make([]byte, 16), make([]byte, 16)) },
		"no place":     func() { k.Encrypt(make([]byte, 32), make([]byte, 32)) },
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
	if _, err := New(make([]byte, 20)); err == nil {
		t.Error("a key of 20 bytes passed")
	}
	if k.Zero(); *k != (Key{}) {
		t.Error("the key survived")
	}
}

func wantMessages(t testing.TB, n, size int) (*Lanes, []Message) {
	r := testRand()
	var all []Message
	for range n {
		m := Message{Key: wantKey(t, testBytes(r, 32)), Message: testBytes(r, BlockSize+size)}
		m.Src = m.Message[BlockSize:]
		all = append(all, m)
	}
	return new(Lanes), all
}

func BenchmarkKey(b *testing.B) {
	tiers(b, func(name string) {
		_, all := wantMessages(b, 1, 1408)
		m := all[0]
		b.Run(name+"/encrypt", func(b *testing.B) {
			b.SetBytes(1408)
			for b.Loop() {
				m.Key.Encrypt(m.Message, m.Src)
			}
		})
		b.Run(name+"/decrypt", func(b *testing.B) {
			b.SetBytes(1408)
			for b.Loop() {
				m.Key.Decrypt(m.Message)
			}
		})
	})
}

func BenchmarkLanes(b *testing.B) {
	tiers(b, func(name string) {
		for _, n := range []int{2, 4, 8, 16, 64} {
			l, all := wantMessages(b, n, 1408)
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				b.SetBytes(int64(n * 1408))
				for b.Loop() {
					l.Encrypt(all)
				}
			})
		}
	})
}
