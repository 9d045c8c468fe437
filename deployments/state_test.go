package deployments_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"vitrine/deployments"
)

// runs sets the init jobs that every stack has.
func (h *house) runs(jobs ...deployments.JobRun) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.jobs = jobs
}

// wantRan holds which jobs have succeeded so far, each with its state.
func (h *house) wantRan(want ...string) {
	h.t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if diff := cmp.Diff(want, h.ranJobs); diff != "" {
		h.t.Errorf("init jobs that ran (-want +got):\n%s", diff)
	}
}

// resetting is the want of a /reset.
func resetting(p int) deployments.Want {
	return deployments.Want{Origin: pull(p), Intent: deployments.Up, By: deployments.ByHand, Force: true, Reset: true, Cause: "/reset by ana"}
}

// An environment keeps its state from push to push, and a reset begins another one with the jobs that run once. Only what is live has a state.
func TestStateLastsUntilReset(t *testing.T) {
	inHouse(t, func(h *house) {
		h.runs(deployments.JobRun{Key: "seed", First: true}, deployments.JobRun{Key: "migrate"})
		for n := range 3 {
			h.pushed(1, n+1)
			h.settled()
			if got := h.live(1).State; got != 1 {
				t.Errorf("after push %d the state is %d, want 1", n+1, got)
			}
		}
		h.wantRan("1 seed", "1 migrate", "1 migrate", "1 migrate")
		h.accept(resetting(1))
		h.settled()
		live := h.live(1)
		if live.State != live.ID || live.Source != commit(1, 3) {
			t.Errorf("after the reset %s is live with state %d, want the same commit and a state of its own", live.Source.ShortSHA(), live.State)
		}
		h.wantThere(live)
		h.wantRan("1 seed", "1 migrate", "1 migrate", "1 migrate", "4 seed", "4 migrate")
		h.pushed(1, 4)
		h.settled()
		if got := h.live(1).State; got != live.State {
			t.Errorf("the push after the reset has state %d, want %d", got, live.State)
		}
		h.wantThere(h.live(1))
		h.closed(1)
		h.settled()
		h.wantThere()
		h.says(1, deployments.Head{Open: true, Source: commit(1, 4)})
		h.accept(up(1, 4))
		h.settled()
		if live := h.live(1); live.State != live.ID {
			t.Errorf("what was taken down came back with state %d, want fresh data", live.State)
		}
	})
}

// A reset that fails leaves the old data to what is live; one that a push overtakes is carried out with the push.
func TestResetThatFails(t *testing.T) {
	inHouse(t, func(h *house) {
		h.pushed(1, 1)
		h.settled()
		before := h.live(1)
		fault := &deployments.Fault{Kind: deployments.FaultStart, Service: "web", Reason: "exited with status 1"}
		h.when("Runtime.Up", func(context.Context, string) error { return fault })
		h.accept(resetting(1))
		h.settled()
		h.wantThere(before)
		h.when("Runtime.Up", nil)
		h.pushed(1, 2)
		h.settled()
		if got := h.live(1).State; got != before.State {
			t.Errorf("the push after a failed reset has state %d, want %d: nobody asked for fresh data then", got, before.State)
		}
		g := newGate()
		h.when("Builder.Build", g.pass)
		h.accept(resetting(1))
		<-g.waits
		h.pushed(1, 3)
		h.when("Builder.Build", nil)
		h.settled()
		if live := h.live(1); live.State == before.State || live.Source != commit(1, 3) {
			t.Errorf("%s is live with state %d, want the push with a state of its own", live.Source.ShortSHA(), live.State)
		}
		h.wantThere(h.live(1))
	})
}

// Where nothing is live, a failed attempt leaves no state behind, and the next one begins anew.
func TestFailedAttemptLeavesNoState(t *testing.T) {
	inHouse(t, func(h *house) {
		h.runs(deployments.JobRun{Key: "seed", First: true})
		fault := &deployments.Fault{Kind: deployments.FaultStart, Service: "web", Reason: "exited with status 1"}
		h.when("Runtime.Up", func(context.Context, string) error { return fault })
		h.pushed(1, 1)
		h.settled()
		h.wantThere()
		h.when("Runtime.Up", nil)
		h.pushed(1, 2)
		h.settled()
		h.wantRan("1 seed", "2 seed")
		h.wantThere(h.live(1))
	})
}

// A job that has succeeded in an attempt that failed afterwards does not run again, and the history says that what it did stays.
func TestJobsOfAFailedAttemptCount(t *testing.T) {
	inHouse(t, func(h *house) {
		h.pushed(1, 1)
		h.settled()
		h.runs(deployments.JobRun{Key: "seed", First: true})
		fault := &deployments.Fault{Kind: deployments.FaultStart, Service: "web", Reason: "exited with status 1"}
		h.when("Runtime.Up", func(context.Context, string) error { return fault })
		h.pushed(1, 2)
		h.settled()
		h.when("Runtime.Up", nil)
		h.pushed(1, 3)
		h.settled()
		h.wantRan("1 seed")
		told := "init had begun on data that is kept: what it changed there is not rolled back; /reset begins with fresh data"
		if n := len(slices.DeleteFunc(h.events(1), func(e string) bool { return e != told })); n != 1 {
			t.Errorf("the history says %d times that nothing is rolled back, want once: %q", n, h.events(1))
		}
	})
}

// What is replaced in place is said beforehand, and while it happens nobody restores what is live; afterwards that is looked after, also where the attempt
// failed.
func TestReplacedInPlace(t *testing.T) {
	inHouse(t, func(h *house) {
		h.pushed(1, 1)
		h.settled()
		h.mu.Lock()
		h.replaced = []string{"db"}
		h.mu.Unlock()
		g := newGate()
		h.when("Runtime.Up", g.pass)
		h.pushed(1, 2)
		<-g.waits
		if !slices.Contains(h.events(1), "db: replaced in place, so a short downtime is expected") {
			t.Errorf("nobody was told of the downtime: %q", h.events(1))
		}
		old := h.live(1)
		restored := h.called("Runtime.Restore")
		h.ended <- old.State
		h.pass(time.Minute)
		if n := h.called("Runtime.Restore") - restored; n != 0 {
			t.Errorf("what is live was restored %d times while the next version starts", n)
		}
		h.when("Runtime.Up", nil)
		h.pushed(1, 3) // ends the attempt
		h.settled()
		if n := h.called("Runtime.Restore") - restored; n == 0 {
			t.Error("nobody looked after what was live")
		}
		h.wantLive(1, 3)
		h.wantThere(h.live(1))
	})
}

// A container of the state that ends is one of what is live.
func TestStateEnds(t *testing.T) {
	inHouse(t, func(h *house) {
		h.pushed(1, 1)
		h.pushed(1, 2)
		h.settled()
		h.pushed(1, 3)
		h.settled()
		restored := h.called("Runtime.Restore")
		h.hears <- deployments.Incident{Environment: h.env(1).Name, Service: "db", Kind: deployments.Died, Status: 1, At: time.Now()}
		h.pass(time.Minute)
		if n := h.called("Runtime.Restore") - restored; n == 0 {
			t.Error("nobody looked after what is live")
		}
	})
}

// The sweep removes a state that no record has.
func TestSweepOfStates(t *testing.T) {
	inHouse(t, func(h *house) {
		h.pushed(1, 1)
		h.settled()
		h.mu.Lock()
		h.states[4711] = true
		h.mu.Unlock()
		h.pass(6 * time.Minute)
		h.wantThere(h.live(1))
	})
}
