package ike

import (
	"crypto/sha256"
	"net/netip"
)

// digest recognises a repeated message.
type digest [16]byte

func digestOf(msg []byte) digest {
	sum := sha256.Sum256(msg)
	return digest(sum[:16])
}

// answered is what a responder remembers of the last message of an exchange: to
// answer a repeated one the same way, without computing anything.
type answered struct {
	seen    digest
	reply   []byte     // nil: none yet
	from    netip.Addr // where it came from, and the only place to which the answer is repeated
	repeats uint8
	set     bool
}

// maxRepeats is how often an answer is repeated: whoever has not got it by then has
// given up.
const maxRepeats = 8

// again reports whether the answer is repeated to who has asked again from path, and
// counts that.
func (a *answered) again(path Path) bool {
	if a.from != path.Remote.Addr() || a.repeats >= maxRepeats {
		return false
	}
	a.repeats++
	return true
}

// is reports whether d was the last message.
func (a *answered) is(d digest) bool { return a.set && a.seen == d }

// begin remembers that the message d, which came along path, is being worked on.
func (a *answered) begin(d digest, path Path) {
	*a = answered{seen: d, set: true, from: path.Remote.Addr()}
}

// forget lets the same message be taken again.
func (a *answered) forget() { *a = answered{} }
