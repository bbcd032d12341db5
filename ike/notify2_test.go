package ike

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/ike/suite"
	"github.com/culvert-vpn/culvert/ike/wire"
)

// The errors of RFC 7296, each by what must bring it about.

// server2 is a server with a key.
func server2() Config { return Config{Candidates: psk("acme", "secret", nil)} }

// unknown is a payload of a type that nobody knows.
type unknown struct{}

func (unknown) PayloadType() wire.PayloadType { return 200 }
func (unknown) AppendBody(dst []byte) []byte  { return append(dst, "whatever"...) }

// critical sets the critical flag of the payload whose header begins at n.
func critical(msg []byte, n int) []byte {
	msg[n+1] |= 0x80
	return msg
}

// TestV2UnknownVersion: "it MUST drop the message and SHOULD send an
// unauthenticated Notify message of type INVALID_MAJOR_VERSION containing the
// highest (closest) version number it supports" (section 2.5).
func TestV2UnknownVersion(t *testing.T) {
	r := newRogue(t, server2(), rogueSuite)
	msg := r.hello()
	msg[17] = 0x30
	if err := r.give(msg); !errors.Is(err, ErrVersion) || len(r.got) != 1 {
		t.Fatalf("%v, %d answers", err, len(r.got))
	}
	h, chain := r.parse(r.got[0])
	if r.wantNotify(chain, wire.Notify2InvalidMajorVersion); h.Version != wire.V2 || h.Flags != wire.FlagResponse || h.Initiator != r.i {
		t.Errorf("%+v", h)
	}
	if msg[19] |= byte(wire.FlagResponse); r.give(msg) == nil || len(r.got) != 1 {
		t.Error("an answer is answered")
	}
	// "MUST ignore ... minor version numbers" (section 2.5).
	if r.begin(); r.keys == nil {
		t.Fatal("no keys")
	}
	minor := newRogue(t, server2(), rogueSuite)
	msg = minor.hello()
	msg[17] = 0x2f
	if err := minor.give(msg); err != nil {
		t.Errorf("a minor version is refused: %v", err)
	}
	r.wantEmpty()
}

// TestV2UnknownSPI: "if a packet arrives with an unrecognized IKE SPI ... it MAY
// send an Informational ... without cryptographic protection ... as a response"
// (section 1.5), and "MUST NOT ... in response to" one itself.
func TestV2UnknownSPI(t *testing.T) {
	r := mustRogue(t, server2())
	r.login("secret")
	r.r[0] ^= 1
	had := len(r.got)
	msg := r.sealed(wire.ExchangeInformational2, 7)
	if err := r.give(msg); !errors.Is(err, ErrUnknownSA) || len(r.got) != had+1 {
		t.Fatalf("%v, %d answers", err, len(r.got)-had)
	}
	h, chain := r.parse(r.got[had])
	if r.wantNotify(chain, wire.Notify2InvalidIKESPI); h.MessageID != 7 || h.Exchange != wire.ExchangeInformational2 || h.Flags != wire.FlagResponse ||
		h.Initiator != r.i || h.Responder != r.r || len(r.got[had]) > len(msg) {
		t.Errorf("%+v, %d bytes", h, len(r.got[had]))
	}
	for range 1000 {
		_ = r.give(msg)
	}
	if n := len(r.got) - had; n > maxHints {
		t.Errorf("%d answers to a flood", n)
	}
	had = len(r.got)
	r.now = r.now.Add(time.Minute)
	if msg[19] |= byte(wire.FlagResponse); r.give(msg) == nil || len(r.got) != had {
		t.Error("an answer is answered")
	}
	if r.r[0] ^= 1; len(r.n.children) != 1 {
		t.Errorf("%d child SAs", len(r.n.children))
	}
	r.wantUp(1)
	r.wantEmpty()
}

