package ike

import (
	"crypto/subtle"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/culvert-vpn/culvert/ike/suite"
	"github.com/culvert-vpn/culvert/ike/v1"
	"github.com/culvert-vpn/culvert/ike/wire"
)

const (
	// maxBadKeys is how many different messages 5 an exchange may try.
	maxBadKeys = 3
	// maxWinners bounds how many sources' last keys are remembered.
	maxWinners = 8192
)

// candidate is a key to try. peer is set if it is the key of a peer that we
// dialled, which may renew phase 1 from its side.
type candidate struct {
	Candidate
	peer *peer
}

// methods are the ways in which the dialler may prove that it is c's. A server
// that renews phase 1 with us asks for our name again.
func (c *candidate) methods() []suite.AuthMethod {
	if c.peer != nil && c.peer.dial.config.XAUTH != nil {
		return []suite.AuthMethod{c.peer.dial.method().WithXAUTH(true)}
	}
	return c.Candidate.methods()
}

// candidates are those that may be meant by who writes along path, and prove who they
// are in the way that was agreed on. The slice is the directory's.
func (i *isakmp) candidates(path Path) []candidate {
	return i.s.dialledOr(path).main[i.phase1.Choice().Auth]
}

// winner is as whom a source came in the last time.
type winner struct {
	tenant string
	psk    []byte // the directory's
}

// winner is the candidate as which this source came in the last time, and negative if
// it is none of list.
func (s *Server) winner(source netip.Addr, list []candidate) int {
	w, ok := s.winners.Get(source)
	if !ok {
		return -1
	}
	return slices.IndexFunc(list, func(c candidate) bool {
		return c.Tenant == w.tenant && subtle.ConstantTimeCompare(c.PSK, w.psk) == 1
	})
}

func (s *Server) remember(source netip.Addr, c Candidate) {
	s.winners.Add(source, winner{tenant: c.Tenant, psk: c.PSK})
}

// search finds the candidate whose key opens message 5: with the addresses
// unknown, that is the only thing that tells tenants apart (RFC 2409, section
// 5.4: the identity itself is encrypted under a key made from the PSK).
func (i *isakmp) search(now time.Time, m message) error {
	defer i.arm()
	switch {
	case i.phase1.Aggressive():
		return i.accept(now, m, i.group)
	case i.phase1.Choice().Auth.Signed():
		return i.judge(now, m)
	}
	source, list := m.path.Remote.Addr(), i.candidates(m.path)
	m.body = nil // borrowed
	i.lookFor = m
	if known := i.s.winner(source, list); known >= 0 && i.s.sources.tryKnown(now, source, i.s.config.Limits) {
		i.look(now, list[known:known+1], 0)
		return nil
	}
	i.await(now, len(list))
	return nil
}

// await has n keys or certificates tried, now or when it is i's turn.
func (i *isakmp) await(now time.Time, n int) {
	if i.s.mayTry(now, i.lookFor.path.Remote.Addr(), n, i) {
		i.searchNow(now)
		return
	}
	i.deadline = now.Add(queueTime)
	i.s.fail(now, Failed{Path: i.lookFor.path, Cause: CauseGuessing, Detail: waitsForTrials})
}

// waitsForTrials is told of who has to wait.
const waitsForTrials = "it waits until it is its turn"

// searching reports whether message 5 still waits for keys to be tried.
func (i *isakmp) searching() bool { return i.state == negotiating && i.lookFor.path != Path{} }

// searchNow tries all keys, or has all look at the certificates.
func (i *isakmp) searchNow(now time.Time) {
	list := i.candidates(i.lookFor.path)
	if i.phase1.Choice().Auth.Signed() {
		i.consult(now, list)
		return
	}
	i.look(now, list, len(list))
}

// look tries the keys of list, of which paid were taken out of the budgets; none if list
// is the key with which the source came in before.
func (i *isakmp) look(now time.Time, list []candidate, paid int) {
	m := i.lookFor
	i.lookFor = message{}
	known := i.s.winner(m.path.Remote.Addr(), list)
	look := i.phase1.Search(len(list), func(n int) []byte { return list[turn(n, known)].PSK })
	// Not among those of strangers: their first messages must not keep out who is
	// nearly in, and the trials are bounded by themselves.
	i.s.compute(look, netip.Addr{}, func(now time.Time, result any) { i.searched(now, m, list, known, paid, result) })
}

