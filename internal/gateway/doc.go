// Package gateway is the concentrator: the only place where the protocols
// meet. A Gateway joins the machines of ike, l2tp and ppp, which know nothing
// of one another, with the data plane, the tenants and the state store.
//
// One goroutine, the control loop in control.go, owns all control state: IKE
// SAs, tunnels, links, sessions. It takes messages from the Inbox of the data
// plane, the results of slow computations, and requests of other goroutines;
// gives each to the machine it is for; and carries out the events that the
// machines answer with. The type switches in effects.go are the complete list
// of what the protocols can do to the world. session.go follows one client
// from its peer to its SA, tunnel, link and place in its tenant's network.
// ikev2.go is the shorter way of a client of IKEv2 in tunnel mode, whose session
// has neither call nor link; xauth.go is the same for IKEv1.
//
// The same Gateway dials as well as it answers: Connect, in connect.go, is a
// Gateway without listeners of its own that makes one call, and the tests and
// benchmarks are Gateways that call one another.
//
// Goroutines: the control loop, the pool for slow computations (with a stand-in
// for each that waits for the network), the workers
// and downlinks of the data plane, and whatever a tenant's device runs. Run
// starts them all, and returns when all have ended.
package gateway
