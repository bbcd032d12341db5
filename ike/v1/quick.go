package v1

import (
	"bytes"
	"io"
	"net/netip"

	"github.com/culvert-vpn/culvert/ike/suite"
	"github.com/culvert-vpn/culvert/ike/wire"
)

// Quick is phase 2 in quick mode (RFC 2409, section 5.5; NAT-OA is RFC 3947,
// section 5.2):
//
//	     Initiator                                     Responder
//	1    HDR*, HASH(1), SA, Ni, [KE,] IDci, IDcr,
//	           [NAT-OA, NAT-OA]               -->
//	2                                         <--      HDR*, HASH(2), SA, Nr, [KE,]
//	                                                   IDci, IDcr, [NAT-OA, NAT-OA]
//	3    HDR*, HASH(3)                        -->
type Quick struct {
	sa        *SA
	thread    thread
	initiator bool
	state     quickState
	rand      io.Reader
	config    QuickConfig // initiator only
	offer     wire.SA     // the initiator's
	request   Request
	choice    suite.ESPChoice
	spi       [4]byte // ours, inbound
	reply     []netip.Addr
	ni, nr    []byte
	key       *suite.PrivateKey
	public    []byte // ours, with PFS
	gxy       []byte
	child     Child
}

// quickState is what a Quick waits for.
type quickState uint8

const (
	// makeQuickKey: initiator with PFS, our public value is being computed.
	makeQuickKey quickState = iota
	// waitQM2: initiator, message 1 is out.
	waitQM2
	// shareQuick: the shared secret of PFS is being computed.
	shareQuick
	// choosing: responder, message 1 is authentic and the owner decides.
	choosing
	// waitQM3: responder, message 2 is out; the child SA receives already.
	waitQM3
	// quickDone: the child SA stands.
	quickDone
)

func (q *Quick) setState(s quickState) { q.state = s }

// Request is what message 1 asks for.
type Request struct {
	IDci, IDcr wire.ID      // what is to be protected
	HasIDs     bool         // false: everything between the peers themselves
	NATOA      []netip.Addr // original addresses of initiator and responder
	PFS        bool         // message 1 carries a public value

	ke []byte
}

// Child is a pair of ESP SAs as agreed. Its owner zeroes the keys.
type Child struct {
	In, Out       [4]byte
	ESP           suite.ESP
	KeyIn, KeyOut ChildKeys
	Request       Request // IDs and original addresses as the exchange had them
	// NATOA are the addresses that the peer sent: with us as responder those of
	// the request, with us as initiator those of the answer.
	NATOA []netip.Addr
}

// ChildKeys are the keys of one direction.
type ChildKeys struct{ Encryption, Integrity []byte }

// Zero overwrites the keys of both directions.
func (c *Child) Zero() {
	for _, k := range []ChildKeys{c.KeyIn, c.KeyOut} {
		clear(k.Encryption)
		clear(k.Integrity)
	}
}

// Request is what the initiator asked for.
func (q *Quick) Request() Request { return q.request }

// Child is the result, once message 2 is made (responder) or verified
// (initiator).
func (q *Quick) Child() Child { return q.child }

// Close overwrites the secrets of the exchange, but not the child's keys, which
// have their own owner.
func (q *Quick) Close() {
	clear(q.gxy)
	if q.key != nil {
		q.key.Zero()
		q.key = nil
	}
}

// Input takes a message of the exchange. body is what follows its header.
func (q *Quick) Input(h wire.Header, body []byte) (Outcome, error) {
	if h.Exchange != wire.ExchangeQuick || h.MessageID != q.thread.id {
		return Outcome{}, ErrState
	}
	switch q.state {
	case waitQM2:
		return q.handleQM2(h, body)
	case waitQM3:
		return q.handleQM3(h, body)
	}
	return Outcome{}, ErrState
}

