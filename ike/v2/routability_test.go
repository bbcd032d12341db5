package v2

import (
	"testing"
	"time"
)

// TestMovesAreOneQuestion: a peer that says again and again that it has moved, while the
// answer to something else is waited for, has one question wait for it, and not one a move.
func TestMovesAreOneQuestion(t *testing.T) {
	s := &Session{unproven: true, features: features{mobike: true}}
	s.current = &sa{s: s, keyed: true, state: saStanding, flying: &routeTask{s: s}}
	for range 1000 {
		s.askRoute(time.Unix(0, 0))
	}
	if n := len(s.current.queue); n != 1 {
		t.Errorf("%d questions wait", n)
	}
}
