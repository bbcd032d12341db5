package ike

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/ike/suite"
	"github.com/culvert-vpn/culvert/ike/wire"
)

// mainOffer is the first message of a main mode that offers one suite n times, of which
// nothing is acceptable unless good, and announces some vendors that nobody knows.
func mainOffer(n int, good bool, vendors int) []byte {
	t := suite.IKE{IKESuite: suite.IKESuite{Encryption: suite.EncAESCBC, KeyBits: 256, Hash: suite.HashSHA256, Group: suite.GroupX25519}, Auth: suite.AuthPSK}
	if !good {
		t.Group, t.Hash = 1, 1
	}
	var list []suite.IKE
	for range n {
		list = append(list, t)
	}
	order := []suite.Field{suite.FieldEncryption, suite.FieldKeyLength, suite.FieldHash, suite.FieldGroup, suite.FieldAuth}
	m := wire.StartMessage(nil, wire.Header{Initiator: wire.Cookie{1}, Version: wire.V1, Exchange: wire.ExchangeMain})
	m.Add(suite.OfferIKE(list, suite.Layout{Order: order}))
	for k := range vendors {
		m.Add(wire.VendorID(bytes.Repeat([]byte{byte(k)}, 16)))
	}
	return m.Finish()
}

// initOffer is an IKE_SA_INIT that offers n transforms with one group, and has a public
// value of another where that is asked for.
func initOffer(n int, group, sent suite.Group) []byte {
	list := []wire.Transform2{{Type: wire.TransformPRF, ID: 5}, {Type: wire.TransformKE, ID: uint16(group)}}
	for k := len(list); k < n; k++ {
		if k%2 == 0 {
			list = append(list, wire.Transform2{Type: wire.TransformENCR, ID: 12, Attributes: wire.Attributes{0x80, 14, 1, 0}})
		} else {
			list = append(list, wire.Transform2{Type: wire.TransformINTEG, ID: 12})
		}
	}
	m := wire.StartMessage(nil, wire.Header{Initiator: wire.Cookie{1}, Version: wire.V2, Exchange: wire.ExchangeSAInit, Flags: wire.FlagInitiator})
	m.Add(wire.SA2{Proposals: []wire.Proposal2{{Number: 1, Protocol: wire.ProtocolIKE, Transforms: list}}})
	m.Add(wire.KeyExchange2{Group: uint16(sent), Data: make([]byte, max(sent.PublicLen(), 128))})
	m.Add(wire.Nonce2(bytes.Repeat([]byte{7}, 16)))
	return m.Finish()
}

// flood gives a node a first message, each time as another exchange from another
// address, one every gap.
type flood struct {
	n    *node
	sent int
	gap  time.Duration
}

func (f *flood) give(msg []byte) error {
	m := bytes.Clone(msg)
	f.sent++
	binary.BigEndian.PutUint64(m, uint64(f.sent))
	from := netip.AddrFrom4([4]byte{10, byte(f.sent >> 16), byte(f.sent >> 8), byte(f.sent)})
	err := f.n.s.Input(start.Add(time.Duration(f.sent)*f.gap), Path{Local: serverIKE, Remote: netip.AddrPortFrom(from, 500)}, m)
	return err
}

// garbage is how many bytes of heap one message costs, of many.
func (f *flood) garbage(msg []byte) float64 {
	const rounds = 500
	for range 300 { // the lines of the log are used up
		_ = f.give(msg)
	}
	drainAll(f.n)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range rounds {
		_ = f.give(msg)
		drainAll(f.n)
	}
	runtime.ReadMemStats(&after)
	return float64(after.TotalAlloc-before.TotalAlloc) / rounds
}

