// Package policy says which packets of a tenant go on, and which do not.
//
// # Verbs
//
// New compiles Rules, which are never changed afterwards: whoever wants other
// rules swaps them whole. Judge is the one question, asked of every packet of a
// client, of its tenant's network, and between two clients; its Verdict is where
// the packet may go, or what stands against it. A Subject is the session that a
// packet is of, as the rules see it: which sources are its own. A Reach judges
// destinations alone; NeverReached are those that are closed everywhere.
//
// # Memory
//
// A Packet is borrowed for the call of Judge. Nothing here allocates on the road
// of a packet, and Rules, Subject and Reach may be used concurrently.
//
// # What it does not do
//
// It finds no session, counts nothing and drops nothing: package dataplane asks,
// and does so. It knows no tenant by name.
package policy
