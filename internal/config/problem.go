package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Problem is one fault of a configuration file. It holds no secret: values
// of secret keys are masked in Source.
type Problem struct {
	// File is the name the file was given, Line and Column (counted from 1,
	// in characters) are where the fault stands.
	File         string
	Line, Column int
	// Text says what is wrong, Remedy what to write instead.
	Text, Remedy string
	// Source is the line itself.
	Source string
}

// Headline returns the problem in one line: place, fault and remedy.
func (p *Problem) Headline() string {
	return fmt.Sprintf("%s:%d:%d: %s; %s", p.File, p.Line, p.Column, p.Text, p.Remedy)
}

// Error returns the headline, the line of the file and a mark under the place.
func (p *Problem) Error() string {
	switch p.Source {
	case "":
		return p.Headline()
	case mask:
		return fmt.Sprintf("%s\n%5d | %s", p.Headline(), p.Line, mask)
	}
	return fmt.Sprintf("%s\n%5d | %s\n      | %s^", p.Headline(), p.Line, p.Source, p.margin())
}

// margin returns white space as wide as what stands before the column; tabs
// stay tabs, whatever width the reader's terminal gives them.
func (p *Problem) margin() string {
	var b strings.Builder
	for i, r := range []rune(p.Source) {
		if i >= p.Column-1 {
			break
		}
		if r != '\t' {
			r = ' '
		}
		b.WriteRune(r)
	}
	return b.String()
}

// Problems are all the faults of one file, in the order of its lines. As an
// error it is ErrInvalid.
type Problems []*Problem

// Error returns every problem, with an empty line between them.
func (ps Problems) Error() string {
	all := make([]string, len(ps))
	for i, p := range ps {
		all[i] = p.Error()
	}
	return strings.Join(all, "\n\n")
}

// Is reports whether target is ErrInvalid.
func (ps Problems) Is(target error) bool { return target == ErrInvalid }

// finish sorts the problems and fills in the lines they point at.
func (ps Problems) finish(src *source) Problems {
	slices.SortStableFunc(ps, func(a, b *Problem) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	for _, p := range ps {
		p.Source = src.line(p.Line)
	}
	return slices.CompactFunc(ps, func(a, b *Problem) bool { return *a == *b })
}

// mask stands in a quoted line for what must not be shown.
const mask = "********"

var (
	// secretPair finds a key that holds a secret, and its value up to the
	// end of the line or of the flow mapping or list it is in.
	secretPair = regexp.MustCompile(`(?i)(["']?\w*(?:psk|password|passwd|secret|nt_hash)\w*["']?\s*:\s*)("(?:[^"\\]|\\.)*"?|'[^']*'?|\[[^\]]*\]?|[^\s,}\]#][^,}\]]*)`)
	// secretKey finds a key line whose secrets are on the lines below.
	secretKey = regexp.MustCompile(`(?i)^\s*(?:-\s+)?["']?\w*(?:psk|password|passwd|secret|nt_hash)\w*["']?\s*:`)
	// reference is a secret by name, which may be shown.
	reference = regexp.MustCompile(`^["']?(?:file|env):`)
)

// source is the text of a file and what of it may not be quoted.
type source struct {
	lines []string
	// secrets are the values read as secrets: where they begin, by line.
	secrets map[int][]int
	// hidden lines hold nothing but part of a secret.
	hidden map[int]bool
	// cut is the column after which a line is not quoted: behind a key that
	// is not known, and that may be a misspelt secret.
	cut map[int]int
}

func newSource(text string) *source {
	return &source{
		lines:   strings.Split(text, "\n"),
		secrets: map[int][]int{},
		hidden:  map[int]bool{},
		cut:     map[int]int{},
	}
}

// cutAt leaves what is behind a column of a line unquoted.
func (s *source) cutAt(line, column int) {
	if before, ok := s.cut[line]; !ok || column < before {
		s.cut[line] = column
	}
}

// line returns line n, counted from 1, fit to be shown.
func (s *source) line(n int) string {
	if n < 1 || n > len(s.lines) {
		return ""
	}
	if s.hidden[n] || s.belowSecretKey(n) {
		return mask
	}
	text := []rune(strings.TrimRight(s.lines[n-1], "\r"))
	if c, ok := s.cut[n]; ok && c < len(text) {
		text = append(text[:c:c], []rune(" …")...)
	}
	for _, column := range s.secrets[n] {
		text = maskFrom(text, column-1)
	}
	return secretPair.ReplaceAllStringFunc(string(text), maskPair)
}

// maskPair masks the value of one key: value.
func maskPair(pair string) string {
	m := secretPair.FindStringSubmatch(pair)
	if reference.MatchString(m[2]) || strings.HasPrefix(m[2], mask) || !containsSecret(m[2]) {
		return pair
	}
	return m[1] + mask
}

// containsSecret reports whether a flow list of secrets has one that is
// written out; any other value is taken for a secret.
func containsSecret(v string) bool {
	list, ok := strings.CutPrefix(v, "[")
	if !ok {
		return true
	}
	for item := range strings.SplitSeq(strings.TrimSuffix(list, "]"), ",") {
		item = strings.TrimSpace(item)
		if !reference.MatchString(item) && strings.Trim(item, "*") != "" {
			return true
		}
	}
	return false
}

// maskFrom replaces the scalar that begins at index i, keeping the length of
// the line before it and what follows a plain or quoted scalar in flow style.
func maskFrom(text []rune, i int) []rune {
	if i < 0 || i >= len(text) {
		return text
	}
	end := scalarEnd(text, i)
	out := append([]rune(nil), text[:i]...)
	out = append(out, []rune(strings.Repeat("*", end-i))...)
	return append(out, text[end:]...)
}

// scalarEnd returns the index behind the scalar that begins at i.
func scalarEnd(text []rune, i int) int {
	if q := text[i]; q == '"' || q == '\'' {
		for j := i + 1; j < len(text); j++ {
			if text[j] == '\\' && q == '"' {
				j++
			} else if text[j] == q {
				return j + 1
			}
		}
		return len(text)
	}
	for j := i; j < len(text); j++ {
		if strings.ContainsRune(",]}", text[j]) {
			return j
		}
	}
	return len(text)
}

// belowSecretKey reports whether line n is an item or a continuation of a
// secret that began on a line above, and is no reference.
func (s *source) belowSecretKey(n int) bool {
	text := s.lines[n-1]
	item := strings.TrimLeft(text, " \t")
	if item == "" || reference.MatchString(strings.TrimSpace(strings.TrimPrefix(item, "-"))) {
		return false
	}
	depth := len(text) - len(item)
	for i := n - 2; i >= 0; i-- {
		above := s.lines[i]
		rest := strings.TrimLeft(above, " \t")
		if rest == "" || rest[0] == '#' {
			continue
		}
		indent := len(above) - len(rest)
		isItem := strings.HasPrefix(item, "-")
		if indent < depth || isItem && indent == depth && !strings.HasPrefix(rest, "-") {
			return secretKey.MatchString(above)
		}
	}
	return false
}
