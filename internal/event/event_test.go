package event

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// TestEventsAreDocumented: what scripts and alarms are built on, each name, how grave
// it is, and each field in its order, stands in docs/events.md.
func TestEventsAreDocumented(t *testing.T) {
	b, err := os.ReadFile("../../docs/events.md")
	if err != nil {
		t.Fatal(err)
	}
	var kinds kinds
	names := make(map[string]bool)
	for _, e := range All() {
		k := kinds.of(e)
		if k.name == "" || names[k.name] {
			t.Errorf("%T is called %q, as another is", e, k.name)
		}
		names[k.name] = true
		var fields []string
		for _, f := range k.fields {
			if f.name == "" {
				t.Errorf("%T has a field without a name", e)
			}
			fields = append(fields, "`"+f.name+"`")
		}
		row := fmt.Sprintf("\n| `%s` | %s | %s | ", k.name, [...]string{"info", "warning", "error"}[e.severity()], strings.Join(fields, " "))
		if !strings.Contains(string(b), row) {
			t.Errorf("docs/events.md lacks the row %s", row)
		}
	}
	if rows := strings.Count(string(b), "\n| `"); rows != len(names) {
		t.Errorf("docs/events.md has %d rows for %d events", rows, len(names))
	}
}

// TestAllIsAll: every type that can be emitted is listed.
func TestAllIsAll(t *testing.T) {
	listed := make(map[string]bool)
	for _, e := range All() {
		listed[reflect.TypeOf(e).Name()] = true
	}
	for _, file := range []string{"peer.go", "session.go", "server.go", "ban.go"} {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range strings.Split(string(b), "\ntype ")[1:] {
			name, body, _ := strings.Cut(part, " ")
			body, _, _ = strings.Cut(body, "\n}")
			if strings.Contains(body, "`event:") && !listed[name] {
				t.Errorf("All lacks %s", name)
			}
		}
	}
}

// TestLogLines: an event is one line, with its fields in their order, and without those
// that have nothing to say.
func TestLogLines(t *testing.T) {
	core, logs := observer.New(zapcore.InfoLevel)
	s := NewStream(nil, NewLog(zap.New(core)))
	client := netip.MustParseAddrPort("192.0.2.1:4500")
	who := Peer{Tenant: "acme", Protocol: "ikev2", Client: client, Family: "apple"}
	s.Emit(time.Now(), SessionUp{Session: Session{Peer: who, ID: 7, User: "alice", Address: netip.MustParseAddr("10.0.0.2")}, MTU: 1400})
	s.Emit(time.Now(), LoginRefused{Peer: who, User: "bob", Cause: "wrong password", Hint: "look", Err: errors.New("no")})
	s.Emit(time.Now(), Fault{Where: "here"})
	var got []string
	for _, e := range logs.All() {
		line := e.Level.String() + " " + e.Message
		for _, f := range e.Context {
			line += " " + f.Key + "=" + fmt.Sprint(e.ContextMap()[f.Key])
		}
		got = append(got, line)
	}
	for i, want := range []string{
		"info session-up tenant=acme protocol=ikev2 client=192.0.2.1:4500 family=apple session=7 user=alice address=10.0.0.2 mtu=1400",
		"warn login-refused tenant=acme protocol=ikev2 client=192.0.2.1:4500 family=apple user=bob cause=wrong password hint=look error=no",
		"error fault where=here what= faults=0 stack= hint=",
	} {
		if i >= len(got) || got[i] != want {
			t.Errorf("line %d of %q\nwant %q", i, got, want)
		}
	}
	s.Emit(time.Now(), LoginRefused{Peer: who, Cause: "wrong password", Quiet: true})
	if logs.Len() != 3 {
		t.Error("a quiet one is a line")
	}
}

// list is a Sink that keeps what it is told, and panics at a number.
type list struct {
	told []Told
	at   uint64
}

func (l *list) Take(t Told) {
	if t.Sequence == l.at {
		panic("sink")
	}
	l.told = append(l.told, t)
}

// TestSinkThatPanics costs itself only: the others are told everything, in order,
// whoever emits.
func TestSinkThatPanics(t *testing.T) {
	good, bad := &list{}, &list{at: 3}
	faults := 0
	s := NewStream(func(any) { faults++ }, bad, good)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 25 {
				s.Emit(time.Now(), PeerUp{})
			}
		})
	}
	all.Wait()
	if faults != 1 || len(bad.told) != 2 || len(good.told) != 100 {
		t.Fatalf("%d faults; told %d and %d", faults, len(bad.told), len(good.told))
	}
	for i, told := range good.told {
		if told.Sequence != uint64(i+1) {
			t.Fatalf("number %d comes as %d", told.Sequence, i+1)
		}
	}
}
