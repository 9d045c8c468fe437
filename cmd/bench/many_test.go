package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"vitrine/cmd/bench/report"
)

const serveLog = `time=2025-01-01T00:00:00.000Z level=INFO msg=swept deployments=3 took=1.5s
gc 7 @1.500s 1%: 0.02+1.1+0.01 ms clock, 0.05+0.2/1.0/0.9+0.03 ms cpu, 12->13->6 MB, 13 MB goal, 0 MB stacks, 0 MB globals, 2 P
time=2025-01-01T00:05:00.000Z level=INFO msg="not swept" took=9s
gc 8 @121.500s 1%: 0.02+1.1+0.01 ms clock, 0.05+0.2/1.0/0.9+0.03 ms cpu, 14->15->9 MB, 18 MB goal, 0 MB stacks, 0 MB globals, 2 P (forced)
time=2025-01-01T00:05:00.000Z level=INFO msg=swept took=250ms
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
	if diff := cmp.Diff(report.Distribution{1.5, 0.25}, sweeps(serveLog)); diff != "" {
		t.Errorf("sweeps (-want +got):\n%s", diff)
	}
}