// TestV2HintsAreNotBelieved: what an unprotected notify says ends nothing: "MUST
// NOT ... affect the state of any existing SAs" (section 2.21.4).
func TestV2HintsAreNotBelieved(t *testing.T) {
	p := newPair(t, 1, Config{V2: true, Candidates: psk("acme", "secret", nil)})
	p.dial(dialV2("secret"))
	in := wantOneChild(t, p)
	h, _, _ := wire.ConsumeHeader(p.client.sent[len(p.client.sent)-1])
	for _, kind := range []wire.Notify2Type{wire.Notify2InvalidIKESPI, wire.Notify2InvalidSPI, wire.Notify2AuthenticationFailed, wire.Notify2InvalidSyntax} {
		for id := range wire.MessageID(4) {
			m := wire.StartMessage(nil, wire.Header{Initiator: h.Initiator, Responder: h.Responder, Version: wire.V2,
				Exchange: wire.ExchangeInformational2, Flags: wire.FlagResponse, MessageID: id})
			m.Add(wire.Notify2{Type: kind})
			if err := p.client.s.Input(p.now, Path{Local: clientNATT, Remote: serverNATT, NATT: true}, m.Finish()); err == nil {
				t.Errorf("%v is taken", kind)
			}
		}
	}
	p.run(time.Minute, nil)
	if wantOneChild(t, p) != in {
		t.Error("renewed")
	}
	p.closeAll()
}

// TestV2CriticalPayload: "the message MUST be rejected and the response ... MUST
// include a Notify payload UNSUPPORTED_CRITICAL_PAYLOAD"; without the flag "it MUST
// be ignored" (section 2.5).
func TestV2CriticalPayload(t *testing.T) {
	r := newRogue(t, server2(), rogueSuite)
	plain := r.hello(unknown{})
	if err := r.give(critical(plain, len(plain)-12)); !errors.Is(err, ErrMalformed) || len(r.got) != 1 {
		t.Fatalf("%v, %d answers", err, len(r.got))
	}
	_, chain := r.parse(r.got[0])
	if n := r.wantNotify(chain, wire.Notify2UnsupportedCriticalPayload); !bytes.Equal(n.Data, []byte{200}) {
		t.Errorf("%x", n.Data)
	}
	if n := r.n.s.Stats(); n.HalfOpen+n.IKEs != 0 {
		t.Errorf("%+v", n)
	}
	if r.begin(unknown{}); r.keys == nil {
		t.Fatal("a payload that is not critical is not ignored")
	}
	r.login("secret")
	var c wire.Chain
	c.Add(unknown{})
	n := r.wantNotify(r.askRaw(r.sealedRaw(wire.ExchangeInformational2, r.next, c.First(), critical(c.Bytes(), 0))), wire.Notify2UnsupportedCriticalPayload)
	if !bytes.Equal(n.Data, []byte{200}) {
		t.Errorf("%x", n.Data)
	}
	if answer := r.ask(wire.ExchangeInformational2, unknown{}); answer == nil || len(answer) != 0 {
		t.Errorf("%v", answer)
	}
	r.wantUp(1)
	r.wantEmpty()
}

// TestV2InvalidSyntax: an authentic request that is badly formatted is answered
// with INVALID_SYNTAX, and "the IKE SA is deleted without needing an explicit
// Delete payload" (section 2.21.3). What was not authentic ends nothing.
func TestV2InvalidSyntax(t *testing.T) {
	nonce := wire.Nonce2(bytes.Repeat([]byte{3}, 32))
	wish := childWish(2, 0, "10.9.0.2/32")
	bad := map[string]func(r *rogue) []byte{
		"no payloads at all": func(r *rogue) []byte {
			return r.sealedRaw(wire.ExchangeInformational2, r.next, wire.PayloadNotify2, []byte{0, 0, 0, 99, 1})
		},
		"a payload that is cut": func(r *rogue) []byte {
			return r.sealedRaw(wire.ExchangeCreateChild, r.next, wire.PayloadSA2, []byte{0, 0, 0, 7, 1, 1, 1})
		},
		"no SA":            func(r *rogue) []byte { return r.sealed(wire.ExchangeCreateChild, r.next, nonce) },
		"no nonce":         func(r *rogue) []byte { return r.sealed(wire.ExchangeCreateChild, r.next, wish...) },
		"no selectors":     func(r *rogue) []byte { return r.sealed(wire.ExchangeCreateChild, r.next, wish[0], nonce) },
		"no such exchange": func(r *rogue) []byte { return r.sealed(99, r.next) },
		"a short nonce": func(r *rogue) []byte {
			return r.sealed(wire.ExchangeCreateChild, r.next, append([]wire.Body{wire.Nonce2("short")}, wish...)...)
		},
		"a renewal without a key exchange": func(r *rogue) []byte {
			return r.sealed(wire.ExchangeCreateChild, r.next, suite.OfferIKE2(bytes.Repeat([]byte{1}, 8), []suite.IKE2Proposal{r.offer.Proposal()}), nonce)
		},
		"a public value that is none": func(r *rogue) []byte {
			list := append(childWish(2, suite.GroupECP256, "10.9.0.2/32"), nonce, wire.KeyExchange2{Group: uint16(suite.GroupECP256), Data: make([]byte, 64)})
			return r.sealed(wire.ExchangeCreateChild, r.next, list...)
		},
		"a public value that is too short": func(r *rogue) []byte {
			list := append(childWish(2, suite.GroupX25519, "10.9.0.2/32"), nonce, wire.KeyExchange2{Group: uint16(suite.GroupX25519), Data: make([]byte, 31)})
			return r.sealed(wire.ExchangeCreateChild, r.next, list...)
		},
	}
	for name, make := range bad {
		t.Run(name, func(t *testing.T) {
			r := mustRogue(t, server2())
			r.login("secret")
			msg := make(r)
			forged := bytes.Clone(msg)
			forged[len(forged)-1] ^= 1
			if err := r.give(forged); !errors.Is(err, ErrAuth) {
				t.Errorf("forged: %v", err)
			}
			r.wantUp(1)
			r.wantNotify(r.askRaw(make(r)), wire.Notify2InvalidSyntax)
			r.wantDown()
		})
	}
}

