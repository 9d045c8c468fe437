package deployments_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"vitrine/deployments"
)

func TestRoutesAreWrittenUntilItSucceeds(t *testing.T) {
	inHouse(t, func(h *house) {
		h.pushed(2, 1)
		h.settled()
		tries := h.failFor("Routes.Write", 5)
		h.pushed(1, 1)
		h.until("it is live", func() bool { return h.hasEnv(1) && h.env(1).Live != 0 })
		if h.env(1).Waiting != "" {
			t.Errorf("it waits: %q", h.env(1).Waiting)
		}
		h.until("its routes are written", func() bool { return h.served()["shop-pr-1.preview.test"] != nil })
		h.wantLive(1, 1)
		h.wantLive(2, 1)
		if n := len(*tries); n < 6 {
			t.Errorf("written %d times, want 6 at least", n)
		}
	})
}

func TestRoutesThatAreGoneAreRemovedInTheEnd(t *testing.T) {
	inHouse(t, func(h *house) {
		h.pushed(1, 1)
		h.settled()
		h.failFor("Routes.Write", 3)
		h.closed(1)
		h.settled()
		h.pass(time.Minute)
		h.wantThere()
		h.wantGone(1)
	})
}

// A write that fails while all records are being rewritten is not lost: what is rewritten was read before.
func TestAFailedWriteBesideARewriteIsRepeated(t *testing.T) {
	inHouse(t, func(h *house) {
		h.pushed(1, 1)
		h.settled()
		g := newGate()
		h.when("Routes.Hosts", g.pass) // after the records were read
		h.failFor("Routes.Write", 1)
		h.pushed(1, 2)
		<-g.waits
		synctest.Wait()
		h.failFor("Routes.Write", 1)
		h.pushed(1, 3)
		h.until("it is live", func() bool { return h.live(1).Source == commit(1, 3) })
		g.open()
		h.pass(time.Minute)
		h.wantLive(1, 3)
	})
}

func TestAPushIsRepeated(t *testing.T) {
	inHouse(t, func(h *house) {
		tries := h.failFor("Builder.Push", 5)
		h.pushed(1, 1)
		h.until("it is live", func() bool { return h.hasEnv(1) && h.env(1).Live != 0 })
		h.wantLive(1, 1)
		if !h.live(1).PushedAt.IsZero() {
			t.Error("it is pushed, by its record")
		}
		h.settled()
		h.growing(*tries, 5)
		if h.live(1).PushedAt.IsZero() || h.live(1).Images[0].Digest == "" {
			t.Errorf("it was pushed, and the record says %+v", h.live(1))
		}
	})
}

// What is taken down while it is pushed has its push ended first: nothing of it comes to the registry afterwards.
func TestATakeDownEndsThePush(t *testing.T) {
	inHouse(t, func(h *house) {
		g := newGate()
		h.when("Builder.Push", g.pass)
		h.pushed(1, 1)
		<-g.waits
		h.closed(1)
		<-g.causes
		h.settled()
		h.wantGone(1)
		h.wantThere()
	})
}

func TestReportsArriveInTheEnd(t *testing.T) {
	inHouse(t, func(h *house) {
		h.pushed(1, 1)
		h.settled()
		h.pass(time.Minute)
		before := len(h.shown())
		tries := h.failFor("Reporter.Report", 5)
		h.pushed(1, 2)
		h.settled()
		// A second after the first failure there is a pause all the same.
		want := []time.Duration{reportPause, reportPause, reportPause, 8 * time.Second, 16 * time.Second}
		for i, least := range want {
			if pause := (*tries)[i+1].Sub((*tries)[i]); pause < least*4/5 || pause > least*6/5+time.Second {
				t.Errorf("reported again after %s, want %s, give or take a fifth", pause, least)
			}
		}
		h.wantReported(1)
		h.spaced(h.shown()[before:])
	})
}

func TestReportsKeepTheirDistance(t *testing.T) {
	inHouse(t, func(h *house) {
		h.when("Builder.Build", takes(time.Second))
		h.when("Runtime.Up", takes(time.Second))
		for n := range 10 {
			h.pushed(1, n+1)
			h.pass(700 * time.Millisecond)
		}
		h.settled()
		h.wantReported(1)
		h.closed(1)
		h.pass(time.Second)
		h.pushed(1, 11)
		h.pass(time.Second)
		h.closed(1)
		h.settled()
		h.wantReported(1)
		h.spaced(h.shown())
	})
}