// TestRefusingIsNoDearer: an offer in which nothing is acceptable costs no more memory
// than one that is taken, and long ones cost in proportion to their length.
func TestRefusingIsNoDearer(t *testing.T) {
	for _, legacy := range []bool{false, true} {
		c := Config{V2: true, Candidates: psk("acme", "secret", &Policy{Legacy: legacy})}
		cost := func(msg []byte) float64 { return (&flood{n: newNode(t, "s", c)}).garbage(msg) }
		taken := cost(mainOffer(1, true, 0))
		for name, msg := range map[string][]byte{
			"main mode, one transform":              mainOffer(1, false, 0),
			"main mode, 40":                         mainOffer(40, false, 0),
			"main mode, 128":                        mainOffer(128, false, 0),
			"main mode, 60 vendors":                 mainOffer(1, false, 60),
			"main mode, 255":                        mainOffer(255, false, 0),
			"IKE_SA_INIT, unknown group":            initOffer(4, 1, 1),
			"IKE_SA_INIT, unknown group, 128":       initOffer(128, 1, 1),
			"IKE_SA_INIT, other group sent":         initOffer(4, suite.GroupX25519, suite.GroupECP256),
			"IKE_SA_INIT, other group sent, 128":    initOffer(128, suite.GroupX25519, suite.GroupECP256),
			"IKE_SA_INIT, unknown group, 255":       initOffer(255, 1, 1),
			"IKE_SA_INIT, taken, 128 transforms":    initOffer(128, suite.GroupX25519, suite.GroupX25519),
			"IKE_SA_INIT, taken, 4 transforms":      initOffer(4, suite.GroupX25519, suite.GroupX25519),
			"IKE_SA_INIT, 8 KB of what is not read": append(initOffer(4, 1, 1), make([]byte, 8000)...),
		} {
			have := cost(msg)
			t.Logf("legacy %v, %s: %d bytes cost %.0f, an offer of one that is taken %.0f", legacy, name, len(msg), have, taken)
			if limit := 2*taken + 12*float64(len(msg)); have > limit {
				t.Errorf("legacy %v, %s: %d bytes cost %.0f bytes of heap, want %.0f at most", legacy, name, len(msg), have, limit)
			}
		}
		// So slowly that nobody is asked for a cookie: what nobody is told is not put into words.
		slowly := func(msg []byte) float64 {
			return (&flood{n: newNode(t, "s", c), gap: 10 * time.Millisecond}).garbage(msg)
		}
		for _, n := range []int{4, 128} {
			refused, malformed := slowly(initOffer(n, 1, 1)), slowly(initOffer(n, suite.GroupX25519, suite.GroupX25519))
			t.Logf("legacy %v, %d transforms: %.0f for a refusal, %.0f for one that is malformed", legacy, n, refused, malformed)
			if refused > 2*malformed {
				t.Errorf("legacy %v, %d transforms: %.0f bytes of heap for a refusal, %.0f for one that is malformed", legacy, n, refused, malformed)
			}
		}
	}
}

