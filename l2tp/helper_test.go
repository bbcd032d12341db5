package l2tp

import (
	"bytes"
	"encoding/hex"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const client = Peer(7)

// Personas and PersonaNames are Named and Names of package persona: see TestMain.
var (
	Personas     func(name string) (*Persona, bool)
	PersonaNames func() []string
)

// packets returns the control messages of testdata/clients.txt by name.
func packets(t testing.TB) map[string][]byte {
	t.Helper()
	text, err := os.ReadFile("testdata/clients.txt")
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string][]byte)
	var name string
	for line := range strings.Lines(string(text)) {
		field := strings.TrimSpace(line)
		switch {
		case field == "" || field[0] == '#':
		case line[0] != ' ':
			name = field
		default:
			all[name] = append(all[name], unhex(t, field)...)
		}
	}
	return all
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// station is an Endpoint with its clock, as a test drives it.
type station struct {
	t      testing.TB
	e      *Endpoint
	now    time.Time
	events []Event // drained, Sends excepted
	sent   [][]byte
}

func testConfig() Config {
	var seed [32]byte
	return Config{Rand: rand.NewChaCha8(seed), HostName: "lns.example", Vendor: "culvert", Firmware: 0x0100, Accept: true}
}

func newStation(t testing.TB, cfg Config) *station {
	t.Helper()
	e, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return &station{t: t, e: e, now: start}
}

func (s *station) drain() {
	for {
		ev, ok := s.e.Next()
		if !ok {
			return
		}
		if send, ok := ev.(Send); ok {
			s.sent = append(s.sent, send.Data)
			continue
		}
		s.events = append(s.events, ev)
	}
}

// input gives a message to the endpoint; it must be taken.
func (s *station) input(b []byte) {
	s.t.Helper()
	if err := s.e.Input(s.now, client, b); err != nil {
		s.t.Fatalf("Input: %v", err)
	}
	s.drain()
}

// advance lets time pass, deadline by deadline.
func (s *station) advance(d time.Duration) {
	end := s.now.Add(d)
	for {
		at := s.e.Deadline()
		if at.IsZero() || at.After(end) {
			break
		}
		if at.After(s.now) {
			s.now = at
		}
		s.e.Advance(s.now)
	}
	s.now = end
	s.drain()
}

// wantSent returns the next message sent, which must be of that type; 0 is a ZLB.
func (s *station) wantSent(kind MessageType) Message {
	s.t.Helper()
	if len(s.sent) == 0 {
		s.t.Fatalf("nothing was sent, want %v", kind)
	}
	m, err := ParseMessage(s.sent[0], nil)
	if err != nil {
		s.t.Fatalf("sent %x: %v", s.sent[0], err)
	}
	if m.Type() != kind {
		s.t.Fatalf("sent %v, want %v", m.Type(), kind)
	}
	s.sent = s.sent[1:]
	return m
}

func (s *station) wantNothing() {
	s.t.Helper()
	if len(s.sent) > 0 {
		s.t.Fatalf("sent %x, want nothing", s.sent[0])
	}
	if len(s.events) > 0 {
		s.t.Fatalf("event %+v, want none", s.events[0])
	}
}

func (s *station) wantBytes(want []byte) {
	s.t.Helper()
	if len(s.sent) == 0 || !bytes.Equal(s.sent[0], want) {
		s.t.Fatalf("sent %x\nwant %x", s.sent, want)
	}
	s.sent = s.sent[1:]
}

// wantGone fails if any state is left.
func (s *station) wantGone() {
	s.t.Helper()
	if st := s.e.Stats(); st.Peers != 0 || st.Tunnels != 0 || st.Calls != 0 {
		s.t.Fatalf("state is left: %+v", st)
	}
	if at := s.e.Deadline(); !at.IsZero() {
		s.t.Fatalf("a deadline is left: %v", at)
	}
}

// wantEvent returns the next event, which must be an E.
func wantEvent[E Event](s *station) E {
	s.t.Helper()
	if len(s.events) == 0 {
		var none E
		s.t.Fatalf("no event, want %T", none)
	}
	e, ok := s.events[0].(E)
	if !ok {
		s.t.Fatalf("event %+v, want %T", s.events[0], e)
	}
	s.events = s.events[1:]
	return e
}

// message makes a control message with mandatory AVPs.
func message(h Header, kind MessageType, avps ...AVP) []byte {
	m := Message{Header: h, AVPs: []AVP{u16(AttrMessageType, uint16(kind))}}
	m.AVPs = append(m.AVPs, avps...)
	return m.Append(nil)
}

func zlb(h Header) []byte { return Message{Header: h}.Append(nil) }

func u16(t AttributeType, n uint16) AVP {
	return AVP{Mandatory: true, Type: t, Value: []byte{byte(n >> 8), byte(n)}}
}

func u32(t AttributeType, n uint32) AVP {
	return AVP{Mandatory: true, Type: t, Value: []byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}}
}

func octets(t AttributeType, b string) AVP {
	return AVP{Mandatory: true, Type: t, Value: []byte(b)}
}

// sccrq is a plain SCCRQ that assigns the given tunnel ID.
func sccrq(remote uint16, more ...AVP) []byte {
	avps := append([]AVP{
		u16(AttrProtocolVersion, 0x0100), u32(AttrFramingCapabilities, 3),
		octets(AttrHostName, "client"), u16(AttrAssignedTunnel, remote),
	}, more...)
	return message(Header{}, MessageSCCRQ, avps...)
}

// serve brings the station, as LNS, to an established tunnel whose peer calls it remote,
// and returns our ID. The peer has used Ns 0 and 1, we have used 0.
func (s *station) serve(remote uint16) TunnelID {
	s.t.Helper()
	s.input(sccrq(remote))
	local := assignedTunnel(s.t, s.wantSent(MessageSCCRP))
	s.input(message(Header{Tunnel: local, Ns: 1, Nr: 1}, MessageSCCCN))
	s.wantSent(0)
	wantEvent[TunnelUp](s)
	return local
}

// serveCall adds a call to it and returns our ID. The peer has used Ns 2 and 3, we 1.
func (s *station) serveCall(local TunnelID, remote uint16) CallID {
	s.t.Helper()
	s.input(message(Header{Tunnel: local, Ns: 2, Nr: 1}, MessageICRQ, u16(AttrAssignedCall, remote), u32(AttrCallSerial, 1)))
	f, _ := readFields(s.wantSent(MessageICRP), nil)
	s.input(message(Header{Tunnel: local, Call: f.call, Ns: 3, Nr: 2}, MessageICCN, u32(AttrTxSpeed, 1e6), u32(AttrFramingType, 1)))
	s.wantSent(0)
	wantEvent[CallUp](s)
	return f.call
}

func assignedTunnel(t testing.TB, m Message) TunnelID {
	t.Helper()
	f, v := readFields(m, nil)
	if v != nil || f.tunnel == 0 {
		t.Fatalf("no assigned tunnel in %v: %v", m.Type(), v)
	}
	return f.tunnel
}

// Append appends the message as it goes on the wire.
func (m Message) Append(b []byte) []byte {
	start := len(b)
	b = appendHeader(b, m.Header)
	for _, a := range m.AVPs {
		b = appendAVP(b, a)
	}
	sealLength(b[start:])
	return b
}
