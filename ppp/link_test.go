package ppp

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// script drives a link with lines of flows.
func script(t testing.TB, c Config) *flow {
	t.Helper()
	if c.Rand == nil {
		c.Rand = &counting{}
	}
	l, err := NewLink(c)
	if err != nil {
		t.Fatal(err)
	}
	f := &flow{t: t, link: l, now: epoch, asked: make(map[string][]byte)}
	l.Start(epoch)
	f.drain()
	return f
}

// run does a line and returns what the link did.
func (f *flow) run(line string) []string {
	f.out = nil
	f.do(strings.Fields(line))
	f.drain()
	return f.out
}

// want does a line and compares.
func (f *flow) want(line string, want ...string) {
	f.t.Helper()
	if got := f.run(line); !slices.Equal(got, want) {
		f.t.Errorf("after %q the link did\n\t%q, want\n\t%q", line, got, want)
	}
}

const zeros49 = "=31" + "00000000000000000000000000000000" + "0000000000000000" + "000000000000000000000000000000000000000000000000" + "00"

// loggedIn returns a server's link with its client in the network phase.
func loggedIn(t testing.TB, c Config) *flow {
	t.Helper()
	f := script(t, c)
	for _, line := range []string{
		"< LCP ConfReq 1 5:41131244", "< ack LCP", `< CHAP Response 1 ` + zeros49 + ` "alice"`, "verdict ok S=x",
	} {
		f.run(line)
	}
	return f
}

// up returns a server's link that is up.
func up(t testing.TB, c Config) *flow {
	t.Helper()
	f := loggedIn(t, c)
	f.run("< ack IPCP")
	if got := f.run("< IPCP ConfReq 1 3:0a640007"); len(got) != 2 || !strings.HasPrefix(got[1], "! up") {
		t.Fatalf("not up: %q", got)
	}
	return f
}

// RFC 1661 section 4.6: the restart timer and Max-Configure.
func TestRequestsAreRepeated(t *testing.T) {
	f := script(t, Config{})
	for n := 1; n < 10; n++ {
		f.want("wait 2999ms")
		f.want("wait 1ms", "> LCP ConfReq 1 1:0578 3:c22381 5:01020304")
	}
	f.want("wait 3s", "! closed: no answer to LCP (error 718)")
	f.want("wait 1h")
}

func TestAnswersBeforeItsOwnIsAcked(t *testing.T) {
	f := script(t, Config{})
	f.want("< LCP ConfReq 9 1:0578 5:41131244", "> LCP ConfAck 9 1:0578 5:41131244")
	f.want("< LCP ConfReq 10 1:0578 5:41131244", "> LCP ConfAck 10 1:0578 5:41131244")
	f.want("< LCP ConfReq 11", "> LCP ConfAck 11")
}

func TestOptionsOfLCP(t *testing.T) {
	f := script(t, Config{})
	for _, c := range [][2]string{
		{"1:0040", "ConfNak 1 1:0240"},                           // MRU of 64
		{"1:2328", "ConfNak 1 1:05dc"},                           // MRU of 9000
		{"1:05dc 2:ffffffff", "ConfAck 1 1:05dc 2:ffffffff"},     // ACCM
		{"3:c22381 7:", "ConfRej 1 3:c22381"},                    // a client does not authenticate us
		{"4:c02500000064 9:06", "ConfRej 1 4:c02500000064 9:06"}, // quality reports, FCS
		{"5:00000000", "ConfNak 1 5:05060708"},                   // "MUST always be Nak'd"
		{"13:06 17:064e 18: 200:aabb", "ConfRej 1 13:06 17:064e 18: 200:aabb"},
		{"1:0040 13:06", "ConfRej 1 13:06"}, // rejects go first
		{"1:05", "ConfRej 1 1:05"},          // an MRU of one octet
	} {
		f.want("< LCP ConfReq 1 "+c[0], "> LCP "+c[1])
	}
}

