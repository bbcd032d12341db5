package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Report is what one run found.
type Report struct {
	Command  string    `json:"command"`
	Started  time.Time `json:"started"`
	Seconds  float64   `json:"seconds"`
	Host     Host      `json:"host"`
	Sections []Section `json:"sections"`
}

// HasFigures reports whether anything was measured.
func (r Report) HasFigures() bool {
	return slices.ContainsFunc(r.Sections, func(s Section) bool { return len(s.Figures) > 0 })
}

// Section is what one measurement found.
type Section struct {
	Name  string `json:"name"`
	Title string `json:"title"`
	// About says how it was measured.
	About   string   `json:"about,omitempty"`
	Figures []Figure `json:"figures"`
	Charts  []Chart  `json:"charts,omitempty"`
	// Notes say what was left out and why, and how a figure is meant.
	Notes []string `json:"notes,omitempty"`
}

// Figure is one thing that was measured, once or several times.
type Figure struct {
	Name    string    `json:"name"`
	Unit    Unit      `json:"unit"`
	Samples []float64 `json:"samples"`
	Summary
	// Goal is what the median is meant to reach; nil: nothing was promised.
	Goal *Goal `json:"goal,omitempty"`
}

// NewFigure sums up samples.
func NewFigure(name string, unit Unit, samples ...float64) Figure {
	return Figure{Name: name, Unit: unit, Samples: samples, Summary: Summarize(samples)}
}

// add appends a figure.
func (s *Section) add(name string, unit Unit, samples ...float64) {
	s.Figures = append(s.Figures, NewFigure(name, unit, samples...))
}

// note appends a sentence.
func (s *Section) note(format string, args ...any) {
	s.Notes = append(s.Notes, fmt.Sprintf(format, args...))
}

// Figure returns the figure of that name.
func (s *Section) Figure(name string) (Figure, bool) {
	for _, f := range s.Figures {
		if f.Name == name {
			return f, true
		}
	}
	return Figure{}, false
}

// WriteJSON writes the report for programs.
func (r Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// WriteText writes the report for a terminal.
func (r Report) WriteText(w io.Writer) error {
	var b strings.Builder
	for i, s := range r.Sections {
		if i > 0 {
			b.WriteByte('\n')
		}
		s.text(&b)
	}
	fmt.Fprintf(&b, "\n%s\n", r.Host)
	_, err := io.WriteString(w, b.String())
	return err
}

func (s Section) text(b *strings.Builder) {
	fmt.Fprintf(b, "%s\n", s.Title)
	width := 0
	for _, f := range s.Figures {
		width = max(width, len([]rune(f.Name)))
	}
	for _, f := range s.Figures {
		fmt.Fprintf(b, "  %-*s  %14s%s%s\n", width, f.Name, f.Unit.Format(f.Median), f.spread(), f.verdict())
	}
	for _, n := range s.Notes {
		fmt.Fprintf(b, "  note: %s\n", n)
	}
}

// verdict says what was promised, and whether it was kept.
func (f Figure) verdict() string {
	switch {
	case f.Goal == nil:
		return ""
	case f.Met():
		return "   as promised: " + f.Promise()
	}
	return "   MISSED: " + f.Promise()
}

// spread says between which values the samples lie, if there are several.
func (f Figure) spread() string {
	if r := f.Range(); r != "" {
		return "   " + r
	}
	return ""
}

// Range says between which values the samples lie; empty: there are not several.
func (f Figure) Range() string {
	if len(f.Samples) < 2 {
		return ""
	}
	return fmt.Sprintf("%s to %s in %d", f.Unit.Format(f.Min), f.Unit.Format(f.Max), len(f.Samples))
}
