// Package gateway is the server: tenants and their networks, logins, what they are granted,
// leases, limits, and the figures of operators. It drives an engine (internal/engine), in
// which the protocols meet, and knows of them what they ask and say.
//
// drain.go has the one switch over what has happened in the engine. Four types stand one above
// the other, each with a concern, and call only down:
//
//   - server (server.go) is what all have in common: tenants at work (tenants.go, open.go), who
//     they are and how they are found (roster.go, keyring.go), clients and their sessions
//     (client.go), and the log (tell.go);
//   - logins (attempt.go) are how clients log in, by whichever way. One road: an attempt is
//     judged by an authority (authority.go), finds its place (place.go, rivals.go), and is
//     admitted, with a lease (leases.go), or refused (authenticate.go). What brings it and
//     tells its client is a carrier: linklogin.go, eaplink.go, eapike.go, ikev2.go, xauth.go.
//     Sessions begin and end there, too (life.go);
//   - applier puts one configuration in the place of another, under traffic, by a plan
//     (plan.go, apply.go, egress.go, repool.go, dismiss.go), also when files change (reload.go);
//   - Gateway (gateway.go) opens it all, runs it and ends it, and answers operators.
//
// Goroutines: the control loop of the engine, to which all that is not said to be of others
// belongs; one that follows the files of the configuration; and whatever a tenant's device
// runs. Run starts them all, and returns when all have ended.
package gateway
