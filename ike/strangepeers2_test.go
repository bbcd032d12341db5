package ike

import (
	"bytes"
	"crypto/x509"
	"net/netip"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/ike/auth"
	"github.com/culvert-vpn/culvert/ike/wire"
)

// Peers that read the RFCs in another way than the clients of phones do.

// TestV2PSSIsAnsweredByPSS: whoever signs by RSASSA-PSS is answered so: libreswan with
// authby=rsa-sha2 takes nothing else, and RFC 8247, section 3.2.1, demands it. Others are
// answered as before, for Android does not take PSS.
func TestV2PSSIsAnsweredByPSS(t *testing.T) {
	ca := newAuthority(t, "ca")
	client := ca.issueRSA(t, "alice", x509.ExtKeyUsageClientAuth, nil)
	server := signedCandidate(t, "acme", ca)
	for _, pss := range []bool{true, false} {
		r := newRogue(t, Config{Candidates: only(server)}, rogueSuite)
		r.begin(wire.Uint16Notify(wire.Notify2SignatureHashAlgorithms, auth.HashAlgorithms()...))
		id := wire.ID2{Type: wire.IDDERASN1DN, Data: client.Chain[0].RawSubject}
		octets := auth.Octets{Message: r.init[0], Nonce: r.nr, ID: id.AppendBody(nil), PRF: r.suite.PRF, SKp: r.keys.Pi}
		proof, err := auth.Sign(stream("sig"), client.Signer, octets.Bytes(), auth.SignPolicy{Hashes: []auth.HashAlgorithm{auth.HashSHA256}, PSS: pss})
		if err != nil {
			t.Fatal(err)
		}
		cert := wire.Cert2{Encoding: wire.CertX509Signature, Data: client.Chain[0].Raw}
		chain := r.ask(wire.ExchangeAuth, append([]wire.Body{id, cert, proof}, wishes(1)...)...)
		p, ok := wire.Find(chain, wire.PayloadAuth)
		if !ok {
			t.Fatalf("PSS %v: %v %v", pss, chain, r.n.failed)
		}
		answer, _ := wire.ConsumeAuth(p.Body)
		if answer.Method != wire.AuthDigital || auth.UsesPSS(answer) != pss {
			t.Errorf("PSS %v is answered by method %v with %x", pss, answer.Method, answer.Data[:min(20, len(answer.Data))])
		}
		idR, _ := wire.Find(chain, wire.PayloadIDr)
		octets = auth.Octets{Message: r.init[1], Nonce: r.ni, ID: idR.Body, PRF: r.suite.PRF, SKp: r.keys.Pr}
		if err := auth.VerifySignature(server.Certificate.Chain[0].PublicKey, answer, octets.Bytes()); err != nil {
			t.Errorf("PSS %v: %v", pss, err)
		}
		r.wantUp(1)
		r.wantEmpty()
	}
}

// TestV2ChildlessIsGivenItsAddress: a client that makes its child SA later (RFC 6023;
// strongSwan's childless=force) is told its address with IKE_AUTH, as it asked, and the child
// SA is for it. If there is none, it is told that.
func TestV2ChildlessIsGivenItsAddress(t *testing.T) {
	r := mustRogue(t, Config{Candidates: psk("acme", "secret", nil)})
	chain := r.ask(wire.ExchangeAuth, append(r.proof("secret"), wishes(1)[0])...)
	p, ok := wire.Find(chain, wire.PayloadCP)
	if !ok {
		t.Fatalf("no configuration in %v", chain)
	}
	c, err := wire.ConsumeConfig(p.Body)
	if err != nil || c.Type != wire.ConfigReply || len(c.Attributes) == 0 || !bytes.Equal(c.Attributes[0].Value, []byte{10, 9, 0, 2}) {
		t.Fatalf("%+v %v", c, err)
	}
	chain = r.create(childWish(1, 0, "10.9.0.2/32")...)
	if p, ok = wire.Find(chain, wire.PayloadTSi); !ok {
		t.Fatalf("no child SA: %v %v", chain, r.n.failed)
	}
	ts, _ := wire.ConsumeTS(wire.PayloadTSi, p.Body)
	if len(ts.List) != 1 || ts.List[0].Start != netip.MustParseAddr("10.9.0.2") || ts.List[0].End != ts.List[0].Start {
		t.Errorf("the child SA is for %v", ts.List)
	}
	r.wantUp(1)
	r.wantEmpty()

	r = mustRogue(t, Config{Candidates: psk("acme", "secret", nil)})
	r.n.grant = func(Assign) Assignment { return Assignment{OK: true, NoAddress: true, Detail: "pool exhausted"} }
	r.wantNotify(r.ask(wire.ExchangeAuth, append(r.proof("secret"), wishes(1)[0])...), wire.Notify2InternalAddressFailure)
	r.wantEmpty()
}

