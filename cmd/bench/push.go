package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/docker/docker/client"

	"vitrine/cmd/bench/report"
	"vitrine/cmd/bench/world"
)

// A trial is one contestant's one round.
type trial struct {
	took   time.Duration
	phases []report.Phase // they add up to took
}

// A contestant brings a commit of its own up, as often as it is asked to.
type contestant interface {
	name() string
	// round commits a page with the text, and measures until a visitor sees it.
	round(ctx context.Context, text string) (trial, error)
	// rest comes after a round, unmeasured: it returns once nothing of the round is under way any more.
	rest(ctx context.Context) error
	Close() error
}

// The bounds of DESIGN §12.
const (
	boundScript = 0.35
	boundFloor  = 1.3
)

// pushToLive measures Vitrine, the CI script and the floor in turn. A contestant that cannot run has a row that says so, and an error.
func pushToLive(ctx context.Context, o options) (rows []report.Row, err error) {
	w, previews, err := openPreviews(ctx, o, "ours")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	engine, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err != nil {
		return nil, err
	}
	defer engine.Close()
	f, err := openFloor(ctx, w, engine)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	contestants := []contestant{previews[0], f}
	s, missing := openScript(ctx, w, engine)
	if missing == nil {
		defer func() { err = errors.Join(err, s.Close()) }()
		contestants = append(contestants, s)
	}
	trials, err := inTurn(ctx, w, contestants, o.Rounds)
	if err != nil {
		return nil, err
	}
	return pushRows(contestants, trials, missing), missing
}

// inTurn has every contestant make a round that does not count and then the given number, the order turned round each time. It returns the trials by
// contestant.
func inTurn(ctx context.Context, w *world.World, contestants []contestant, rounds int) ([][]trial, error) {
	trials := make([][]trial, len(contestants))
	order := make([]int, len(contestants))
	for i := range order {
		order[i] = i
	}
	for round := range rounds + 1 {
		for _, i := range order {
			c := contestants[i]
			t, err := c.round(ctx, fmt.Sprintf("%s, round %d", c.name(), round))
			if err != nil {
				return nil, fmt.Errorf("round %d of %s: %w", round, c.name(), err)
			}
			if err := c.rest(ctx); err != nil {
				return nil, fmt.Errorf("after round %d of %s: %w", round, c.name(), err)
			}
			w.Say("  round %2d  %-14s %8s", round, c.name(), t.took.Round(time.Millisecond))
			if round > 0 {
				trials[i] = append(trials[i], t)
			}
		}
		slices.Reverse(order)
	}
	return trials, nil
}

// pushRows returns the rows about the script and the floor. missing is why the script could not run.
func pushRows(contestants []contestant, trials [][]trial, missing error) []report.Row {
	const what = "webhook to the first byte of the new version through the proxy; 2 services, one changed file, warm"
	ours := spans(contestants[0], trials[0])
	against := func(title string, i int, bound float64) report.Row {
		return report.Compare(title, what, ours, spans(contestants[i], trials[i]), bound)
	}
	floorRow := against("push to live, against the floor", 1, boundFloor)
	if missing != nil {
		return []report.Row{report.Missing("push to live, against the CI script", what, missing), floorRow}
	}
	scriptRow := against("push to live, against the CI script", 2, boundScript)
	scriptRow.Sides = scriptRow.Sides[1:] // Vitrine's phases stand beside the floor's
	scriptRow.Notes = []string{"The script is cmd/bench/script.sh. It is measured from its start: how long a CI service takes to start a job is left out."}
	return []report.Row{scriptRow, floorRow}
}

// spans turns a contestant's trials into what the report shows.
func spans(c contestant, trials []trial) report.Spans {
	s := report.Spans{Name: c.name()}
	for _, t := range trials {
		s.Add(t.took, t.phases)
	}
	return s
}
