package esp

import (
	"bytes"
	"reflect"
	"runtime"
	"testing"
	"time"
	"unsafe"
)

// TestVault: SAs with their keys in a vault do what others do; the keys are
// nowhere else, and zeroed when the SAs are gone.
func TestVault(t *testing.T) {
	v := new(Vault)
	forEach(t, func(t *testing.T, tr Transform, esn bool) {
		keys := testKeys(tr)
		out, err1 := NewOutbound(OutboundConfig{SPI: testSPI, Transform: tr, Keys: keys, ESN: esn, Vault: v})
		in, err2 := NewInbound(InboundConfig{SPI: testSPI, Transform: tr, Keys: keys, ESN: esn, Vault: v})
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		_, plain, ref := wantPair(t, tr, esn)
		var batch Batch
		for n := range 20 {
			job := SealJob{SA: out, Dst: make([]byte, 256), Plain: testPayload(n), NextHeader: 17}
			batch.SealOne(&job)
			if _, _, err := plain.Open(bytes.Clone(job.Packet)); err != nil {
				t.Fatalf("a packet of a vault: %v", err)
			}
			payload, nh, err := in.Open(job.Packet)
			if err != nil || nh != 17 || !bytes.Equal(payload, testPayload(n)) {
				t.Fatalf("%v opened %x, %d: %v", ref.name, payload, nh, err)
			}
		}
	})
	lent := func() int {
		runtime.GC()
		v.mu.Lock()
		defer v.mu.Unlock()
		return firstChunk/v.size - len(v.free)
	}
	for wait := time.Now(); lent() > 0; time.Sleep(time.Millisecond) {
		if time.Since(wait) > 10*time.Second {
			t.Fatalf("%d keys are left", lent())
		}
	}
	if room := v.pool.chunks[0].room; !bytes.Equal(room, make([]byte, len(room))) {
		t.Error("something is left of the keys")
	}
}

// TestVaultGrows: no two SAs have one slot, and each begins a line of memory.
func TestVaultGrows(t *testing.T) {
	v, seen := new(Vault), make(map[*byte]bool)
	const size = 700
	for range 4000 {
		s := v.take(size)
		if seen[&s[0]] || uintptr(unsafe.Pointer(&s[0]))%lineSize != 0 || !bytes.Equal(s, make([]byte, 704)) {
			t.Fatalf("%p again, or not at the beginning of a line, or not empty", s)
		}
		seen[&s[0]] = true
		s[0], s[len(s)-1] = 1, 1
	}
	if n := len(v.pool.chunks); n != 3 {
		t.Errorf("%d chunks", n)
	}
	if v.take(705) != nil || v.take(10) == nil {
		t.Error("a slot for what has no room, or none for what has")
	}
	runtime.KeepAlive(v)
}

// TestVaultTakesGCM: AES-GCM is in a vault, the standard library's too, as long as
// it is as this package takes it to be. If it is not any more, Vaults are of no
// use where there is no assembly, but do no harm.
func TestVaultTakesGCM(t *testing.T) {
	tr, err := ByIANA(EncryptionGCM16, 256, IntegrityNone)
	if err != nil {
		t.Fatal(err)
	}
	v := new(Vault)
	o, err := NewOutbound(OutboundConfig{SPI: testSPI, Transform: tr, Keys: testKeys(tr), Vault: v})
	if err != nil {
		t.Fatal(err)
	}
	if v.pool == nil || reflect.ValueOf(o.aead.aead).Pointer() != uintptr(unsafe.Pointer(&v.pool.chunks[0].room[0])) {
		t.Errorf("AES-GCM of %d bytes is not in the vault", o.aead.size)
	}
	for _, field := range []any{new(int), struct{ p *int }{}, [1]string{}, struct{ u uintptr }{}, []int{}, struct{ f func() }{}} {
		if isPlain(reflect.TypeOf(field)) {
			t.Errorf("%T is said to have no pointers", field)
		}
	}
}
