package main

import (
	"io"
	"sync"
	"time"
)

const (
	// maxLogQueue is how many bytes of the log wait at most for whoever reads it.
	maxLogQueue = 1 << 20
	// logPatience is how long the end of the program waits for what is still to be
	// written.
	logPatience = 2 * time.Second
)

// logQueue keeps a reader of the log who does not read, such as a full pipe, from
// holding up who writes: lines wait, up to maxLogQueue bytes, and beyond that they are
// dropped and counted. It may be used by any goroutine.
type logQueue struct {
	to   io.Writer
	tell func(lost uint64) []byte // the line that says that lines were lost

	mu      sync.Mutex
	waiting [][]byte
	bytes   int
	lost    uint64
	idle    chan struct{} // closed when all is written; nil: it is
}

// Write implements io.Writer. It never waits, and never fails.
func (q *logQueue) Write(line []byte) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.bytes+len(line) > maxLogQueue {
		q.lost++
		return len(line), nil
	}
	q.waiting, q.bytes = append(q.waiting, append([]byte(nil), line...)), q.bytes+len(line)
	if q.idle == nil {
		q.idle = make(chan struct{})
		go q.write()
	}
	return len(line), nil
}

// write writes until nothing waits.
func (q *logQueue) write() {
	for {
		q.mu.Lock()
		lines, lost := q.waiting, q.lost
		q.waiting, q.bytes, q.lost = nil, 0, 0
		if len(lines) == 0 && lost == 0 {
			close(q.idle)
			q.idle = nil
			q.mu.Unlock()
			return
		}
		q.mu.Unlock()
		for _, line := range lines {
			q.to.Write(line)
		}
		if lost > 0 {
			q.to.Write(q.tell(lost))
		}
	}
}

// Sync waits until everything is written, but no longer than logPatience.
func (q *logQueue) Sync() error {
	q.mu.Lock()
	idle := q.idle
	q.mu.Unlock()
	if idle != nil {
		select {
		case <-idle:
		case <-time.After(logPatience):
		}
	}
	return nil
}
