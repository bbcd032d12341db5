// Package engine is where the protocols meet: the control loop, the machines of ike, l2tp
// and ppp, which know nothing of one another, the data plane, and what is between them, the
// peers with their child SAs, their calls and PPP links, and the sessions.
//
// One goroutine, the control loop in loop.go, owns all of that. It takes messages from the
// Inbox of the data plane, the results of slow computations, and requests of other
// goroutines; gives each to the machine it is for; and carries out what the machines want.
// The type switches in effects.go and l2tp.go are the complete list of what the protocols can
// do to the world.
//
// What somebody has to decide, or wants to know, comes out as an Event, a value. An Owner
// drives the engine: it takes events by Next until there is none, and answers by the verbs of
// the Engine, and of its machines. The server (internal/gateway) is one owner, the client
// (internal/dialer) another. The engine knows no user, tenant, file or HTTP.
//
// Goroutines: the control loop, which is Run; two pools, for what computes and for what
// waits, in pool.go; the workers and downlinks of the data plane. None a peer or a session.
// Peers, Sessions and Children belong to the control loop; the owner reads them there.
package engine
