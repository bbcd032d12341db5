package dialer

import (
	"net/netip"
	"testing"
	"time"
)

// TestRouteIsNoCircle: from gateway to gateway five times in five minutes at most.
func TestRouteIsNoCircle(t *testing.T) {
	var r route
	now, from := time.Unix(1e9, 0), netip.MustParseAddr("192.0.2.1")
	for n := range 5 {
		if !r.follow(now.Add(time.Duration(n)*time.Second), "b.example", from) {
			t.Fatalf("%d times are too often", n+1)
		}
	}
	if r.follow(now.Add(time.Minute), "b.example", from) {
		t.Error("six times in a minute")
	}
	if !r.follow(now.Add(5*time.Minute), "c.example", from) || r.server != "c.example" || r.from != from {
		t.Errorf("%+v", r)
	}
	if r.follow(now.Add(5*time.Minute), "c.example", from) {
		t.Error("six times in five minutes")
	}
	if r.home("a.example"); r.server != "a.example" || r.from.IsValid() {
		t.Errorf("%+v", r)
	}
}
