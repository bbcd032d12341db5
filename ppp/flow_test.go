package ppp

import (
	"encoding/hex"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/internal/x/deadline"
)

var update = flag.Bool("update", false, "write what the links do into testdata/flows")

// A flow is a recorded conversation of a client, played to a server link, or of a
// server, played to a client link. Its lines:
//
//	# comment
//	link server|client key=value ...
//	< LCP ConfReq 1 1:0578 5:41131244    a frame of the peer: options, =data in hexadecimal, or "text_with_blanks"
//	< ack LCP                            the peer acks our last Configure-Request
//	< prove 7                            a server that knows the password accepts our response
//	verdict ok [S=...] | verdict 691 [retry]
//	wait 3s
//	> ...                                what the link sent
//	! ...                                what it told, or refused
//
// Lines that begin with > and ! are written by -update.
type flow struct {
	t       testing.TB
	link    *Link
	now     time.Time
	pending uint32            // the Authenticate event that waits for its verdict
	asked   map[string][]byte // our last Configure-Requests
	out     []string
}

// counting is a source of numbers that are easy to recognize.
type counting struct{ n byte }

func (c *counting) Read(b []byte) (int, error) {
	for i := range b {
		c.n++
		b[i] = c.n
	}
	return len(b), nil
}

func TestFlows(t *testing.T) {
	files, err := filepath.Glob("testdata/flows/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no flows", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) { replay(t, file) })
	}
}

func replay(t *testing.T, file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	f := &flow{t: t, now: epoch, asked: make(map[string][]byte)}
	var got []string
	for _, line := range strings.Split(strings.TrimRight(string(text), "\n"), "\n") {
		if strings.HasPrefix(line, "> ") || strings.HasPrefix(line, "! ") {
			continue
		}
		got = append(got, line)
		if line != "" && !strings.HasPrefix(line, "#") {
			f.do(strings.Fields(line))
			f.drain()
			got = append(got, f.out...)
			f.out = nil
		}
	}
	result := strings.Join(got, "\n") + "\n"
	switch {
	case *update:
		err = os.WriteFile(file, []byte(result), 0o644)
	case result != string(text):
		t.Errorf("the link did\n%s", result)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (f *flow) do(words []string) {
	var err error
	switch words[0] {
	case "link":
		f.link = f.newLink(words[1:])
		f.link.Start(f.now)
	case "<":
		err = f.link.Input(f.now, f.frame(words[1:]))
	case "verdict":
		err = f.link.Authenticated(f.now, f.pending, f.verdict(words[1:]))
	case "wait":
		f.wait(words[1])
	case "close":
		f.link.Close(f.now, Reason{Detail: strings.Join(words[1:], " ")})
	default:
		f.t.Fatalf("what is %q?", words[0])
	}
	if err != nil {
		f.out = append(f.out, "! refused: "+err.Error())
	}
}

func (f *flow) newLink(words []string) *Link {
	c := Config{Rand: &counting{}, EchoInterval: -1}
	for _, w := range words {
		key, value, _ := strings.Cut(w, "=")
		switch key {
		case "client":
			c.Role = Client
		case "mru":
			n, _ := strconv.Atoi(value)
			c.MRU = uint16(n)
		case "name":
			c.Name = value
		case "user":
			c.User, c.Password = value, []byte("secret")
		case "persona":
			c.Persona, _ = Personas(value)
		case "pap":
			c.Auth.PAP, c.Auth.MSCHAPv2 = true, value == "too"
		case "echo":
			c.EchoInterval, _ = time.ParseDuration(value)
		}
	}
	l, err := NewLink(c)
	if err != nil {
		f.t.Fatal(err)
	}
	return l
}

func (f *flow) verdict(words []string) Verdict {
	v := Verdict{Local: gatewayAddr, Peer: clientAddr, DNS: []netip.Addr{dnsAddr, dns2Addr}}
	for _, w := range words {
		if n, err := strconv.Atoi(w); err == nil {
			v.Code = n
		}
		v.OK = v.OK || w == "ok"
		v.Retry = v.Retry || w == "retry"
		v.IPv6 = v.IPv6 || w == "ipv6"
		if strings.HasPrefix(w, "S=") {
			v.Success = w
		}
	}
	return v
}

func (f *flow) wait(word string) {
	d, err := time.ParseDuration(word)
	if err != nil {
		f.t.Fatal(err)
	}
	until := f.now.Add(d)
	for next := f.link.Deadline(); deadline.Due(until, next); next = f.link.Deadline() {
		f.now = next
		f.link.Advance(next)
		f.drain()
	}
	f.now = until
}

var protocolNames = map[string]Protocol{
	"LCP": ProtocolLCP, "IPCP": ProtocolIPCP, "IPV6CP": ProtocolIPV6CP, "CCP": ProtocolCCP,
	"ACSCP": ProtocolACSCP, "CHAP": ProtocolCHAP, "PAP": ProtocolPAP, "EAP": ProtocolEAP,
}

var codeNames = []string{
	"Vendor", "ConfReq", "ConfAck", "ConfNak", "ConfRej", "TermReq", "TermAck", "CodeRej", "ProtRej",
	"EchoReq", "EchoRep", "Discard", "Ident", "TimeRem",
}

var (
	chapNames = []string{"?", "Challenge", "Response", "Success", "Failure"}
	papNames  = []string{"?", "AuthReq", "AuthAck", "AuthNak"}
	eapNames  = []string{"?", "Request", "Response", "Success", "Failure"}
)

func namesOf(p Protocol) []string {
	switch p {
	case ProtocolCHAP:
		return chapNames
	case ProtocolPAP:
		return papNames
	case ProtocolEAP:
		return eapNames
	}
	return codeNames
}

// frame makes a frame of a line.
func (f *flow) frame(words []string) []byte {
	if words[0] == "ack" {
		return f.ack(words[1])
	}
	if words[0] == "prove" {
		words = []string{"CHAP", "Success", words[1], `"` + f.link.client.success + `"`}
	}
	if proto, ok := protocolNames[words[0]]; ok {
		c := max(slices.Index(namesOf(proto), words[1]), slices.Index(codeNames, words[1]))
		id, err := strconv.ParseUint(words[2], 0, 8)
		if c < 0 || err != nil {
			f.t.Fatal("no frame:", words)
		}
		b := startFrame(proto, code(c), uint8(id))
		for _, w := range words[3:] {
			b = append(b, f.data(w)...)
		}
		return finishFrame(b)
	}
	return f.hex(words[0])
}

func (f *flow) data(w string) []byte {
	if w[0] == '=' {
		return f.hex(w[1:])
	}
	if w[0] == '"' {
		return []byte(strings.ReplaceAll(strings.Trim(w, `"`), "_", " "))
	}
	kind, value, _ := strings.Cut(w, ":")
	n, err := strconv.Atoi(kind)
	if err != nil {
		f.t.Fatal(err)
	}
	return appendOption(nil, uint8(n), f.hex(value)...)
}

func (f *flow) hex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		f.t.Fatal(s, err)
	}
	return b
}

