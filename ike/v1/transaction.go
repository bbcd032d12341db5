package v1

import "github.com/culvert-vpn/culvert/ike/wire"

// Transaction is one exchange of attributes under an ISAKMP SA
// (draft-dukes-ike-mode-cfg-02, section 3.1): a request and a reply, or a set and
// an acknowledgement. Extended authentication is made of both.
//
//	Initiator                    Responder
//	HDR*, HASH, ATTR     -->
//	                     <--     HDR*, HASH, ATTR
//
// "HASH = prf(SKEYID_a, M-ID | ISAKMP attribute payload)", in both directions.
type Transaction struct {
	thread   thread
	finished bool
}

// StartTransaction begins an exchange and returns its first message. id must be
// new under the SA.
func StartTransaction(sa *SA, id wire.MessageID, c wire.ModeConfig) (*Transaction, []byte) {
	t := &Transaction{thread: sa.thread(id)}
	return t, t.say(c)
}

// AnswerTransaction takes the first message of an exchange that the peer began,
// whose body is decrypted in place; what it returns borrows from it. Answer goes on.
func AnswerTransaction(sa *SA, h wire.Header, body []byte) (*Transaction, wire.ModeConfig, error) {
	t := &Transaction{thread: sa.thread(h.MessageID)}
	c, err := t.read(h, body)
	return t, c, err
}

// Answer returns the second message.
func (t *Transaction) Answer(c wire.ModeConfig) []byte {
	t.finished = true
	return t.say(c)
}

// Input takes the second message of an exchange that we began. What it returns
// borrows from body, which is decrypted in place.
func (t *Transaction) Input(h wire.Header, body []byte) (wire.ModeConfig, error) {
	if t.finished || h.Exchange != wire.ExchangeTransaction || h.MessageID != t.thread.id {
		return wire.ModeConfig{}, ErrState
	}
	c, err := t.read(h, body)
	t.finished = err == nil
	return c, err
}

func (t *Transaction) say(c wire.ModeConfig) []byte {
	m := t.thread.start(wire.ExchangeTransaction)
	at := m.Add(wire.Hash(make([]byte, t.thread.sa.Choice.Hash.Size())))
	m.Add(c)
	return t.thread.sealHashed(m, at)
}

func (t *Transaction) read(h wire.Header, body []byte) (wire.ModeConfig, error) {
	o, err := t.thread.open(h, body)
	if err != nil {
		return wire.ModeConfig{}, err
	}
	if err := t.thread.verify(o); err != nil {
		return wire.ModeConfig{}, err
	}
	p, ok := wire.Find(o.chain, wire.PayloadMode)
	if !ok {
		return wire.ModeConfig{}, ErrPayloads
	}
	return wire.ConsumeModeConfig(p.Body)
}
