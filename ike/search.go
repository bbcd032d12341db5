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

// candidates lists the keys that may be meant by who writes along path.
func (s *Server) candidates(path Path) []candidate {
	var list []candidate
	if p := s.dialled[path.ends()]; p != nil {
		list = append(list, candidate{p.proof, p})
	}
	if s.config.Candidates == nil {
		return list
	}
	for _, c := range s.config.Candidates(path.Local.Addr(), path.Remote.Addr()) {
		if len(c.Groups) == 0 && len(c.methods()) > 0 {
			list = append(list, candidate{Candidate: c})
		}
	}
	return list
}

// fitting leaves those for whom the way of authentication that was agreed on is
// one.
func (i *isakmp) fitting(list []candidate) []candidate {
	return slices.DeleteFunc(list, func(c candidate) bool { return !slices.Contains(c.methods(), i.phase1.Choice().Auth) })
}

// winnerFirst puts the key with which this source came in the last time to the
// front.
func (s *Server) winnerFirst(source netip.Addr, list []candidate) {
	w, ok := s.winners[source]
	if !ok {
		return
	}
	for n := range list {
		if list[n].Tenant == w.Tenant && subtle.ConstantTimeCompare(list[n].PSK, w.PSK) == 1 {
			list[0], list[n] = list[n], list[0]
			return
		}
	}
}

func (s *Server) remember(source netip.Addr, c Candidate) {
	if len(s.winners) >= maxWinners {
		clear(s.winners)
	}
	s.winners[source] = c
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
	source := m.path.Remote.Addr()
	list := i.fitting(i.s.candidates(m.path))
	i.s.winnerFirst(source, list)
	for _, c := range list {
		if !i.s.sources.try(now, source, i.s.config.Limits) {
			return i.guessing(now, m)
		}
		if i.phase1.Try(c.PSK) {
			return i.accept(now, m, c)
		}
	}
	return i.wrongKey(now, m, len(list))
}

// wrongKey answers a message 5 that no key opens. The exchange goes on for a
// while: somebody else may have written the message.
func (i *isakmp) wrongKey(now time.Time, m message, tried int) error {
	i.phase1.Reject()
	i.badKeys++
	if i.badKeys == 1 {
		i.s.fail(now, Failed{Path: m.path, Cause: CauseWrongPSK,
			Detail: fmt.Sprintf("%d keys tried on a client that looks like %s, with %v",
				tried, i.phase1.Features().Family, i.phase1.Choice())})
	}
	i.last.reply = v1.Refusal(i.key.i, i.key.r, wire.MessageID(i.s.random()|1), wire.NotifyAuthenticationFailed)
	i.s.send(m.path, i.last.reply)
	if i.badKeys >= maxBadKeys {
		i.forget()
	}
	return ErrAuth
}

// accept answers the message 5 that c's key opened, if c allows what was agreed.
func (i *isakmp) accept(now time.Time, m message, c candidate) error {
	if !i.s.policies.allowsIKE(c.policy(), i.phase1.Choice().IKESuite) {
		i.s.fail(now, Failed{Path: m.path, Tenant: c.Tenant, Cause: CauseLegacy, Detail: i.phase1.Choice().String()})
		i.s.send(m.path, v1.Refusal(i.key.i, i.key.r, wire.MessageID(i.s.random()|1), wire.NotifyNoProposalChosen))
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
