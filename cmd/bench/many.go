package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"vitrine/bot/githubsim"
	"vitrine/cmd/bench/report"
	"vitrine/cmd/bench/world"
	"vitrine/cmd/internal/sample"
)

const (
	manyPreviews  = 200
	manyTime      = 5 * time.Minute // for making them
	manyAtOnce    = 4
	manySamples   = 10
	memoryPause   = time.Second
	memoryBound   = 150.0 // MiB
	sweepBound    = 2.0   // s
	growthEarly   = 10    // the preview that a later one is compared with, counted from 1
	growthLate    = 120
	growthAround  = 5   // how many on either side of it count
	growthBound   = 1.5 // x
	manyRepo      = "acme/many"
	manyMemory    = "many previews: memory of the process"
	manySweep     = "many previews: a full sweep"
	manyGrowth    = "many previews: the 120th to go live, against the 10th"
	manyWhat      = "a process with previews of one container each, all awake, as sleep is not built yet"
	manyGrowWhat  = "from the claim of a preview's first attempt to its route, four at once, while all before stay up"
	manySweepWhat = "the sweep at the start of a process that has previews of one container each; the test of the firewall, which follows at the start and once an hour, does not count"
)

// many measures a serve with many previews.
func many(ctx context.Context, o options) (rows []report.Row, err error) {
	w, err := o.openWorld(ctx, "GODEBUG=gctrace=1", fmt.Sprintf("VITRINE_BUILDS=%d", manyAtOnce))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	if err := w.Create(ctx, manyRepo, world.Single(w.Base)); err != nil {
		return nil, err
	}
	live, err := fill(ctx, w)
	if err != nil {
		return nil, err
	}
	first, err := w.Serve.First(ctx)
	if err != nil {
		return nil, err
	}
	rows = append(rows, growthRow(first))
	memory, err := memoryRow(ctx, w, live)
	if err != nil {
		return rows, err
	}
	sweep, err := sweepRow(ctx, w, live, o.Rounds)
	return append(rows, memory, sweep), err
}

// growthRow compares how long the previews around an early and a late one took to go live.
func growthRow(first []world.Record) report.Row {
	around := func(n int) (took report.Distribution) {
		for i := max(0, n-1-growthAround); i < min(len(first), n+growthAround); i++ {
			took = append(took, float64(first[i].Live.Sub(first[i].Created).Microseconds())/1000)
		}
		return took
	}
	early, late := around(growthEarly), around(growthLate)
	ratio := late.Median() / early.Median()
	row := report.Row{
		Title: manyGrowth, What: manyGrowWhat,
		Lines: []report.Line{
			{Name: fmt.Sprintf("around the %dth", growthEarly), Unit: "ms", Values: early},
			{Name: fmt.Sprintf("around the %dth", growthLate), Unit: "ms", Values: late},
		},
		Result:  report.Figure(ratio) + " x",
		Bound:   fmt.Sprintf("at most %s x", report.Figure(growthBound)),
		Verdict: report.Holds,
	}
	switch {
	case len(first) < growthLate+growthAround:
		row.Verdict = fmt.Sprintf("not shown: only %d previews in %s", len(first), manyTime)
	case !(ratio <= growthBound):
		row.Verdict = "does not hold"
	}
	return row
}

// fill opens pull requests, a few at a time, until there are as many previews as there should be or the time is over. It returns how many are live.
func fill(ctx context.Context, w *world.World) (live int, err error) {
	end := time.Now().Add(manyTime)
	for i := 0; i < manyPreviews && time.Now().Before(end); i++ {
		branch := fmt.Sprintf("topic-%d", i)
		if _, err := w.Github.Commit(ctx, githubsim.Change{
			Repository: manyRepo, Branch: branch, Author: sample.Developer, Files: map[string]string{"stock.txt": strconv.Itoa(i) + "\n"},
		}); err != nil {
			return 0, err
		}
		pull := githubsim.PullRequest{Repository: manyRepo, Head: branch, Title: "Topic " + branch, Author: sample.Developer}
		if _, err := w.Github.OpenPullRequest(ctx, pull); err != nil {
			return 0, err
		}
		err := world.Until(ctx, "previews are deployed", func() (bool, error) {
			n, err := w.Serve.Number(ctx, `SELECT count(*) FROM environments WHERE live IS NOT NULL`)
			live = int(n)
			return i+1-live < manyAtOnce, err
		})
		if err != nil {
			return 0, fmt.Errorf("%w; serve said:\n%s", err, w.Serve.Tail())
		}
		if (i+1)%50 == 0 {
			w.Say("  %d previews", live)
		}
	}
	if err := w.Serve.Idle(ctx); err != nil {
		return 0, err
	}
	n, err := w.Serve.Number(ctx, `SELECT count(*) FROM environments WHERE live IS NOT NULL`)
	w.Say("  %d previews", n)
	return int(n), err
}

