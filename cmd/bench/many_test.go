package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"vitrine/cmd/bench/report"
	"vitrine/cmd/bench/world"
)

const serveLog = `time=2025-01-01T00:00:00.000Z level=INFO msg=swept deployments=3 took=1.5s firewall=4s
gc 7 @1.500s 1%: 0.02+1.1+0.01 ms clock, 0.05+0.2/1.0/0.9+0.03 ms cpu, 12->13->6 MB, 13 MB goal, 0 MB stacks, 0 MB globals, 2 P
time=2025-01-01T00:05:00.000Z level=INFO msg="not swept" took=9s
gc 8 @121.500s 1%: 0.02+1.1+0.01 ms clock, 0.05+0.2/1.0/0.9+0.03 ms cpu, 14->15->9 MB, 18 MB goal, 0 MB stacks, 0 MB globals, 2 P (forced)
time=2025-01-01T00:05:00.000Z level=INFO msg=swept took=250ms firewall=2ms
`

func TestLastHeap(t *testing.T) {
	if mib, ok := lastHeap(serveLog); !ok || mib != 9 {
		t.Errorf("lastHeap is %d, %v; want 9", mib, ok)
	}
	if _, ok := lastHeap("nothing"); ok {
		t.Error("lastHeap finds a collection in a log without one")
	}
}

func TestSweeps(t *testing.T) {
	took, fence := sweeps(serveLog)
	if diff := cmp.Diff([]report.Distribution{{1.5, 0.25}, {4, 0.002}}, []report.Distribution{took, fence}); diff != "" {
		t.Errorf("sweeps (-want +got):\n%s", diff)
	}
}

func TestGrowth(t *testing.T) {
	began := time.Unix(1_000_000, 0)
	previews := func(n int, late time.Duration) []world.Record {
		records := make([]world.Record, n)
		for i := range records {
			took := 100 * time.Millisecond
			if i >= 100 {
				took = late
			}
			records[i] = world.Record{Created: began, Live: began.Add(took)}
		}
		return records
	}
	for _, c := range []struct {
		name            string
		first           []world.Record
		result, verdict string
	}{
		{"as fast", previews(200, 149*time.Millisecond), "1.49 x", report.Holds},
		{"slower", previews(200, 160*time.Millisecond), "1.60 x", "does not hold"},
		{"too few", previews(110, 100*time.Millisecond), "", "not shown: only 110 previews"},
	} {
		row := growthRow(c.first)
		if !strings.HasPrefix(row.Verdict, c.verdict) || !strings.HasPrefix(row.Result, c.result) {
			t.Errorf("%s: %s, %s", c.name, row.Result, row.Verdict)
		}
	}
}
