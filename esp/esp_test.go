package esp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
)

func TestSealMatchesReference(t *testing.T) {
	forEach(t, func(t *testing.T, tr Transform, esn bool) {
		out, in, ref := wantPair(t, tr, esn)
		for n := range 200 {
			plain := testPayload(n)
			seq := out.HighSequence() + 1
			pkt, err := out.Seal(make([]byte, 0, 512), plain, 17)
			if err != nil {
				t.Fatal(err)
			}
			want := ref.seal(seq, pkt[8:tr.HeaderLen()], plain, 17)
			if !bytes.Equal(pkt, want) {
				t.Fatalf("%d bytes: sealed\n%x, want\n%x", n, pkt, want)
			}
			if len(pkt) != tr.SealedLen(n) {
				t.Fatalf("%d bytes: sealed length %d, foretold %d", n, len(pkt), tr.SealedLen(n))
			}
			got, nh, err := in.Open(pkt)
			if err != nil || nh != 17 || !bytes.Equal(got, plain) {
				t.Fatalf("%d bytes: opened %x, %d, %v", n, got, nh, err)
			}
		}
	})
}

func TestOpenReferencePackets(t *testing.T) {
	forEach(t, func(t *testing.T, tr Transform, esn bool) {
		_, in, ref := wantPair(t, tr, esn)
		for n := range 70 {
			iv := bytes.Repeat([]byte{byte(0xA0 + n)}, tr.HeaderLen()-8)
			got, nh, err := in.Open(ref.seal(uint64(n+1), iv, testPayload(n), 4))
			if err != nil || nh != 4 || !bytes.Equal(got, testPayload(n)) {
				t.Fatalf("%d bytes: opened %x, %d, %v", n, got, nh, err)
			}
		}
		packets, _ := in.Opened()
		if packets != 70 || in.HighSequence() != 70 {
			t.Errorf("counted %d packets, highest %d", packets, in.HighSequence())
		}
	})
}

// The payload may lie anywhere: where it belongs, elsewhere in the same memory
// on either side, or in other memory.
func TestSealPlaces(t *testing.T) {
	forEach(t, func(t *testing.T, tr Transform, esn bool) {
		out, in, _ := wantPair(t, tr, esn)
		for _, n := range []int{0, 1, 33, 64, 1400} {
			plain := testPayload(n)
			for _, off := range []int{0, tr.HeaderLen(), tr.HeaderLen() + 5, 100} {
				buf := bytes.Repeat([]byte{0xEE}, 2048)
				copy(buf[off:], plain)
				pkt, err := out.Seal(buf[:0], buf[off:off+n], 17)
				if err != nil {
					t.Fatal(err)
				}
				if &pkt[0] != &buf[0] {
					t.Fatal("the packet is not in dst")
				}
				if rest := buf[max(off+n, len(pkt)):]; !bytes.Equal(rest, bytes.Repeat([]byte{0xEE}, len(rest))) {
					t.Fatal("bytes behind the packet were touched")
				}
				got, _, err := in.Open(pkt)
				if err != nil || !bytes.Equal(got, plain) {
					t.Fatalf("%d bytes at %d: %v", n, off, err)
				}
			}
		}
	})
}

func TestSealSpace(t *testing.T) {
	forEach(t, func(t *testing.T, tr Transform, esn bool) {
		out, _, _ := wantPair(t, tr, esn)
		for n := range 40 {
			need := tr.SealedLen(n)
			if need > tr.HeaderLen()+n+tr.TrailerMax() {
				t.Fatalf("%d bytes: sealed length %d is beyond TrailerMax", n, need)
			}
			if _, err := out.Seal(make([]byte, 0, need-1), testPayload(n), 17); err != ErrSpace {
				t.Fatalf("%d bytes in %d: %v", n, need-1, err)
			}
			if _, err := out.Seal(make([]byte, 0, need), testPayload(n), 17); err != nil {
				t.Fatalf("%d bytes in %d: %v", n, need, err)
			}
		}
		if out.HighSequence() != 40 {
			t.Errorf("failed Seals took sequence numbers: highest %d", out.HighSequence())
		}
	})
}

