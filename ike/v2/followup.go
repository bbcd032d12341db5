package v2

import (
	"bytes"
	"slices"
	"time"

	"github.com/culvert-vpn/culvert/ike/suite"
	"github.com/culvert-vpn/culvert/ike/wire"
)

// Additional key exchanges of SAs that are not the first (RFC 9370, section
// 2.2.4). The first one runs in CREATE_CHILD_SA; the others follow one by one,
// and only then there are keys:
//
//	HDR(CREATE_CHILD_SA), SK {SA, Ni, KEi(0), ...}              -->
//	                <--  HDR(CREATE_CHILD_SA), SK {SA, Nr, KEr(0), N(link1), ...}
//	HDR(IKE_FOLLOWUP_KE), SK {KEi(1), N(link1)}                 -->
//	                <--  HDR(IKE_FOLLOWUP_KE), SK {KEr(1), N(link2)}
//	HDR(IKE_FOLLOWUP_KE), SK {KEi(2), N(link2)}                 -->
//	                <--  HDR(IKE_FOLLOWUP_KE), SK {KEr(2)}
//
// For collisions all of them count as one long exchange, whose nonces are those
// of CREATE_CHILD_SA.

// offeredKey is a key exchange of ours and what the peer has answered.
type offeredKey struct {
	key    *suite.PrivateKey
	public []byte
}

// followup is the IKE_FOLLOWUP_KE exchanges of an initiator; task of each in turn.
type followup struct {
	creates bool // a child SA, not an IKE SA
	link    []byte
	left    []suite.Group
	done    []offeredKey
	key     *suite.PrivateKey
	then    func(now time.Time, a *sa, done []offeredKey)
	refused func(now time.Time, a *sa, n wire.Notify2) error
	failed  func(now time.Time, detail string)
	drop    func(now time.Time, a *sa)
}

// start builds the next request.
func (f *followup) start(now time.Time, a *sa) (wire.ExchangeType, []wire.Body, bool) {
	var err error
	if f.key, err = f.left[0].GenerateKey(a.s.owner.Rand()); err != nil {
		f.abandon(now, a)
		return 0, nil, false
	}
	return wire.ExchangeFollowupKE, []wire.Body{wire.KeyExchange2{Group: uint16(f.left[0]), Data: f.key.Public()}, linkNotify(f.link)}, true
}

// abandon forgets the keys.
func (f *followup) abandon(now time.Time, a *sa) {
	zeroKey(f.key)
	zeroKeys(f.done)
	f.drop(now, a)
}

// answer takes the response, and goes on with the next exchange or to the end.
func (f *followup) answer(now time.Time, a *sa, m *message) error {
	if n, bad := findError(m.chain); bad {
		zeroKey(f.key)
		zeroKeys(f.done)
		return f.refused(now, a, n)
	}
	ke, err := keyOf(m.chain, f.left[0])
	link, linked := linkOf(m.chain)
	if err != nil || linked != (len(f.left) > 1) {
		zeroKey(f.key)
		zeroKeys(f.done)
		f.failed(now, "the answer to IKE_FOLLOWUP_KE does not fit")
		return ErrMalformed
	}
	if a.s.closing && len(f.left) > 1 {
		f.abandon(now, a)
		return nil
	}
	f.done = append(f.done, offeredKey{f.key, ke})
	f.key, f.left, f.link = nil, f.left[1:], link
	if len(f.left) > 0 {
		a.next(f)
		return nil
	}
	f.then(now, a, f.done)
	return nil
}

// next puts a task in front of all that wait.
func (a *sa) next(t task) { a.queue = slices.Insert(a.queue, 0, t) }

// taken are the keys for a computation that they belong to.
func taken(keys []offeredKey) []offeredKey {
	out := slices.Clone(keys)
	for n, k := range out {
		out[n].key = k.key.Take()
	}
	return out
}

// secrets computes what our keys share with the peer's public values. The keys are
// its own, and zeroed.
func secrets(keys []offeredKey) (out sharedSecrets) {
	defer zeroKeys(keys)
	for _, k := range keys {
		key, err := k.key.Shared(k.public)
		if out.keys = append(out.keys, key); err != nil {
			out.err = err
		}
	}
	return out
}

// sharedSecrets are the results of several key exchanges, in their order.
type sharedSecrets struct {
	keys [][]byte
	err  error
}

func (s sharedSecrets) zero() {
	for _, k := range s.keys {
		clear(k)
	}
}