// Computed takes the result of a computation.
func (q *Quick) Computed(result any) (Outcome, error) {
	a, ok := result.(*agreement)
	if !ok {
		return Outcome{}, ErrCompute
	}
	if a.err != nil {
		return Outcome{}, a.err
	}
	switch {
	case q.state == makeQuickKey:
		q.key, q.public = a.key, a.public
		return q.sendQM1()
	case q.state == shareQuick && q.initiator:
		q.gxy = a.shared
		return q.sendQM3()
	case q.state == shareQuick:
		q.key, q.public, q.gxy = a.key, a.public, a.shared
		return q.sendQM2()
	}
	a.zero()
	return Outcome{}, ErrState
}

// addIDs adds the payloads that follow the key exchange in messages 1 and 2.
func (q *Quick) addIDs(m *wire.Message, oa []netip.Addr) {
	if q.request.HasIDs {
		m.Add(q.request.IDci)
		m.Add(q.request.IDcr)
	}
	for _, a := range oa {
		m.Add(wire.NATOA{Type: q.sa.Features.NATT.natOA(), Addr: a})
	}
}

// readRequest takes the payloads that messages 1 and 2 have in common out of a
// chain: SA first, a nonce, perhaps KE, IDs and NAT-OA.
func readRequest(chain []wire.Payload) (sa wire.SA, nonce []byte, r Request, err error) {
	if len(chain) == 0 || chain[0].Type != wire.PayloadSA {
		return sa, nil, r, ErrPayloads
	}
	if sa, err = wire.ConsumeSA(bytes.Clone(chain[0].Body)); err != nil {
		return sa, nil, r, err
	}
	for _, p := range chain[1:] {
		if nonce, err = r.read(p, nonce); err != nil {
			return sa, nil, r, err
		}
	}
	ids := wire.Count(chain, wire.PayloadID)
	if nonce == nil || ids != 0 && ids != 2 || wire.Count(chain, wire.PayloadSA) > 1 {
		return sa, nil, r, ErrPayloads
	}
	r.HasIDs = ids == 2
	return sa, nonce, r, nil
}

// read takes one payload. Unknown ones are passed over.
func (r *Request) read(p wire.Payload, nonce []byte) ([]byte, error) {
	switch {
	case p.Type == wire.PayloadNonce:
		n, err := wire.ConsumeNonce(p.Body)
		return bytes.Clone(n), err
	case p.Type == wire.PayloadKE:
		r.PFS, r.ke = true, bytes.Clone(p.Body)
	case p.Type == wire.PayloadID:
		id, err := wire.ConsumeID(bytes.Clone(p.Body))
		if err != nil {
			return nil, err
		}
		if r.IDci.Type == 0 {
			r.IDci = id
		} else {
			r.IDcr = id
		}
	case wire.IsNATOA(p.Type) && len(r.NATOA) < 2:
		n, err := wire.ConsumeNATOA(p.Type, p.Body)
		if err != nil {
			return nil, err
		}
		r.NATOA = append(r.NATOA, n.Addr)
	}
	return nonce, nil
}

// makeChild derives the keys of both directions, each under the SPI that its
// receiver chose.
func (q *Quick) makeChild(natoa []netip.Addr) {
	h, d := q.sa.Choice.Hash, q.sa.keys.d
	in := keymat(h, d, q.gxy, q.spi, q.ni, q.nr, q.choice.KeymatLen())
	out := keymat(h, d, q.gxy, q.choice.SPI, q.ni, q.nr, q.choice.KeymatLen())
	n := q.choice.EncryptionKeyLen()
	q.child = Child{
		In: q.spi, Out: q.choice.SPI, ESP: q.choice.ESP,
		KeyIn:   ChildKeys{Encryption: in[:n:n], Integrity: in[n:]},
		KeyOut:  ChildKeys{Encryption: out[:n:n], Integrity: out[n:]},
		Request: q.request, NATOA: natoa,
	}
	q.request.ke = nil
}

// hash3 is "HASH(3) = prf(SKEYID_a, 0 | M-ID | Ni_b | Nr_b)".
func (q *Quick) hash3() []byte {
	return q.sa.Choice.Hash.PRF(q.sa.keys.a, []byte{0}, be32(uint32(q.thread.id)), q.ni, q.nr)
}
