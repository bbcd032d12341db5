package event

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"
)

// TestCounter: how often something happened can be read by name, tenant and cause, also
// of what is not worth a line of the log.
func TestCounter(t *testing.T) {
	counter := NewCounter()
	s := NewStream(nil, counter)
	acme, globex := Peer{Tenant: "acme", Protocol: "ikev2"}, Peer{Tenant: "globex", Protocol: "ikev2"}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 25 {
				s.Emit(time.Now(), LoginRefused{Peer: acme, Cause: "wrong password", Quiet: true})
				_ = counter.Counts()
			}
		})
	}
	all.Wait()
	for _, e := range []Event{
		LoginRefused{Peer: acme, Cause: "wrong password"},
		LoginRefused{Peer: acme, Cause: "unknown user"},
		LoginRefused{Peer: globex, Cause: "wrong password"},
		SessionUp{Session: Session{Peer: acme}},
		Fault{Where: "here"},
		IKERefusedUntold{Attempts: 70},
		IKERefusedUntold{Attempts: 7},
	} {
		s.Emit(time.Now(), e)
	}
	want := []Count{
		{"fault", "", "", 1},
		{"ike-refused-untold", "", "", 77},
		{"login-refused", "acme", "unknown user", 1}, {"login-refused", "acme", "wrong password", 101}, {"login-refused", "globex", "wrong password", 1},
		{"session-up", "acme", "", 1},
	}
	if counts := counter.Counts(); !slices.Equal(counts, want) {
		t.Error(counts)
	}
}

// TestCounterIsBounded: whatever is told, it keeps so many apart, and loses nothing.
func TestCounterIsBounded(t *testing.T) {
	counter := NewCounter()
	for n := range maxCounts + 1000 {
		counter.Take(Told{Name: "made-up", Cause: fmt.Sprint(n)})
	}
	var sum uint64
	counts := counter.Counts()
	for _, c := range counts {
		sum += c.N
	}
	if len(counts) > maxCounts+1 || sum != maxCounts+1000 {
		t.Errorf("%d kept apart, %d counted in all", len(counts), sum)
	}
}

// TestCounterForgets: what was counted of a tenant that is gone is in the sums, and its name
// is not kept.
func TestCounterForgets(t *testing.T) {
	c := NewCounter()
	for _, tenant := range []string{"acme", "globex", "globex", ""} {
		c.Take(Told{Name: "session-up", Tenant: tenant})
	}
	c.Forget("globex")
	want := []Count{{Name: "session-up", N: 3}, {Name: "session-up", Tenant: "acme", N: 1}}
	if got := c.Counts(); !slices.Equal(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}