// RFC 1661 section 4.6: Max-Failure turns Naks into Rejects.
func TestNaksEnd(t *testing.T) {
	f := script(t, Config{})
	for range maxFailure {
		f.want("< LCP ConfReq 1 1:0040", "> LCP ConfNak 1 1:0240")
	}
	f.want("< LCP ConfReq 1 1:0040", "> LCP ConfRej 1 1:0040")
	f.want("< LCP ConfReq 1", "> LCP ConfAck 1")
	f.want("< LCP ConfReq 1 1:0040", "> LCP ConfNak 1 1:0240")
}

// RFC 1661 section 5.2: what does not match our last request is silently discarded.
func TestRepliesMustMatch(t *testing.T) {
	f := script(t, Config{})
	for _, line := range []string{
		"< LCP ConfAck 2 1:0578 3:c22381 5:01020304",
		"< LCP ConfAck 1 1:0578 3:c22381 5:01020305",
		"< LCP ConfAck 1",
		"< LCP ConfNak 2 1:0500",
		"< LCP ConfRej 0 5:01020304",
	} {
		if got := f.run(line); len(got) != 1 || !strings.Contains(got[0], ErrMismatch.Error()) {
			t.Errorf("%s: %q", line, got)
		}
	}
	f.want("< ack LCP")
	if got := f.run("< ack LCP"); len(got) != 1 || !strings.Contains(got[0], ErrMismatch.Error()) {
		t.Errorf("a second ack: %q", got)
	}
}

func TestNaksAndRejectsOfOurs(t *testing.T) {
	f := script(t, Config{})
	f.want("< LCP ConfNak 1 1:0500", "> LCP ConfReq 2 1:0500 3:c22381 5:01020304")
	f.want("< LCP ConfRej 2 1:0500 5:01020304", "> LCP ConfReq 3 3:c22381")
	f.want("< LCP ConfRej 3 3:c22381", `> LCP TermReq 4 "no common authentication protocol"`)
	f.want("< LCP TermAck 4", "! closed: no common authentication protocol: the client refuses to authenticate (error 734)")
}

func TestNegotiationWithoutEnd(t *testing.T) {
	f := script(t, Config{})
	for id := 1; id <= maxRounds; id++ {
		f.run(fmt.Sprintf("< LCP ConfNak %d 5:00000000", id))
	}
	f.want("wait 20s", `> LCP TermReq 42 "negotiation does not converge"`,
		"! closed: negotiation does not converge: LCP (error 732)")
}

// Before LCP is open nothing else is heard, and nothing rejected (RFC 1661 section 3.4, 5.7).
func TestSilenceBeforeLCP(t *testing.T) {
	f := script(t, Config{})
	for _, line := range []string{
		"< CCP ConfReq 1 18:01000000", "< IPCP ConfReq 1 3:00000000", "< IPV6CP ConfReq 1", "< EAP ConfReq 1",
		"< LCP EchoReq 1 =00000000", "< LCP ProtRej 1 =8021", `< CHAP Response 1 ` + zeros49, "< fffd1234", "< 0021450000",
	} {
		if got := f.run(line); len(got) != 1 || !strings.HasPrefix(got[0], "! refused") {
			t.Errorf("%s: %q", line, got)
		}
	}
}

// What is not spoken is rejected, at once and again, and holds nothing up.
func TestUnknownProtocols(t *testing.T) {
	f := loggedIn(t, Config{})
	f.want("< CCP ConfReq 1 18:01000000", "> LCP ProtRej 2 =80fd0101000a120601000000")
	f.want("< CCP ConfReq 2 18:01000000", "> LCP ProtRej 3 =80fd0102000a120601000000")
	f.want("< ACSCP ConfReq 1 1:00000001", "> LCP ProtRej 4 =82350101000a010600000001")
	f.want("< EAP ConfReq 1", "> LCP ProtRej 5 =c22701010004")
	f.want("< fd1234", "> LCP ProtRej 6 =00fd1234")
	f.want("< ack IPCP")
	f.want("< IPCP ConfReq 1 3:0a640007", "> IPCP ConfAck 1 3:0a640007",
		"! up 10.100.0.1 10.100.0.7 dns [] nbns [] mru 1500 acfc false pfc false")
	f.want("< 0021450000", "! refused: "+ErrNotControl.Error())
}