func TestTamperedByte(t *testing.T) {
	forEach(t, func(t *testing.T, tr Transform, esn bool) {
		out, in, _ := wantPair(t, tr, esn)
		pkt, err := out.Seal(make([]byte, 0, 256), testPayload(40), 17)
		if err != nil {
			t.Fatal(err)
		}
		for i := range pkt {
			for bit := range 8 {
				bad := bytes.Clone(pkt)
				bad[i] ^= 1 << bit
				if _, _, err := in.Open(bad); err == nil {
					t.Fatalf("byte %d bit %d changed: opened", i, bit)
				} else if i >= 8 && err != ErrAuth {
					t.Fatalf("byte %d bit %d changed: %v", i, bit, err)
				}
			}
		}
		if _, _, err := in.Open(pkt); err != nil {
			t.Fatalf("forgeries closed the way for the packet itself: %v", err)
		}
	})
}

// A failed check leaves a CBC packet as it was: its ICV comes before
// decryption, so that it can be tried with another length of ICV.
func TestErrAuthLeavesCBCPacket(t *testing.T) {
	tr, err := ByIANA(EncryptionAESCBC, 256, IntegritySHA256)
	if err != nil {
		t.Fatal(err)
	}
	short := tr // as of Linux before 2.6.33, and old Android with it
	short.mac.icv = 12
	out, in96, _ := wantPair(t, short, false)
	_, in128, _ := wantPair(t, tr, false)
	pkt, err := out.Seal(make([]byte, 0, 256), testPayload(30), 17)
	if err != nil {
		t.Fatal(err)
	}
	before := bytes.Clone(pkt)
	if _, _, err := in128.Open(pkt); err == nil {
		t.Fatal("a 96 bit ICV passed for 128 bits")
	}
	if !bytes.Equal(pkt, before) {
		t.Fatal("the packet was changed")
	}
	if got, _, err := in96.Open(pkt); err != nil || !bytes.Equal(got, testPayload(30)) {
		t.Fatal(err)
	}
}

func TestEveryTruncationFails(t *testing.T) {
	forEach(t, func(t *testing.T, tr Transform, esn bool) {
		out, in, _ := wantPair(t, tr, esn)
		pkt, err := out.Seal(make([]byte, 0, 256), testPayload(40), 17)
		if err != nil {
			t.Fatal(err)
		}
		for n := range pkt {
			if _, _, err := in.Open(bytes.Clone(pkt[:n])); err != ErrShort && err != ErrAuth {
				t.Fatalf("first %d bytes: %v", n, err)
			}
		}
	})
}

// RFC 4303, section 2.4: the receiver inspects the padding that the sender had
// to fill with 1, 2, 3, ...
func TestPadding(t *testing.T) {
	forEach(t, func(t *testing.T, tr Transform, esn bool) {
		for name, row := range map[string]struct {
			tail    []byte
			payload int // of 48 bytes in all; -1: ErrPadding
		}{
			"none":        {[]byte{0, 17}, 46},
			"two":         {[]byte{1, 2, 2, 17}, 44},
			"whole":       {nil, 0},
			"zeroes":      {[]byte{0, 0, 2, 17}, -1},
			"backwards":   {[]byte{2, 1, 2, 17}, -1},
			"beyond":      {[]byte{47, 17}, -1},
			"far beyond":  {[]byte{255, 17}, -1},
			"one changed": {[]byte{1, 2, 4, 3, 17}, -1},
		} {
			_, in, _ := wantPair(t, tr, esn)
			body := make([]byte, 48)
			if row.tail == nil {
				for i := range body {
					body[i] = byte(i + 1)
				}
				row.tail = []byte{46, 17}
			}
			copy(body[len(body)-len(row.tail):], row.tail)
			got, nh, err := in.Open(sealRaw(t, tr, esn, body))
			switch {
			case row.payload < 0 && err != ErrPadding:
				t.Errorf("%s: %v", name, err)
			case row.payload >= 0 && (err != nil || nh != 17 || len(got) != row.payload):
				t.Errorf("%s: %d bytes, %d, %v", name, len(got), nh, err)
			}
			if in.HighSequence() != 1 {
				t.Errorf("%s: the window did not move for an authentic packet", name)
			}
		}
	})
}

