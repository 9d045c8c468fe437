package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"vitrine/cmd/bench/report"
	"vitrine/cmd/bench/world"
	"vitrine/deployments"
)

func TestPhasesAddUpToTheRound(t *testing.T) {
	sent := time.Unix(1000, 0)
	at := sent.Add(time.Second)
	r := world.Record{
		Created: sent.Add(20 * time.Millisecond),
		Live:    sent.Add(990 * time.Millisecond),
		Timings: []deployments.Timing{
			{Phase: deployments.Queued, Took: 10 * time.Millisecond}, {Phase: deployments.Fetching, Took: 100 * time.Millisecond},
			{Phase: deployments.Building, Took: 300 * time.Millisecond}, {Phase: deployments.Starting, Took: 555 * time.Millisecond},
		},
	}
	got := phasesOf(r, sent, at)
	want := []report.Phase{
		{Name: beforeClaim, Took: 20 * time.Millisecond},
		{Name: "queued", Took: 10 * time.Millisecond}, {Name: "fetching", Took: 100 * time.Millisecond},
		{Name: "building", Took: 300 * time.Millisecond}, {Name: "starting", Took: 555 * time.Millisecond},
		{Name: between, Took: 5 * time.Millisecond}, {Name: afterSwitch, Took: 10 * time.Millisecond},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("phasesOf (-want +got):\n%s", diff)
	}
	var sum time.Duration
	for _, p := range got {
		sum += p.Took
	}
	if sum != at.Sub(sent) {
		t.Errorf("the phases add up to %s, the round took %s", sum, at.Sub(sent))
	}
}
