package policy

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// ErrSchedule says that a text is no schedule; the text around it says why.
var ErrSchedule = errors.New("policy: bad schedule")

// Schedule is a span of the day on some days of the week, in a time zone. The zero
// Schedule has no day.
type Schedule struct {
	days     [7]bool // those on which a span begins; 0 is Sunday
	from, to int     // minutes from midnight, by the clock on the wall; to <= from: on the next day
	zone     *time.Location
}

// weekdays are the days as they are written.
var weekdays = [7]string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// ParseSchedule reads days, a span and a zone, as in "mon-fri,sun 08:00-18:00
// Europe/Berlin". A span that ends no later than it begins ends on the next day.
func ParseSchedule(text string) (Schedule, error) {
	var s Schedule
	parts := strings.Fields(text)
	if len(parts) != 3 {
		return s, fmt.Errorf("%w: %q has not days, a span and a zone", ErrSchedule, text)
	}
	for days := range strings.SplitSeq(parts[0], ",") {
		if !s.addDays(days) {
			return s, fmt.Errorf("%w: %q are no days", ErrSchedule, days)
		}
	}
	from, to, ok := strings.Cut(parts[1], "-")
	if !ok {
		return s, fmt.Errorf("%w: %q is no span of a day", ErrSchedule, parts[1])
	}
	for text, into := range map[string]*int{from: &s.from, to: &s.to} {
		if *into, ok = minutes(text); !ok {
			return s, fmt.Errorf("%w: %q is no time of a day", ErrSchedule, text)
		}
	}
	if from == to {
		return s, fmt.Errorf("%w: the span %q has no length", ErrSchedule, parts[1])
	}
	zone, err := time.LoadLocation(parts[2])
	if err != nil || parts[2] == "Local" {
		return s, fmt.Errorf("%w: this host knows no time zone %q", ErrSchedule, parts[2])
	}
	s.zone = zone
	return s, nil
}

// addDays adds one day, or those from one to another.
func (s *Schedule) addDays(text string) bool {
	first, last, span := strings.Cut(strings.ToLower(text), "-")
	if !span {
		last = first
	}
	a, b := -1, -1
	for i, day := range weekdays {
		if day == first {
			a = i
		}
		if day == last {
			b = i
		}
	}
	if a < 0 || b < 0 {
		return false
	}
	for s.days[a] = true; a != b; s.days[a] = true {
		a = (a + 1) % 7
	}
	return true
}

// minutes reads a time of a day; 24:00 is its end.
func minutes(text string) (int, bool) {
	if text == "24:00" {
		return 24 * 60, true
	}
	t, err := time.Parse("15:04", text)
	return t.Hour()*60 + t.Minute(), err == nil && len(text) == 5
}

// spanOf returns the span that begins on a day; ok: there is one.
func (s *Schedule) spanOf(day time.Time) (from, to time.Time, ok bool) {
	if s.zone == nil || !s.days[day.Weekday()] {
		return from, to, false
	}
	y, m, d := day.Date()
	from = time.Date(y, m, d, 0, s.from, 0, 0, s.zone)
	if s.to <= s.from {
		d++
	}
	return from, time.Date(y, m, d, 0, s.to, 0, 0, s.zone), true
}

// active reports whether t is in a span, and when to ask again: before next the
// answer is the same.
func (s *Schedule) active(t time.Time) (is bool, next time.Time) {
	next = t.Add(8 * 24 * time.Hour)
	if s.zone == nil {
		return false, next
	}
	y, m, d := t.In(s.zone).Date()
	for n := -1; n <= 8; n++ {
		from, to, ok := s.spanOf(time.Date(y, m, d+n, 12, 0, 0, 0, s.zone))
		if !ok {
			continue
		}
		is = is || !t.Before(from) && t.Before(to)
		for _, change := range [...]time.Time{from, to} {
			if change.After(t) && change.Before(next) {
				next = change
			}
		}
	}
	return is, next
}
