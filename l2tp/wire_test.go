package l2tp

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
)

func TestParseData(t *testing.T) {
	tests := []struct {
		name    string
		packet  string
		want    DataHeader
		payload string
		err     error
	}{
		{"six octets, as Android and Linux send", "0002 0102 0304 ff03", DataHeader{Tunnel: 0x102, Call: 0x304}, "ff03", nil},
		{"with length, as Windows and Apple send", "4002 000a 0102 0304 ff03", DataHeader{Tunnel: 0x102, Call: 0x304, HasLength: true}, "ff03", nil},
		{"octets beyond the length", "4002 000a 0102 0304 ff03 00", DataHeader{Tunnel: 0x102, Call: 0x304, HasLength: true}, "ff03", nil},
		{"sequence", "0802 0102 0304 0005 0006 21", DataHeader{Tunnel: 0x102, Call: 0x304, Ns: 5, Nr: 6, HasSequence: true}, "21", nil},
		{"offset 0, as SoftEther sends", "4202 000b 0102 0304 0000 21", DataHeader{Tunnel: 0x102, Call: 0x304, HasLength: true, HasOffset: true}, "21", nil},
		{"offset 2", "0202 0102 0304 0002 aaaa 21", DataHeader{Tunnel: 0x102, Call: 0x304, Offset: 2, HasOffset: true}, "21", nil},
		{"all of it", "4b02 0011 0102 0304 0005 0006 0001 aa 21 ff", DataHeader{0x102, 0x304, 5, 6, 1, true, true, true, true}, "21ff", nil},
		{"reserved bits are ignored", "34f2 0102 0304 21", DataHeader{Tunnel: 0x102, Call: 0x304}, "21", nil},
		{"no payload", "0002 0102 0304", DataHeader{Tunnel: 0x102, Call: 0x304}, "", nil},
		{"control", "c802 000c 0102 0304 0000 0000", DataHeader{}, "", ErrNotData},
		{"L2F", "0001 0102 0304", DataHeader{}, "", ErrVersion},
		{"L2TPv3", "0003 0102 0304", DataHeader{}, "", ErrVersion},
		{"length beyond the packet", "4002 000b 0102 0304 ff03", DataHeader{}, "", ErrLength},
		{"length within the header", "4002 0007 0102 0304 ff03", DataHeader{}, "", ErrLength},
		{"offset beyond the packet", "0202 0102 0304 0002 aa", DataHeader{}, "", ErrShort},
		{"offset beyond the length", "4202 000b 0102 0304 0002 aa aa", DataHeader{}, "", ErrShort},
		{"empty", "", DataHeader{}, "", ErrShort},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h, payload, err := ParseData(unhex(t, tt.packet))
			if !errors.Is(err, tt.err) {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			if err == nil && (h != tt.want || !bytes.Equal(payload, unhex(t, tt.payload))) {
				t.Fatalf("got %+v %x, want %+v %s", h, payload, tt.want, tt.payload)
			}
		})
	}
}

func TestDataTruncated(t *testing.T) {
	whole := AppendDataHeader(nil, DataHeader{1, 2, 3, 4, 5, true, true, true, true}, 3)
	whole = append(whole, 1, 2, 3)
	for n := range whole {
		if _, _, err := ParseData(whole[:n]); err == nil {
			t.Errorf("%d of %d octets parse", n, len(whole))
		}
	}
}

