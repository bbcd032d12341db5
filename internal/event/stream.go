package event

import (
	"sync"
	"time"
)

// Sink is told of events, one at a time, in their order. It must not wait, nor emit.
type Sink interface {
	Take(Told)
}

// Told is a Record as a Sink gets it, with names.
type Told struct {
	Record
	Name     string
	Severity Severity
	Tenant   string // whose; empty: nobody's in particular
	Cause    string // why something was refused; empty otherwise

	kind *kind
}

// Fields returns what the event says, in the order of its type. To put that together takes
// longer than anything else about an event.
func (t Told) Fields() []Field { return t.kind.values(t.Event) }

// Stream hands events to sinks. It may be used concurrently.
type Stream struct {
	mu    sync.Mutex
	last  uint64
	kinds kinds
	sinks []Sink
	fault func(v any) // a sink panicked
}

// NewStream returns a stream to those sinks. fault is called with what a sink panicked
// with, which is not called again; it must not emit.
func NewStream(fault func(v any), sinks ...Sink) *Stream {
	return &Stream{fault: fault, sinks: sinks}
}

// Emit says that something has happened.
func (s *Stream) Emit(at time.Time, e Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	k := s.kinds.of(e)
	told := Told{Record{s.last, at, e}, k.name, e.severity(), k.text(e, k.tenant), k.text(e, k.cause), k}
	kept := s.sinks[:0]
	for _, sink := range s.sinks {
		if s.tell(sink, told) {
			kept = append(kept, sink)
		}
	}
	s.sinks = kept
}

// tell reports false if the sink panicked.
func (s *Stream) tell(sink Sink, t Told) (well bool) {
	defer func() {
		if v := recover(); v != nil {
			s.fault(v)
		}
	}()
	sink.Take(t)
	return true
}