// sealRaw seals a body with whatever trailer it has.
func sealRaw(t *testing.T, tr Transform, esn bool, body []byte) []byte {
	t.Helper()
	out, _, _ := wantPair(t, tr, esn)
	pkt := make([]byte, tr.HeaderLen()+len(body)+tr.ICVLen())
	binary.BigEndian.PutUint32(pkt, testSPI)
	binary.BigEndian.PutUint32(pkt[4:], 1)
	copy(pkt[tr.HeaderLen():], body)
	lane := out.lanes.claim()
	defer lane.release()
	lane.work.seal(pkt, pkt[tr.HeaderLen():][:len(body)], 1)
	return pkt
}

// RFC 4303, section 2.6: dummies are the caller's to drop.
func TestDummyPacket(t *testing.T) {
	forEach(t, func(t *testing.T, tr Transform, esn bool) {
		out, in, _ := wantPair(t, tr, esn)
		pkt, err := out.Seal(make([]byte, 0, 256), nil, NextHeaderNone)
		if err != nil {
			t.Fatal(err)
		}
		if got, nh, err := in.Open(pkt); err != nil || nh != NextHeaderNone || len(got) != 0 {
			t.Fatalf("opened %x, %d, %v", got, nh, err)
		}
	})
}

func TestWrongSPI(t *testing.T) {
	forEach(t, func(t *testing.T, tr Transform, esn bool) {
		out, in, _ := wantPair(t, tr, esn)
		pkt, _ := out.Seal(make([]byte, 0, 256), testPayload(40), 17)
		pkt[0]++
		if _, _, err := in.Open(pkt); err != ErrSPI {
			t.Fatal(err)
		}
	})
}

// RFC 4303, section 3.3.3: the counter must not cycle.
func TestSequenceExhausted(t *testing.T) {
	forEach(t, func(t *testing.T, tr Transform, esn bool) {
		out, _, _ := wantPair(t, tr, esn)
		last := uint64(math.MaxUint32)
		if esn {
			last = math.MaxInt64
		}
		out.sequence.Store(last - 2)
		for _, left := range []uint64{1, 0} {
			if _, err := out.Seal(make([]byte, 0, 256), nil, 17); err != nil || out.Remaining() != left {
				t.Fatalf("%d left: %v", out.Remaining(), err)
			}
		}
		for range 3 {
			if _, err := out.Seal(make([]byte, 0, 256), nil, 17); err != ErrSequenceExhausted {
				t.Fatal(err)
			}
		}
		if out.HighSequence() != last {
			t.Errorf("highest %d", out.HighSequence())
		}
	})
}

// RFC 3602, section 3: an IV must be chosen at random and not be foreseen.
// RFC 4106, section 3.1: an IV must be used once under a key.
func TestIVs(t *testing.T) {
	forEach(t, func(t *testing.T, tr Transform, esn bool) {
		out, _, _ := wantPair(t, tr, esn)
		again, _, _ := wantPair(t, tr, esn)
		seen := map[string]bool{}
		for range 1000 {
			pkt, _ := out.Seal(make([]byte, 0, 256), nil, 17)
			iv := string(pkt[8:tr.HeaderLen()])
			if seen[iv] {
				t.Fatal("an IV came twice")
			}
			seen[iv] = true
		}
		pkt, _ := again.Seal(make([]byte, 0, 256), nil, 17)
		if known := seen[string(pkt[8:tr.HeaderLen()])]; known != isAEAD(tr.String()) {
			t.Errorf("another SA of the same key used a known IV: %v", known)
		}
	})
}

func TestCounters(t *testing.T) {
	forEach(t, func(t *testing.T, tr Transform, esn bool) {
		out, in, _ := wantPair(t, tr, esn)
		var want uint64
		for n := range 10 {
			pkt, _ := out.Seal(make([]byte, 0, 256), testPayload(n), 17)
			want += uint64(len(pkt) - tr.HeaderLen() - tr.ICVLen())
			if _, _, err := in.Open(pkt); err != nil {
				t.Fatal(err)
			}
		}
		if p, b := out.Sealed(); p != 10 || b != want {
			t.Errorf("sealed %d packets, %d bytes, want 10 and %d", p, b, want)
		}
		if p, b := in.Opened(); p != 10 || b != want {
			t.Errorf("opened %d packets, %d bytes, want 10 and %d", p, b, want)
		}
	})
}

