package bench

import (
	"fmt"
	"math"
	"strings"
)

// Unit says what a figure counts.
type Unit string

// The units of figures.
const (
	BitsPerSecond    Unit = "bit/s"
	PacketsPerSecond Unit = "packets/s"
	PerSecond        Unit = "1/s"
	Seconds          Unit = "s"
	Bytes            Unit = "B"
	Count            Unit = "count"
	Share            Unit = "share" // 1 is all of it
	Times            Unit = "times"
)

// Format writes a value with its unit as a person reads it: three digits, and
// a prefix where it helps.
func (u Unit) Format(v float64) string {
	factor, name := u.prefix(v)
	return strings.TrimSpace(digits(v/factor) + " " + name)
}

// bare is Format without the unit.
func (u Unit) bare(v float64) string { return u.bareLike(v, v) }

// bareLike writes a value without a unit, in the one that another has.
func (u Unit) bareLike(other, v float64) string {
	factor, _ := u.prefix(other)
	return digits(v / factor)
}

// prefix is what a value is divided by to be read, and what the unit is then.
func (u Unit) prefix(v float64) (factor float64, name string) {
	switch u {
	case Share:
		return 0.01, "%"
	case Times:
		return 1, "x"
	case Count:
		return 1, ""
	case Bytes:
		return power(v, 1024, "B", "KiB", "MiB", "GiB")
	case Seconds:
		return fraction(v)
	case PerSecond:
		return 1, "/s"
	}
	name = string(u)
	return power(v, 1000, name, "k"+name, "M"+name, "G"+name, "T"+name)
}

// power finds the largest power of base that a value reaches.
func power(v, base float64, names ...string) (float64, string) {
	factor, i := 1.0, 0
	for i < len(names)-1 && math.Abs(v)/factor >= base {
		factor *= base
		i++
	}
	return factor, names[i]
}

// fraction finds the largest unit of time that a value reaches, up to seconds.
func fraction(v float64) (float64, string) {
	factor := 1.0
	for _, name := range []string{"s", "ms", "µs"} {
		if v == 0 || math.Abs(v) >= factor {
			return factor, name
		}
		factor /= 1000
	}
	return factor, "ns"
}

func digits(v float64) string {
	abs := math.Abs(v)
	switch {
	case v == math.Trunc(v) && abs < 1e6:
		return fmt.Sprintf("%.0f", v)
	case abs >= 1000:
		return fmt.Sprintf("%.0f", v)
	case abs >= 100:
		return fmt.Sprintf("%.0f", v)
	case abs >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return strings.TrimRight(strings.TrimRight(fmt.Sprintf("%.2f", v), "0"), ".")
}