// A rejected packet is cut to the peer's MRU (RFC 1661 section 5.7).
func TestRejectsAreCut(t *testing.T) {
	f := script(t, Config{})
	f.run("< LCP ConfReq 1 1:0240 5:41131244")
	f.run("< ack LCP")
	long := bytes.Repeat([]byte{0x55}, 1400)
	for _, frame := range [][]byte{
		append([]byte{0xff, 3, 0x80, 0xfd}, long...),
		finishFrame(append(startFrame(ProtocolLCP, 77, 1), long...)),
		finishFrame(append(startFrame(ProtocolLCP, echoRequest, 1), append(make([]byte, 4), long...)...)),
	} {
		if err := f.link.Input(epoch, frame); err != nil {
			t.Fatal(err)
		}
		for _, s := range sentBy(f.link) {
			if n := len(s)/2 - maxHeaderLen; n != minMRU {
				t.Errorf("%s... has %d octets", s[:24], n)
			}
		}
	}
}

func TestCodesOfLCP(t *testing.T) {
	f := loggedIn(t, Config{})
	f.want("< LCP EchoReq 77 =4113124401020304", "> LCP EchoRep 77 =0102030401020304")
	f.want("< LCP EchoRep 77 =41131244")
	f.want("< LCP Discard 1 =41131244ffff")
	f.want(`< LCP Ident 1 =41131244 "MSRASV5.20"`, "! identified MSRASV5.20")
	f.want("< LCP TimeRem 1 =4113124400000010")
	f.want("< LCP Vendor 5 =aa", "> LCP CodeRej 2 =00050005aa")
	f.want("< IPCP EchoReq 5 =41131244", "> IPCP CodeRej 2 =0905000841131244")
	f.want("< LCP CodeRej 1 =0c010004") // one that we can do without
	f.want("< LCP CodeRej 2 =01010004", `> LCP TermReq 3 "closed"`)
	f.want("wait 10s", `> LCP TermReq 4 "closed"`, "! closed: no answer to LCP (error 718)")
}

func TestIdentificationsAreBounded(t *testing.T) {
	f := loggedIn(t, Config{})
	told := 0
	for range 100 {
		told += len(f.run(`< LCP Ident 1 =41131244 "x"`))
	}
	if told != maxIdents {
		t.Errorf("%d were told", told)
	}
}

// RFC 1661 section 6.4: equal magic numbers are Nak'ed, and a line that gives back
// everything is found out.
func TestLoopback(t *testing.T) {
	for _, role := range []Role{Server, Client} {
		c := Config{Role: role, Rand: newSeeded(1)}
		if role == Client {
			c.User = "alice"
		}
		l, err := NewLink(c)
		if err != nil {
			t.Fatal(err)
		}
		now := epoch
		l.Start(now)
		var reason Reason
		for steps := 0; reason.Cause == CauseLocal; steps++ {
			if steps > 200 {
				t.Fatal("not found out")
			}
			switch e, ok := l.Next(); e := e.(type) {
			case Send:
				l.Input(now, e.Frame)
			case Closed:
				reason = e.Reason
			default:
				if !ok {
					now = l.Deadline()
					l.Advance(now)
				}
			}
		}
		if reason.Cause != CauseLoopback {
			t.Error(reason)
		}
	}
	f := script(t, Config{})
	f.want("< LCP ConfReq 1 5:01020304", "> LCP ConfNak 1 5:05060708")
	f = loggedIn(t, Config{})
	f.run("< LCP EchoReq 1 =01020304")
	f.want("< LCP TermAck 2", "! closed: the line is looped back: echo (error 737)")
}

