package config

import (
	"net/netip"
	"testing"
)

const gated = `
listen: [203.0.113.10, 203.0.113.11]
tenants:
  - {name: any, psk: [key-of-any, old-key-of-any], pool: 10.0.0.0/24}
  - {name: acme, default: true, match: {realms: [acme], local: [203.0.113.10]}, psk: shared-key, pool: 10.0.0.0/24}
  - {name: globex, match: {realms: [globex], local: [203.0.113.10]}, psk: shared-key, pool: 10.0.0.0/24}
  - {name: initech, match: {local: [203.0.113.11]}, psk: shared-key, pool: 10.0.0.0/24}
`

func TestGates(t *testing.T) {
	c := wantConfig(t, gated)
	gates := c.Gates(netip.MustParseAddr("203.0.113.10"))
	if len(gates) != 3 || len(gates[0].Tenants) != 2 || string(gates[1].PSK.Bytes()) != "key-of-any" {
		t.Fatalf("gates %+v", gates)
	}
	if d, ok := gates[0].Default(); !ok || d.Name != "acme" {
		t.Errorf("who names no realm goes to %v", d)
	}
	if g, ok := gates[0].Realm("GLOBEX"); !ok || g.Name != "globex" {
		t.Errorf("globex goes to %v", g)
	}
	if other, ok := gates[0].Realm("initech"); ok {
		t.Errorf("a realm behind another key goes to %v", other)
	}
	gates = c.Gates(netip.MustParseAddr("::ffff:203.0.113.11"))
	if len(gates) != 3 || gates[0].Tenants[0].Name != "initech" {
		t.Errorf("gates %+v", gates)
	}
	if gates[0].Tenants[0] != &c.Tenants[3] {
		t.Errorf("a gate has a copy of its tenant")
	}
}

func TestGateWithoutDefault(t *testing.T) {
	c := wantConfig(t, `tenants: [
  {name: a, match: {realms: [a]}, psk: shared-key, pool: 10.0.0.0/24},
  {name: b, match: {realms: [b]}, psk: shared-key, pool: 10.0.0.0/24}]`)
	if d, ok := c.Gates(netip.MustParseAddr("192.0.2.1"))[0].Default(); ok {
		t.Errorf("who names no realm goes to %s", d.Name)
	}
}