func memoryRow(ctx context.Context, w *world.World, live int) (report.Row, error) {
	var resident report.Distribution
	pause := time.NewTicker(memoryPause)
	defer pause.Stop()
	for range manySamples {
		select {
		case <-pause.C:
		case <-ctx.Done():
			return report.Row{}, context.Cause(ctx)
		}
		mib, err := residentMemory(w.Serve.PID())
		if err != nil {
			return report.Row{}, err
		}
		resident = append(resident, mib)
	}
	row := report.Row{
		Title: manyMemory, What: manyWhat,
		Lines:   []report.Line{{Name: "resident", Unit: "MiB", Values: resident}},
		Result:  fmt.Sprintf("%s MiB with %d previews", report.Figure(resident.Median()), live),
		Bound:   fmt.Sprintf("at most %s MiB with %d", report.Figure(memoryBound), manyPreviews),
		Verdict: report.Holds,
	}
	heap := "unknown"
	if mib, ok := lastHeap(fileText(w.Serve.LogFile)); ok {
		heap = strconv.Itoa(mib) + " MiB"
	}
	row.Notes = append(row.Notes, "Live on Go's heap after the last collection: "+heap+".")
	switch {
	case live < manyPreviews:
		row.Verdict = fmt.Sprintf("not shown: only %d previews in %s", live, manyTime)
	case !(resident.Median() <= memoryBound):
		row.Verdict = "does not hold: on the heap are " + heap
	}
	return row, nil
}

// sweepRow starts serve again and again, which sweeps at its start.
func sweepRow(ctx context.Context, w *world.World, live, rounds int) (report.Row, error) {
	for range rounds {
		before, _ := sweeps(fileText(w.Serve.LogFile))
		if err := w.Serve.Stop(); err != nil {
			return report.Row{}, err
		}
		if err := w.Serve.Start(ctx); err != nil {
			return report.Row{}, err
		}
		err := world.Until(ctx, "serve logs how long its sweep took", func() (bool, error) {
			now, _ := sweeps(fileText(w.Serve.LogFile))
			return len(now) > len(before), nil
		})
		if err != nil {
			return report.Missing(manySweep, manySweepWhat, err), err
		}
	}
	took, fence := sweeps(fileText(w.Serve.LogFile))
	took, fence = took[max(0, len(took)-rounds):], fence[max(0, len(fence)-rounds):]
	row := report.Row{
		Title: manySweep, What: manySweepWhat,
		Lines:   []report.Line{{Name: "sweep", Unit: "s", Values: took}, {Name: "the firewall's test after it", Unit: "s", Values: fence}},
		Result:  fmt.Sprintf("%s s with %d previews", report.Figure(took.Median()), live),
		Bound:   fmt.Sprintf("at most %s s with %d", report.Figure(sweepBound), manyPreviews),
		Verdict: report.Holds,
	}
	switch {
	case live < manyPreviews:
		row.Verdict = fmt.Sprintf("not shown: only %d previews in %s", live, manyTime)
	case !(took.Median() <= sweepBound):
		row.Verdict = "does not hold"
	}
	return row, nil
}

// residentMemory returns a process's VmRSS in MiB.
func residentMemory(pid int) (float64, error) {
	text := fieldOf(fmt.Sprintf("/proc/%d/status", pid), "VmRSS")
	kib, err := strconv.ParseFloat(strings.TrimSuffix(text, " kB"), 64)
	if err != nil {
		return 0, fmt.Errorf("read the memory of process %d: %q: %w", pid, text, os.ErrInvalid)
	}
	return kib / 1024, nil
}

// collection is a line of Go's GODEBUG=gctrace=1 (package runtime): "gc 7 @1.5s 1%: ... 12->13->6 MB, 13 MB goal, ...". The third number is what lived.
var collection = regexp.MustCompile(`(?m)^gc \d+ @.* \d+->\d+->(\d+) MB, `)

// lastHeap returns what the last collection in a log left, in MiB.
func lastHeap(log string) (mib int, ok bool) {
	found := collection.FindAllStringSubmatch(log, -1)
	if len(found) == 0 {
		return 0, false
	}
	mib, err := strconv.Atoi(found[len(found)-1][1])
	return mib, err == nil
}

// swept is the line that serve logs after a sweep.
var swept = regexp.MustCompile(`(?m)^.* msg=swept .*\btook=(\S+) firewall=(\S+)`)

// sweeps returns how long the sweeps in a log took and how long the firewall took beside each, in seconds.
func sweeps(log string) (took, fence report.Distribution) {
	for _, found := range swept.FindAllStringSubmatch(log, -1) {
		t, err1 := time.ParseDuration(found[1])
		f, err2 := time.ParseDuration(found[2])
		if err1 == nil && err2 == nil {
			took, fence = append(took, t.Seconds()), append(fence, f.Seconds())
		}
	}
	return took, fence
}
