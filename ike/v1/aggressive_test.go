package v1

import (
	"bytes"
	"errors"
	"testing"

	"github.com/culvert-vpn/culvert/ike/suite"
	"github.com/culvert-vpn/culvert/ike/wire"
)

// groupDial is a dial by aggressive mode with one transform.
func groupDial() InitiatorConfig {
	c := initiator("secret", rfc3947, wire.VendorDPD.ID(1, 0))
	p := suite.Own()
	p.IKE = p.IKE[:1]
	c.Offer, c.InitialContact = p.OfferIKE(), true
	c.Identity = wire.ID{Type: wire.IDKeyID, Data: []byte("sales")}
	return c
}

// answerGroup answers message 1 with a key.
func answerGroup(msg []byte, psk string, p suite.IKEPolicy) (*Phase1, []byte, error) {
	h, body, err := wire.ConsumeHeader(bytes.Clone(msg))
	if err != nil {
		return nil, nil, err
	}
	m, out, err := AnswerAggressive(AggressiveConfig{Rand: stream("r"), Policy: p, Identity: wire.AddrID(server.Addr(), 0, 0),
		Ends: Ends{Local: server, Remote: client, HideRemote: true}, Key: func(wire.ID) []byte { return []byte(psk) }}, h, body)
	if err != nil {
		return nil, nil, err
	}
	out, err = m.Computed(out.Compute())
	return m, out.Send, err
}

// startGroup sends message 1.
func startGroup(t *testing.T) (*Phase1, []byte) {
	t.Helper()
	m, out, err := StartAggressive(groupDial())
	if err != nil {
		t.Fatal(err)
	}
	if out, err = m.Computed(out.Compute()); err != nil {
		t.Fatal(err)
	}
	return m, out.Send
}

func plainTypes(t *testing.T, msg []byte) []wire.Payload {
	t.Helper()
	h, body := split(t, msg)
	chain, err := wire.ParsePayloads(nil, h.Version, h.Next, body)
	if err != nil || h.Exchange != wire.ExchangeAggressive {
		t.Fatal(err)
	}
	return chain
}

// again is a payload that was read, to be written as it was.
type again wire.Payload

func (a again) PayloadType() wire.PayloadType { return a.Type }
func (a again) AppendBody(dst []byte) []byte  { return append(dst, a.Body...) }

// TestAggressiveMode goes through the messages of RFC 2409, section 5.4, with the
// NAT-D payloads of RFC 3947.
func TestAggressiveMode(t *testing.T) {
	i, m1 := startGroup(t)
	wantTypes(t, "message 1", plainTypes(t, m1), wire.PayloadSA, wire.PayloadKE, wire.PayloadNonce, wire.PayloadID,
		wire.PayloadVendorID, wire.PayloadVendorID)
	r, m2, err := answerGroup(m1, "secret", policy)
	if err != nil {
		t.Fatal(err)
	}
	wantTypes(t, "message 2", plainTypes(t, m2), wire.PayloadSA, wire.PayloadKE, wire.PayloadNonce, wire.PayloadID, wire.PayloadHash,
		wire.PayloadVendorID, wire.PayloadVendorID, wire.PayloadNATD, wire.PayloadNATD)
	if r.Answered() {
		t.Error("the initiator's address is not real yet")
	}
	h, body := split(t, m2)
	out, err := input(i, h, body, Ends{})
	if err != nil || !out.Done || !out.Float {
		t.Fatal(out, err)
	}
	m3 := out.Send
	h, body = split(t, m3)
	if h.Flags&wire.FlagEncryption == 0 {
		t.Error("message 3 is in clear")
	}
	if out, err = r.Input(h, body, Ends{}); err != nil || !out.Search || !r.Answered() {
		t.Fatal(out, err)
	}
	if try(r, "secret") {
		t.Error("the key is known already")
	}
	if out, err = r.Accept(wire.ID{}, nil); err != nil || !out.Done || out.Send != nil {
		t.Fatal(out, err)
	}
	a, b := i.SA(), r.SA()
	if !bytes.Equal(a.keys.d, b.keys.d) || !bytes.Equal(a.last, b.last) || !a.Aggressive || a.Features.NATT != NATTRFC || !b.Features.DPD {
		t.Errorf("%+v, %+v", a.Features, b.Features)
	}
	if !r.InitialContact() || r.Identity().String() != `ID_KEY_ID "sales"` {
		t.Error(r.Identity())
	}
	if !bytes.Equal(r.dial.PSK, make([]byte, 6)) || !bytes.Equal(i.dial.PSK, make([]byte, 6)) {
		t.Error("a key is left")
	}
}

// TestAggressivePlain: message 3 may come in clear, and then says only who wrote it.
func TestAggressivePlain(t *testing.T) {
	i, m1 := startGroup(t)
	r, m2, err := answerGroup(m1, "secret", policy)
	if err != nil {
		t.Fatal(err)
	}
	h, body := split(t, m2)
	if _, err := input(i, h, body, Ends{}); err != nil {
		t.Fatal(err)
	}
	msg := i.start(0)
	msg.Add(wire.Hash(r.proofOf(true, r.peerID).Hash(r.choice.Hash, r.skeyid)))
	msg.Add(wire.Notify{DOI: wire.DOIIPsec, Protocol: wire.ProtocolISAKMP, SPI: wire.CookieSPI(i.i, i.r), Type: wire.NotifyInitialContact})
	first := bytes.Clone(r.thread.iv)
	h, body = split(t, msg.Finish())
	if out, err := r.Input(h, body, Ends{}); err != nil || !out.Search {
		t.Fatal(err)
	}
	if _, err := r.Accept(wire.ID{}, nil); err != nil || r.InitialContact() || !bytes.Equal(r.SA().last, first) || r.SA().Features.NATT != NATTNone {
		t.Errorf("%v, %+v", err, r.SA().Features)
	}
}

