package ppp

import (
	"bytes"
	"testing"
)

func TestParseFrame(t *testing.T) {
	for name, c := range map[string]struct {
		frame   string
		proto   Protocol
		payload string
		ok      bool
	}{
		"full":                        {"\xff\x03\x00\x21IP", ProtocolIPv4, "IP", true},
		"no address and control":      {"\x00\x21IP", ProtocolIPv4, "IP", true},
		"one octet of protocol":       {"\xff\x03\x21IP", ProtocolIPv4, "IP", true},
		"both":                        {"\x21IP", ProtocolIPv4, "IP", true},
		"LCP":                         {"\xff\x03\xc0\x21\x01", ProtocolLCP, "\x01", true},
		"nothing to carry":            {"\xff\x03\x21", ProtocolIPv4, "", true},
		"0xff alone is a protocol":    {"\xff\x01", 0xff, "\x01", true},
		"empty":                       {"", 0, "", false},
		"address and control alone":   {"\xff\x03", 0, "", false},
		"half a protocol":             {"\xff\x03\xc0", 0, "", false},
		"second octet must be odd":    {"\xff\x03\xc0\x20\x00", 0, "", false},
		"even octets are no protocol": {"\x00\x00\x00", 0, "", false},
	} {
		proto, payload, ok := ParseFrame([]byte(c.frame))
		if ok != c.ok || proto != c.proto || string(payload) != c.payload {
			t.Errorf("%s: %s %q %v", name, proto, payload, ok)
		}
	}
}

func TestAppendHeader(t *testing.T) {
	for _, proto := range []Protocol{ProtocolIPv4, ProtocolIPv6, ProtocolIPCP, ProtocolLCP, 0x00ff} {
		for _, acfc := range []bool{false, true} {
			for _, pfc := range []bool{false, true} {
				b := AppendHeader(nil, proto, acfc, pfc)
				want := 4
				if acfc && proto != ProtocolLCP {
					want -= 2
				}
				if pfc && (proto == ProtocolIPv4 || proto == ProtocolIPv6) {
					want--
				}
				if len(b) != want {
					t.Errorf("%s %v %v: %d octets, want %d", proto, acfc, pfc, len(b), want)
				}
				got, payload, ok := ParseFrame(append(b, "data"...))
				if got != proto || string(payload) != "data" || !ok {
					t.Errorf("%s %v %v: %x", proto, acfc, pfc, b)
				}
			}
		}
	}
	if b := AppendHeader(nil, ProtocolLCP, true, true); !bytes.Equal(b, []byte{0xff, 3, 0xc0, 0x21}) {
		t.Errorf("LCP is compressed: %x", b)
	}
	if b := AppendHeader(nil, ProtocolIPv4, true, true); !bytes.Equal(b, []byte{0x21}) {
		t.Errorf("IPv4 is not compressed: %x", b)
	}
}

func TestFrameViewAllocatesNothing(t *testing.T) {
	frame := []byte("\xff\x03\x00\x21some packet")
	buf := make([]byte, 0, 64)
	n := testing.AllocsPerRun(100, func() {
		proto, payload, ok := ParseFrame(frame)
		if !ok {
			panic(proto)
		}
		buf = append(AppendHeader(buf[:0], proto, true, true), payload...)
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestEveryTruncation(t *testing.T) {
	b := []byte("\x01\x02\x00\x0e\x01\x04\x05\x78\x05\x06\x01\x02\x03\x04")
	for n := range len(b) {
		if p, err := parsePacket(b[:n]); err == nil {
			t.Errorf("%d octets are a packet: %+v", n, p)
		}
	}
	p, err := parsePacket(append(b, "padding"...))
	if err != nil || len(p.data) != 10 {
		t.Fatalf("%+v %v", p, err)
	}
	for n := range len(p.data) {
		if err := checkOptions(p.data[:n]); (err == nil) != (n == 0 || n == 4) {
			t.Errorf("%d octets of options: %v", n, err)
		}
	}
	for _, bad := range []string{"\x01\x00", "\x01\x01", "\x01"} {
		if checkOptions([]byte(bad)) == nil {
			t.Errorf("%x are options", bad)
		}
	}
}

func FuzzFrame(f *testing.F) {
	f.Add([]byte("\xff\x03\x00\x21x"), true, false)
	f.Add([]byte("\x21x"), false, true)
	f.Fuzz(func(t *testing.T, b []byte, acfc, pfc bool) {
		proto, payload, ok := ParseFrame(b)
		if !ok {
			return
		}
		again := append(AppendHeader(nil, proto, acfc, pfc), payload...)
		proto2, payload2, ok := ParseFrame(again)
		if !ok || proto2 != proto || !bytes.Equal(payload, payload2) {
			t.Fatalf("%x became %x", b, again)
		}
	})
}

func FuzzPacket(f *testing.F) {
	f.Add([]byte("\x01\x02\x00\x0e\x01\x04\x05\x78\x05\x06\x01\x02\x03\x04"))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := parsePacket(b)
		if err != nil {
			return
		}
		again := finishFrame(append(startFrame(ProtocolLCP, p.code, p.id), p.data...))[maxHeaderLen:]
		if !bytes.HasPrefix(b, again) {
			t.Fatalf("packet %x became %x", b, again)
		}
		if checkOptions(p.data) != nil {
			return
		}
		var options []byte
		for rest := p.data; len(rest) > 0; {
			var o option
			o, rest, _ = consumeOption(rest)
			options = appendOption(options, o.kind, o.data...)
		}
		if !bytes.Equal(options, p.data) {
			t.Fatalf("options %x became %x", p.data, options)
		}
	})
}
