package engine

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestPoolIsBounded: no more goroutines than there may be, no more jobs in line than there
// is room for, and every job that was taken is done.
func TestPoolIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var running sync.WaitGroup
		p := newPool(4, 2, 10, 5, &running)
		var at, most, did atomic.Int32
		job := func() {
			if n := at.Add(1); n > most.Load() {
				most.Store(n)
			}
			time.Sleep(time.Second)
			at.Add(-1)
			did.Add(1)
		}
		taken := 0
		for n := range 100 {
			if p.do(fmt.Sprint("owner ", n%10), job) {
				taken++
			}
			synctest.Wait()
		}
		if taken != 14 || p.inLine() != 10 {
			t.Errorf("%d jobs taken, %d in line; there is room for 4 and 10", taken, p.inLine())
		}
		for range 20 {
			p.do("one", job)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if int(did.Load()) < taken || most.Load() != 4 || p.inLine() != 0 || len(p.owners) != 0 {
			t.Errorf("did %d of %d, %d at once, %d left in line of %d owners", did.Load(), taken, most.Load(), p.inLine(), len(p.owners))
		}
		p.close()
		if p.do("one", job) {
			t.Error("a closed pool takes jobs")
		}
		running.Wait()
	})
}

// TestPoolServesInTurn: an owner whose jobs hang leaves room for another's.
func TestPoolServesInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var running sync.WaitGroup
		p := newPool(8, 4, 1000, 500, &running)
		for range 500 {
			p.do("silent", func() { time.Sleep(time.Hour) })
		}
		if p.do("silent", func() { time.Sleep(time.Hour) }) && p.do("silent", func() {}) && p.do("silent", func() {}) && p.do("silent", func() {}) && p.do("silent", func() {}) {
			t.Error("one owner may have as many jobs in line as it wants")
		}
		began := time.Now()
		done := make(chan struct{})
		if !p.do("other", func() { close(done) }) {
			t.Fatal("refused")
		}
		<-done
		if d := time.Since(began); d > time.Second {
			t.Errorf("another's job waited for %v", d)
		}
		p.close()
		running.Wait()
	})
}