func TestEcho(t *testing.T) {
	f := up(t, Config{EchoInterval: 10 * time.Second, EchoFailures: 2})
	f.want("wait 9s")
	f.want("wait 1s", "> LCP EchoReq 2 =01020304")
	f.want("< LCP EchoRep 2 =41131244")
	f.link.Traffic(f.now.Add(5 * time.Second)) // a peer with traffic is not asked
	f.want("wait 14s")
	f.want("wait 1s", "> LCP EchoReq 3 =01020304")
	f.want("wait 10s", "> LCP EchoReq 4 =01020304")
	f.want("wait 9s")
	f.want("wait 1s", "! down", `> LCP TermReq 5 "the peer no longer answers"`)
	f.want("wait 10s", `> LCP TermReq 6 "the peer no longer answers"`, "! closed: the peer no longer answers")
	if d := f.link.Deadline(); !d.IsZero() {
		t.Error("a deadline is left")
	}
	f = up(t, Config{EchoInterval: 10 * time.Second})
	f.run("< LCP CodeRej 1 =09010008")
	f.want("wait 1h")
}

func TestLoginTimeout(t *testing.T) {
	f := loggedIn(t, Config{})
	for range 19 {
		f.run("wait 3s")
		f.run("< IPCP ConfReq 1 129:00000000 200:00")
	}
	f.run("wait 20s")
	if d := f.link.Deadline(); !d.IsZero() || f.link.reason.Cause != CauseLoginTimeout && f.link.reason.Cause != CauseNetworkRefused {
		t.Errorf("%s %s", f.link.reason, d)
	}
	f = script(t, Config{}) // nobody answers for the owner
	f.run("< LCP ConfReq 1 5:41131244")
	f.run("< ack LCP")
	f.run(`< CHAP Response 1 ` + zeros49 + ` "alice"`)
	f.want("wait 59s", "> LCP EchoReq 2 =01020304")
	f.want("wait 1s", "> LCP EchoReq 3 =01020304", `> LCP TermReq 4 "login took too long"`)
	f.want("wait 6s", `> LCP TermReq 5 "login took too long"`, "! closed: login took too long: in authentication")
}

// A client that begins anew with LCP is to authenticate anew.
func TestRenegotiation(t *testing.T) {
	f := up(t, Config{})
	f.want("< LCP ConfReq 1 5:41131244", "> LCP ConfAck 1 5:41131244") // the same again: our ack was lost
	f.want("< LCP ConfReq 2 5:99999999", "! down",
		"> LCP ConfReq 2 1:0578 3:c22381 5:01020304", "> LCP ConfAck 2 5:99999999")
	f.run("< ack LCP")
	f.want("< IPCP ConfReq 2 3:0a640007", "! refused: "+ErrPhase.Error())
	f.want(`< CHAP Response 2 `+zeros49+` "alice"`, `! authenticate 2: MS-CHAPv2 "alice"`)
	f.run("verdict ok S=x")
	f.run("< ack IPCP")
	if got := f.run("< IPCP ConfReq 3 3:0a640007"); len(got) != 2 || !strings.HasPrefix(got[1], "! up") {
		t.Errorf("%q", got)
	}
}

func TestRenegotiationsAreBounded(t *testing.T) {
	f := up(t, Config{})
	for n := range 3 * maxUps {
		f.run(fmt.Sprintf("< IPCP ConfReq 1 3:0a640007 129:%08x", n))
		f.run("< ack IPCP")
		f.run("< IPCP ConfReq 1 3:0a640007")
	}
	if f.link.reason.Cause != CauseNotConverging {
		t.Error(f.link.reason)
	}
}