// TestV2RefusedChildren: the errors of CREATE_CHILD_SA, none of which touches what
// stands.
func TestV2RefusedChildren(t *testing.T) {
	strange := suite.ESP2{ESPSuite: suite.ESPSuite{Encryption: suite.EncBlowfish, KeyBits: 128, Integrity: suite.IntegSHA1}}
	c := server2()
	c.Limits.Children = 3
	r := mustRogue(t, c)
	r.login("secret")
	own := "10.9.0.2/32"
	// Section 1.3: "NO_PROPOSAL_CHOSEN", "TS_UNACCEPTABLE", "INVALID_KE_PAYLOAD".
	r.wantNotify(r.create(append([]wire.Body{suite.OfferESP2([4]byte{9, 9, 9, 2}, []suite.ESP2Proposal{strange.Proposal()})}, childWish(2, 0, own)[1:]...)...), wire.Notify2NoProposalChosen)
	r.wantNotify(r.create(childWish(2, 0, "10.9.0.3/32")...), wire.Notify2TSUnacceptable)
	n := r.wantNotify(r.create(childWish(2, suite.GroupECP384, own)...), wire.Notify2InvalidKEPayload)
	if !bytes.Equal(n.Data, []byte{0, byte(suite.GroupECP384)}) {
		t.Errorf("another group is wanted: %x", n.Data)
	}
	// "If a peer receives a request to rekey a Child SA that does not exist, it
	// SHOULD send CHILD_SA_NOT_FOUND", with the SPI (section 2.25.1).
	for _, protocol := range []wire.ProtocolID{wire.ProtocolESP, wire.ProtocolAH} {
		renew := wire.Notify2{Protocol: protocol, SPI: []byte{5, 5, 5, 5}, Type: wire.Notify2RekeySA}
		n = r.wantNotify(r.create(append([]wire.Body{renew}, childWish(2, 0, own)...)...), wire.Notify2ChildSANotFound)
		if n.Protocol != protocol || !bytes.Equal(n.SPI, renew.SPI) {
			t.Errorf("%+v", n)
		}
	}
	r.wantUp(1)
	// Section 1.3: "NO_ADDITIONAL_SAS".
	for spi := range byte(2) {
		if answer := r.create(childWish(10+spi, 0, own)...); len(answer) == 1 {
			t.Fatalf("%v", answer)
		}
	}
	r.wantNotify(r.create(childWish(13, 0, own)...), wire.Notify2NoAdditionalSAs)
	r.wantUp(3)
	r.wantEmpty()
}

