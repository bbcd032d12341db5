package timing

import (
	"testing"
	"time"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func TestRepeaterBacksOff(t *testing.T) {
	var r Repeater[string]
	how := Retransmit{First: time.Second, Max: 3 * time.Second, Tries: 3}
	r.Start(start, how, "message")
	for i, want := range []time.Duration{1, 3, 6} { // after 1 s, then 2 s, then 3 s
		at := start.Add(want * time.Second)
		if !r.At().Equal(at) {
			t.Fatalf("repetition %d at %v", i, r.At().Sub(start))
		}
		if data, ok := r.Fire(at, how); !ok || data != "message" {
			t.Fatalf("repetition %d: %q, %v", i, data, ok)
		}
	}
	if _, ok := r.Fire(r.At(), how); ok || !r.At().IsZero() {
		t.Error("goes on after the last try")
	}
}

func TestRepeaterStops(t *testing.T) {
	var r Repeater[[]byte]
	r.Start(start, Retransmit{First: time.Second, Tries: 3}, []byte{1})
	r.Stop()
	if _, ok := r.Fire(start, Retransmit{}); ok || !r.At().IsZero() {
		t.Error("goes on after the answer")
	}
}
