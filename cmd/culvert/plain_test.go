package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"unicode"

	"go.uber.org/zap"

	"github.com/culvert-vpn/culvert/internal/config"
	"github.com/culvert-vpn/culvert/internal/dialer"
)

// mischief is a name that clears terminals with 7 bits and with 8, turns lines round, ends
// them, and hides.
const mischief = "eve\x1b[2J\u009b2J\u202etxt\u2028\u0085\x7f\U000e0041\nup"

// wantPlain fails the test unless text is one line that a terminal shows as it is.
func wantPlain(t *testing.T, text string) {
	t.Helper()
	line, found := strings.CutSuffix(text, "\n")
	if !found || strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) && r != '\t' }) {
		t.Errorf("%q is not one plain line", text)
	}
}

// TestLogIsPlainText: whatever strangers call themselves, nobody who looks at the log has
// his terminal written over, and a program reads what they said.
func TestLogIsPlainText(t *testing.T) {
	for _, format := range []string{"json", "console"} {
		for _, open := range []func() (*zap.Logger, *bytes.Buffer){
			func() (*zap.Logger, *bytes.Buffer) {
				b := &bytes.Buffer{}
				l, err := newLog(b, config.Log{Level: "info", Format: format})
				if err != nil {
					t.Fatal(err)
				}
				return l, b
			},
			func() (*zap.Logger, *bytes.Buffer) {
				b := &bytes.Buffer{}
				l, err := newServerLog(b, config.Log{Level: "info", Format: format})
				if err != nil {
					t.Fatal(err)
				}
				return l, b
			},
		} {
			l, b := open()
			l.Warn("login-refused", zap.String("user", mischief), zap.String("name", "Jürgen 田中"), zap.Error(errors.New(mischief)))
			if err := l.Sync(); err != nil {
				t.Fatal(err)
			}
			wantPlain(t, b.String())
			if !strings.Contains(b.String(), "Jürgen 田中") {
				t.Errorf("%q lacks a name that can be printed", b)
			}
			var read map[string]any
			if format == "json" && (json.Unmarshal(b.Bytes(), &read) != nil || read["user"] != mischief || read["error"] != mischief) {
				t.Errorf("a program reads %v", read)
			}
		}
	}
}

// TestServersWordsArePlainText: a server that was dialled, or who poses as it, writes over
// no terminal and forges no line of what `culvert connect` says.
func TestServersWordsArePlainText(t *testing.T) {
	a := dialer.Assigned{Local: netip.MustParseAddr("10.0.0.1"), Domains: []string{mischief, "corp.example.org"}}
	if line := up(a); !strings.HasSuffix(line, ", domain corp.example.org") {
		t.Error(line)
	}
	wantPlain(t, up(a)+"\n")
	var b strings.Builder
	report(&b, errors.New("the server sends us to "+mischief))
	wantPlain(t, b.String())
}
