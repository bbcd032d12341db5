package ppp

import (
	"encoding/hex"
	"fmt"
	"slices"
	"testing"
	"time"
)

// scripted is randomness that was recorded: each Read takes one piece, then zeros.
type scripted struct{ pieces []string }

func (s *scripted) Read(b []byte) (int, error) {
	clear(b)
	if len(s.pieces) > 0 {
		piece, _ := hex.DecodeString(s.pieces[0])
		s.pieces = s.pieces[1:]
		copy(b, piece)
	}
	return len(b), nil
}

// sentBy returns the frames that a link sends, in hexadecimal.
func sentBy(l *Link) []string {
	var frames []string
	for {
		e, ok := l.Next()
		if !ok {
			return frames
		}
		if s, ok := e.(Send); ok {
			frames = append(frames, hex.EncodeToString(s.Frame))
		}
	}
}

// dialAs logs a client with that randomness in at a server that refuses nothing, and
// returns what it sent in LCP and beside and in IPCP.
func dialAs(t *testing.T, name string, random ...string) []string {
	t.Helper()
	c := clientConfig(t, name)
	c.Role, c.Rand = Client, &scripted{random}
	l, err := NewLink(c)
	if err != nil {
		t.Fatal(err)
	}
	f := &flow{t: t, link: l, now: epoch, asked: make(map[string][]byte)}
	l.Start(epoch)
	sent := f.collect()
	for _, line := range [][]string{
		{"LCP", "ConfRej", "0", "13:06"}, // only who asks for a callback takes it
		{"ack", "LCP"},
		{"LCP", "ConfReq", "1", "3:c22381", "5:9c7658c5"},
		{"CHAP", "Challenge", "1", "=10f7e73e9e1439687ba596ddd349636b4f"},
		{"prove", "1"},
	} {
		if name != "windows10" && line[1] == "ConfRej" {
			continue
		}
		if err := l.Input(epoch, f.frame(line)); err != nil {
			t.Fatalf("%v: %v", line, err)
		}
		sent = append(sent, f.collect()...)
	}
	return sent
}

// collect drains the frames and notes the Configure-Requests.
func (f *flow) collect() []string {
	frames := sentBy(f.link)
	for _, s := range frames {
		f.line(f.hex(s))
	}
	return frames
}

// The frames that were recorded come out byte for byte, given the same random numbers.
func TestPersonasSendWhatWasRecorded(t *testing.T) {
	for name, c := range map[string]struct{ random, want []string }{
		"windows10": {
			[]string{"12b86bf0", "c91ab2303ac7c0429bcbb1d0b131f084", "", "30665a7e8623e95b"},
			[]string{
				"ff03c0210100001501040578050612b86bf0070208020d0306",
				"ff03c0210c02001212b86bf04d5352415356352e3230",
				"ff03c0210c03001712b86bf04d535241532d302d4445534b544f50",
				"ff03c0210c04001812b86bf0c91ab2303ac7c0429bcbb1d0b131f084",
				"ff0380570105000e010a30665a7e8623e95b",
				"ff0380fd0106000a120601000000",
				"ff03802101070022030600000000810600000000820600000000830600000000840600000000",
			},
		},
		"macos": {
			[]string{"00123456", "", "f21898000075" + "59b0"},
			[]string{
				"ff03c0210101001402060000000005060012345607020802",
				"ff03802101010016030600000000810600000000830600000000",
				"ff0380570101000e010af21898fffe7559b0",
				"ff03823501010010010600000001020600000001",
			},
		},
		"android": {
			[]string{"00123456"},
			[]string{
				"ff03c021010100180104057802060000000005060012345607020802",
				"ff03802101010016030600000000810600000000830600000000",
			},
		},
		"culvert": {
			[]string{"00123456"},
			[]string{"ff03c021010100120104057805060012345607020802"},
		},
	} {
		sent := dialAs(t, name, c.random...)
		at := 0
		for _, want := range c.want {
			i := slices.Index(sent[at:], want)
			if i < 0 {
				t.Errorf("%s: %s was not sent, or out of order: %q", name, want, sent)
				continue
			}
			at += i + 1
		}
	}
}

func TestPersonas(t *testing.T) {
	names := PersonaNames()
	for _, name := range []string{"windows7", "windows10", "macos", "ios", "android", "chromeos", "mikrotik", "networkmanager", "kl2tpd", "culvert"} {
		p, ok := Personas(name)
		if !ok || p.orOwn().Name != name || !slices.Contains(names, name) {
			t.Errorf("%s: %v %q", name, ok, p.orOwn().Name)
		}
	}
	if _, ok := Personas("os2"); ok {
		t.Error("OS/2 is unknown")
	}
}

// Windows acks nothing but MS-CHAPv2, whatever its user allows.
func TestPersonaNarrowsThePolicy(t *testing.T) {
	c := clientConfig(t, "windows10")
	c.Auth = AuthPolicy{MSCHAPv2: true, PAP: true}
	p := newPair(t, 1, Config{Auth: AuthPolicy{PAP: true}}, c, admission{password: "secret"})
	p.start()
	p.run(10 * time.Second)
	server, client := p.wantClosed("windows10 and PAP")
	if server.Cause != CauseNoCommonAuth || server.Code != 734 || client.Cause != CausePeer {
		t.Error(server, client)
	}
}

// A client that likes best what the server does not have, and knows no EAP, is asked for
// what both have.
func TestNextMethodIsAskedFor(t *testing.T) {
	c := Config{User: "alice", Password: []byte("secret"), Auth: AuthPolicy{MSCHAPv2: true, CHAPMD5: true}}
	for _, have := range []AuthPolicy{{EAP: true, CHAPMD5: true}, {EAP: true, CHAPMD5: true, PAP: true}, {CHAPMD5: true}} {
		p := newPair(t, 1, Config{Auth: have}, c, admission{password: "secret"})
		p.start()
		p.run(10 * time.Second)
		p.wantUp(fmt.Sprint(have))
	}
}

// A retransmission of Windows has another identifier, one of pppd the same.
func TestRetransmission(t *testing.T) {
	for name, same := range map[string]bool{"windows10": false, "android": true, "culvert": true} {
		c := clientConfig(t, name)
		c.Role, c.Rand = Client, &counting{}
		l, err := NewLink(c)
		if err != nil {
			t.Fatal(err)
		}
		l.Start(epoch)
		first := sentBy(l)
		l.Advance(l.Deadline())
		second := sentBy(l)
		if len(first) != 1 || len(second) != 1 || (first[0] == second[0]) != same {
			t.Errorf("%s: %q, then %q", name, first, second)
		}
		if first[0][16:] != second[0][16:] {
			t.Errorf("%s: the options changed", name)
		}
	}
}