// TestV2UnspecifiedAddressIsAny: "the address that you give me" is 0.0.0.0 alone to
// OpenIKED (`from dynamic`), and :: in IPv6. It stands for all beside a request for an
// address, and for nothing without.
func TestV2UnspecifiedAddressIsAny(t *testing.T) {
	for _, x := range []struct {
		name string
		own  []string
		ask  bool
		want int // selectors of the answer; 0: refused
	}{
		{"IPv4", []string{"0.0.0.0/32"}, true, 1},
		{"both families", []string{"0.0.0.0/32", "::/128"}, true, 2},
		{"another's address beside it", []string{"::/128", "10.9.0.3/32"}, true, 1},
		{"another's address", []string{"10.9.0.3/32"}, true, 0},
		{"without asking for an address", []string{"0.0.0.0/32"}, false, 0},
	} {
		t.Run(x.name, func(t *testing.T) {
			r := mustRogue(t, Config{Candidates: psk("acme", "secret", nil)})
			list := wishes(1)
			own := wire.TS{}
			for _, p := range x.own {
				own.List = append(own.List, wire.PrefixSelector(netip.MustParsePrefix(p), 0, 0))
			}
			all := wire.TS{Responder: true, List: []wire.TrafficSelector{wire.PrefixSelector(netip.MustParsePrefix("0.0.0.0/0"), 0, 0),
				wire.PrefixSelector(netip.MustParsePrefix("::/0"), 0, 0)}}
			list[2], list[3] = own, all
			if !x.ask {
				list = list[1:]
			}
			chain := r.ask(wire.ExchangeAuth, append(r.proof("secret"), list...)...)
			p, ok := wire.Find(chain, wire.PayloadTSi)
			if !ok {
				if r.wantNotify(chain, wire.Notify2TSUnacceptable); x.want != 0 {
					t.Errorf("refused: %v", r.n.failed)
				}
				return
			}
			ts, _ := wire.ConsumeTS(wire.PayloadTSi, p.Body)
			if len(ts.List) != x.want {
				t.Errorf("the child SA is for %v", ts.List)
			}
			for _, s := range ts.List {
				if a := s.Start; s.End != a || a != netip.MustParseAddr("10.9.0.2") && a != netip.MustParseAddr("2001:db8::2") {
					t.Errorf("the child SA is for %v", ts.List)
				}
			}
			r.wantUp(1)
			r.wantEmpty()
		})
	}
}

// TestV2MobikeOfOthers: a peer that returns COOKIE2 only beside NAT_DETECTION_*, as
// libreswan does, is believed; one that never returns it stays where it says it is, not
// believed, and is not asked without end.
func TestV2MobikeOfOthers(t *testing.T) {
	for name, returns := range map[string]bool{"libreswan": true, "one that knows no COOKIE2": false} {
		t.Run(name, func(t *testing.T) {
			r := mustRogue(t, Config{Candidates: psk("acme", "secret", nil)})
			mobike := wire.Notify2{Type: wire.Notify2MobikeSupported}
			r.ask(wire.ExchangeAuth, append(append(r.proof("secret"), mobike), wishes(1)...)...)
			r.wantUp(1)
			r.path.Remote = netip.MustParseAddrPort("198.51.100.77:4500")
			r.ask(wire.ExchangeInformational2, wire.Notify2{Type: wire.Notify2UpdateSAAddresses})
			asked := map[wire.MessageID]bool{}
			for range 30 {
				r.answerLikeLibreswan(asked, returns)
				r.wait(10 * time.Second)
			}
			if len(asked) == 0 || len(asked) > 12 {
				t.Errorf("%d questions in 5 minutes", len(asked))
			}
			m, ok := r.n.events[len(r.n.events)-1].(Moved)
			if !ok || m.Path.Remote != r.path.Remote || m.Unproven == returns {
				t.Errorf("at last: %+v", r.n.events[len(r.n.events)-1])
			}
			r.wantUp(1)
			r.wantEmpty()
		})
	}
}

// answerLikeLibreswan answers the server's requests: those with COOKIE2 by it, if it comes
// with NAT_DETECTION_*, and if returns says so. It notes which these were.
func (r *rogue) answerLikeLibreswan(asked map[wire.MessageID]bool, returns bool) {
	r.t.Helper()
	got := r.got
	r.got = nil
	for _, msg := range got {
		h, _, err := wire.ConsumeHeader(msg)
		if err != nil || h.Flags&wire.FlagResponse != 0 {
			continue
		}
		e, inner, err := r.open.Open(bytes.Clone(msg))
		if err != nil {
			r.t.Fatal(err)
		}
		chain, _ := wire.ParsePayloads([]wire.Payload{}, wire.V2, e.First, inner)
		var answer []wire.Body
		c, cookie := notifyOf(chain, wire.Notify2Cookie2)
		_, source := notifyOf(chain, wire.Notify2NATDetectionSource)
		_, destination := notifyOf(chain, wire.Notify2NATDetectionDestination)
		if cookie && source && destination && returns {
			answer = append(answer, wire.Notify2{Type: c.Type, Data: bytes.Clone(c.Data)})
		}
		if cookie {
			asked[h.MessageID] = true
		}
		r.respond(h, answer...)
	}
}
