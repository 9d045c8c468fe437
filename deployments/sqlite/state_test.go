package sqlite

import (
	"slices"
	"testing"
	"time"

	"vitrine/deployments"
)

// settledAs ends an attempt.
func (f *fixture) settledAs(d deployments.Deployment, p deployments.Phase) {
	f.Helper()
	d.Phase = p
	f.ok(f.Settle(f.Context(), d))
}

// An attempt has the state of what is live, and the jobs that any attempt with that state has behind it.
func TestStateIsInherited(t *testing.T) {
	f := newFixture(t)
	f.accept(push(pull(1), commit(1, "login")))
	first := f.claim(pull(1))
	first.Ran = []string{"seed"}
	f.settledAs(first, deployments.Failed)

	f.accept(push(pull(1), commit(2, "login")))
	second := f.claim(pull(1))
	if second.State != second.ID || len(second.Ran) != 0 {
		t.Errorf("with nothing live the state is %d, with the jobs %q; want one of its own", second.State, second.Ran)
	}
	second.Ran = []string{"seed"}
	must(f.Switch(t.Context(), second, nil, start))

	f.accept(push(pull(1), commit(3, "login")))
	third := f.claim(pull(1))
	third.Ran = append(third.Ran, "fixtures")
	f.settledAs(third, deployments.Failed)
	f.accept(push(pull(1), commit(4, "login")))
	fourth := f.claim(pull(1))
	if fourth.State != second.ID || !slices.Equal(fourth.Ran, []string{"seed", "fixtures"}) {
		t.Errorf("the state is %d, with the jobs %q; want that of deployment %d, with those of an attempt that failed", fourth.State, fourth.Ran, second.ID)
	}
	f.settledAs(fourth, deployments.Failed)

	f.clock.Add(time.Minute)
	reset := deployments.Want{Origin: pull(1), Intent: deployments.Up, By: deployments.ByHand, Force: true, Reset: true, Cause: "/reset by ana"}
	f.accept(reset)
	fifth := f.claim(pull(1))
	if fifth.State != fifth.ID || len(fifth.Ran) != 0 {
		t.Errorf("after a reset the state is %d, with the jobs %q; want one of its own", fifth.State, fifth.Ran)
	}
	must(f.Switch(t.Context(), fifth, nil, start))
	if f.of(pull(1)).Reset {
		t.Error("the reset is still to come")
	}
}
