// Package v1 is IKEv1 (RFC 2408 and 2409) as machines for one exchange each:
// Phase1 is phase 1: main mode with a pre-shared key or with RSA signatures and
// certificates, and aggressive mode with a pre-shared key. Quick is phase 2, and SA,
// which a Phase1 ends in, protects what is sent under it, including informational
// messages. Both roles are here.
//
// A machine takes one message and returns an Outcome: the message to send, a
// computation to run, or that it is done. It knows no time and no addresses
// beyond those that the protocol hashes; repeating messages, recognising
// repeated ones, giving up, and all bounds are its owner's (package ike). An
// error means that the message was dropped and the machine is as before.
//
// Memory: messages given to a machine are borrowed for the call and decrypted in
// place; what it returns belongs to the caller. Close, Zero and the end of an
// exchange overwrite the secrets.
//
// Transaction is the exchange that extended authentication and mode config are
// made of; what is said in it is package ike's.
//
// It does not speak public key encryption, nor signatures in aggressive mode.
package v1