func TestRequestsAreServedInTheirOrder(t *testing.T) {
	inHouse(t, func(h *house) {
		h.pushed(1, 1)
		h.pushed(2, 1)
		h.settled()
		g := newGate()
		h.when("Runtime.Up", g.pass)
		h.when("Clerk.Resolve", failing(3))
		h.ask(1, deployments.Resolution{State: deployments.RequestTaken, Wants: []deployments.Want{byHand(1, deployments.Up)}})
		h.ask(1, deployments.Resolution{State: deployments.RequestRefused, Reply: "no"})
		h.ask(2, deployments.Resolution{State: deployments.RequestIgnored})
		h.until("the first is at work", func() bool { return len(g.waits) == 1 })
		h.until("the second is refused", func() bool { return len(h.told(pull(1))) == 2 })
		if diff := cmp.Diff([]deployments.RequestState{deployments.RequestTaken, deployments.RequestRefused}, h.told(pull(1))); diff != "" {
			t.Errorf("before it is live (-want +got):\n%s", diff)
		}
		h.when("Clerk.Answer", failing(3))
		g.open()
		h.settled()
		want := []deployments.RequestState{deployments.RequestTaken, deployments.RequestRefused, deployments.RequestSucceeded}
		if diff := cmp.Diff(want, h.told(pull(1))); diff != "" {
			t.Errorf("in the end (-want +got):\n%s", diff)
		}
		if told := h.told(pull(2)); len(told) != 0 {
			t.Errorf("of what is not for us, %q was told", told)
		}
		h.wantThere(h.live(1), h.live(2))
	})
}

func TestARequestFailsWithItsGeneration(t *testing.T) {
	inHouse(t, func(h *house) {
		h.pushed(1, 1)
		h.settled()
		h.when("Builder.Build", func(context.Context, string) error {
			return &deployments.Fault{Kind: deployments.FaultBuild, Reason: "the command ended with 2"}
		})
		h.ask(1, deployments.Resolution{State: deployments.RequestTaken, Wants: []deployments.Want{byHand(1, deployments.Up)}})
		h.settled()
		want := []deployments.RequestState{deployments.RequestTaken, deployments.RequestFailed}
		if diff := cmp.Diff(want, h.told(pull(1))); diff != "" {
			t.Errorf("told (-want +got):\n%s", diff)
		}
		h.wantLive(1, 1)
	})
}

// What is held back after a failure is due when its time has come, not at the next occasion.
func TestRequestsAreRepeatedInTime(t *testing.T) {
	for _, call := range []string{"Clerk.Resolve", "Clerk.Answer"} {
		t.Run(call, func(t *testing.T) {
			inHouse(t, func(h *house) {
				tries := h.failFor(call, 5)
				h.ask(1, deployments.Resolution{State: deployments.RequestRefused})
				h.settled()
				h.growing(*tries, 5)
				if diff := cmp.Diff([]deployments.RequestState{deployments.RequestRefused}, h.told(pull(1))); diff != "" {
					t.Errorf("told (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// ask has somebody ask for what will become of it.
func (h *house) ask(p int, r deployments.Resolution) {
	h.t.Helper()
	payload, err := json.Marshal(r)
	if err != nil {
		h.t.Fatal(err)
	}
	d := deployments.Delivery{Requests: []deployments.Request{{Origin: pull(p), Payload: payload}}}
	if err := h.Accept(h.t.Context(), d); err != nil {
		h.t.Fatal(err)
	}
}

// told returns what those were told who asked about an origin, each state once: that it may be told twice is part of the contract.
func (h *house) told(o deployments.Origin) (states []deployments.RequestState) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, a := range h.answers {
		if a.origin == o.Key() && !slices.Contains(states, a.state) {
			states = append(states, a.state)
		}
	}
	return states
}

// hasEnv reports whether a pull request has an environment.
func (h *house) hasEnv(p int) bool {
	_, err := h.store.EnvironmentOf(h.t.Context(), pull(p).Key())
	return err == nil
}

// wantReported holds that people see the present state of a pull request's environment.
func (h *house) wantReported(p int) {
	h.t.Helper()
	want := h.env(p)
	got := h.lastReport(fmt.Sprintf("shop-pr-%d", p)).Environment
	want.Notes = got.Notes // the first report does not have them
	if diff := cmp.Diff(want, got); diff != "" {
		h.t.Errorf("people see (-want +got):\n%s", diff)
	}
}

// spaced holds that no environment was reported more often than ReportPause allows.
func (h *house) spaced(reports []reported) {
	h.t.Helper()
	last := make(map[int64]time.Time)
	for _, r := range slices.Clone(reports) {
		if before, ok := last[r.Environment.ID]; ok && r.at.Sub(before) < reportPause {
			h.t.Errorf("%s was reported again after %s", r.Environment.Name, r.at.Sub(before))
		}
		last[r.Environment.ID] = r.at
	}
}