func TestDataAllocs(t *testing.T) {
	h := DataHeader{Tunnel: 1, Call: 2, HasLength: true, HasSequence: true}
	buf := make([]byte, 0, 64)
	if n := testing.AllocsPerRun(1000, func() {
		b := AppendDataHeader(buf[:0], h, 20)
		if _, _, err := ParseData(b[:len(b)+20]); err != nil || len(b) != DataHeaderLen(h) {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzData(f *testing.F) {
	f.Add(unhex(f, "00020102030421"))
	f.Add(unhex(f, "4b02001101020304000500060001aa21ff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, payload, err := ParseData(b)
		if err != nil {
			return
		}
		again := append(AppendDataHeader(nil, h, len(payload)), payload...)
		if len(again)-len(payload) != DataHeaderLen(h) {
			t.Fatalf("header has %d octets, said %d", len(again)-len(payload), DataHeaderLen(h))
		}
		h2, payload2, err := ParseData(again)
		if err != nil || h2 != h || !bytes.Equal(payload, payload2) {
			t.Fatalf("%+v %x became %+v %x: %v", h, payload, h2, payload2, err)
		}
	})
}

func TestControlHeader(t *testing.T) {
	tests := []struct {
		name, packet string
		err          error
	}{
		{"ZLB", "c802 000c 0001 0000 0002 0003", nil},
		{"octets beyond the length", "c802 000c 0001 0000 0002 0003 80", nil},
		{"reserved bits are ignored", "f8f2 000c 0001 0000 0002 0003", nil},
		{"data", "0002 0001 0002", ErrNotControl},
		{"version 3", "c803 000c 0001 0000 0002 0003", ErrVersion},
		{"no length bit", "8802 000c 0001 0000 0002 0003", ErrHeader},
		{"no sequence bit", "c002 000c 0001 0000 0002 0003", ErrHeader},
		{"offset bit", "ca02 000c 0001 0000 0002 0003", ErrHeader},
		{"priority bit", "c902 000c 0001 0000 0002 0003", ErrHeader},
		{"length beyond the packet", "c802 000d 0001 0000 0002 0003", ErrLength},
		{"length within the header", "c802 000b 0001 0000 0002 0003", ErrLength},
		{"short", "c802 000c 0001 0000 0002 00", ErrShort},
		{"one octet", "c8", ErrShort},
		{"AVP shorter than its header", "c802 0012 0001 0000 0002 0003 8005 0000 0000", ErrAVP},
		{"AVP longer than the message", "c802 0014 0001 0000 0002 0003 8009 0000 0000 0001", ErrAVP},
		{"first AVP is no message type", "c802 0014 0001 0000 0002 0003 8008 0000 0009 0001", ErrMessageType},
		{"message type of a vendor", "c802 0014 0001 0000 0002 0003 8008 0137 0000 0001", ErrMessageType},
		{"hidden message type", "c802 0014 0001 0000 0002 0003 c008 0000 0000 0001", ErrMessageType},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := ParseMessage(unhex(t, tt.packet), nil); !errors.Is(err, tt.err) {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
		})
	}
}

func TestTooManyAVPs(t *testing.T) {
	m := Message{AVPs: make([]AVP, 0, MaxAVPs+1)}
	for range MaxAVPs + 1 {
		m.AVPs = append(m.AVPs, u16(AttrMessageType, 6))
	}
	if _, err := ParseMessage(m.Append(nil), nil); !errors.Is(err, ErrTooManyAVPs) {
		t.Fatalf("error %v", err)
	}
}

// TestRecordedTruncated: no truncation of a recorded packet is a message, whether its
// length field is left alone or made to fit.
func TestRecordedTruncated(t *testing.T) {
	for name, whole := range packets(t) {
		if m, err := ParseMessage(whole, nil); err != nil || !bytes.Equal(m.Append(nil), whole) {
			t.Errorf("%s: not a fixed point: %v", name, err)
		}
		for n := range whole {
			if _, err := ParseMessage(whole[:n], nil); err == nil {
				t.Errorf("%s: %d of %d octets parse", name, n, len(whole))
			}
		}
		fitted(t, name, whole)
	}
}

// fitted truncates with the length field corrected: only cuts between AVPs may parse.
func fitted(t *testing.T, name string, whole []byte) {
	t.Helper()
	cut := map[int]bool{controlHeaderSize: true}
	for at, b := controlHeaderSize, whole[controlHeaderSize:]; len(b) > 0; {
		_, rest, err := consumeAVP(b)
		if err != nil {
			t.Fatal(err)
		}
		at += len(b) - len(rest)
		cut[at], b = true, rest
	}
	for n := controlHeaderSize; n < len(whole); n++ {
		short := bytes.Clone(whole[:n])
		sealLength(short)
		if _, err := ParseMessage(short, nil); (err == nil) != cut[n] {
			t.Errorf("%s cut to %d: %v", name, n, err)
		}
	}
}

func FuzzAVP(f *testing.F) {
	f.Add(unhex(f, "80080000000900010bad"))
	f.Add(unhex(f, "fc160137000157828bf3c66c04a9dd96d9335d432b3a"))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, rest, err := consumeAVP(b)
		if err != nil {
			return
		}
		again := appendAVP(nil, a)
		if !bytes.Equal(append(again, rest...), b) {
			t.Fatalf("%x became %x", b, again)
		}
	})
}

func FuzzMessage(f *testing.F) {
	for _, p := range packets(f) {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ParseMessage(b, nil)
		if err != nil {
			return
		}
		readable(m)
		m2, err := ParseMessage(m.Append(nil), nil)
		if err != nil || !reflect.DeepEqual(m, m2) {
			t.Fatalf("%+v became %+v: %v", m, m2, err)
		}
	})
}

// readable reads the AVPs for their panics.
func readable(m Message) {
	if m.ZLB() {
		return
	}
	f, _ := readFields(m, []byte("secret"))
	_ = Reason{CausePeer, MessageCDN, parseResult(f.resultCode)}.String()
}

