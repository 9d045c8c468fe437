package deployments

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// A patient is a service whose vitals are asked as the dispatcher does: after each incident, and whenever they are due.
type patient struct {
	v     *vitals
	began time.Time
	now   time.Time
	next  time.Time
	said  []string
}

func newPatient() *patient {
	began := time.Date(2026, 11, 21, 14, 0, 0, 0, time.UTC)
	return &patient{v: newVitals("web"), began: began, now: began}
}

// at brings the clock to a time after the beginning and then has the incidents happen, one millisecond after the other.
func (p *patient) at(after time.Duration, kinds ...Incident) *patient {
	to := p.began.Add(after)
	for !p.next.IsZero() && p.next.Before(to) {
		p.now = p.next
		p.ask()
	}
	p.now = to
	for _, i := range kinds {
		i.At = p.now
		p.v.hear(i)
		p.ask()
		p.now = p.now.Add(time.Millisecond)
	}
	p.ask()
	return p
}

func (p *patient) ask() {
	sayings, next := p.v.due(p.now)
	p.next = next
	for _, s := range sayings {
		text := s.text
		if s.crashes || s.steady {
			p.v.told(s)
			p.next = p.now.Add(time.Millisecond)
		}
		if s.steady {
			text = "runs again"
		}
		p.said = append(p.said, text)
	}
}

var (
	died    = Incident{Kind: Died, Status: 1}
	killed  = Incident{Kind: Died, Status: 137}
	oom     = Incident{Kind: OutOfMemory, Memory: 512 << 20}
	started = Incident{Kind: Started}
	sick    = Incident{Kind: Unhealthy, Detail: "503"}
	well    = Incident{Kind: Healthy}
)

func TestVitals(t *testing.T) {
	const second, minute = time.Second, time.Minute
	for name, c := range map[string]struct {
		happens func(p *patient)
		want    []string
	}{
		"started by us":       {func(p *patient) { p.at(0, started, well) }, nil},
		"died":                {func(p *patient) { p.at(0, died) }, []string{"exited with status 1"}},
		"died and restarted":  {func(p *patient) { p.at(0, died, started) }, []string{"exited with status 1; restarted"}},
		"killed":              {func(p *patient) { p.at(0, killed, started) }, []string{"exited with status 137 (killed); restarted"}},
		"out of memory":       {func(p *patient) { p.at(0, oom, killed, started) }, []string{"was killed: out of memory (limit 512 MiB); restarted"}},
		"told of that late":   {func(p *patient) { p.at(0, killed, started, oom) }, []string{"was killed: out of memory (limit 512 MiB); restarted"}},
		"a process of it was": {func(p *patient) { p.at(0, oom) }, []string{"ran out of memory (limit 512 MiB): one of its processes was killed"}},
		"unhealthy":           {func(p *patient) { p.at(0, sick) }, []string{"is unhealthy: 503"}},
		"unhealthy for a moment": {func(p *patient) {
			p.at(0, sick).at(second, well)
		}, nil},
		"healthy again": {func(p *patient) {
			p.at(0, sick).at(minute, well)
		}, []string{"is unhealthy: 503", "is healthy again"}},
		"unhealthy now and then": {func(p *patient) {
			for i := range 59 {
				p.at(time.Duration(i)*minute, sick).at(time.Duration(i)*minute+30*second, well)
			}
			p.at(2*time.Hour, sick)
		}, []string{"is unhealthy: 503", "is healthy again", "is unhealthy: 503 (59 times within 2h0m0s)"}},
		"died every few minutes": {func(p *patient) {
			for i := range 19 {
				p.at(time.Duration(3*i)*minute, died, started)
			}
			p.at(time.Hour+minute, died, started)
		}, []string{"exited with status 1; restarted", "exited with status 1; restarted (19 times within 1h1m0s)"}},
		"died of another cause": {func(p *patient) {
			p.at(0, died, started).at(3*minute, killed, started)
		}, []string{"exited with status 1; restarted", "exited with status 137 (killed); restarted"}},
		"crashing at once": {func(p *patient) {
			p.at(0, died, started, died, started, died, started, died, started, died, started, died)
		}, []string{"is crashing: restarted 5 times within 10 minutes; the last time it exited with status 1"}},
		"crashing for long, and mended": {func(p *patient) {
			for i := range 100 {
				p.at(time.Duration(i)*30*second, oom, killed, started)
			}
			p.at(100 * minute)
		}, []string{
			"was killed: out of memory (limit 512 MiB); restarted",
			"is crashing: restarted 5 times within 10 minutes; the last time it was killed: out of memory (limit 512 MiB)", "runs again",
		}},
		"four times": {func(p *patient) {
			for i := range 4 {
				p.at(time.Duration(i)*minute, died, started)
			}
			p.at(11*minute, died, started)
		}, []string{"exited with status 1; restarted"}},
		"crashed before": {func(p *patient) { p.at(0, Incident{Kind: stillCrashing}).at(10 * minute) }, []string{"runs again"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPatient()
			c.happens(p)
			p.at(p.now.Sub(p.began) + 20*second)
			if diff := cmp.Diff(c.want, p.said); diff != "" {
				t.Errorf("said (-want +got):\n%s", diff)
			}
		})
	}
}

// Whatever happens and however often: the history is not flooded, a crash is said once and ends once, and in the end everything is told.
func TestVitalsProperties(t *testing.T) {
	kinds := []Incident{died, killed, oom, started, started, started, sick, well}
	rapid.Check(t, func(t *rapid.T) {
		p := newPatient()
		var after time.Duration
		for range rapid.IntRange(1, 300).Draw(t, "incidents") {
			after += time.Duration(rapid.IntRange(1, 90_000).Draw(t, "pause")) * time.Millisecond
			p.at(after, rapid.SampledFrom(kinds).Draw(t, "incident"))
		}
		p.at(after+time.Second, started, well).at(after + time.Hour)
		crashing := false
		counts := make(map[string]int)
		for _, text := range p.said {
			counts[text]++
			if crashes := strings.HasPrefix(text, "is crashing"); crashes || text == "runs again" {
				if crashes == crashing {
					t.Fatalf("the history is %q", p.said)
				}
				crashing = crashes
			}
		}
		if crashing || p.v.crashing || p.v.died || p.v.oom != nil || p.v.health != nil {
			t.Fatalf("an hour after it has started for good: %+v, said %q", p.v, p.said)
		}
		// A crash, which needs five restarts and two minutes of quiet, lets all be said once more.
		hours := int(after/time.Hour) + 2
		if most := 2*hours*7 + 4*int(after/(2*time.Minute)) + 20; len(p.said) > most {
			t.Fatalf("%d lines within %s: %q", len(p.said), after, p.said)
		}
	})
}
