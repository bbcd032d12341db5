package dns

import (
	"net/netip"
	"testing"
)

// TestSharesOfDNS: of 256 connections one client has 16.
func TestSharesOfDNS(t *testing.T) {
	c, err := Config{Resolvers: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:53")}}.withDefaults()
	if err != nil || c.Conns != 256 || c.ConnsPerSource != 16 {
		t.Errorf("%d of %d, %v", c.ConnsPerSource, c.Conns, err)
	}
}