func TestHidden(t *testing.T) {
	secret, vector := []byte("the tunnel secret"), make([]byte, 16)
	for i := range vector {
		vector[i] = byte(i)
	}
	// Computed independently.
	tests := []struct {
		attribute AttributeType
		value     string
		hidden    string
		padded    bool
	}{
		{AttrAssignedTunnel, "\x12\x34", "6c293c16acba5364f7a205c4a1e82c0e", true},
		{AttrVendorName, "a host name that is longer than two blocks", "ea0ffd3bc40b909cb7ff2eab7df90f643b62102a5e18bb6bd9b29b4eaaa73d47a03dc9cf8228a203b9f7f4e950f14a10", true},
		{AttrChallenge, "abc", "952149a4c5", false},
	}
	for _, tt := range tests {
		hidden := unhex(t, tt.hidden)
		got, err := revealValue(tt.attribute, secret, vector, hidden)
		if err != nil || string(got) != tt.value {
			t.Errorf("%v: revealed %q: %v", tt.attribute, got, err)
		}
		if tt.padded && !bytes.Equal(hideValue(tt.attribute, secret, vector, []byte(tt.value)), hidden) {
			t.Errorf("%v: hidden differently", tt.attribute)
		}
		for n := range 2 + len(tt.value) { // what follows is padding
			if _, err := revealValue(tt.attribute, secret, vector, hidden[:n]); !errors.Is(err, ErrHidden) {
				t.Errorf("%v: %d octets are enough", tt.attribute, n)
			}
		}
	}
	for _, bad := range [][2][]byte{{nil, vector}, {secret, nil}} {
		if _, err := revealValue(AttrChallenge, bad[0], bad[1], make([]byte, 16)); !errors.Is(err, ErrHidden) {
			t.Errorf("revealed without secret or vector: %v", err)
		}
	}
}

func TestChallengeResponse(t *testing.T) {
	secret, challenge := []byte("the tunnel secret"), make([]byte, 32)
	for i := range challenge {
		challenge[i] = byte(i)
	}
	// Computed independently.
	for carrier, want := range map[MessageType]string{
		MessageSCCRP: "f9dae4211ed09ab143ff93c50dee6179",
		MessageSCCCN: "998e60f002ff6d9a4c30ea0511c695e5",
	} {
		got := challengeResponse(carrier, secret, challenge)
		if !bytes.Equal(got[:], unhex(t, want)) {
			t.Errorf("%v: %x, want %s", carrier, got, want)
		}
	}
}

func TestParseResult(t *testing.T) {
	tests := []struct {
		name, value string
		via         MessageType
		want        Result
		words       string
	}{
		{"bare code, as Android sends", "0006", MessageStopCCN, Result{Code: 6}, "shut down"},
		{"code and error, as Windows sends", "0003 0000", MessageCDN, Result{Code: 3}, "administrative"},
		{"Apple's CDN, little-endian", "0300 0000 0000 0000", MessageCDN, Result{Code: 3}, "administrative"},
		{"Apple's StopCCN, little-endian", "0100 0000 0000 0000", MessageStopCCN, Result{Code: 1}, "clear the control connection"},
		{"with a message", "0002 0006 6e6f 0a07 21", MessageCDN, Result{2, 6, "no!"}, "vendor-specific error: no!"},
		{"version", "0005 0100", MessageStopCCN, Result{Code: 5, Error: 1}, "highest supported is 1"},
		{"three octets", "0004 00", MessageStopCCN, Result{Code: 4}, "not authorized"},
		{"one octet", "01", MessageCDN, Result{}, "result 0"},
		{"none", "", MessageCDN, Result{}, "result 0"},
		{"unknown", "00ff 00fe", MessageCDN, Result{Code: 255, Error: 254}, "result 255: error 254"},
	}
	for _, tt := range tests {
		got := parseResult(unhex(t, tt.value))
		if got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
		if s := (Reason{CausePeer, tt.via, got}).String(); !strings.Contains(s, tt.words) {
			t.Errorf("%s: %q does not say %q", tt.name, s, tt.words)
		}
	}
}

// TestWords: every code of RFC 2661 has its words.
func TestWords(t *testing.T) {
	for code := uint16(1); code <= 11; code++ {
		if s := (Result{Code: code}).words(MessageCDN); strings.HasPrefix(s, "result ") {
			t.Errorf("CDN %d has no words", code)
		}
		if s := (Result{Code: code}).words(MessageStopCCN); code <= 7 && strings.HasPrefix(s, "result ") {
			t.Errorf("StopCCN %d has no words", code)
		}
		if s := ErrorCode(code - 1).String(); code <= 10 && strings.HasPrefix(s, "error ") {
			t.Errorf("error %d has no words", code-1)
		}
	}
	for c := CausePeer; c <= CauseForgotten; c++ {
		if strings.HasPrefix(c.String(), "cause ") {
			t.Errorf("cause %d has no words", c)
		}
	}
	for typ := range AttributeType(40) {
		if typ != 20 && strings.HasPrefix(typ.String(), "attribute ") {
			t.Errorf("attribute %d has no name", typ)
		}
	}
}