func TestClose(t *testing.T) {
	f := up(t, Config{})
	f.want("close maintenance", "! down", `> LCP TermReq 2 "closed"`)
	f.want("wait 3s", `> LCP TermReq 3 "closed"`)
	f.want("wait 3s", "! closed: closed: maintenance")
	f.want("wait 1h")
	f.want("close twice")
	f.want("< LCP EchoReq 1 =00000000", "! refused: "+ErrClosed.Error())
	l := newServer(t, nil)
	l.Close(epoch, Reason{Detail: "before it began"})
	if e, ok := l.Next(); !ok || e.(Closed).Reason.Detail != "before it began" {
		t.Error(e)
	}
}

func TestForget(t *testing.T) {
	c := clientConfig(t, "windows10")
	p := newPair(t, 1, Config{}, c, admission{password: "secret"})
	p.start()
	p.run(10 * time.Second)
	p.wantUp("before")
	password := p.client.link.client.password
	p.client.link.Forget()
	if _, ok := p.client.link.Next(); ok || !p.client.link.Deadline().IsZero() {
		t.Error("something is left to do")
	}
	if !bytes.Equal(password, make([]byte, 6)) || string(c.Password) != "secret" {
		t.Errorf("%q %q", password, c.Password)
	}
}

func TestSecretsAreNotShown(t *testing.T) {
	a := Authenticate{ID: 1, Method: PAP, User: "alice", Response: []byte("secret")}
	c := Config{Role: Client, User: "alice", Password: []byte("secret")}
	for _, v := range []any{a, c, &a, &c, []Event{a}} {
		for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
			s := fmt.Sprintf(format, v)
			if strings.Contains(s, "secret") || strings.Contains(s, fmt.Sprint([]byte("secret"))) || strings.Contains(s, "0x73, 0x65") {
				t.Errorf("%s: %s", format, s)
			}
		}
	}
	a.Zero()
	if !bytes.Equal(a.Response, make([]byte, 6)) {
		t.Error("the password is left")
	}
}

