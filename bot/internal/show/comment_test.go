package show

import (
	"testing"

	"vitrine/bot/internal/show/showtest"
	"vitrine/deployments"
)

func TestComment(t *testing.T) {
	for name, report := range showtest.Reports() {
		t.Run(name, func(t *testing.T) { golden(t, name+".md", viewOf(report).Comment()+"\n") })
	}
}

func TestCommentOnNothing(t *testing.T) {
	for name, e := range map[string]deployments.Environment{
		"never wanted":             showtest.Environment(func(e *deployments.Environment) { e.Generation, e.Observed = 0, 0 }),
		"settled without anything": showtest.Environment(showtest.Settled),
	} {
		if got := viewOf(deployments.PendingReport{Environment: e}).Comment(); got != "" {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestWorthAComment(t *testing.T) {
	// Of whom nothing was heard so far, and nobody asked.
	silent := map[string]bool{
		"queued": true, "fetching": true, "waiting-first": true, "nothing": true, "fork-new": true, "fork-approved": true,
		"removing": true, "removing-waiting": true, "gone-closed": true, "gone-merged": true, "gone-expired": true, "gone-destroy": true,
		"skipping": true, "skipped": true,
	}
	for name, report := range showtest.Reports() {
		v := viewOf(report)
		if got := v.WorthAComment(); got == silent[name] {
			t.Errorf("%s: %v", name, got)
		}
		up := report.Environment.Intent == deployments.Up
		if v.Known = true; v.WorthAComment() != (up && name != "nothing") {
			t.Errorf("%s, of what was shown before: %v", name, !up)
		}
		if v.Environment.By, v.Known = deployments.ByHand, false; v.WorthAComment() != up {
			t.Errorf("%s, by hand: %v", name, !up)
		}
	}
}
