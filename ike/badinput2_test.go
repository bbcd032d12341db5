package ike

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/ike/suite"
	"github.com/culvert-vpn/culvert/ike/wire"
)

// TestV2BadInput: what is refused, how it is counted, and that nothing stays of it.
func TestV2BadInput(t *testing.T) {
	tests := []struct {
		name string
		do   func(t *testing.T, r *rogue) error
		want error
		held int // half-open exchanges afterwards
	}{
		{"a public value of the wrong length", func(t *testing.T, r *rogue) error {
			return r.give(withPublic(r, make([]byte, 31)))
		}, ErrMalformed, 0},
		{"a point that is not on the curve, while nobody has shown that he receives", func(t *testing.T, r *rogue) error {
			r.offer.Group = suite.GroupECP256
			return r.give(withPublic(r, bytes.Repeat([]byte{5}, 64)))
		}, nil, 1},
		{"a point that is not on the curve", func(t *testing.T, r *rogue) error {
			r.offer.Group = suite.GroupECP256
			_ = r.give(withPublic(r, bytes.Repeat([]byte{5}, 64)))
			h, _ := r.parse(r.got[0])
			m := wire.AppendEncrypted(nil, wire.Header{Initiator: r.i, Responder: h.Responder, Version: wire.V2, Exchange: wire.ExchangeAuth,
				Flags: wire.FlagInitiator, MessageID: 1}, wire.Encrypted{First: wire.PayloadIDi}, 64)
			err := r.give(append(m, make([]byte, 64)...))
			if len(r.n.failed) != 1 || r.n.failed[0].Cause != CauseMalformed {
				t.Errorf("failed %v", r.n.failed)
			}
			return err
		}, nil, 0},
		{"a cookie that does not match", func(t *testing.T, r *rogue) error {
			r.n.s.config.Limits.Cookies = 0
			return r.give(withFirst(r.hello(), wire.Notify2{Type: wire.Notify2Cookie, Data: bytes.Repeat([]byte{1}, 33)}))
		}, ErrCookie, 0},
		{"a cookie that matches", func(t *testing.T, r *rogue) error {
			r.n.s.config.Limits.Cookies = 0
			if err := r.give(r.hello()); !errors.Is(err, ErrCookie) {
				t.Errorf("asked without: %v", err)
			}
			_, chain := r.parse(r.got[0])
			return r.give(withFirst(r.hello(), r.wantNotify(chain, wire.Notify2Cookie)))
		}, nil, 1},
		{"another's cookie", func(t *testing.T, r *rogue) error {
			r.n.s.config.Limits.Cookies = 0
			_ = r.give(r.hello())
			_, chain := r.parse(r.got[0])
			r.path.Remote = netip.MustParseAddrPort("198.51.100.99:4500")
			return r.give(withFirst(r.hello(), r.wantNotify(chain, wire.Notify2Cookie)))
		}, ErrCookie, 0},
		{"a message with a number ahead of the window", func(t *testing.T, r *rogue) error {
			r.begin()
			r.login("secret")
			return r.give(r.sealed(wire.ExchangeInformational2, r.next+1))
		}, ErrWindow, 0},
		{"a message with a number long past", func(t *testing.T, r *rogue) error {
			r.begin()
			r.login("secret")
			r.wantUp(1)
			r.wantUp(1)
			had := len(r.got)
			err := r.give(r.sealed(wire.ExchangeInformational2, r.next-2))
			if len(r.got) != had {
				t.Error("it is answered")
			}
			return err
		}, ErrWindow, 0},
		{"an answer to nothing", func(t *testing.T, r *rogue) error {
			r.begin()
			r.login("secret")
			h := wire.Header{Initiator: r.i, Responder: r.r, Version: wire.V2, Exchange: wire.ExchangeInformational2, Flags: wire.FlagInitiator | wire.FlagResponse}
			msg, err := r.seal.Seal(nil, stream("iv"), h, wire.PayloadNone, nil)
			if err != nil {
				t.Fatal(err)
			}
			return r.give(msg)
		}, ErrWindow, 0},
		{"the address of another in IKE_AUTH", func(t *testing.T, r *rogue) error {
			r.begin()
			wish := wishes(1)
			wish[2] = childWish(1, 0, "10.9.0.77/32")[1]
			r.wantNotify(r.ask(wire.ExchangeAuth, append(r.proof("secret"), wish...)...), wire.Notify2TSUnacceptable)
			if len(r.n.children) != 0 {
				t.Errorf("%d child SAs", len(r.n.children))
			}
			return nil
		}, nil, 0},
		{"the addresses of all and one more", func(t *testing.T, r *rogue) error {
			r.begin()
			r.login("secret")
			for in := range r.n.children {
				if x := r.n.children[in].RemoteTraffic; len(x) != 1 || x[0].From != x[0].To || x[0].From != netip.MustParseAddr("10.9.0.2") {
					t.Errorf("may be %v", x)
				}
			}
			return nil
		}, nil, 0},
	}
	for _, x := range tests {
		t.Run(x.name, func(t *testing.T) {
			r := newRogue(t, server2(), rogueSuite)
			if err := x.do(t, r); !errors.Is(err, x.want) {
				t.Fatalf("%v", err)
			}
			st := r.n.s.Stats()
			if st.HalfOpen != x.held {
				t.Errorf("%d half-open exchanges", st.HalfOpen)
			}
			if x.want != nil && st.Dropped[x.want.Error()] == 0 {
				t.Errorf("counted %v", st.Dropped)
			}
			r.wantEmpty()
		})
	}
}

