package esp

import (
	"bytes"
	"testing"
)

// FuzzOpen gives packets to SAs of every transform. Nobody can make one that
// opens without the keys, which the fuzzer does not have.
func FuzzOpen(f *testing.F) {
	for _, tr := range Transforms() {
		out, err := NewOutbound(OutboundConfig{SPI: testSPI, Transform: tr, Keys: otherKeys(tr)})
		if err != nil {
			f.Fatal(err)
		}
		pkt, err := out.Seal(make([]byte, 0, 256), testPayload(40), 17)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(pkt)
	}
	f.Fuzz(func(t *testing.T, pkt []byte) {
		Classify(pkt)
		for _, tr := range Transforms() {
			_, in, _ := wantPair(t, tr, len(pkt)%2 == 0)
			if got, nh, err := in.Open(bytes.Clone(pkt)); err == nil {
				t.Fatalf("%v: a forgery opened: %x, %d", tr, got, nh)
			}
			if in.HighSequence() != 0 {
				t.Fatalf("%v: a forgery moved the window", tr)
			}
		}
	})
}

func otherKeys(tr Transform) Keys {
	keys := testKeys(tr)
	for i := range keys.Encryption {
		keys.Encryption[i] ^= 0x55
	}
	for i := range keys.Integrity {
		keys.Integrity[i] ^= 0x55
	}
	return keys
}

// FuzzTrailer gives authentic packets with arbitrary plaintexts to Open: what
// opens is sealed again to the same plaintext, if it was padded as Seal pads.
func FuzzTrailer(f *testing.F) {
	f.Add([]byte{0, 17})
	f.Add([]byte{1, 2, 2, 4})
	f.Add([]byte{255, 59})
	f.Fuzz(func(t *testing.T, body []byte) {
		if len(body) < padFields {
			return
		}
		want := bytes.Clone(body)
		payload, nh, err := trimTrailer(body)
		if err != nil {
			if err != ErrPadding {
				t.Fatal(err)
			}
			return
		}
		again := make([]byte, len(body))
		copy(again, payload)
		putTrailer(again, len(payload), nh)
		if !bytes.Equal(again, want) {
			t.Fatalf("%x became %x", want, again)
		}
	})
}

// FuzzRoundTrip seals and opens any payload with any transform.
func FuzzRoundTrip(f *testing.F) {
	f.Add(uint8(0), []byte("payload"), uint8(17))
	f.Fuzz(func(t *testing.T, pick uint8, plain []byte, nh uint8) {
		all := Transforms()
		tr := all[int(pick)%len(all)]
		out, in, ref := wantPair(t, tr, pick >= 128)
		pkt, err := out.Seal(make([]byte, 0, tr.SealedLen(len(plain))), plain, nh)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ref.open(1, pkt); err != nil {
			t.Fatal(err)
		}
		got, gotNH, err := in.Open(pkt)
		if err != nil || gotNH != nh || !bytes.Equal(got, plain) {
			t.Fatalf("opened %x, %d, %v", got, gotNH, err)
		}
	})
}
