package quickstart

import (
	"fmt"
	"io"
	"strings"
)

// letters are those that cannot be mistaken for one another on paper, on a
// telephone or read aloud; no l, i, o, 0, 1. 31 of them: 4.95 bits each.
const letters = "abcdefghjkmnpqrstuvwxyz23456789"

// group is how many letters stand between two dashes.
const group = 4

// NewPSK returns a random pre-shared key that can be typed into a telephone:
// 24 letters and digits in groups of four, 118 bits.
func NewPSK(rand io.Reader) (string, error) { return readable(rand, 24) }

// NewPassword returns a random password that can be typed into a telephone:
// 16 letters and digits in groups of four, 79 bits.
func NewPassword(rand io.Reader) (string, error) { return readable(rand, 16) }

// readable returns n random letters in groups.
func readable(rand io.Reader, n int) (string, error) {
	var s strings.Builder
	var b [1]byte
	for count := 0; count < n; {
		if _, err := io.ReadFull(rand, b[:]); err != nil {
			return "", fmt.Errorf("quickstart: no randomness: %w", err)
		}
		if int(b[0]) >= 256-256%len(letters) {
			continue // every letter as likely as any other
		}
		if count > 0 && count%group == 0 {
			s.WriteByte('-')
		}
		s.WriteByte(letters[int(b[0])%len(letters)])
		count++
	}
	return s.String(), nil
}
