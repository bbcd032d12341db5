package bench

import (
	"math"
	"slices"
	"time"
)

// Summary is what samples say together. All zero without samples.
type Summary struct {
	Median float64 `json:"median"`
	// Low and High are the lower and the upper quartile.
	Low  float64 `json:"low"`
	High float64 `json:"high"`
	Min  float64 `json:"min"`
	Max  float64 `json:"max"`
}

// Summarize returns the summary of samples, which it leaves as they are.
func Summarize(samples []float64) Summary {
	if len(samples) == 0 {
		return Summary{}
	}
	sorted := slices.Clone(samples)
	slices.Sort(sorted)
	return Summary{
		Median: quantile(sorted, 0.5), Low: quantile(sorted, 0.25), High: quantile(sorted, 0.75),
		Min: sorted[0], Max: sorted[len(sorted)-1],
	}
}

// quantile returns the q-quantile of sorted samples, between the two nearest.
func quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	at := q * float64(len(sorted)-1)
	below := math.Floor(at)
	i := int(below)
	if i+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	return sorted[i] + (at-below)*(sorted[i+1]-sorted[i])
}

// Quantile returns the q-quantile (0 to 1) of samples, which it leaves as they
// are; 0 without samples.
func Quantile(samples []float64, q float64) float64 {
	sorted := slices.Clone(samples)
	slices.Sort(sorted)
	return quantile(sorted, q)
}

// ratios divides round by round: a machine that was slow for a while was slow
// for both. Rounds that one of them does not have are left out.
func ratios(of, to []float64) []float64 {
	var all []float64
	for i := range min(len(of), len(to)) {
		if to[i] > 0 {
			all = append(all, of[i]/to[i])
		}
	}
	return all
}

// rate is a count a second.
func rate[N int | int64 | uint64 | float64](n N, took time.Duration) float64 {
	if took <= 0 {
		return 0
	}
	return float64(n) / took.Seconds()
}