func TestNames(t *testing.T) {
	for got, want := range map[string]string{
		ProtocolLCP.String():                   "LCP",
		Protocol(0x002d).String():              "0x002d",
		PAP.String():                           "PAP",
		NoMethod.String():                      "none",
		CauseEcho.String():                     "the peer no longer answers",
		Cause(99).String():                     "unknown",
		because(CausePeer, "x").String():       "ended by the peer: x",
		nameOfMethod([]byte{0xc2, 0x23, 0x80}): "MS-CHAPv1",
		nameOfMethod([]byte{0xc2, 0x23, 0x81}): "MS-CHAPv2",
		nameOfMethod([]byte{0xc2}):             "nothing",
		rasWords(4711):                         "see the error number",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	for c := CauseLocal; c <= CauseInternal; c++ {
		if c.String() == "" || because(c, "").Cause != c {
			t.Errorf("cause %d has no words", c)
		}
	}
	for code := range 1000 {
		if rasWords(code) == "" {
			t.Errorf("error %d has no words", code)
		}
	}
}

// What a peer writes into its Terminate-Request is shown, and cannot harm a log.
func TestTerminationReason(t *testing.T) {
	for data, want := range map[string]string{
		"\x41\x13\x12\x44\x00\x3c\xcd\x74\x00\x00\x02\xe2": "738 no address was assigned",
		"\x41\x13\x12\x44\x00\x3c\xcd\x74\x00\x00\x00\x00": "0 the user disconnected",
		"User request":     "0 User request",
		"a\nb\x1b[31m\xff": "0 a.b.[31m.",
		"":                 "0 ",
	} {
		code, words := terminationReason([]byte(data))
		if got := fmt.Sprint(code, " ", words); got != want {
			t.Errorf("%q: %q", data, got)
		}
	}
	b := appendTermination(nil, 0x41131244, 778)
	for n := range b {
		if code, _ := terminationReason(b[:n]); code != 0 {
			t.Errorf("%d octets say %d", n, code)
		}
	}
}

func TestConfig(t *testing.T) {
	for name, c := range map[string]Config{
		"no randomness": {},
		"role":          {Rand: &counting{}, Role: 2},
		"no user":       {Rand: &counting{}, Role: Client},
		"small MRU":     {Rand: &counting{}, MRU: 100},
		"large MRU":     {Rand: &counting{}, MRU: 9000},
		"long name":     {Rand: &counting{}, Name: strings.Repeat("x", 256)},
		"long password": {Rand: &counting{}, Password: make([]byte, 256)},
		"negative":      {Rand: &counting{}, Restart: -1},
	} {
		if _, err := NewLink(c); !errors.Is(err, ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
	c := clientConfig(t, "windows10")
	c.Role, c.Rand, c.Auth = Client, &counting{}, AuthPolicy{PAP: true}
	if _, err := NewLink(c); !errors.Is(err, ErrConfig) {
		t.Errorf("Windows without MS-CHAPv2: %v", err)
	}
}

// failing is a source of randomness that has none.
type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("no entropy") }

func TestNoRandomness(t *testing.T) {
	f := script(t, Config{Rand: failing{}})
	f.run("< LCP ConfReq 1 5:41131244")
	f.run("< ack LCP")
	f.run("< LCP TermAck 2")
	if f.link.reason.Cause != CauseInternal || f.link.phase != phaseDead {
		t.Error(f.link.reason)
	}
}

// Frames may be compressed, whatever was agreed on.
func TestCompressedFrames(t *testing.T) {
	f := loggedIn(t, Config{})
	for _, line := range []string{"LCP EchoReq 1 =00000000", "IPCP ConfReq 1 3:00000000"} {
		frame := f.frame(strings.Fields(line))[2:]
		if err := f.link.Input(f.now, frame); err != nil || len(sentBy(f.link)) != 1 {
			t.Errorf("%s: %v", line, err)
		}
	}
}

// Every truncation of a frame is an error, or a shorter frame that is whole in itself,
// and never the end of the link.
func TestTruncatedInput(t *testing.T) {
	f := script(t, Config{})
	for _, line := range []string{
		"LCP ConfReq 0 1:0578 5:12b86bf0 7: 8: 13:06", "LCP ConfAck 1 1:0578 3:c22381 5:01020304",
		"CHAP Response 1 " + zeros49 + ` "alice"`, "IPCP ConfReq 7 3:00000000 129:00000000", "LCP EchoReq 1 =00000000",
	} {
		frame := f.frame(strings.Fields(line))
		for n := range len(frame) {
			if err := f.link.Input(f.now, frame[:n]); err == nil {
				t.Errorf("%d octets of %s are taken", n, line)
			}
		}
	}
}

func FuzzInput(f *testing.F) {
	f.Add([]byte("\xff\x03\xc0\x21\x01\x00\x00\x15\x01\x04\x05\x78\x05\x06\x12\xb8\x6b\xf0\x07\x02\x08\x02\x0d\x03\x06"), uint8(0), false)
	f.Add([]byte("\xff\x03\x80\x21\x01\x07\x00\x0a\x03\x06\x00\x00\x00\x00"), uint8(2), false)
	f.Add([]byte("\xff\x03\xc2\x23\x04\x01\x00\x0dE=691 R=1"), uint8(1), true)
	f.Fuzz(func(t *testing.T, frame []byte, depth uint8, client bool) {
		c := clientConfig(t, PersonaNames()[int(depth)%len(PersonaNames())])
		p := newPair(t, uint64(depth), Config{}, c, admission{password: "secret", retry: true})
		p.start()
		p.run(time.Duration(depth) * 5 * time.Millisecond)
		e := p.server
		if client {
			e = p.client
		}
		before := bytes.Clone(frame)
		for range 3 {
			e.link.Input(p.now, frame)
			p.drain()
		}
		if !bytes.Equal(frame, before) {
			t.Fatal("the input was written to")
		}
		p.run(10 * time.Minute)
		for _, e := range []*end{p.server, p.client} {
			_, up := e.up()
			_, closed := e.closed()
			if !up && !closed {
				t.Fatalf("neither up nor closed: %v", e.events)
			}
		}
	})
}
