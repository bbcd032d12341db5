package wire

import (
	"errors"
	"net/netip"
	"reflect"
	"testing"
)

func TestModeConfigTruncated(t *testing.T) {
	c := ModeConfig{Type: ConfigRequest, Identifier: 1}
	c.AddShort(XAUTHType, XAUTHGeneric)
	c.AddBytes(XAUTHUser, []byte("alice"))
	b := c.AppendBody(nil)
	whole := map[int]bool{4: true, 8: true} // without the attributes behind it
	for n := range b {
		if _, err := ConsumeModeConfig(b[:n]); (err == nil) != whole[n] {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	if a, ok := c.Find(XAUTHUser); !ok || string(a.Value) != "alice" {
		t.Errorf("%+v", a)
	}
}

// TestModeConfigPadded: whoever aligns a payload to four octets, as libreswan does, is
// understood; what is cut short is not.
func TestModeConfigPadded(t *testing.T) {
	want := ModeConfig{Type: ConfigReply, Identifier: 1}
	want.AddBytes(ModeIP4Address, []byte{10, 9, 0, 2})
	want.AddBytes(UnitySplitInclude, AppendSplit(nil, netip.MustParsePrefix("10.0.0.0/8")))
	for n := range 4 {
		if got, err := ConsumeModeConfig(append(want.AppendBody(nil), make([]byte, n)...)); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("with %d zeros: %+v, %v", n, got, err)
		}
	}
	for _, behind := range []string{"\x01", "\x00\x01", "\x00\x00\x01", "\x00\x01\x00\x04\x0a"} {
		if got, err := ConsumeModeConfig(append(want.AppendBody(nil), behind...)); !errors.Is(err, ErrShort) {
			t.Errorf("with %x behind: %+v, %v", behind, got, err)
		}
	}
}

// TestTransformPadded: the attributes of a transform may be aligned in the same way.
func TestTransformPadded(t *testing.T) {
	offer := func(behind string) []byte {
		l := Attributes{}.AppendTV(1, 7).AppendTV(14, 256)
		return SA{DOI: DOIIPsec, Situation: SituationIdentityOnly, Proposals: []Proposal{{Number: 1, Protocol: ProtocolISAKMP,
			Transforms: []Transform{{Number: 1, ID: TransformKeyIKE, Attributes: append(l, behind...)}}}}}.AppendBody(nil)
	}
	for behind, want := range map[string]error{"\x00": nil, "\x00\x00\x00": nil, "\x00\x01": ErrShort, "\x01\x00\x00": ErrShort} {
		sa, err := ConsumeSA(offer(behind))
		if !errors.Is(err, want) {
			t.Errorf("%x behind: %v", behind, err)
		}
		if err != nil {
			continue
		}
		n := 0
		for range sa.Proposals[0].Transforms[0].Attributes.All() {
			n++
		}
		if n != 2 {
			t.Errorf("%x behind: %d attributes", behind, n)
		}
	}
}

// TestModeConfigFlood: what is read of a payload is bounded.
func TestModeConfigFlood(t *testing.T) {
	c := ModeConfig{Type: ConfigRequest}
	for range MaxConfigAttributes + 1 {
		c.AddShort(XAUTHType, 0)
	}
	if _, err := ConsumeModeConfig(c.AppendBody(nil)); !errors.Is(err, ErrCount) {
		t.Error(err)
	}
}

func TestSplitInclude(t *testing.T) {
	want := []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("192.0.2.7/32")}
	var b []byte
	for _, p := range want {
		b = AppendSplit(b, p)
	}
	got, err := ParseSplit(b)
	if err != nil || !reflect.DeepEqual(got, want) || len(b) != 3*14 {
		t.Fatalf("%v %v from %x", got, err, b)
	}
	for n := range b {
		if _, err := ParseSplit(b[:n]); err == nil && n%14 != 0 {
			t.Errorf("%d bytes are accepted", n)
		}
	}
	b[5] = 0x0f
	if _, err := ParseSplit(b); !errors.Is(err, ErrValue) {
		t.Errorf("a mask with holes: %v", err)
	}
}

// FuzzModeConfig: what can be read is written the same, and its networks are
// read or refused.
func FuzzModeConfig(f *testing.F) {
	f.Add([]byte("\x01\x00\x00\x01\xc0\x88\x00\x00\x40\x89\x00\x05alice"))
	f.Add([]byte("\x01\x00\x00\x01\xc0\x88\x00\x00\x40\x89\x00\x05alice\x00\x00\x00"))
	f.Add(ModeConfig{Attributes: []Attribute{{Type: UnitySplitInclude, Value: AppendSplit(nil, netip.MustParsePrefix("10.0.0.0/8"))}}}.AppendBody(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := ConsumeModeConfig(b)
		if err != nil {
			return
		}
		again, err := ConsumeModeConfig(c.AppendBody(nil))
		if err != nil || !reflect.DeepEqual(c, again) {
			t.Fatalf("read %+v, then %+v, %v", c, again, err)
		}
		for _, a := range c.Attributes {
			if list, err := ParseSplit(a.Value); err == nil && len(list)*14 != len(a.Value) {
				t.Fatalf("%v of %x", list, a.Value)
			}
		}
	})
}
