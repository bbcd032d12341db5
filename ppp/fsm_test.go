package ppp

import (
	"crypto/rand"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// rfcTable is the table of RFC 1661 section 4.1 as the RFC prints it: the columns are
// the states 0 (Initial) to 9 (Opened), a cell the actions and the new state. Footnotes
// are left out: none of those options is taken.
const rfcTable = `
Up     2      irc,scr/6 -      -             -      -      -         -         -         -
Down   -      -         0      tls/1         0      1      1         1         1         tld/1
Open   tls/1  1         irc,scr/6 3          5      5      6         7         8         9
Close  0      tlf/0     2      2             4      4      irc,str/4 irc,str/4 irc,str/4 tld,irc,str/4
TO+    -      -         -      -             str/4  str/5  scr/6     scr/6     scr/8     -
TO-    -      -         -      -             tlf/2  tlf/3  tlf/3     tlf/3     tlf/3     -
RCR+   -      -         sta/2  irc,scr,sca/8 4      5      sca/8     sca,tlu/9 sca/8     tld,scr,sca/8
RCR-   -      -         sta/2  irc,scr,scn/6 4      5      scn/6     scn/7     scn/6     tld,scr,scn/6
RCA    -      -         sta/2  sta/3         4      5      irc/7     scr/6     irc,tlu/9 tld,scr/6
RCN    -      -         sta/2  sta/3         4      5      irc,scr/6 scr/6     irc,scr/8 tld,scr/6
RTR    -      -         sta/2  sta/3         sta/4  sta/5  sta/6     sta/6     sta/6     tld,zrc,sta/5
RTA    -      -         2      3             tlf/2  tlf/3  6         6         8         tld,scr/6
RUC    -      -         scj/2  scj/3         scj/4  scj/5  scj/6     scj/7     scj/8     scj/9
RXJ+   -      -         2      3             4      5      6         6         8         9
RXJ-   -      -         tlf/2  tlf/3         tlf/2  tlf/3  tlf/3     tlf/3     tlf/3     tld,irc,str/5
RXR    -      -         2      3             4      5      6         7         8         ser/9
`

var rfcActions = map[string]actions{
	"tld": tld, "irc": irc, "zrc": zrc, "scr": scr, "sca": sca, "scn": scn, "str": str,
	"sta": sta, "scj": scj, "ser": ser, "tls": tls, "tlu": tlu, "tlf": tlf,
}

// cells walks over the RFC's table.
func cells(t *testing.T, visit func(h happening, s state, name string, do []string, to state, real bool)) {
	rows := strings.Split(strings.TrimSpace(rfcTable), "\n")
	if len(rows) != int(happeningCount) {
		t.Fatalf("%d rows", len(rows))
	}
	for h, row := range rows {
		columns := strings.Fields(row)
		if len(columns) != 1+int(stateCount) {
			t.Fatalf("%s has %d columns", columns[0], len(columns)-1)
		}
		for s, cell := range columns[1:] {
			name := columns[0] + " in " + strconv.Itoa(s)
			if cell == "-" {
				visit(happening(h), state(s), name, nil, 0, false)
				continue
			}
			var do []string
			if names, next, ok := strings.Cut(cell, "/"); ok {
				do, cell = strings.Split(names, ","), next
			}
			n, err := strconv.Atoi(cell)
			if err != nil {
				t.Fatal(name, err)
			}
			visit(happening(h), state(s), name, do, state(n), true)
		}
	}
}

func TestTableIsTheRFCs(t *testing.T) {
	cells(t, func(h happening, s state, name string, do []string, to state, real bool) {
		var want actions
		for _, a := range do {
			want |= rfcActions[a]
		}
		if got := transitions[h][s]; got != (step{want, to, real}) {
			t.Errorf("%s: %+v, want %v/%d", name, got, do, to)
		}
	})
}

// recorder is a layer that writes down what its automaton does.
type recorder struct{ did []string }

func (r *recorder) appendRequest(b []byte) []byte                     { return b }
func (r *recorder) begin([]byte) []byte                               { return nil }
func (r *recorder) consider(_ option, nak []byte) (judgement, []byte) { return acceptable, nak }
func (r *recorder) missing(nak []byte) []byte                         { return nak }
func (r *recorder) naked(time.Time, option)                           {}
func (r *recorder) rejected(time.Time, option)                        {}
func (r *recorder) terminating([]byte)                                {}
func (r *recorder) appendTermination(b []byte) []byte                 { return b }
func (r *recorder) extra(time.Time, packet) (bool, error)             { return false, nil }
func (r *recorder) up(time.Time)                                      { r.did = append(r.did, "tlu") }
func (r *recorder) down(time.Time)                                    { r.did = append(r.did, "tld") }
func (r *recorder) finished(time.Time)                                { r.did = append(r.did, "tlf") }
func (r *recorder) sent(t *testing.T, l *Link) {
	for {
		e, ok := l.Next()
		if !ok {
			return
		}
		_, b, _ := ParseFrame(e.(Send).Frame)
		p, err := parsePacket(b)
		if err != nil {
			t.Fatal(err)
		}
		r.did = append(r.did, map[code]string{
			configureRequest: "scr", configureAck: "sca", configureNak: "scn",
			terminateRequest: "str", terminateAck: "sta", codeReject: "scj",
		}[p.code])
	}
}

var epoch = time.Unix(1_000_000, 0)

func newServer(t testing.TB, change func(*Config)) *Link {
	t.Helper()
	c := Config{Rand: rand.Reader}
	if change != nil {
		change(&c)
	}
	l, err := NewLink(c)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestActionsAreTheRFCs drives the automaton through every cell and looks at what it
// does: what it sends and in which order, what it tells its layer, its counter and its timer.
func TestActionsAreTheRFCs(t *testing.T) {
	replies := map[happening]code{gotRequestGood: configureAck, gotRequestBad: configureNak, gotUnknownCode: codeReject}
	cells(t, func(h happening, s state, name string, do []string, to state, real bool) {
		l, r := newServer(t, nil), new(recorder)
		a := &automaton{link: l, layer: r, proto: ProtocolLCP, state: s, counter: 7}
		a.apply(epoch, h, 1, finishFrame(startFrame(ProtocolLCP, replies[h], 1)))
		if !real {
			to = s
		}
		r.sent(t, l)
		wantDid(t, name, r.did, do)
		if a.state != to {
			t.Errorf("%s: state %d, want %d", name, a.state, to)
		}
		wantCounter(t, name, a, do)
		if running := !a.deadline.IsZero(); running && (to < stateClosing || to == stateOpened) {
			t.Errorf("%s: the restart timer runs", name)
		}
	})
}

// wantDid compares what can be seen from outside. Frames are drained after the layer
// was told, so that the order is compared among each of both.
func wantDid(t *testing.T, name string, did, do []string) {
	t.Helper()
	do = slices.DeleteFunc(slices.Clone(do), func(a string) bool {
		return slices.Contains([]string{"irc", "zrc", "tls", "ser"}, a)
	})
	told := func(a string) bool { return strings.HasPrefix(a, "tl") }
	for _, part := range []func(string) bool{told, func(a string) bool { return !told(a) }} {
		a := slices.DeleteFunc(slices.Clone(did), part)
		b := slices.DeleteFunc(slices.Clone(do), part)
		if !slices.Equal(a, b) {
			t.Errorf("%s: did %v, want %v", name, a, b)
		}
	}
}

func wantCounter(t *testing.T, name string, a *automaton, do []string) {
	t.Helper()
	want := uint8(7)
	switch {
	case slices.Contains(do, "zrc"):
		want = 0
	case slices.Contains(do, "irc") && slices.Contains(do, "str"):
		want = maxTerminate
	case slices.Contains(do, "irc"):
		want = defaultTries
	}
	if slices.Contains(do, "scr") || slices.Contains(do, "str") {
		want--
		if a.deadline != epoch.Add(defaultRestart) {
			t.Errorf("%s: the restart timer is not set", name)
		}
	}
	if a.counter != want {
		t.Errorf("%s: counter %d, want %d", name, a.counter, want)
	}
}