// TestAggressiveTampered: whatever of message 1 is changed, the sides do not agree, or
// the responder does not answer.
func TestAggressiveTampered(t *testing.T) {
	_, m1 := startGroup(t)
	end := bytes.Index(m1, rfc3947) - 4 // vendor IDs are not authenticated
	for n := range end {
		if n >= 8 && n < wire.HeaderLen || n == bytes.Index(m1, []byte("sales"))-8 {
			continue // of the header, only the cookie is, and not what follows the ID
		}
		i, same := startGroup(t)
		if !bytes.Equal(same, m1) {
			t.Fatal("another message 1")
		}
		bad := bytes.Clone(m1)
		bad[n] ^= 0x10
		r, m2, err := answerGroup(bad, "secret", policy)
		if err != nil {
			continue
		}
		h, body := split(t, m2)
		out, err := input(i, h, body, Ends{})
		if err != nil {
			continue
		}
		h, body = split(t, out.Send)
		if _, err := r.Input(h, body, Ends{}); err == nil {
			t.Errorf("byte %d changed, and the sides agree", n)
		}
	}
}

// TestAggressiveRefuses what cannot be answered.
func TestAggressiveRefuses(t *testing.T) {
	_, m1 := startGroup(t)
	chain := plainTypes(t, m1)
	without := func(drop wire.PayloadType) []byte {
		h, _ := split(t, m1)
		msg := wire.StartMessage(nil, h)
		for _, p := range chain {
			if p.Type != drop {
				msg.Add(again(p))
			}
		}
		return msg.Finish()
	}
	for _, drop := range []wire.PayloadType{wire.PayloadSA, wire.PayloadKE, wire.PayloadNonce, wire.PayloadID} {
		if _, _, err := answerGroup(without(drop), "secret", policy); !errors.Is(err, ErrPayloads) {
			t.Errorf("without %v: %v", drop, err)
		}
	}
	h, _ := split(t, m1)
	msg := wire.StartMessage(nil, h)
	for _, p := range chain {
		if p.Type == wire.PayloadID {
			p.Body = append(p.Body, make([]byte, maxIdentity)...)
		}
		msg.Add(again(p))
	}
	if _, _, err := answerGroup(msg.Finish(), "secret", policy); !errors.Is(err, ErrTooLong) {
		t.Errorf("a long name: %v", err)
	}
	modp := suite.IKEPolicy{Suites: []suite.IKESuite{{Encryption: suite.EncAESCBC, KeyBits: 256, Hash: suite.HashSHA256, Group: suite.GroupMODP2048}},
		Auth: []suite.AuthMethod{suite.AuthPSK}}
	if _, _, err := answerGroup(m1, "secret", modp); !errors.Is(err, suite.ErrNoProposal) {
		t.Errorf("another group than KE's: %v", err)
	}
	mixed := groupDial()
	p := suite.Own()
	mixed.Offer = p.OfferIKE()
	if _, _, err := StartAggressive(mixed); !errors.Is(err, ErrOffer) {
		t.Errorf("an offer of several groups: %v", err)
	}
}

// TestAggressiveGroup: of an offer with several groups what has that of KE is chosen,
// however much we would like another.
func TestAggressiveGroup(t *testing.T) {
	_, m1 := startGroup(t)
	h, _ := split(t, m1)
	msg := wire.StartMessage(nil, h)
	for n, p := range plainTypes(t, m1) {
		if n == 0 {
			persona := suite.Own()
			msg.Add(persona.OfferIKE())
			continue
		}
		msg.Add(again(p))
	}
	likes := func(g suite.Group) suite.IKESuite {
		return suite.IKESuite{Encryption: suite.EncAESCBC, KeyBits: 256, Hash: suite.HashSHA256, Group: g}
	}
	p := suite.IKEPolicy{Suites: []suite.IKESuite{likes(suite.GroupECP256), likes(suite.GroupX25519)}, Auth: []suite.AuthMethod{suite.AuthPSK}}
	r, _, err := answerGroup(msg.Finish(), "secret", p)
	if err != nil || r.choice.Group != suite.GroupX25519 {
		t.Error(err)
	}
}

// TestAggressiveWrongKey: neither side takes the other for who it is.
func TestAggressiveWrongKey(t *testing.T) {
	i, m1 := startGroup(t)
	r, m2, err := answerGroup(m1, "another", policy)
	if err != nil {
		t.Fatal(err)
	}
	h, body := split(t, m2)
	if _, err := input(i, h, body, Ends{}); !errors.Is(err, ErrAuth) {
		t.Error(err)
	}
	msg := r.start(0)
	msg.Add(wire.Hash(make([]byte, 32)))
	h, body = split(t, msg.Finish())
	if _, err := r.Input(h, body, Ends{}); !errors.Is(err, ErrAuth) {
		t.Error(err)
	}
	if _, err := r.Accept(wire.ID{}, nil); !errors.Is(err, ErrState) {
		t.Error(err)
	}
}
