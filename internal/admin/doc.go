// Package admin is how the commands of an operator talk to a running server:
// HTTP with JSON over a socket in the state directory, which only the server's
// own user, and root, may open.
//
//	GET    /sessions       the sessions that are up, as a list of Session
//	DELETE /sessions/ID    ends one, with a goodbye to its client
//	GET    /figures        what is counted, as Figures
//	GET    /bans           who is not to dial in, as Bans
//	POST   /bans           bans a network: a BanOrder, answered by Banned
//	DELETE /bans?prefix=P  takes bans of it back, answered by a list of Ban
//	GET    /tenants/T/policy  a tenant's rules in force, as Policy
//	GET    /tenants/T/flows?limit=N&user=U&to=NETWORK  its flows, as FlowList
//
// Listen and Serve are the server's side and Client is the commands'. What the
// socket answers comes from a Gateway, which package gateway implements; nothing
// here knows a protocol. No answer has a secret in it.
package admin
