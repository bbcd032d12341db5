// Package tenant holds what belongs to one customer of the concentrator and is
// no protocol: how a user's name selects the tenant, which addresses clients
// are given, which packets they may send, and the Device through which those
// packets leave.
//
// # Verbs
//
// A Selector turns the name that a client logs in with into a tenant and a
// user. A Pool leases addresses, the same one to the same owner as long as it
// is free; a PrefixPool does so with IPv6 prefixes. A Policy judges each packet of a client; the functions in mss.go,
// icmp.go and fragment.go fit packets to the MTU of a tunnel. Device is the
// seam to the networks behind; its implementations are tenant/netstack and
// tenant/tun, and both answer DNS with tenant/dns.
//
// # Memory
//
// Functions that judge or change packets work on the caller's bytes, in place,
// and keep none of them. They do not allocate. Packets that a Source lends are
// the caller's until the next call of Next or Read; packets committed to a
// Writer are borrowed until Flush.
//
// # What it does not do
//
// It authenticates nobody, stores nothing and opens no socket: leases that
// should outlive the process are exported and restored by the caller. Packets
// between two clients are routed by the dataplane and never reach a Device.
package tenant
