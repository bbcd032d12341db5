package fault

import (
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// Report is a panic that was survived.
type Report struct {
	Where string // what was done
	What  string // the panic's value
	Stack string // of the goroutine
	Count uint64 // of all panics so far
}

const (
	tellEvery = 10 * time.Second
	tellFirst = 5
)

// Log counts panics and tells of them. It may be used by any goroutine. The nil
// Log lets a panic go on.
type Log struct {
	tell  func(Report)
	limit *rate.Limiter
	count atomic.Uint64
}

// New returns a Log that tells of panics by calling tell, which does not block.
func New(tell func(Report)) *Log {
	return &Log{tell: tell, limit: rate.NewLimiter(rate.Every(tellEvery), tellFirst)}
}

// Recover is to be deferred: it ends a panic.
func (l *Log) Recover(where string) {
	if l == nil {
		return
	}
	if v := recover(); v != nil {
		l.Caught(where, v)
	}
}

// Caught notes what recover returned, in the goroutine that panicked. It is for
// deferred functions that put something right besides.
func (l *Log) Caught(where string, v any) {
	if l == nil {
		panic(v)
	}
	n := l.count.Add(1)
	if l.limit.Allow() {
		l.tell(Report{Where: where, What: fmt.Sprint(v), Stack: string(debug.Stack()), Count: n})
	}
}

// Count returns how many panics there were. Of a nil Log there are none.
func (l *Log) Count() uint64 {
	if l == nil {
		return 0
	}
	return l.count.Load()
}
