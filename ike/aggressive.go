package ike

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/culvert-vpn/culvert/ike/suite"
	"github.com/culvert-vpn/culvert/ike/v1"
	"github.com/culvert-vpn/culvert/ike/wire"
)

// Aggressive mode, for clients that say the name of a group before anything else.
// Its answer costs two exponentiations for who has not shown that its address is
// real, and shows a proof of the key to whoever asks: it is given for names of
// groups that the owner has, at a bounded rate. Names that it does not have are
// answered in the same way, with a key that nobody knows.

// isGroup reports whether an identity is one of c's groups. Apple's clients send a
// KEY_ID, Android's a name where there is a dot in it.
func (c *Candidate) isGroup(id wire.ID) bool {
	switch id.Type {
	case wire.IDKeyID, wire.IDFQDN, wire.IDUserFQDN:
		return slices.Contains(c.Groups, string(id.Data))
	}
	return false
}

// handleAggressive takes a message of aggressive mode.
func (s *Server) handleAggressive(now time.Time, m message) error {
	if m.header.Responder.IsZero() {
		return s.handleAM1(now, m)
	}
	i := s.find(m.header)
	if i == nil {
		return ErrUnknownSA
	}
	return i.handlePhase1(now, m)
}

// handleAM1 takes the first message of an aggressive mode, from anybody.
func (s *Server) handleAM1(now time.Time, m message) error {
	key := openKey{cookie: m.header.Initiator, local: m.path.Local, remote: m.path.Remote}
	if i := s.opening[key]; i != nil {
		return i.repeatAnswer(&i.first, m)
	}
	d := s.directory(m.path)
	if len(d.groups) == 0 {
		return s.refuseAggressive(now, m)
	}
	if !s.mayCompute(m.path.Remote.Addr(), s.config.Limits.Computations) {
		return s.tooMany(now, m.path, "message 1 of aggressive mode dropped")
	}
	i := s.newISAKMP(now, m.path)
	machine, out, err := s.answerAggressive(i, m, d)
	if err != nil {
		return s.refuseAM1(now, m, err)
	}
	if source := m.path.Remote.Addr(); !s.opens(now, source) || !s.admit(now, source, inItsName) {
		machine.Close()
		return s.tooMany(now, m.path, "message 1 of aggressive mode dropped")
	}
	i.first.begin(m.digest, m.path)
	i.halfOpen(now, key, machine, inItsName)
	i.allowance.Received(m.path.Remote.Addr(), int(m.header.Length))
	if i.group.Tenant == "" {
		s.fail(now, Failed{Path: m.path, Cause: CauseNoGroup, Detail: "the client calls itself " + machine.Identity().String()})
	}
	return i.follow(now, m, out)
}

// opens takes an aggressive mode out of what all may begin, of which a source has an eighth
// and its network a quarter, so that nobody uses it up alone.
func (s *Server) opens(now time.Time, source netip.Addr) bool {
	all := s.config.Limits.Aggressive
	both := s.searchesOf(source)
	for k, x := range both {
		if !x.opened.has(now, max(all>>(3-k), 1)) {
			return false
		}
	}
	if !s.openings.take(now, all, 1) {
		return false
	}
	for k, x := range both {
		x.opened.take(now, max(all>>(3-k), 1), 1)
	}
	return true
}

// answerAggressive makes the machine, which is told the key of the group, or one that
// nobody has.
func (s *Server) answerAggressive(i *isakmp, m message, d *directory) (*v1.Phase1, v1.Outcome, error) {
	nobody := make([]byte, 32)
	if _, err := io.ReadFull(s.config.Rand, nobody); err != nil {
		return nil, v1.Outcome{}, err
	}
	return v1.AnswerAggressive(v1.AggressiveConfig{
		Rand: s.config.Rand, Policy: d.groupPolicy, Ends: i.ends(m.path),
		Identity: wire.AddrID(m.path.Local.Addr(), 0, 0),
		Key: func(id wire.ID) []byte {
			for _, c := range d.groups {
				if c.isGroup(id) {
					i.group = c
					return bytes.Clone(c.PSK)
				}
			}
			return nobody
		},
	}, m.header, m.body)
}