// TestFirstMessagesAreShort: no client offers more than 128 transforms or sends more
// than 8 KB before it knows with whom it talks, and of who does nothing is kept.
func TestFirstMessagesAreShort(t *testing.T) {
	n := newNode(t, "s", Config{V2: true, Candidates: lookUp([]Candidate{{Tenant: "acme", PSK: []byte("secret")}, {Tenant: "b", PSK: []byte("b"), Groups: []string{"g"}}})})
	padded := func(msg []byte, size int) []byte {
		h, body, err := wire.ConsumeHeader(msg)
		if err != nil {
			t.Fatal(err)
		}
		m := wire.StartMessage(nil, h)
		chain, err := wire.ParsePayloads(nil, h.Version, h.Next, body)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range chain {
			m.Add(rawBody{p.Type, p.Body})
		}
		if h.Version == wire.V2 {
			m.Add(wire.Notify2{Type: 40000, Data: make([]byte, size)})
		} else {
			m.Add(wire.VendorID(make([]byte, size)))
		}
		return m.Finish()
	}
	aggressive := padded(mainOffer(1, true, 0), 9000)
	aggressive[18] = byte(wire.ExchangeAggressive)
	for name, tt := range map[string]struct {
		msg  []byte
		want error
	}{
		"main mode, 128 transforms":   {mainOffer(128, true, 0), nil},
		"main mode, 129 transforms":   {mainOffer(129, true, 0), ErrMalformed},
		"main mode, 4 KB":             {padded(mainOffer(1, true, 0), 4000), nil},
		"main mode, 9 KB":             {padded(mainOffer(1, true, 0), 9000), ErrMalformed},
		"aggressive mode, 9 KB":       {aggressive, ErrMalformed},
		"IKE_SA_INIT, 128 transforms": {initOffer(128, suite.GroupX25519, suite.GroupX25519), ErrMalformed}, // the length of the public value
		"IKE_SA_INIT, 129 transforms": {initOffer(129, suite.GroupX25519, suite.GroupX25519), ErrMalformed},
		"IKE_SA_INIT, 4 KB":           {padded(helloOf(t, n), 4000), nil},
		"IKE_SA_INIT, 9 KB":           {padded(helloOf(t, n), 9000), ErrMalformed},
		"IKE_SA_INIT, 60 KB":          {padded(helloOf(t, n), 60000), ErrMalformed},
	} {
		had := n.s.Stats().HalfOpen
		if err := n.s.Input(start, pathFrom("198.51.100.1:500"), tt.msg); !errors.Is(err, tt.want) || tt.want == nil && err != nil {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
		if kept := n.s.Stats().HalfOpen - had; (kept == 1) != (tt.want == nil) {
			t.Errorf("%s: %d are kept", name, kept)
		}
		drainAll(n)
		n.s.Advance(start.Add(time.Hour))
		n.s.Advance(start)
	}
}

// rawBody is a payload as it was found.
type rawBody struct {
	t wire.PayloadType
	b []byte
}

func (r rawBody) PayloadType() wire.PayloadType { return r.t }
func (r rawBody) AppendBody(dst []byte) []byte  { return append(dst, r.b...) }

func helloOf(t testing.TB, n *node) []byte {
	t.Helper()
	r := mustRogue(t, n.s.config)
	return r.hello()
}

// TestRefusalsAreSummed: however many offers are refused, a few are told, and then how
// many there were.
func TestRefusalsAreSummed(t *testing.T) {
	n := newNode(t, "s", Config{V2: true, Candidates: psk("acme", "secret", nil)})
	f := &flood{n: n, gap: 50 * time.Microsecond}
	const seconds, rate = 30, 20000
	failed, told, untold := 0, 0, uint64(0)
	msgs := [][]byte{mainOffer(1, false, 0), initOffer(4, 1, 1)}
	for k := range seconds * rate {
		_ = f.give(msgs[k%2])
		if k%1000 == 0 {
			n.s.Advance(start.Add(time.Duration(f.sent) * f.gap))
		}
		for e, ok := n.s.Next(); ok; e, ok = n.s.Next() {
			switch e := e.(type) {
			case Failed:
				failed++
				told += len(e.Detail)
			case Untold:
				untold += e.Attempts
			}
		}
	}
	t.Logf("%d refused in %d s: %d lines, %d bytes, %d in sums", seconds*rate, seconds, failed, told, untold)
	if failed < 40 || failed > 40+4*seconds+1 || told > 1000*failed {
		t.Errorf("%d lines of %d bytes", failed, told)
	}
	if untold < rate {
		t.Errorf("only %d were said to be untold", untold)
	}
}

// TestCookiesUnderRefusals: requests of which nothing is kept are load as well, by
// whichever version they come, and a first message of IKEv2 then brings a cookie.
func TestCookiesUnderRefusals(t *testing.T) {
	for name, msg := range map[string][]byte{
		"main mode": mainOffer(1, false, 0), "malformed main mode": mainOffer(129, true, 0), "no proposal": initOffer(4, 1, 1),
		"other group": initOffer(4, suite.GroupX25519, suite.GroupECP256), "malformed": initOffer(129, 1, 1),
	} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t, 1, Config{V2: true, Candidates: psk("acme", "secret", fast())})
			f := &flood{n: p.server, gap: time.Microsecond}
			for range 3000 {
				_ = f.give(msg)
			}
			drainAll(p.server)
			asked := false
			p.filter = func(from *node, b []byte) bool {
				if from == p.server && exchangeIs(b, wire.ExchangeSAInit) {
					h, body, _ := wire.ConsumeHeader(b)
					chain, _ := wire.ParsePayloads(nil, wire.V2, h.Next, body)
					_, cookie := notifyOf(chain, wire.Notify2Cookie)
					asked = asked || cookie
				}
				return true
			}
			p.dial(dialV2("secret"))
			if !asked {
				t.Error("nobody asked for a cookie")
			}
			wantOneChild(t, p)
			p.filter = nil
			p.closeAll()
		})
	}
}

