// Package store keeps what must survive a restart: users made by `culvert
// user`, with their groups and filters, the addresses that users had, and who
// is banned. It is one bbolt file,
// state.db, in the directory that the configuration calls state.
//
// A server and the commands work on the same file at the same time. bbolt
// locks a file for as long as it is open, so no method keeps it open: each
// opens it, does one transaction and closes it again, and waits up to
// LockWait for whoever holds it. What is read often is answered from a copy in
// memory, which is read anew when the file has changed: a user that `culvert
// user add` made can log in to a running server a moment later.
//
// Every write is one transaction that is on disk when the method returns; a
// process killed in the middle of one leaves the state from before it.
//
// Methods may be called concurrently. All of them do I/O: a read is a stat(2)
// when nothing changed, a write is an fsync(2). They belong beside a control
// loop, not into it. What they return is the caller's own.
//
// A password is not kept, only its NT hash (RFC 2759 section 8.3), which is as
// good as the password to MS-CHAPv2: the file is readable by its owner only,
// and Hash never prints itself.
//
// Not done here: checking passwords (ppp/auth), choosing addresses (tenant).
package store
