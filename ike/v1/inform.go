package v1

import (
	"github.com/culvert-vpn/culvert/ike/wire"
)

// Inform returns a protected informational message with the payloads
// (RFC 2409, section 5.7). id must be new under the SA.
func (sa *SA) Inform(id wire.MessageID, payloads ...wire.Body) []byte {
	t := sa.thread(id)
	m := t.start(wire.ExchangeInformational)
	at := m.Add(wire.Hash(make([]byte, sa.Choice.Hash.Size())))
	for _, p := range payloads {
		m.Add(p)
	}
	return t.sealHashed(m, at)
}

// OpenInform decrypts the body of an informational message in place and returns
// its payloads, which are authentic and borrow from body.
func (sa *SA) OpenInform(h wire.Header, body []byte) ([]wire.Payload, error) {
	t := sa.thread(h.MessageID)
	o, err := t.open(h, body)
	if err != nil {
		return nil, err
	}
	return o.chain, t.verify(o)
}

// Refusal returns an unprotected notification, the answer to a message before
// there are keys (RFC 2408, section 4.8).
func Refusal(i, r wire.Cookie, id wire.MessageID, why wire.NotifyType) []byte {
	m := wire.StartMessage(nil, wire.Header{
		Initiator: i, Responder: r, Version: wire.V1, Exchange: wire.ExchangeInformational, MessageID: id,
	})
	m.Add(wire.Notify{DOI: wire.DOIIPsec, Protocol: wire.ProtocolISAKMP, SPI: wire.CookieSPI(i, r), Type: why})
	return m.Finish()
}

// DeleteESP is the payload that deletes the child SAs on which we receive with
// these SPIs.
func DeleteESP(spis ...[4]byte) wire.Delete {
	d := wire.Delete{DOI: wire.DOIIPsec, Protocol: wire.ProtocolESP, SPISize: 4}
	for _, s := range spis {
		d.SPIs = append(d.SPIs, s[:]...)
	}
	return d
}

// DeleteSelf is the payload that deletes this ISAKMP SA.
func (sa *SA) DeleteSelf() wire.Delete {
	return wire.Delete{DOI: wire.DOIIPsec, Protocol: wire.ProtocolISAKMP, SPISize: 16,
		SPIs: wire.CookieSPI(sa.Initiator, sa.Responder)}
}

// AreYouThere is a question or an answer of dead peer detection (RFC 3706,
// section 5).
func (sa *SA) AreYouThere(kind wire.NotifyType, sequence uint32) wire.Notify {
	return wire.Notify{DOI: wire.DOIIPsec, Protocol: wire.ProtocolISAKMP,
		SPI: wire.CookieSPI(sa.Initiator, sa.Responder), Type: kind, Data: be32(sequence)}
}
