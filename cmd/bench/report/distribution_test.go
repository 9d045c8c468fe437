package report

import (
	"math"
	"testing"
)

func TestQuantile(t *testing.T) {
	tests := []struct {
		name string
		of   Distribution
		q    float64
		want float64
	}{
		{"least", Distribution{3, 1, 2}, 0, 1},
		{"greatest", Distribution{3, 1, 2}, 1, 3},
		{"median of an odd number", Distribution{9, 1, 2}, 0.5, 2},
		{"median of an even number", Distribution{4, 1, 2, 3}, 0.5, 2.5},
		{"lower quartile", Distribution{1, 2, 3, 4, 5}, 0.25, 2},
		{"between two", Distribution{10, 20}, 0.99, 19.9},
		{"of one", Distribution{7}, 0.75, 7},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := test.of.Quantile(test.q); math.Abs(got-test.want) > 1e-9 {
				t.Errorf("Quantile(%v) of %v = %v, want %v", test.q, test.of, got, test.want)
			}
		})
	}
	if got := (Distribution{}).Median(); !math.IsNaN(got) {
		t.Errorf("the median of nothing is %v, want NaN", got)
	}
}

func TestQuantileLeavesItsInputAlone(t *testing.T) {
	d := Distribution{3, 1, 2}
	d.Median()
	if d[0] != 3 || d[1] != 1 || d[2] != 2 {
		t.Errorf("the distribution is %v after Median, want it as it was", d)
	}
}
