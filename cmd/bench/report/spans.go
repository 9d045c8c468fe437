package report

import "time"

// A Phase is a part of a round and how long it took.
type Phase struct {
	Name string
	Took time.Duration
}

// Spans are one contestant's rounds, in milliseconds: the whole ones, and their phases in the order of time.
type Spans struct {
	Name   string
	Took   Distribution
	Phases []PhaseSpans
}

// PhaseSpans are how long one phase took in each round that had it, in milliseconds.
type PhaseSpans struct {
	Name string
	Took Distribution
}

// Add adds a round. A phase that occurs several times in it counts as one.
func (s *Spans) Add(took time.Duration, phases []Phase) {
	s.Took = append(s.Took, milliseconds(took))
	sums := make(map[string]time.Duration, len(phases))
	for _, p := range phases {
		sums[p.Name] += p.Took
	}
	for _, p := range phases {
		sum, ok := sums[p.Name]
		if !ok {
			continue
		}
		delete(sums, p.Name)
		at := s.phase(p.Name)
		at.Took = append(at.Took, milliseconds(sum))
	}
}

// phase returns the phase of a name, which is added where it is new.
func (s *Spans) phase(name string) *PhaseSpans {
	for i := range s.Phases {
		if s.Phases[i].Name == name {
			return &s.Phases[i]
		}
	}
	s.Phases = append(s.Phases, PhaseSpans{Name: name})
	return &s.Phases[len(s.Phases)-1]
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// A Stopwatch measures phases that follow each other.
type Stopwatch struct {
	now    func() time.Time
	began  time.Time
	last   time.Time
	phases []Phase
}

// NewStopwatch returns one that runs.
func NewStopwatch(now func() time.Time) *Stopwatch {
	began := now()
	return &Stopwatch{now: now, began: began, last: began}
}

// Lap ends a phase.
func (s *Stopwatch) Lap(name string) { s.LapAt(name, s.now()) }

// LapAt ends a phase that ended at that time.
func (s *Stopwatch) LapAt(name string, at time.Time) {
	s.phases = append(s.phases, Phase{Name: name, Took: at.Sub(s.last)})
	s.last = at
}

// Phases returns those that ended.
func (s *Stopwatch) Phases() []Phase { return s.phases }

// Total returns what they took together.
func (s *Stopwatch) Total() time.Duration { return s.last.Sub(s.began) }