// halfOpen enters an exchange that a stranger began.
func (i *isakmp) halfOpen(now time.Time, key openKey, machine *v1.Phase1, how payment) {
	i.phase1, i.open = machine, key
	i.key.i, i.key.r = machine.Cookies()
	i.deadline = now.Add(halfOpenTime)
	i.s.opening[key], i.s.sas[i.key] = i, i
	i.s.enter(now, i, &i.stranger, i.path.Remote.Addr(), how)
	i.arm()
}

// refuseAggressive says no where there are no groups.
func (s *Server) refuseAggressive(now time.Time, m message) error {
	h := m.header
	if h.Initiator.IsZero() || s.config.Candidates == nil {
		return ErrExchange
	}
	if _, err := wire.ParsePayloads(nil, h.Version, h.Next, m.body); err != nil {
		return malformed(err)
	}
	s.refusals.owe(now, s.config.Limits.Refusals)
	s.fail(now, Failed{Path: m.path, Cause: CauseAggressive, Detail: "the client began an aggressive mode exchange"})
	s.refuse(m, wire.NotifyUnsupportedExchange)
	return ErrExchange
}

// refuseAM1 answers an offer in which nothing is acceptable.
func (s *Server) refuseAM1(now time.Time, m message, err error) error {
	s.refusals.owe(now, s.config.Limits.Refusals)
	if !errors.Is(err, suite.ErrNoProposal) {
		return dropped(err)
	}
	if s.tells(now, 0) {
		s.emit(Failed{Path: m.path, Cause: CauseNoProposal, Detail: err.Error() + " (aggressive mode cannot change the group)"})
	}
	s.refuse(m, wire.NotifyNoProposalChosen)
	return dropped(err)
}

// wrongGroupKey takes a message 3 that was not written with the key of the group.
// The exchange goes on for a while: somebody else may have written it.
func (i *isakmp) wrongGroupKey(now time.Time, m message) error {
	if i.badKeys++; i.badKeys == 1 {
		i.s.fail(now, Failed{Path: m.path, Tenant: i.group.Tenant, Cause: CauseWrongPSK,
			Detail: fmt.Sprintf("message 3 of aggressive mode by %v", i.phase1.Identity())})
	}
	i.post(m.path, v1.Refusal(i.key.i, i.key.r, wire.MessageID(i.s.random()|1), wire.NotifyAuthenticationFailed))
	if i.badKeys >= maxBadKeys {
		i.forget()
	}
	return ErrAuth
}

// repeatAM2 has message 2 repeated a few times: if message 3 is lost nobody else
// notices, for the initiator awaits no answer to it.
func (i *isakmp) repeatAM2(now time.Time, msg []byte) {
	i.first.reply = msg
	few := i.s.config.Retransmit
	few.Tries = min(few.Tries, maxAM2)
	i.repeat.Start(now, few, msg)
}

// remind answers a message of phase 2 that came before message 3 did: who sent it
// knows our cookie, and repeats message 3 for message 2.
func (i *isakmp) remind(m message) {
	if i.state == negotiating && !i.initiator && i.phase1.Aggressive() && !i.phase1.Answered() {
		i.hear(m)
		i.post(i.path, i.first.reply)
	}
}

// maxAM2 is how often message 2 is repeated, to who may never have asked for it.
const maxAM2 = 2

// aggressive reports whether we dial by aggressive mode.
func (d *dialler) aggressive() bool { return d.config.Group != "" }

// groupID is the name of the group, in the type that the persona gives it.
func (d *dialler) groupID() wire.ID {
	id := wire.ID{Type: wire.IDKeyID, Data: []byte(d.config.Group)}
	if d.habits.NamesGroups && strings.Contains(d.config.Group, ".") {
		id.Type = wire.IDFQDN
		if strings.Contains(d.config.Group, "@") {
			id.Type = wire.IDUserFQDN
		}
	}
	return id
}

// oneGroup leaves the transforms of one group, for which message 1 has the public
// value: of MODP2048, which everybody has, or else of the first.
func oneGroup(list []suite.IKE) []suite.IKE {
	group := list[0].Group
	for _, t := range list {
		if t.Group == suite.GroupMODP2048 {
			group = t.Group
		}
	}
	return slices.DeleteFunc(slices.Clone(list), func(t suite.IKE) bool { return t.Group != group })
}
