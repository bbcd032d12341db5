// Package access says who may come in.
//
// # Verbs
//
// An Attempt is a login under way: who dialled, naming whom, with which Proof. Local.Judge
// is what the users of the configuration and of the state store say of a Proof: whether it
// is right, and what answers it, or the Refusal. A Throttle counts wrong passwords and says
// which attempts wait, and which are not looked at. A Refusal is why somebody does not get
// in, for the client, for the log and for whoever has to do something about it.
//
// # Memory
//
// A Proof borrows what the client sent until it is judged. What is kept of an account is
// cleared when it was compared.
//
// # What it does not do
//
// It speaks no protocol, gives no addresses and writes no log. Local reads a disk and
// compares passwords, which takes time: it belongs into a pool. A Throttle belongs to one
// goroutine, and is told the time.
package access