func exchangeIs(b []byte, x wire.ExchangeType) bool {
	h, _, err := wire.ConsumeHeader(b)
	return err == nil && h.Exchange == x
}

func benchmarkFirst(b *testing.B, c Config, msg []byte) {
	f := &flood{n: newNode(b, "s", c), gap: 20 * time.Microsecond}
	b.SetBytes(int64(len(msg)))
	b.ReportAllocs()
	for b.Loop() {
		_ = f.give(msg)
		drainAll(f.n)
	}
}

// BenchmarkMM1 is what the control loop pays for a first message of main mode.
func BenchmarkMM1(b *testing.B) {
	for _, legacy := range []bool{false, true} {
		c := Config{V2: true, Candidates: psk("acme", "secret", &Policy{Legacy: legacy})}
		for _, n := range []int{1, 40, 128} {
			for _, good := range []bool{false, true} {
				msg := mainOffer(n, good, 0)
				b.Run(fmt.Sprintf("legacy=%v/good=%v/transforms=%d", legacy, good, n), func(b *testing.B) { benchmarkFirst(b, c, msg) })
			}
		}
		b.Run(fmt.Sprintf("legacy=%v/vendors=60", legacy), func(b *testing.B) { benchmarkFirst(b, c, mainOffer(1, true, 60)) })
	}
}

// BenchmarkInit is the same for IKE_SA_INIT.
func BenchmarkInit(b *testing.B) {
	c := Config{V2: true, Candidates: psk("acme", "secret", nil)}
	for _, n := range []int{4, 128} {
		b.Run(fmt.Sprintf("no-proposal/transforms=%d", n), func(b *testing.B) { benchmarkFirst(b, c, initOffer(n, 2, 2)) })
		b.Run(fmt.Sprintf("other-group/transforms=%d", n), func(b *testing.B) {
			benchmarkFirst(b, c, initOffer(n, suite.GroupX25519, suite.GroupECP256))
		})
	}
}

// TestEarlyMessagesAreBounded: what comes before there are keys is kept for a moment for
// whoever began; it is no more than a client's longest message in its pieces.
func TestEarlyMessagesAreBounded(t *testing.T) {
	n := eapServer(t, Limits{})
	r := stranger2(t, n, 1, netip.MustParseAddr("198.51.100.9"), start)
	if r.begin(); r.keys == nil {
		t.Fatal(n.failed)
	}
	kept := 0
	for k := range 100 {
		size := 1200
		if k%10 == 0 {
			size = 9000
		}
		msg := r.sealed(wire.ExchangeAuth, 1, wire.Notify2{Type: 40000, Data: bytes.Repeat([]byte{byte(k)}, size)})
		if err := n.s.Input(start, r.path, msg); err == nil {
			kept += len(msg)
		} else if !errors.Is(err, ErrLimit) {
			t.Fatal(err)
		} else if size == 1200 && kept < 20<<10 {
			t.Fatalf("only %d bytes are kept", kept)
		}
	}
	if kept > 24<<10 {
		t.Errorf("%d bytes are kept", kept)
	}
	drainAll(n)
}
