package ike

import "testing"

// TestLimitsThatAreTold: what operators are told of limits that nobody has set is so.
func TestLimitsThatAreTold(t *testing.T) {
	c, err := Config{Rand: stream("limits")}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	if l := c.Limits; l.BeginsPerSource != 256 || l.IKEs != 6 || maxHints != 50 {
		t.Errorf("%d exchanges a second begin, %d IKE SAs of a client, %d hints", l.BeginsPerSource, l.IKEs, maxHints)
	}
}
