package ike

import (
	"bytes"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/ike/suite"
	"github.com/culvert-vpn/culvert/ike/v1"
	"github.com/culvert-vpn/culvert/ike/wire"
)

// words are payloads for an initiator without manners to make messages of, each
// well-formed by itself.
func (r *rogue) words(key string) []wire.Body {
	x25519, _ := suite.GroupX25519.GenerateKey(stream("word"))
	kem, _ := suite.GroupMLKEM768.GenerateKey(stream("word"))
	proof, wish := r.proof(key), wishes(4)
	hybrid, _ := suite.ParseIKE2Suite(rogueSuite + "-mlkem768")
	e, _ := suite.ParseESP2("aes128gcm16-curve25519-mlkem768")
	words := []wire.Body{
		proof[0], proof[1], wish[0], wish[1], wish[2], wish[3], wire.Nonce2(bytes.Repeat([]byte{3}, 32)),
		wire.KeyExchange2{Group: uint16(suite.GroupX25519), Data: x25519.Public()},
		wire.KeyExchange2{Group: uint16(suite.GroupMLKEM768), Data: kem.Public()},
		suite.OfferIKE2([]byte{8, 8, 8, 8, 8, 8, 8, 8}, []suite.IKE2Proposal{r.offer.Proposal()}),
		suite.OfferIKE2([]byte{7, 8, 8, 8, 8, 8, 8, 8}, []suite.IKE2Proposal{hybrid.Proposal()}),
		suite.OfferESP2([4]byte{9, 9, 9, 5}, []suite.ESP2Proposal{e.Proposal()}),
		childWish(6, suite.GroupX25519, "10.9.0.2/32")[0], childWish(6, 0, "10.9.0.2/32")[1],
		wire.Delete2{Protocol: wire.ProtocolIKE}, wire.Delete2{Protocol: wire.ProtocolESP, SPISize: 4, SPIs: []byte{9, 9, 9, 4, 1, 2, 3, 4}},
		wire.Notify2{Type: wire.Notify2RekeySA, Protocol: wire.ProtocolESP, SPI: []byte{9, 9, 9, 4}},
		wire.EAP([]byte{2, 1, 0, 10, 1, 'a', 'l', 'i', 'c', 'e'}), wire.EAP([]byte{3, 1, 0, 4}),
		wire.CertRequest2{Encoding: wire.CertX509Signature}, wire.Cert2{Encoding: wire.CertX509Signature, Data: []byte("none")}, unknown{},
		wire.Auth{Method: wire.AuthShared, Data: make([]byte, 32)}, wire.Auth{Method: wire.AuthDigital, Data: []byte{1, 2, 3}},
	}
	if link, ok := r.lastLink(); ok {
		words = append(words, link)
	}
	for _, t := range []wire.Notify2Type{wire.Notify2UseTransportMode, wire.Notify2MobikeSupported, wire.Notify2UpdateSAAddresses,
		wire.Notify2Cookie2, wire.Notify2InvalidSyntax, wire.Notify2AuthenticationFailed, wire.Notify2Redirect, wire.Notify2PPKIdentity,
		wire.Notify2InitialContact, wire.Notify2NoNATsAllowed, wire.Notify2AdditionalKeyExchange} {
		words = append(words, wire.Notify2{Type: t, Data: []byte("data data")})
	}
	return words
}

// lastLink is the newest ADDITIONAL_KEY_EXCHANGE of the server.
func (r *rogue) lastLink() (wire.Notify2, bool) {
	for n := len(r.got) - 1; n >= 0; n-- {
		e, inner, err := r.open.Open(bytes.Clone(r.got[n]))
		if err != nil {
			continue
		}
		if chain, err := wire.ParsePayloads(nil, wire.V2, e.First, inner); err == nil {
			if link, ok := notifyOf(chain, wire.Notify2AdditionalKeyExchange); ok {
				return link, true
			}
		}
	}
	return wire.Notify2{}, false
}

// FuzzV2Orders: a peer that has agreed on keys says well-formed things in any
// order. Without the pre-shared key it gets no SA; with it it gets one for its own
// address only; and of neither anything stays.
func FuzzV2Orders(f *testing.F) {
	login := []byte{0, 6, 0, 1, 2, 3, 4, 5}
	f.Add(byte(1), login)
	f.Add(byte(0), login)
	f.Add(byte(1), append(bytes.Clone(login), 1, 4, 3, 4, 13, 6, 1, 5, 10, 6, 7, 8, 3, 2, 2, 24, 8, 2, 1, 14))
	f.Add(byte(1), append(bytes.Clone(login), 1, 6, 11, 4, 13, 6, 7, 16, 3, 2, 24, 8, 2, 1, 15, 200, 9, 1, 3, 9, 6, 7))
	f.Add(byte(2), []byte{0, 3, 0, 4, 2, 0, 1, 17, 0, 1, 18, 0, 1, 1, 4, 2, 1, 2})
	f.Fuzz(func(t *testing.T, kind byte, script []byte) {
		if len(script) > 300 {
			return
		}
		c := Config{Candidates: only(Candidate{Tenant: "acme", PSK: []byte("secret"), Policy: &Policy{Rekey: true, ChildLifetime: 40 * time.Second, DPD: 20 * time.Second}})}
		r := mustRogue(t, c)
		key := "guess"
		if kind&1 == 1 {
			key = "secret"
		}
		r.say(script, key)
		if key == "guess" && (len(r.n.up) > 0 || len(r.n.children) > 0) {
			t.Fatal("an SA without authentication")
		}
		for _, e := range r.n.events {
			if i, ok := e.(Installed); ok && !i.Child.Transport && (len(i.Child.RemoteTraffic) != 1 || i.Child.RemoteTraffic[0].From != i.Child.RemoteTraffic[0].To) {
				t.Fatalf("an SA for %v", i.Child.RemoteTraffic)
			}
		}
		if n := len(r.n.children); n > 16 {
			t.Fatalf("%d child SAs", n)
		}
		r.wantEmpty()
	})
}

