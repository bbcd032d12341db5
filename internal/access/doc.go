// Package access says who may come in.
//
// # Verbs
//
// An Authority says of somebody who logs in, by the Proof that he shows, whether he is who he
// says: Ask asks, an Answer comes, which is a Judgement; what takes time leaves as Work. Local
// is the authority of the users of the configuration and of the state store. A Throttle counts
// wrong passwords, each of an Attempt, and says which attempts wait, and which are not looked
// at. A Refusal is why somebody does not get in, for the client, for the log and for whoever
// has to do something about it; a Grant is what he has who does.
//
// # Memory
//
// A Proof borrows what the client sent until it is judged, and is overwritten then. What is
// kept of an account is cleared when it was compared.
//
// # What it does not do
//
// It speaks no protocol, gives no addresses and writes no log. An authority is a machine
// without I/O, and so is a Throttle: they belong to one goroutine, and are told the time. Only
// Work reads a disk and compares passwords: it belongs into a pool.
package access
