package v1

import (
	"bytes"
	"io"
	"net/netip"

	"github.com/culvert-vpn/culvert/ike/suite"
	"github.com/culvert-vpn/culvert/ike/wire"
)

// AnswerQuick takes message 1, whose body is decrypted in place. The caller looks
// at Request and goes on with Choose and Reply.
func AnswerQuick(sa *SA, rand io.Reader, h wire.Header, body []byte) (*Quick, error) {
	q := &Quick{sa: sa, thread: sa.thread(h.MessageID), rand: rand, state: choosing}
	o, err := q.thread.open(h, body)
	if err != nil {
		return nil, err
	}
	if err := q.thread.verify(o); err != nil {
		return nil, err
	}
	q.offer, q.ni, q.request, err = readRequest(o.chain)
	return q, err
}

// Choose picks from the offer what policy likes best. KeyExchange of the policy
// is set here.
func (q *Quick) Choose(policy suite.ESPPolicy) error {
	policy.KeyExchange = q.request.PFS
	choice, err := suite.SelectESP(q.offer, policy)
	if err != nil {
		return err
	}
	if q.request.PFS && len(q.request.ke) != choice.Group.PublicLen() {
		return suite.ErrPublicValue
	}
	q.choice = choice
	return nil
}

// Reply answers with our inbound SPI and, if the request had some, with the
// original addresses as we see them: the initiator's and ours.
func (q *Quick) Reply(spi [4]byte, natoa []netip.Addr) (Outcome, error) {
	if q.state != choosing {
		return Outcome{}, ErrState
	}
	var err error
	if q.nr, err = random(q.rand, 32); err != nil {
		return Outcome{}, err
	}
	q.spi, q.reply = spi, natoa
	if !q.request.PFS {
		return q.sendQM2()
	}
	compute, err := computeKey(q.rand, q.choice.Group)
	if err != nil {
		return Outcome{}, err
	}
	public := bytes.Clone(q.request.ke)
	q.setState(shareQuick)
	return Outcome{Compute: func() any {
		a := compute()
		a.share(public)
		return a
	}}, nil
}

// sendQM2 answers. The SA payload carries the chosen transform exactly as it was
// offered, under its own proposal number.
func (q *Quick) sendQM2() (Outcome, error) {
	m := q.thread.start(wire.ExchangeQuick)
	at := m.Add(wire.Hash(make([]byte, q.sa.Choice.Hash.Size())))
	m.Add(q.choice.AnswerSPI(q.spi))
	m.Add(wire.Nonce(q.nr))
	if q.request.PFS {
		m.Add(wire.KeyExchange(q.public))
	}
	q.addIDs(m, q.reply)
	q.makeChild(q.request.NATOA)
	q.setState(waitQM3)
	return Outcome{Send: q.thread.sealHashed(m, at, q.ni)}, nil
}

// handleQM3 takes the initiator's proof that it has the keys.
func (q *Quick) handleQM3(h wire.Header, body []byte) (Outcome, error) {
	o, err := q.thread.open(h, body)
	if err != nil {
		return Outcome{}, err
	}
	if err := q.thread.verifyHash(o, q.hash3()); err != nil {
		return Outcome{}, err
	}
	q.setState(quickDone)
	q.Close()
	return Outcome{Done: true}, nil
}
