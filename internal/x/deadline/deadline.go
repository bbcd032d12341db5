package deadline

import "time"

// Earliest returns the earliest of some deadlines; zero: there is none among them.
func Earliest(deadlines ...time.Time) (first time.Time) {
	for _, d := range deadlines {
		if first.IsZero() || !d.IsZero() && d.Before(first) {
			first = d
		}
	}
	return first
}

// Due reports whether a deadline has come at now.
func Due(now, at time.Time) bool { return !at.IsZero() && !now.Before(at) }