func zeroKeys(list []offeredKey) {
	for _, k := range list {
		zeroKey(k.key)
	}
}

// pending is what a responder remembers of a CREATE_CHILD_SA exchange until the
// additional key exchanges are over. There is one at most.
type pending struct {
	a       *sa
	link    []byte
	left    []suite.Group
	secrets [][]byte
	until   time.Time
	// finish makes the SA and answers m with what is given; drop forgets what was
	// taken for it.
	finish func(now time.Time, m *message, secrets [][]byte, answer ...wire.Body)
	drop   func()
}

// pendingTime is how long a responder waits for the next key exchange.
const pendingTime = 60 * time.Second

// answerKeys answers a CREATE_CHILD_SA request whose first key exchange is done:
// with the SA, or, if there are more to come, without it.
func (s *Session) answerKeys(now time.Time, m *message, p pending, secret []byte, answer []wire.Body) {
	if len(p.left) == 0 {
		p.finish(now, m, [][]byte{secret}, answer...)
		return
	}
	link, err := s.random(16)
	if err != nil {
		p.drop()
		p.a.respond(now, m, notify(wire.Notify2TemporaryFailure))
		return
	}
	p.link, p.secrets, p.until = link, [][]byte{bytes.Clone(secret)}, now.Add(pendingTime)
	s.dropPending()
	s.pending = &p
	p.a.respond(now, m, append(answer, linkNotify(link))...)
}

// dropPending forgets an exchange that is not finished.
func (s *Session) dropPending() {
	if p := s.takePending(); p != nil {
		p.drop()
		sharedSecrets{keys: p.secrets}.zero()
	}
}

func (s *Session) takePending() *pending {
	p := s.pending
	s.pending = nil
	return p
}

// handleFollowup takes an IKE_FOLLOWUP_KE request.
func (s *Session) handleFollowup(now time.Time, a *sa, m *message) error {
	link, linked := linkOf(m.chain)
	if p := s.pending; p == nil || !linked || p.a != a || !bytes.Equal(p.link, link) {
		// "The responder MUST ... STATE_NOT_FOUND".
		a.respond(now, m, notify(wire.Notify2StateNotFound))
		return ErrState
	}
	p := s.takePending()
	ke, err := keyOf(m.chain, p.left[0])
	if err != nil {
		s.pending = p
		s.dropPending()
		a.reject(now, m, "IKE_FOLLOWUP_KE with another key exchange than was agreed on")
		return err
	}
	done := false
	return s.computeReply(a, m, p.left[0], ke, func(now time.Time, secret []byte, ke ...wire.Body) {
		done = true
		p.secrets = append(p.secrets, bytes.Clone(secret))
		s.goOnPending(now, m, p, ke)
	}, func() {
		if !done {
			p.drop()
			sharedSecrets{keys: p.secrets}.zero()
		}
	})
}

// goOnPending answers one additional key exchange.
func (s *Session) goOnPending(now time.Time, m *message, p *pending, ke []wire.Body) {
	if p.left = p.left[1:]; len(p.left) == 0 {
		defer sharedSecrets{keys: p.secrets}.zero()
		p.finish(now, m, p.secrets, ke...)
		return
	}
	var err error
	if p.link, err = s.random(16); err != nil {
		s.pending = p
		s.dropPending()
		p.a.respond(now, m, notify(wire.Notify2TemporaryFailure))
		return
	}
	s.pending, p.until = p, now.Add(pendingTime)
	p.a.respond(now, m, append(ke, linkNotify(p.link))...)
}

// linkNotify ties the exchanges together; its data is the responder's.
func linkNotify(link []byte) wire.Notify2 {
	return wire.Notify2{Type: wire.Notify2AdditionalKeyExchange, Data: link}
}

// linkOf returns a copy of the link in a message.
func linkOf(chain []wire.Payload) ([]byte, bool) {
	n, ok := findNotify(chain, wire.Notify2AdditionalKeyExchange)
	return bytes.Clone(n.Data), ok
}

// keyOf returns a copy of the public value in a message, which must be of a group.
func keyOf(chain []wire.Payload, g suite.Group) ([]byte, error) {
	p, ok := wire.Find(chain, wire.PayloadKE2)
	if !ok {
		return nil, ErrMalformed
	}
	ke, err := wire.ConsumeKeyExchange2(p.Body)
	if err != nil {
		return nil, malformed(err)
	}
	if ke.Group != uint16(g) {
		return nil, ErrMalformed
	}
	return bytes.Clone(ke.Data), nil
}