func TestAllocations(t *testing.T) {
	forEach(t, func(t *testing.T, tr Transform, esn bool) {
		out, in, _ := wantPair(t, tr, esn)
		buf := make([]byte, 2048)
		n := testing.AllocsPerRun(100, func() {
			h := out.HeaderLen()
			pkt, err := out.Seal(buf, buf[h:h+1400], 17)
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := in.Open(pkt); err != nil {
				t.Fatal(err)
			}
		})
		if n != 0 {
			t.Errorf("%v allocations for a Seal and an Open", n)
		}
	})
}

func TestBadConfig(t *testing.T) {
	tr, err := ByIANA(EncryptionAESCBC, 128, IntegritySHA1)
	if err != nil {
		t.Fatal(err)
	}
	keys := testKeys(tr)
	for name, row := range map[string]struct {
		in   InboundConfig
		want error
	}{
		"reserved SPI":     {InboundConfig{SPI: 255, Transform: tr, Keys: keys}, ErrConfig},
		"no transform":     {InboundConfig{SPI: 256, Keys: keys}, ErrTransform},
		"no keys":          {InboundConfig{SPI: 256, Transform: tr}, ErrKeys},
		"long key":         {InboundConfig{SPI: 256, Transform: tr, Keys: Keys{make([]byte, 17), keys.Integrity}}, ErrKeys},
		"short HMAC key":   {InboundConfig{SPI: 256, Transform: tr, Keys: Keys{keys.Encryption, make([]byte, 19)}}, ErrKeys},
		"window of 63":     {InboundConfig{SPI: 256, Transform: tr, Keys: keys, ReplayWindow: 63}, ErrConfig},
		"window of 100":    {InboundConfig{SPI: 256, Transform: tr, Keys: keys, ReplayWindow: 100}, ErrConfig},
		"negative window":  {InboundConfig{SPI: 256, Transform: tr, Keys: keys, ReplayWindow: -64}, ErrConfig},
		"window too large": {InboundConfig{SPI: 256, Transform: tr, Keys: keys, ReplayWindow: 1<<16 + 64}, ErrConfig},
	} {
		if _, err := NewInbound(row.in); !errors.Is(err, row.want) {
			t.Errorf("%s: %v", name, err)
		}
		if strings.Contains(name, "window") {
			continue
		}
		out := OutboundConfig{SPI: row.in.SPI, Transform: row.in.Transform, Keys: row.in.Keys}
		if _, err := NewOutbound(out); !errors.Is(err, row.want) {
			t.Errorf("%s: outbound: %v", name, err)
		}
	}
	dry := OutboundConfig{SPI: 256, Transform: tr, Keys: keys, Rand: bytes.NewReader(nil)}
	if _, err := NewOutbound(dry); !errors.Is(err, io.EOF) {
		t.Errorf("no randomness: %v", err)
	}
}

func TestKeysHide(t *testing.T) {
	k := Keys{Encryption: []byte("secret1"), Integrity: []byte("secret2")}
	if k.String() != k.GoString() || strings.Contains(k.String(), "secret") {
		t.Error("keys print themselves")
	}
}

func TestClassify(t *testing.T) {
	for _, row := range []struct {
		in   []byte
		kind Kind
		spi  SPI
	}{
		{nil, Invalid, 0},
		{[]byte{0xFF}, Keepalive, 0},
		{[]byte{0}, Invalid, 0},
		{[]byte{0xFF, 0xFF}, Invalid, 0},
		{[]byte{0, 0, 0}, Invalid, 0},
		{[]byte{0, 0, 0, 0}, Invalid, 0},
		{[]byte{0, 0, 0, 0, 1}, IKE, 0},
		{[]byte{0, 0, 0, 255, 0, 0, 0, 1}, Invalid, 0},
		{[]byte{0, 0, 1, 0, 0, 0, 0}, Invalid, 0},
		{[]byte{0, 0, 1, 0, 0, 0, 0, 1}, ESP, 256},
		{[]byte{0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 1}, ESP, 0xFFFFFFFF},
	} {
		if kind, spi := Classify(row.in); kind != row.kind || spi != row.spi {
			t.Errorf("%x: %v, %x; want %v, %x", row.in, kind, spi, row.kind, row.spi)
		}
	}
	if Invalid.String() != "invalid" || Keepalive.String() != "keepalive" || IKE.String() != "ike" || ESP.String() != "esp" {
		t.Error("names")
	}
}
