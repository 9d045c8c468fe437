package report

import (
	"fmt"
	"math"
	"strings"
)

// A Row is one thing that was measured and what came of it.
type Row struct {
	Title string // "push to live, against the CI script"
	What  string // what was measured, in a sentence without a full stop
	Lines []Line
	// Result, Bound and Verdict are for people: "0.21 x", "at most 0.35 x", "holds".
	Result  string
	Bound   string
	Verdict string
	// Sides are the contestants whose rounds have phases.
	Sides []Spans
	Notes []string
}

// A Line is the figures of one contestant.
type Line struct {
	Name   string
	Unit   string
	Values Distribution
}

// Holds is the verdict on a bound that was met.
const Holds = "holds"

// Missing returns the row of something that could not be measured. Of the reason it has the first line.
func Missing(title, what string, why error) Row {
	reason, _, _ := strings.Cut(why.Error(), "\n")
	return Row{Title: title, What: what, Result: "-", Bound: "-", Verdict: "not measured: " + reason}
}

// Compare returns the row of two contestants of whom the first may take at most bound times what the second takes, by their medians.
func Compare(title, what string, ours, other Spans, bound float64) Row {
	ratio := ours.Took.Median() / other.Took.Median()
	row := Row{
		Title: title, What: what,
		Lines:   []Line{{Name: ours.Name, Unit: "ms", Values: ours.Took}, {Name: other.Name, Unit: "ms", Values: other.Took}},
		Result:  fmt.Sprintf("%s x", Figure(ratio)),
		Bound:   fmt.Sprintf("at most %s x", Figure(bound)),
		Verdict: Holds,
		Sides:   []Spans{ours, other},
	}
	if !(ratio <= bound) {
		row.Verdict = "does not hold: " + costliest(ours, other)
	}
	return row
}

// costliest says which of our phases takes the most that the other's phase of the same name does not.
func costliest(ours, other Spans) string {
	name, most, own := "", math.Inf(-1), 0.0
	for _, p := range ours.Phases {
		excess := p.Took.Median()
		if i := indexOf(other.Phases, p.Name); i >= 0 {
			excess -= other.Phases[i].Took.Median()
		}
		if excess > most {
			name, most, own = p.Name, excess, p.Took.Median()
		}
	}
	if name == "" {
		return "its phases are not known"
	}
	if own == most {
		return fmt.Sprintf("%q takes %s ms", name, Figure(own))
	}
	return fmt.Sprintf("%q takes %s ms, %s ms more", name, Figure(own), Figure(most))
}

func indexOf(phases []PhaseSpans, name string) int {
	for i, p := range phases {
		if p.Name == name {
			return i
		}
	}
	return -1
}

// Figure writes a number with about three digits.
func Figure(v float64) string {
	switch size := math.Abs(v); {
	case size >= 100:
		return fmt.Sprintf("%.0f", v)
	case size >= 10:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}
