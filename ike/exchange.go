package ike

import "crypto/sha256"

// digest recognises a repeated message.
type digest [16]byte

func digestOf(msg []byte) digest {
	sum := sha256.Sum256(msg)
	return digest(sum[:16])
}

// answered is what a responder remembers of the last message of an exchange: to
// answer a repeated one the same way, without computing anything.
type answered struct {
	seen  digest
	reply []byte // nil: none yet
	set   bool
}

// is reports whether d was the last message.
func (a *answered) is(d digest) bool { return a.set && a.seen == d }

// begin remembers that the message d is being worked on.
func (a *answered) begin(d digest) { *a = answered{seen: d, set: true} }

// forget lets the same message be taken again.
func (a *answered) forget() { *a = answered{} }