// say runs a script: of each message the exchange, the number of payloads, and
// them.
func (r *rogue) say(script []byte, key string) {
	exchanges := []wire.ExchangeType{wire.ExchangeAuth, wire.ExchangeCreateChild, wire.ExchangeInformational2, wire.ExchangeFollowupKE,
		wire.ExchangeIntermediate, wire.ExchangeSAInit, 99}
	for len(script) > 1 {
		op, count := script[0], int(script[1]%12)
		script = script[2:]
		words := r.words(key)
		var list []wire.Body
		for ; count > 0 && len(script) > 0; count-- {
			list = append(list, words[int(script[0])%len(words)])
			script = script[1:]
		}
		id := r.next + wire.MessageID(op>>6) // mostly the right one
		msg := r.sealed(exchanges[int(op&7)%len(exchanges)], id, list...)
		switch op >> 3 & 7 {
		case 7:
			r.wait(time.Duration(count+1) * 11 * time.Second)
		case 6:
			msg[len(msg)-1] ^= 1
		case 5:
			_ = r.give(msg) // it comes twice
		}
		had := len(r.got)
		_ = r.give(msg)
		for _, answer := range r.got[had:] {
			if h, _, err := wire.ConsumeHeader(answer); err == nil && h.Flags&wire.FlagResponse != 0 && h.MessageID == r.next {
				r.next++
				break
			}
		}
	}
}

// FuzzV1Orders does the same with IKEv1, where the keys are made of the pre-shared
// key: both sides begin phases, renew, delete and notify at any time, and messages
// come again, changed, late or never.
func FuzzV1Orders(f *testing.F) {
	f.Add(uint64(1), []byte{0, 1, 2, 3, 40, 50, 60, 70, 200})
	f.Add(uint64(2), []byte{9, 17, 2, 10, 18, 26, 34, 42, 50, 58, 255})
	f.Add(uint64(4), []byte{0, 8, 0, 4, 5, 6, 0, 12, 13, 20, 0, 28, 29, 0})
	f.Fuzz(func(t *testing.T, seed uint64, script []byte) {
		if len(script) > 100 {
			return
		}
		p := newPair(t, seed, Config{Candidates: psk("acme", "secret", fast()), Limits: Limits{Children: 6, IKEs: 4}})
		c := dialConfig("secret")
		if seed%2 == 1 {
			c.PSK = []byte("guess")
		}
		id, err := p.client.s.Dial(p.now, c)
		if err != nil {
			t.Fatal(err)
		}
		var kept []packet
		p.filter = func(from *node, data []byte) bool {
			k := packet{to: p.server, data: bytes.Clone(data), path: Path{Local: serverNATT, Remote: clientNATT, NATT: true}}
			if from == p.server {
				k.to, k.path = p.client, Path{Local: clientNATT, Remote: serverNATT, NATT: true}
			}
			kept = append(kept, k)
			return true
		}
		for _, op := range script {
			p.fuzzStep(id, op, kept)
			if op&3 == 3 {
				p.informAnything(op)
			}
		}
		p.run(time.Minute, nil)
		if seed%2 == 1 && len(p.server.up)+len(p.client.up)+len(p.server.children)+len(p.client.children) > 0 {
			t.Fatal("an SA without authentication")
		}
		if st := p.server.s.Stats(); st.Children > 6 || st.IKEs > 8 {
			t.Fatalf("%+v", st)
		}
		p.filter = nil
		p.closeAll()
	})
}

// informAnything has both sides say something, well protected, that may not be so.
func (p *pair) informAnything(op byte) {
	for _, n := range []*node{p.client, p.server} {
		for _, peer := range n.s.peers {
			i := peer.current()
			if i == nil {
				continue
			}
			named := SPI(0x100 + uint32(op))
			if len(peer.children) > 0 && op&4 == 0 {
				named = peer.children[0].in
			}
			array := named.bytes()
			spi := array[:]
			switch op >> 3 & 3 {
			case 0:
				i.inform(v1.DeleteESP(array))
			case 1:
				i.inform(wire.Notify{DOI: wire.DOIIPsec, Protocol: wire.ProtocolISAKMP, SPI: wire.CookieSPI(i.key.i, i.key.r), Type: wire.NotifyInitialContact})
			case 2:
				i.inform(wire.Notify{DOI: wire.DOIIPsec, Protocol: wire.ProtocolESP, SPI: spi, Type: wire.NotifyType(op)})
			case 3:
				i.inform(wire.Notify{DOI: wire.DOIIPsec, Protocol: wire.ProtocolISAKMP, SPI: spi, Type: wire.NotifyNoProposalChosen})
			}
		}
		p.drain(n)
	}
}
