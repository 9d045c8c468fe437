// Package report holds what a benchmark measured against its bounds and writes it down: pure, so that a table of it can be tested.
package report

import (
	"math"
	"slices"
)

// A Distribution is what was measured, in any order and in one unit.
type Distribution []float64

// Quantile returns the value that the share q of the distribution, from 0 to 1, does not exceed, interpolated between the two nearest (type 7 of Hyndman
// and Fan, "Sample Quantiles in Statistical Packages", 1996). Of nothing it is NaN.
func (d Distribution) Quantile(q float64) float64 {
	if len(d) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(d))
	at := q * float64(len(sorted)-1)
	below := int(at)
	if below == len(sorted)-1 {
		return sorted[below]
	}
	return sorted[below] + (at-float64(below))*(sorted[below+1]-sorted[below])
}

// Median returns the 0.5 quantile.
func (d Distribution) Median() float64 { return d.Quantile(0.5) }
