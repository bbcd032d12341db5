package main

import (
	"fmt"
	"io"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// plainWriter writes text in which strangers have a word: what would write over a terminal,
// or hide there, is spelled out as in JSON, so that a line of JSON says the same as before.
type plainWriter struct{ to io.Writer }

// Write implements io.Writer.
func (w plainWriter) Write(text []byte) (int, error) {
	if _, err := w.to.Write(spelled(text)); err != nil {
		return 0, err
	}
	return len(text), nil
}

// Sync waits for what w writes to, if that knows how.
func (w plainWriter) Sync() error {
	if s, ok := w.to.(interface{ Sync() error }); ok {
		return s.Sync()
	}
	return nil
}

// spelled is text with nothing in it but what can be printed, tabs and the ends of lines.
func spelled(text []byte) []byte {
	odd := func(r rune) bool { return r != '\n' && r != '\t' && (r == utf8.RuneError || !unicode.IsPrint(r)) }
	at := 0
	for at < len(text) && (text[at] >= ' ' && text[at] <= '~' || text[at] == '\n' || text[at] == '\t') {
		at++
	}
	if at == len(text) {
		return text
	}
	out := append(make([]byte, 0, len(text)+32), text[:at]...)
	for _, r := range string(text[at:]) {
		switch {
		case !odd(r):
			out = utf8.AppendRune(out, r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
	}
	return out
}
