package v2

import "net/netip"

// maxFactor is how many times what came from an address that may be forged is sent to
// it at most.
const maxFactor = 3

// Allowance bounds what is sent to who may not be where its messages seem to come
// from: an answer that is longer than its question makes a weapon of whoever gives it.
// Once an address has shown that it receives what is sent there, by giving back what
// only went there, nothing more is counted for it. Another address begins anew.
type Allowance struct {
	shown   netip.Addr // it receives what we send
	from    netip.Addr // that may be forged
	in, out int        // bytes that came from there, and went there
}

// Shown notes that an address receives what is sent to it.
func (a *Allowance) Shown(addr netip.Addr) { a.shown = addr }

// Received notes that n bytes came from an address.
func (a *Allowance) Received(addr netip.Addr, n int) {
	if a.from != addr {
		a.from, a.in, a.out = addr, 0, 0
	}
	a.in += n
}

// Allows reports whether n bytes may be sent to an address, and counts them if so.
func (a *Allowance) Allows(addr netip.Addr, n int) bool {
	switch {
	case a.shown.IsValid() && addr == a.shown:
		return true
	case addr != a.from || a.out+n > maxFactor*a.in:
		return false
	}
	a.out += n
	return true
}
