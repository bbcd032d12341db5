package wire

import (
	"bytes"
	"encoding/binary"
	"reflect"
	"testing"

	"github.com/culvert-vpn/culvert/ike/wire/wiretest"
)

// FuzzMessage: what can be read is written and read again the same.
func FuzzMessage(f *testing.F) {
	for _, flow := range wiretest.All(f) {
		if !flow.Chain() {
			f.Add(flow.Data)
			f.Add(padded(flow.Data))
		}
	}
	for _, b := range bodies() {
		f.Add(writeMessage(Header{Version: V1, Exchange: ExchangeInformational}, []Body{b.body}))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, read, err := readMessage(b)
		if err != nil {
			return
		}
		once := writeMessage(h, read)
		h2, again, err := readMessage(once)
		if err != nil {
			t.Fatalf("what was written cannot be read: %v", err)
		}
		h.Length = h2.Length // zero bytes behind the message are gone
		if h != h2 || !reflect.DeepEqual(read, again) {
			t.Fatalf("read %+v, then %+v", read, again)
		}
		if twice := writeMessage(h2, again); !bytes.Equal(once, twice) {
			t.Fatalf("written as %x, then as %x", once, twice)
		}
	})
}

// padded is a message with zeros behind its last payload.
func padded(b []byte) []byte {
	b = append(bytes.Clone(b), 0, 0, 0)
	binary.BigEndian.PutUint32(b[24:], uint32(len(b)))
	return b
}

// FuzzDecrypted: a chain with padding says how long it is, and that much of it
// can be read without.
func FuzzDecrypted(f *testing.F) {
	for _, flow := range wiretest.All(f) {
		if flow.Chain() {
			f.Add(append(flow.Data, 0, 0, 0, 0))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		chain, used, err := ParseDecrypted(nil, PayloadSA, b)
		if err != nil {
			return
		}
		again, err := ParsePayloads(nil, V1, PayloadSA, b[:used])
		if err != nil || !reflect.DeepEqual(chain, again) {
			t.Fatalf("chain %v, then %v, %v", chain, again, err)
		}
	})
}

// FuzzSA: the lists in an SA payload, on their own.
func FuzzSA(f *testing.F) {
	f.Add(bodies()[0].body.AppendBody(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		sa, err := ConsumeSA(b)
		if err != nil {
			return
		}
		if got := sa.AppendBody(nil); !bytes.Equal(got, b) {
			t.Fatalf("written as %x, read from %x", got, b)
		}
	})
}

// FuzzVendorAndID: descriptions of what a peer chose never fail.
func FuzzVendorAndID(f *testing.F) {
	f.Add([]byte("\x01\x11\x06\xa5\xc0\x00\x02\x01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		v, _ := VendorID(b).Known()
		_ = v.String()
		if id, err := ConsumeID(b); err == nil {
			_ = id.String()
			id.Addr()
		}
	})
}
