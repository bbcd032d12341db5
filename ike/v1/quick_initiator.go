package v1

import (
	"io"
	"net/netip"

	"github.com/culvert-vpn/culvert/ike/suite"
	"github.com/culvert-vpn/culvert/ike/wire"
)

// QuickConfig is what an initiator of phase 2 says.
type QuickConfig struct {
	Rand       io.Reader
	ID         wire.MessageID // new under the SA
	Offer      wire.SA
	SPI        [4]byte // of our inbound SA, as in Offer
	NonceLen   int
	PFS        suite.Group // as in Offer; GroupNone without
	IDci, IDcr wire.ID
	NATOA      []netip.Addr // our address and the peer's; nil: not sent
}

// StartQuick begins a quick mode: with message 1, or with the computation that
// precedes it.
func StartQuick(sa *SA, c QuickConfig) (*Quick, Outcome, error) {
	if len(c.Offer.Proposals) == 0 {
		return nil, Outcome{}, ErrOffer
	}
	q := &Quick{sa: sa, thread: sa.thread(c.ID), initiator: true, rand: c.Rand, config: c, offer: c.Offer, spi: c.SPI,
		request: Request{IDci: c.IDci, IDcr: c.IDcr, HasIDs: true, NATOA: c.NATOA, PFS: c.PFS != suite.GroupNone}}
	if !q.request.PFS {
		o, err := q.sendQM1()
		return q, o, err
	}
	compute, err := computeKey(c.Rand, c.PFS)
	if err != nil {
		return nil, Outcome{}, err
	}
	q.setState(makeQuickKey)
	return q, Outcome{Compute: func() any { return compute() }}, nil
}

func (q *Quick) sendQM1() (Outcome, error) {
	var err error
	if q.ni, err = random(q.rand, q.config.NonceLen); err != nil {
		return Outcome{}, err
	}
	m := q.thread.start(wire.ExchangeQuick)
	at := m.Add(wire.Hash(make([]byte, q.sa.Choice.Hash.Size())))
	m.Add(q.offer)
	m.Add(wire.Nonce(q.ni))
	if q.request.PFS {
		m.Add(wire.KeyExchange(q.public))
	}
	q.addIDs(m, q.config.NATOA)
	q.setState(waitQM2)
	return Outcome{Send: q.thread.sealHashed(m, at)}, nil
}

// handleQM2 takes the answer. Its IDs may differ from ours: behind a NAT, and
// with Microsoft's servers, they do in transport mode. In tunnel mode some servers narrow
// what we asked for (strongSwan does), and name the rest only when they renew it.
func (q *Quick) handleQM2(h wire.Header, body []byte) (Outcome, error) {
	o, err := q.thread.open(h, body)
	if err != nil {
		return Outcome{}, err
	}
	before := q.thread.iv
	if err := q.thread.verify(o, q.ni); err != nil {
		return Outcome{}, err
	}
	answer, nonce, r, err := readRequest(o.chain)
	if err == nil && r.PFS != q.request.PFS {
		err = ErrAnswer
	}
	if err == nil {
		q.choice, err = suite.AcceptESP(q.offer, answer)
	}
	if err != nil {
		q.thread.iv = before
		return Outcome{}, err
	}
	q.nr, q.child.NATOA = nonce, r.NATOA
	q.narrow(r)
	if !q.request.PFS {
		return q.sendQM3()
	}
	a := &agreement{key: q.key.Take(), public: q.public}
	q.setState(shareQuick)
	return Outcome{Compute: func() any { a.share(r.ke); return a }}, nil
}

// narrow keeps the traffic of the answer if it is a part of what we asked for.
func (q *Quick) narrow(r Request) {
	if !q.choice.Encapsulation.IsTransport() && r.HasIDs && q.request.IDci.Covers(r.IDci) && q.request.IDcr.Covers(r.IDcr) {
		q.request.IDci, q.request.IDcr = r.IDci, r.IDcr
	}
}

func (q *Quick) sendQM3() (Outcome, error) {
	q.makeChild(q.child.NATOA)
	m := q.thread.start(wire.ExchangeQuick)
	m.Add(wire.Hash(q.hash3()))
	q.setState(quickDone)
	q.Close()
	return Outcome{Send: q.thread.seal(m), Done: true}, nil
}