// turn is which candidate is tried as the n-th: the known one first.
func turn(n, known int) int {
	switch {
	case n == 0 && known >= 0:
		return known
	case n <= known:
		return n - 1
	}
	return n
}

// searched goes on once it is known whose key opens message 5.
func (i *isakmp) searched(now time.Time, m message, list []candidate, known, paid int, result any) {
	found, ok := result.(*v1.Found)
	if !ok {
		return
	}
	if paid > 0 {
		i.s.tried(now, m.path.Remote.Addr(), paid, found.Tried, found.Key())
	}
	if i.state != negotiating {
		v1.Discard(found)
		return
	}
	defer i.arm()
	switch adopted := i.phase1.Adopt(found); {
	case !adopted && paid == 0: // it has another key now
		i.lookFor = m
		i.await(now, len(i.candidates(m.path)))
		return
	case !adopted:
		_ = i.wrongKey(now, m, found.Tried)
		return
	}
	_ = i.accept(now, m, list[turn(found.Tried-1, known)])
}

// wrongKey answers a message 5 that no key opens. The exchange goes on for a
// while: somebody else may have written the message.
func (i *isakmp) wrongKey(now time.Time, m message, tried int) error {
	i.phase1.Reject()
	i.badKeys++
	if i.badKeys == 1 {
		i.s.fail(now, Failed{Path: m.path, Cause: CauseWrongPSK,
			Detail: fmt.Sprintf("tried %s on a client that looks like %s, with %v",
				keysTried(tried, i.phase1.Choice().Auth), i.phase1.Features().Family, i.phase1.Choice())})
	}
	i.last.reply = v1.Refusal(i.key.i, i.key.r, wire.MessageID(i.s.random()|1), wire.NotifyAuthenticationFailed)
	i.post(m.path, i.last.reply)
	if i.badKeys >= maxBadKeys {
		i.forget()
	}
	return ErrAuth
}

// keysTried is which keys did not fit, in words: who dials with extended authentication may
// have the right key of a tenant that does not allow it, and is not helped by comparing keys.
func keysTried(n int, m suite.AuthMethod) string {
	words := fmt.Sprintf("%d keys", n)
	if n == 1 {
		words = "1 key"
	}
	if m.XAUTH() {
		words += " of tenants with xauth in auth.allow, and of no others,"
	}
	return words
}

// accept answers the message 5 that c's key opened, if c allows what was agreed.
func (i *isakmp) accept(now time.Time, m message, c candidate) error {
	if !i.s.policies.allowsIKE(c.policy(), i.phase1.Choice().IKESuite) {
		i.s.fail(now, Failed{Path: m.path, Tenant: c.Tenant, Cause: CauseLegacy, Detail: i.phase1.Choice().String()})
		i.post(m.path, v1.Refusal(i.key.i, i.key.r, wire.MessageID(i.s.random()|1), wire.NotifyNoProposalChosen))
		i.forget()
		return ErrRefused
	}
	if i.noEncapsulation(m.path) {
		i.s.fail(now, Failed{Path: m.path, Tenant: c.Tenant, Cause: CauseNoNATT,
			Detail: "the client stays on port 500"})
		i.forget()
		return ErrRefused
	}
	out, err := i.phase1.Accept(i.identityFor(c, m.path), c.certificate1())
	if err != nil {
		i.forget()
		return dropped(err)
	}
	i.s.remember(m.path.Remote.Addr(), c.Candidate)
	i.peer = i.s.join(now, i, c, m.path)
	return i.follow(now, m, out)
}

// noEncapsulation reports whether the client cannot be served for want of raw
// ESP: it neither speaks NAT traversal nor has moved to port 4500.
func (i *isakmp) noEncapsulation(path Path) bool {
	return !i.s.config.RawESP && !path.NATT && i.phase1.Features().NATT == v1.NATTNone
}

// identityFor is what we call ourselves.
func (i *isakmp) identityFor(c candidate, path Path) wire.ID {
	if c.peer != nil {
		return c.peer.dial.identity
	}
	return c.identity1(i.phase1.Choice().Auth, path)
}