func (f *flow) ack(proto string) []byte {
	_, b, _ := ParseFrame(f.asked[proto])
	p, err := parsePacket(b)
	if err != nil {
		f.t.Fatal("nothing to ack:", proto)
	}
	return finishFrame(append(startFrame(protocolNames[proto], configureAck, p.id), p.data...))
}

// drain writes down what the link did.
func (f *flow) drain() {
	for {
		e, ok := f.link.Next()
		if !ok {
			return
		}
		switch e := e.(type) {
		case Send:
			f.out = append(f.out, "> "+f.line(e.Frame))
		case Authenticate:
			f.pending = e.ID
			f.out = append(f.out, "! "+e.String())
		case Up:
			f.out = append(f.out, fmt.Sprintf("! up %s %s dns %v nbns %v mru %d acfc %v pfc %v",
				e.Local, e.Peer, e.DNS, e.NBNS, e.PeerMRU, e.SendACFC, e.SendPFC))
		case EAPResponse:
			f.out = append(f.out, fmt.Sprintf("! eap %d %x", e.ID, e.Packet))
		case EAPRequest:
			f.out = append(f.out, fmt.Sprintf("! eap %x", e.Packet))
		case Down:
			f.out = append(f.out, "! down")
		case Up6:
			f.out = append(f.out, fmt.Sprintf("! up6 %s %s mru %d acfc %v pfc %v",
				e.LocalID.LinkLocal(), e.PeerID.LinkLocal(), e.PeerMRU, e.SendACFC, e.SendPFC))
		case Down6:
			f.out = append(f.out, "! down6")
		case Identified:
			f.out = append(f.out, "! identified "+e.Text)
		case Closed:
			f.out = append(f.out, "! closed: "+e.Reason.String())
		}
	}
}

// line writes a frame as flows have it.
func (f *flow) line(frame []byte) string {
	proto, b, _ := ParseFrame(frame)
	p, err := parsePacket(b)
	if err != nil {
		f.t.Fatal(err)
	}
	s := fmt.Sprintf("%s %s %d", proto, namesOf(proto)[p.code], p.id)
	configure := proto != ProtocolCHAP && proto != ProtocolPAP && proto != ProtocolEAP && p.code <= configureReject
	switch {
	case configure:
		if p.code == configureRequest {
			f.asked[proto.String()] = frame
		}
		for rest := p.data; len(rest) > 0; {
			var o option
			o, rest, _ = consumeOption(rest)
			s += fmt.Sprintf(" %d:%x", o.kind, o.data)
		}
	case proto == ProtocolCHAP && p.code >= chapSuccess || p.code == terminateRequest && len(p.data) > 0 && p.data[0] >= 'a':
		s += fmt.Sprintf(" %q", p.data)
	case len(p.data) > 0:
		s += fmt.Sprintf(" =%x", p.data)
	}
	return s
}
