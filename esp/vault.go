package esp

import (
	"crypto/cipher"
	"reflect"
	"runtime"
	"sync"
	"unsafe"
)

// Vault is memory for the expanded keys of SAs. Two thirds of what a packet needs
// of its SA are those, and with thousands of SAs all over the heap the processor
// looks up at each packet where their page is, which it cannot know of so many.
// In a Vault they lie side by side, on Linux in pages of 2 MiB, are not part of a
// core dump, and are zeroed when their SA is collected.
//
// It may be used by several goroutines. The zero value is ready, and must not be
// copied; it grows to the most SAs that there were, and is freed with the last
// of them. A nil *Vault keeps nothing: keys are wherever the heap has room.
type Vault struct {
	mu   sync.Mutex
	pool *vaultPool // apart, since it outlives the Vault until it is freed
	size int        // of a slot, in bytes
	free []slot
}

// slot has room for a cipher, and begins with a line of memory. All slots of a
// Vault are as long as its first cipher, since those of AES-GCM are all alike.
type slot []byte

const (
	lineSize   = 64
	leastKept  = 256      // bytes of a cipher: ChaCha20-Poly1305 has one line of memory
	firstChunk = 64 << 10 // what a server with few clients needs
	chunkSize  = 2 << 20
)

// vaultPool is the memory of a Vault.
type vaultPool struct{ chunks []chunk }

// take lends a slot of zeroes for a cipher of so many bytes, if there are such.
func (v *Vault) take(size int) slot {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.size == 0 {
		v.size = (size + lineSize - 1) &^ (lineSize - 1)
	}
	if size > v.size {
		return nil
	}
	if len(v.free) == 0 {
		v.grow()
	}
	s := v.free[len(v.free)-1]
	v.free = v.free[:len(v.free)-1]
	return s
}

// put takes a slot back.
func (v *Vault) put(s slot) {
	clear(s)
	v.mu.Lock()
	v.free = append(v.free, s)
	v.mu.Unlock()
}

func (v *Vault) grow() {
	size := chunkSize
	if v.pool == nil {
		v.pool, size = new(vaultPool), firstChunk
		runtime.AddCleanup(v, (*vaultPool).close, v.pool)
	}
	c := newChunk(size)
	v.pool.chunks = append(v.pool.chunks, c)
	for at := (size/v.size - 1) * v.size; at >= 0; at -= v.size { // the first is lent first
		v.free = append(v.free, c.room[at:][:v.size])
	}
}

func (p *vaultPool) close() {
	for _, c := range p.chunks {
		c.close()
	}
}

// keep moves the cipher of an SA into the vault, until the SA is collected. The
// SA is what holds k. A cipher that is small, or larger than the others, or has
// pointers, stays where it is. It is moved whatever its type: where there is no assembly,
// AES-GCM is the standard library's, whose keys nothing else could zero.
func keep[T any](v *Vault, sa *T, k *aeadKeys) {
	here := reflect.ValueOf(k.aead)
	if v == nil || k.size < leastKept || !isPlain(here.Type().Elem()) {
		return
	}
	s := v.take(int(k.size))
	if s == nil {
		return
	}
	there := reflect.NewAt(here.Type().Elem(), unsafe.Pointer(&s[0]))
	there.Elem().Set(here.Elem())
	here.Elem().SetZero()
	k.aead = there.Interface().(cipher.AEAD)
	runtime.AddCleanup(sa, v.put, s)
}

// isPlain reports whether values of a type are numbers and nothing else, which
// the collector need not look at.
func isPlain(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Array:
		return isPlain(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			if !isPlain(t.Field(i).Type) {
				return false
			}
		}
		return true
	}
	return t.Kind() >= reflect.Bool && t.Kind() <= reflect.Complex128 && t.Kind() != reflect.Uintptr
}
