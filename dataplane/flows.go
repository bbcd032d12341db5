package dataplane

import (
	"time"

	"github.com/culvert-vpn/culvert/tenant/policy"
)

// Flows returns flows of a tenant that are asked for, and how many there are in all; see
// policy.Flows. It may be called by any goroutine.
func (p *Plane) Flows(of *Port, q policy.Query) (list []policy.Seen, all int) {
	return of.flows.List(p.policyTime(time.Now()), q)
}

// policyTime is a time, to policies.
func (p *Plane) policyTime(now time.Time) policy.Now {
	return policy.Now{Wall: now.Unix(), Up: uint32(now.Sub(p.began) / time.Second)}
}

// Asks reports whether the tenant has rules of flows.
func (p *Port) Asks() bool { return p.rules.Load().Asks() }

// FlowCounts returns what became of the tenant's flows so far.
func (p *Port) FlowCounts() policy.Counts { return p.flows.Counts() }

// Reached returns the limits on flows to tell of since it was last called; see policy.Flows.
func (p *Port) Reached(room bool) []policy.Reached { return p.flows.Reached(room) }
