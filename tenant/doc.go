// Package tenant holds what belongs to one customer of the concentrator and is
// no protocol: how a user's name selects the tenant, which addresses clients
// are given, and the Device through which their packets leave.
//
// # Verbs
//
// A Selector turns the name that a client logs in with into a tenant and a
// user. A Pool leases addresses, the same one to the same owner as long as it
// is free; a PrefixPool does so with IPv6 prefixes. Device is the seam to the
// networks behind; its implementations are tenant/netstack and tenant/tun, and
// both answer DNS with tenant/dns.
//
// # Memory
//
// Packets that a Source lends are the caller's until the next call of Next or
// Read; packets committed to a Writer are borrowed until Flush.
//
// # What it does not do
//
// It authenticates nobody, stores nothing and opens no socket: leases that
// should outlive the process are exported and restored by the caller. Where
// packets may go says tenant/policy, which package dataplane asks.
package tenant
