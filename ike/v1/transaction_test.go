package v1

import (
	"bytes"
	"errors"
	"testing"

	"github.com/culvert-vpn/culvert/ike/wire"
)

func TestTransaction(t *testing.T) {
	a, b := mainSAs(t)
	var ask, say wire.ModeConfig
	ask.Type = wire.ConfigRequest
	ask.AddBytes(wire.XAUTHUser, nil)
	i, msg := StartTransaction(a, 77, ask)
	for n := wire.HeaderLen; n < len(msg); n++ {
		h, body := split(t, bytes.Clone(msg))
		body[n-wire.HeaderLen] ^= 1
		if _, _, err := AnswerTransaction(b, h, body); err == nil {
			t.Errorf("byte %d changed, and accepted", n)
		}
	}
	h, body := split(t, msg)
	r, got, err := AnswerTransaction(b, h, body)
	if err != nil || got.Type != wire.ConfigRequest || len(got.Attributes) != 1 {
		t.Fatalf("%+v %v", got, err)
	}
	say.Type = wire.ConfigReply
	say.AddBytes(wire.XAUTHUser, []byte("alice"))
	answer := r.Answer(say)
	h, body = split(t, bytes.Clone(answer))
	got, err = i.Input(h, body)
	if x, ok := got.Find(wire.XAUTHUser); err != nil || !ok || string(x.Value) != "alice" {
		t.Fatalf("%+v %v", got, err)
	}
	h, body = split(t, answer)
	if _, err := i.Input(h, body); !errors.Is(err, ErrState) {
		t.Errorf("an answer taken twice: %v", err)
	}
}

// TestTransactionOutOfPlace: what is no attribute payload, or of another exchange,
// is refused.
func TestTransactionOutOfPlace(t *testing.T) {
	a, b := mainSAs(t)
	h, body := split(t, a.Inform(5, wire.Nonce("12345678")))
	if _, _, err := AnswerTransaction(b, h, body); !errors.Is(err, ErrPayloads) {
		t.Errorf("no attributes: %v", err)
	}
	i, msg := StartTransaction(a, 6, wire.ModeConfig{Type: wire.ConfigRequest})
	h, body = split(t, msg)
	if _, err := i.Input(h, body); err == nil {
		t.Error("our own message comes back and is accepted")
	}
	h, body = split(t, b.Inform(6, wire.ModeConfig{Type: wire.ConfigReply}))
	if _, err := i.Input(h, body); !errors.Is(err, ErrState) {
		t.Errorf("another exchange: %v", err)
	}
}