// TestV2TemporaryFailure: what cannot be done while another exchange is under way
// is answered with TEMPORARY_FAILURE (section 2.25), and can be done afterwards.
func TestV2TemporaryFailure(t *testing.T) {
	r := mustRogue(t, server2())
	r.login("secret")
	hybrid, err := suite.ParseIKE2Suite(rogueSuite + "-mlkem768")
	if err != nil {
		t.Fatal(err)
	}
	nonce := wire.Nonce2(bytes.Repeat([]byte{3}, 32))
	offer := suite.OfferIKE2([]byte{8, 8, 8, 8, 8, 8, 8, 8}, []suite.IKE2Proposal{hybrid.Proposal()})
	key, err := suite.GroupX25519.GenerateKey(stream("renewal"))
	if err != nil {
		t.Fatal(err)
	}
	ke := wire.KeyExchange2{Group: uint16(suite.GroupX25519), Data: key.Public()}
	link := r.wantNotify(r.ask(wire.ExchangeCreateChild, offer, nonce, ke), wire.Notify2AdditionalKeyExchange)
	if len(r.n.s.spis) != 2 {
		t.Fatalf("%d SPIs", len(r.n.s.spis))
	}
	// What is half done is dropped when the peer begins something else.
	if answer := r.create(childWish(2, 0, "10.9.0.2/32")...); len(answer) < 4 || len(r.n.s.spis) != 1 {
		t.Fatalf("%v, %d SPIs", answer, len(r.n.s.spis))
	}
	kem, err := suite.GroupMLKEM768.GenerateKey(stream("kem"))
	if err != nil {
		t.Fatal(err)
	}
	follow := wire.KeyExchange2{Group: uint16(suite.GroupMLKEM768), Data: kem.Public()}
	r.wantNotify(r.ask(wire.ExchangeFollowupKE, follow, wire.Notify2{Type: wire.Notify2AdditionalKeyExchange, Data: link.Data}), wire.Notify2StateNotFound)
	r.wantUp(2)
	// It is not kept for ever.
	r.wantNotify(r.ask(wire.ExchangeCreateChild, offer, nonce, ke), wire.Notify2AdditionalKeyExchange)
	r.wait(2 * time.Minute)
	if len(r.n.s.spis) != 1 {
		t.Errorf("%d SPIs", len(r.n.s.spis))
	}
	link = r.wantNotify(r.ask(wire.ExchangeCreateChild, offer, nonce, ke), wire.Notify2AdditionalKeyExchange)
	if answer := r.ask(wire.ExchangeFollowupKE, follow, wire.Notify2{Type: wire.Notify2AdditionalKeyExchange, Data: link.Data}); len(answer) != 1 || answer[0].Type != wire.PayloadKE2 {
		t.Fatalf("%v", answer)
	}
	// The SA has a successor now: "TEMPORARY_FAILURE" (section 2.25.2).
	r.wantNotify(r.create(childWish(3, 0, "10.9.0.2/32")...), wire.Notify2TemporaryFailure)
	r.wantEmpty()
}

// TestV2BadFollowups: another key exchange, a malformed one, another link.
func TestV2BadFollowups(t *testing.T) {
	espName := "aes128gcm16-curve25519-mlkem768"
	e, err := suite.ParseESP2(espName)
	if err != nil {
		t.Fatal(err)
	}
	key, err := suite.GroupX25519.GenerateKey(stream("child"))
	if err != nil {
		t.Fatal(err)
	}
	wish := childWish(2, 0, "10.9.0.2/32")
	wish[0] = suite.OfferESP2([4]byte{9, 9, 9, 2}, []suite.ESP2Proposal{e.Proposal()})
	wish = append(wish, wire.KeyExchange2{Group: uint16(suite.GroupX25519), Data: key.Public()})
	for name, x := range map[string]struct {
		ke   wire.KeyExchange2
		link bool
		want wire.Notify2Type
	}{
		"another method":      {wire.KeyExchange2{Group: uint16(suite.GroupX25519), Data: key.Public()}, true, wire.Notify2InvalidSyntax},
		"of the wrong length": {wire.KeyExchange2{Group: uint16(suite.GroupMLKEM768), Data: make([]byte, 1183)}, true, wire.Notify2InvalidSyntax},
		"no key of ML-KEM":    {wire.KeyExchange2{Group: uint16(suite.GroupMLKEM768), Data: bytes.Repeat([]byte{255}, 1184)}, true, wire.Notify2InvalidSyntax},
		"another link":        {wire.KeyExchange2{Group: uint16(suite.GroupMLKEM768), Data: make([]byte, 1184)}, false, wire.Notify2StateNotFound},
	} {
		r := mustRogue(t, server2())
		r.login("secret")
		link := r.wantNotify(r.create(wish...), wire.Notify2AdditionalKeyExchange)
		if len(r.n.children) != 1 {
			t.Fatalf("%s: a child SA before all key exchanges are over", name)
		}
		if !x.link {
			link.Data = []byte("another")
		}
		r.wantNotify(r.ask(wire.ExchangeFollowupKE, x.ke, wire.Notify2{Type: wire.Notify2AdditionalKeyExchange, Data: link.Data}), x.want)
		if down := len(r.n.closed) == 1; down != (x.want == wire.Notify2InvalidSyntax) {
			t.Errorf("%s: closed %v", name, r.n.closed)
		}
		r.wantEmpty()
	}
}
