package v2

import (
	"fmt"
	"slices"

	"github.com/culvert-vpn/culvert/ike/suite"
	"github.com/culvert-vpn/culvert/ike/wire"
)

// Request is an IKE_SA_INIT request that has been read and of which nothing is
// kept yet.
type Request struct {
	Path     Path
	Proven   bool // it brings a cookie back: its sender is where it seems to be
	header   wire.Header
	raw      []byte // borrowed
	offer    wire.SA2
	ke       wire.KeyExchange2
	nonce    []byte
	cookie   []byte
	features features
}

// ParseRequest reads an IKE_SA_INIT request. msg is borrowed as long as the
// Request is used. One with a critical payload that nobody here knows has an answer
// all the same: "the response ... MUST include a Notify payload
// UNSUPPORTED_CRITICAL_PAYLOAD" (RFC 7296, section 2.5).
func ParseRequest(p Path, h wire.Header, msg []byte) (*Request, []byte, error) {
	chain, err := wire.ParsePayloads(nil, wire.V2, h.Next, msg[wire.HeaderLen:h.Length])
	if err != nil {
		return nil, nil, malformed(err)
	}
	if h.Flags&(wire.FlagInitiator|wire.FlagResponse) != wire.FlagInitiator || h.MessageID != 0 || h.Initiator.IsZero() {
		return nil, nil, ErrMalformed
	}
	q := &Request{Path: p, header: h, raw: msg[:h.Length]}
	if t, found := wire.UnknownCritical(chain); found {
		n := wire.Notify2{Type: wire.Notify2UnsupportedCriticalPayload, Data: []byte{byte(t)}}
		return nil, q.refusal(n), fmt.Errorf("%w: critical payload %v", ErrMalformed, t)
	}
	if err := q.read(chain); err != nil {
		return nil, nil, err
	}
	q.features = readFeatures(chain)
	return q, nil, nil
}

// read takes the payloads that there must be.
func (q *Request) read(chain []wire.Payload) (err error) {
	sa, hasSA := wire.Find(chain, wire.PayloadSA2)
	ke, hasKE := wire.Find(chain, wire.PayloadKE2)
	nonce, hasNonce := wire.Find(chain, wire.PayloadNonce2)
	if !hasSA || !hasKE || !hasNonce {
		return fmt.Errorf("%w: SA, KE or nonce is missing", ErrMalformed)
	}
	if q.offer, err = wire.ConsumeSA2(sa.Body); err != nil {
		return malformed(err)
	}
	if q.ke, err = wire.ConsumeKeyExchange2(ke.Body); err != nil {
		return malformed(err)
	}
	if q.nonce, err = consumeNonce(nonce.Body); err != nil {
		return malformed(err)
	}
	if n, ok := findNotify(chain, wire.Notify2Cookie); ok {
		q.cookie = n.Data
	}
	return nil
}

// Redirectable reports whether the sender can be sent to another gateway.
func (q *Request) Redirectable() bool { return q.features.redirectable() }

// refusal is an answer after which nothing is kept: the responder's SPI is zero.
func (q *Request) refusal(payloads ...wire.Body) []byte {
	h := q.header
	h.Responder, h.Flags, h.Version = wire.Cookie{}, wire.FlagResponse, wire.V2
	return plain(h, payloads)
}

// Refuse answers that nothing in the offer is acceptable.
func (q *Request) Refuse() []byte {
	return q.refusal(wire.Notify2{Type: wire.Notify2NoProposalChosen})
}

// Redirect answers that another gateway is to be asked: an address, or a name
// (RFC 5685, section 3). It repeats the nonce, so that nobody else can.
func (q *Request) Redirect(gateway string) []byte {
	return q.refusal(wire.Notify2{Type: wire.Notify2Redirect, Data: append(gatewayData(gateway), q.nonce...)})
}

// Unprotected is the answer to a request for which there is no SA here: it copies
// the SPIs and the message ID (RFC 7296, section 2.21.4).
func Unprotected(h wire.Header, n wire.Notify2Type) []byte {
	h.Version, h.Flags = wire.V2, wire.FlagResponse|^h.Flags&wire.FlagInitiator
	return plain(h, []wire.Body{notify(n)})
}

// plain is a message that nothing protects.
func plain(h wire.Header, payloads []wire.Body) []byte {
	m := wire.StartMessage(nil, h)
	for _, p := range payloads {
		m.Add(p)
	}
	return m.Finish()
}

// consumeNonce copies a nonce.
func consumeNonce(b []byte) ([]byte, error) {
	n, err := wire.ConsumeNonce2(b)
	return slices.Clone([]byte(n)), err
}

// findNotify returns the first notify of type t.
func findNotify(chain []wire.Payload, t wire.Notify2Type) (wire.Notify2, bool) {
	for _, p := range chain {
		if p.Type != wire.PayloadNotify2 {
			continue
		}
		if n, err := wire.ConsumeNotify2(p.Body); err == nil && n.Type == t {
			return n, true
		}
	}
	return wire.Notify2{}, false
}

// findError returns the first notify that reports an error.
func findError(chain []wire.Payload) (wire.Notify2, bool) {
	for _, p := range chain {
		if p.Type != wire.PayloadNotify2 {
			continue
		}
		if n, err := wire.ConsumeNotify2(p.Body); err == nil && n.Type.IsError() {
			return n, true
		}
	}
	return wire.Notify2{}, false
}

// notify is a notify without data.
func notify(t wire.Notify2Type) wire.Notify2 { return wire.Notify2{Type: t} }

func malformed(err error) error { return wrapped{ErrMalformed, err} }

// Acceptable reports whether a policy would find something in the offer.
func (q *Request) Acceptable(p suite.IKE2Policy) bool {
	_, err := suite.SelectIKE2(q.offer, p)
	return err == nil
}
