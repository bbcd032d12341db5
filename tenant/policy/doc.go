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
// Rules that have Sets are asked about flows besides: Compile makes them, Flows has what
// a tenant's clients have under way, and Flows.Judge says of every packet whether it is
// of a flow that was allowed, or may begin one. The first packet of a flow decides: every
// Set that is for the sessions at its ends, or the networks, must allow it, and in each
// of them the first Rule that is about it decides. A Set may be a filter, for the sessions
// whose Identity names it. Answers pass, and so do ICMP errors
// that quote a packet of the flow and fragments whose first passed. Flows.SetRules swaps
// rules under live flows, which are judged again with their next packet. Rules.Ask says
// what would become of a flow, by the same code. Rules.Hits, Flows.List, Counts and Reached
// are for whoever looks on.
//
// # Memory
//
// A Packet is borrowed for the call of Judge. Nothing here allocates on the road
// of a packet, but for the first one of a session after a change of rules. Rules, Subject,
// Reach and Flows may be used concurrently. A flow takes 126 bytes, without pointers; a
// table keeps the size of the most flows that it ever had.
//
// # What it does not do
//
// It finds no session and drops nothing: package dataplane asks, and does so. It knows no
// tenant by name. A TCP segment is dropped that no end can have sent, by the sequence numbers
// and windows that both have said; what is within the window its receiver judges.
package policy