// withPublic is an IKE_SA_INIT request with that public value.
func withPublic(r *rogue, public []byte) []byte {
	m := wire.StartMessage(nil, wire.Header{Initiator: r.i, Version: wire.V2, Exchange: wire.ExchangeSAInit, Flags: wire.FlagInitiator})
	m.Add(suite.OfferIKE2(nil, []suite.IKE2Proposal{r.offer.Proposal()}))
	m.Add(wire.KeyExchange2{Group: uint16(r.offer.Group), Data: public})
	m.Add(wire.Nonce2(r.ni))
	return m.Finish()
}

// withFirst puts a notify in front of the payloads of a message.
func withFirst(msg []byte, n wire.Notify2) []byte {
	body := n.AppendBody(nil)
	out := bytes.Clone(msg[:wire.HeaderLen])
	out = append(out, out[16], 0, 0, byte(4+len(body)))
	out[16] = byte(wire.PayloadNotify2)
	out = append(append(out, body...), msg[wire.HeaderLen:]...)
	binary.BigEndian.PutUint32(out[24:], uint32(len(out)))
	return out
}

// TestV2FragmentsThatNeverComplete: one message of them is kept, no more than 64
// pieces and 64 KiB (RFC 7383, section 2.6), and it goes with its SA.
func TestV2FragmentsThatNeverComplete(t *testing.T) {
	r := mustRogue(t, server2())
	h := wire.Header{Initiator: r.i, Responder: r.r, Version: wire.V2, Exchange: wire.ExchangeAuth, Flags: wire.FlagInitiator, MessageID: 1}
	var pieces [][]byte
	for total := 2; total <= 64; total++ {
		all, err := r.seal.SealFragments(stream("iv"), h, wire.PayloadIDi, make([]byte, total*1000), 1064)
		if err != nil {
			t.Fatal(err)
		}
		pieces = append(pieces, all[1:]...)
	}
	had := len(r.got)
	for range 20 {
		for _, p := range pieces {
			_ = r.give(p)
		}
	}
	if st := r.n.s.Stats(); len(r.got) != had || st.IKEs != 1 || len(r.n.up)+len(r.n.closed) != 0 {
		t.Errorf("%d answers, %+v", len(r.got)-had, st)
	}
	if allocated := testing.AllocsPerRun(100, func() { _ = r.n.s.Input(r.now, r.path, bytes.Clone(pieces[len(pieces)-1])) }); allocated > 10 {
		t.Errorf("%v allocations for a piece that is there", allocated)
	}
	r.wait(time.Minute)
	wantEmpty(t, r.n)
	if len(r.n.failed) == 0 || r.n.failed[0].Cause != CauseTimeout {
		t.Errorf("failed %v", r.n.failed)
	}
}
