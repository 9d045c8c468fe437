package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"vitrine/cmd/bench/report"
)

func TestScriptPhases(t *testing.T) {
	const out = "clone 1700000000.000000\nbuild 1700000000.250000\nsha256:abc\npush 1700000001.000000\n127.0.0.1:5000/shop/web:pr-1\n" +
		"up 1700000001.500000\nend 1700000003.000000\n"
	tests := []struct {
		name string
		at   time.Time
		up   time.Duration
	}{
		{"the page is there before docker-compose ends", time.UnixMilli(1700000002900), 1400 * time.Millisecond},
		{"and after it", time.UnixMilli(1700000003100), 1600 * time.Millisecond},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := scriptPhases(out, test.at)
			if err != nil {
				t.Fatal(err)
			}
			want := []report.Phase{
				{Name: "clone", Took: 250 * time.Millisecond}, {Name: "build", Took: 750 * time.Millisecond}, {Name: "push", Took: 500 * time.Millisecond},
				{Name: "up", Took: test.up},
			}
			if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b time.Duration) bool { return (a - b).Abs() < 10*time.Microsecond })); diff != "" {
				t.Errorf("phases (-want +got):\n%s", diff)
			}
		})
	}
	for _, out := range []string{"", "clone 1700000000.0\nbuild 1700000001.0\n", "end 1700000001.0\n"} {
		if got, err := scriptPhases(out, time.Now()); err == nil {
			t.Errorf("scriptPhases(%q) is %v without an error", out, got)
		}
	}
}
