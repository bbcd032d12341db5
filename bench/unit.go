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
	BytesPerSecond   Unit = "B/s"
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
	switch u {
	case Share:
		return digits(100*v) + " %"
	case Times:
		return digits(v) + " x"
	case Count:
		return digits(v)
	case Bytes:
		return binaryPrefix(v)
	case Seconds:
		return smallPrefix(v)
	case PerSecond:
		return digits(v) + " /s"
	}
	return largePrefix(v, string(u))
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

func largePrefix(v float64, unit string) string {
	prefix := ""
	for _, p := range []string{"k", "M", "G", "T"} {
		if math.Abs(v) < 1000 {
			break
		}
		v, prefix = v/1000, p
	}
	return digits(v) + " " + prefix + unit
}

func binaryPrefix(v float64) string {
	prefix := ""
	for _, p := range []string{"Ki", "Mi", "Gi"} {
		if math.Abs(v) < 1024 {
			break
		}
		v, prefix = v/1024, p
	}
	return digits(v) + " " + prefix + "B"
}

func smallPrefix(v float64) string {
	if v == 0 || math.Abs(v) >= 1 {
		return digits(v) + " s"
	}
	for _, p := range []string{"ms", "µs"} {
		v *= 1000
		if math.Abs(v) >= 1 {
			return digits(v) + " " + p
		}
	}
	return digits(v*1000) + " ns"
}
