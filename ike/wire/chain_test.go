package wire

import (
	"bytes"
	"errors"
	"testing"
)

func plainMessage() []byte {
	m := StartMessage(nil, Header{Initiator: Cookie{1}, Version: V1, Exchange: ExchangeMain, MessageID: 7})
	m.Add(Nonce("12345678"))
	m.Add(VendorDPD.ID(1, 0))
	return m.Finish()
}

func TestHeader(t *testing.T) {
	change := func(at int, v byte) []byte {
		b := plainMessage()
		b[at] = v
		return b
	}
	tests := []struct {
		name string
		b    []byte
		err  error
	}{
		{"as it is", plainMessage(), nil},
		{"zero bytes behind", append(plainMessage(), 0, 0, 0), nil},
		{"other bytes behind", append(plainMessage(), 0, 1), ErrLength},
		{"cut", plainMessage()[:40], ErrShort},
		{"no header", plainMessage()[:27], ErrShort},
		{"length below the header's", change(27, 27), ErrLength},
		{"length of four gigabytes", change(24, 0xff), ErrShort},
	}
	for _, tt := range tests {
		h, body, err := ConsumeHeader(tt.b)
		if !errors.Is(err, tt.err) {
			t.Errorf("%s: error %v, want %v", tt.name, err, tt.err)
		}
		if err == nil && (h.MessageID != 7 || h.Next != PayloadNonce || len(body) != len(plainMessage())-HeaderLen) {
			t.Errorf("%s: %+v with %d bytes", tt.name, h, len(body))
		}
	}
}

func TestHeaderIsWrittenAsRead(t *testing.T) {
	b := plainMessage()
	h, _, err := ConsumeHeader(b)
	if err != nil {
		t.Fatal(err)
	}
	if got := AppendHeader(nil, h); !bytes.Equal(got, b[:HeaderLen]) {
		t.Errorf("written as %x, want %x", got, b[:HeaderLen])
	}
}

func TestChain(t *testing.T) {
	good := plainMessage()[HeaderLen:]
	change := func(at int, v byte) []byte {
		b := bytes.Clone(good)
		b[at] = v
		return b
	}
	tests := []struct {
		name    string
		version Version
		b       []byte
		err     error
	}{
		{"as it is", V1, good, nil},
		{"zeros behind in version 1", V1, append(bytes.Clone(good), 0, 0, 0), nil},
		{"zeros behind in version 2", V2, append(bytes.Clone(good), 0, 0, 0), ErrLength},
		{"other bytes behind", V1, append(bytes.Clone(good), 0, 0, 1), ErrLength},
		{"payload shorter than its header", V1, change(3, 3), ErrLength},
		{"payload longer than the message", V1, change(2, 1), ErrShort},
		{"reserved in version 1", V1, change(1, 1), ErrReserved},
		{"critical in version 1", V1, change(1, 0x80), ErrReserved},
		{"reserved in version 2", V2, change(1, 1), nil},
		{"next payload missing", V1, change(12, 13), ErrShort},
	}
	for _, tt := range tests {
		if _, err := ParsePayloads(nil, tt.version, PayloadNonce, tt.b); !errors.Is(err, tt.err) {
			t.Errorf("%s: error %v, want %v", tt.name, err, tt.err)
		}
	}
}

func TestCriticalBit(t *testing.T) {
	b := plainMessage()[HeaderLen:]
	b[1] = 0x80
	chain, err := ParsePayloads(nil, V2, PayloadNonce, b)
	if err != nil || !chain[0].Critical || chain[1].Critical {
		t.Errorf("chain %+v, %v", chain, err)
	}
}

func TestChainIsBounded(t *testing.T) {
	m := StartMessage(nil, Header{Version: V1})
	for range MaxPayloads {
		m.Add(VendorID("x"))
	}
	if _, err := ParsePayloads(nil, V1, PayloadVendorID, m.Bytes()[HeaderLen:]); err != nil {
		t.Errorf("%d payloads: %v", MaxPayloads, err)
	}
	m.Add(VendorID("x"))
	if _, err := ParsePayloads(nil, V1, PayloadVendorID, m.Bytes()[HeaderLen:]); !errors.Is(err, ErrCount) {
		t.Errorf("%d payloads: error %v, want %v", MaxPayloads+1, err, ErrCount)
	}
}

func TestErrorKeepsTheCallersSlice(t *testing.T) {
	dst := make([]Payload, 1, 8)
	if got, err := ParsePayloads(dst, V1, PayloadNonce, []byte{1}); err == nil || len(got) != 1 {
		t.Errorf("%d payloads, %v", len(got), err)
	}
}

func TestDecryptedMayBePadded(t *testing.T) {
	good := plainMessage()[HeaderLen:]
	for _, padding := range []string{"", "\x00", "\x00\x00\x00\x00\x00\x00\x00", "\x91\x22\x07\x03"} {
		chain, used, err := ParseDecrypted(nil, PayloadNonce, append(bytes.Clone(good), padding...))
		if err != nil || used != len(good) || len(chain) != 2 {
			t.Errorf("padding %x: %d payloads in %d bytes, %v", padding, len(chain), used, err)
		}
	}
}

func TestMessagePlacesBodies(t *testing.T) {
	m := StartMessage([]byte("marker"), Header{Version: V1, Exchange: ExchangeQuick})
	at := m.Add(Hash(make([]byte, 20)))
	m.Add(Nonce("0123456789abcdef"))
	if at != HeaderLen+4 {
		t.Errorf("hash at %d, want %d", at, HeaderLen+4)
	}
	copy(m.Bytes()[at:], "HHHHHHHHHHHHHHHHHHHH")
	m.Pad(16)
	msg := m.Finish()
	if (len(msg)-HeaderLen)%16 != 0 {
		t.Errorf("length %d is not padded", len(msg))
	}
	h, body, err := ConsumeHeader(msg)
	if err != nil {
		t.Fatal(err)
	}
	chain, _, err := ParseDecrypted(nil, h.Next, body)
	if err != nil || string(chain[0].Body) != "HHHHHHHHHHHHHHHHHHHH" || len(chain) != 2 {
		t.Errorf("chain %v, %v", chain, err)
	}
	if p, ok := Find(chain, PayloadNonce); !ok || string(p.Body) != "0123456789abcdef" {
		t.Errorf("nonce %q, %v", p.Body, ok)
	}
	if _, ok := Find(chain, PayloadKE); ok {
		t.Error("found a KE that is not there")
	}
}

func TestOversizedPayloadPanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a payload of 64 KB was written")
		}
	}()
	m := StartMessage(nil, Header{})
	m.Add(Nonce(make([]byte, 0x10000)))
}
