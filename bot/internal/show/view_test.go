package show

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"vitrine/bot/internal/show/showtest"
	"vitrine/deployments"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func viewOf(r deployments.PendingReport) View {
	return View{
		PendingReport: r, Address: showtest.PreviewURL, Now: showtest.Now,
		Reopens: r.Environment.Cause == "pull request closed",
	}
}

// golden holds got against a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestSeconds(t *testing.T) {
	for d, want := range map[time.Duration]string{
		870 * time.Millisecond: "0.9 s", 9949 * time.Millisecond: "9.9 s", 9951 * time.Millisecond: "10 s",
		41205 * time.Millisecond: "41 s", 125 * time.Second: "2 min 5 s",
	} {
		if got := seconds(d); got != want {
			t.Errorf("seconds(%v) = %q, want %q", d, got, want)
		}
	}
}

func TestBuilt(t *testing.T) {
	reached := map[string]bool{
		"queued": false, "fetching": false, "building": true, "starting": true, "superseded": true, "waiting": true, "waiting-first": false,
		"failed-config": false, "failed-build": true, "nothing": false, "fork-held": false, "ready": true,
	}
	reports := showtest.Reports()
	for name, want := range reached {
		if got := Built(reports[name].Latest); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
