package deployments_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"vitrine/deployments"
)

// forked is the n-th commit of a pull request from a fork.
func forked(p, n int) deployments.Source {
	s := commit(p, n)
	s.Fork = true
	return s
}

// forkPushed has the n-th commit pushed to a fork's pull request.
func (h *house) forkPushed(p, n int) {
	h.t.Helper()
	h.says(p, deployments.Head{Open: true, Source: forked(p, n), Title: "From afar"})
	w := up(p, n)
	w.Source = forked(p, n)
	h.accept(w)
}

// approve has somebody who may write approve the n-th commit.
func (h *house) approve(p, n int) {
	h.t.Helper()
	w := byHand(p, deployments.Up)
	w.Source, w.Approve = forked(p, n), forked(p, n).SHA
	h.accept(w)
}

// The code of a fork runs once that very commit was approved. What was approved before is served until then.
func TestForkWaitsForApproval(t *testing.T) {
	inHouse(t, func(h *house) {
		h.forkPushed(1, 1)
		h.settled()
		if e := h.env(1); e.Held != forked(1, 1).SHA || e.Live != 0 || h.called("Builder.Fetch") != 0 {
			h.t.Fatalf("held %q, live %d, fetched %d times", e.Held, e.Live, h.called("Builder.Fetch"))
		}
		h.approve(1, 1)
		h.settled()
		if d := h.live(1); d.Source != forked(1, 1) || h.env(1).Held != "" {
			h.t.Fatalf("live is %+v, held %q", d.Source, h.env(1).Held)
		}
		before := h.called("Builder.Fetch")
		h.forkPushed(1, 2)
		h.settled()
		if d := h.live(1); d.Source != forked(1, 1) || h.env(1).Held != forked(1, 2).SHA || h.called("Builder.Fetch") != before {
			t.Errorf("live is %+v, held %q, fetched %d times since", d.Source, h.env(1).Held, h.called("Builder.Fetch")-before)
		}
		if last := h.shown()[len(h.shown())-1]; last.Environment.Held != forked(1, 2).SHA || last.Live == nil {
			t.Errorf("people were shown %+v", last.Environment)
		}
		h.approve(1, 2)
		h.settled()
		if d := h.live(1); d.Source != forked(1, 2) {
			t.Errorf("live is %+v", d.Source)
		}
	})
}

// An approval of one commit is none of another that was pushed meanwhile, whatever the approval's own event says.
func TestApprovalIsBoundToItsCommit(t *testing.T) {
	inHouse(t, func(h *house) {
		h.says(1, deployments.Head{Open: true, Source: forked(1, 2)})
		h.approve(1, 1)
		h.settled()
		if e := h.env(1); e.Held != forked(1, 2).SHA || e.Live != 0 || h.called("Builder.Fetch") != 0 {
			t.Errorf("held %q, live %d, fetched %d times", e.Held, e.Live, h.called("Builder.Fetch"))
		}
	})
}

// While a new commit waits, what is live can be made anew: its containers are gone, or somebody wants fresh data.
func TestApprovedCommitIsDeployedAgain(t *testing.T) {
	inHouse(t, func(h *house) {
		h.forkPushed(1, 1)
		h.approve(1, 1)
		h.settled()
		first := h.live(1)
		h.forkPushed(1, 2)
		h.settled()
		w := byHand(1, deployments.Up)
		w.Reset = true
		h.accept(w)
		h.settled()
		if d := h.live(1); d.Source != forked(1, 1) || d.ID == first.ID || h.env(1).Held != forked(1, 2).SHA {
			t.Errorf("live is %d at %+v, held %q", d.ID, d.Source, h.env(1).Held)
		}
		h.wantThere(h.live(1))
	})
}

// Of a fork only the forge's own word counts, however long it says nothing.
func TestForgeSilentAboutAFork(t *testing.T) {
	inHouse(t, func(h *house) {
		h.when("Forge.Head", failingWith(&deployments.Unavailable{Neighbour: "GitHub", Err: errAway}))
		h.forkPushed(1, 1)
		h.approve(1, 1)
		h.pass(10 * time.Minute)
		if h.called("Builder.Fetch") != 0 {
			t.Error("a fork's commit was fetched on the word of an event")
		}
		h.when("Forge.Head", nil)
		h.settled()
		if d := h.live(1); d.Source != forked(1, 1) {
			t.Errorf("live is %+v", d.Source)
		}
	})
}

// Where nothing fences previews off, no fork runs, whoever approves it.
func TestForkWithoutFirewall(t *testing.T) {
	inHouse(t, func(h *house) {
		h.end()
		h.ports.Firewall = nil
		h.start()
		h.forkPushed(1, 1)
		h.approve(1, 1)
		h.settled()
		h.wantGone(1)
		if e := h.env(1); !strings.Contains(e.Skipped, "firewall") || h.called("Builder.Fetch") != 0 {
			t.Errorf("skipped %q, fetched %d times", e.Skipped, h.called("Builder.Fetch"))
		}
	})
}

// A fork gets no Variable, and the value for forks in place of a required one.
func TestForkGetsNoVariable(t *testing.T) {
	inHouse(t, func(h *house) {
		dummy := "dummy"
		h.settings.Env = map[string]deployments.Declaration{
			"STRIPE_KEY": {Required: "ask the payments team", Fork: &dummy},
		}
		if err := h.store.SetVariables(h.t.Context(), "acme/shop", map[string]string{"STRIPE_KEY": "sk_live_1", "OTHER": "secret value"}); err != nil {
			h.t.Fatal(err)
		}
		h.forkPushed(1, 1)
		h.approve(1, 1)
		h.settled()
		got := h.variables[forked(1, 1).SHA]
		if got["STRIPE_KEY"] != dummy || got["OTHER"] != "" {
			t.Errorf("the stack is read with %v", got)
		}
		h.pushed(2, 1)
		h.settled()
		if got := h.variables[commit(2, 1).SHA]; got["STRIPE_KEY"] != "sk_live_1" || got["OTHER"] == "" {
			t.Errorf("the repository's own stack is read with %v", got)
		}
	})
}

// What a rule keeps from being deployed is deployed by hand, until the next commit.
func TestRuleIsOverruledByHand(t *testing.T) {
	inHouse(t, func(h *house) {
		h.says(1, deployments.Head{Open: true, Source: commit(1, 1), Skip: "only docs/** changed"})
		h.accept(up(1, 1))
		h.settled()
		h.wantGone(1)
		if e := h.env(1); e.Skipped != "only docs/** changed" {
			t.Errorf("skipped %q", e.Skipped)
		}
		h.accept(byHand(1, deployments.Up))
		h.settled()
		h.wantLive(1, 1)
		h.says(1, deployments.Head{Open: true, Source: commit(1, 2), Skip: "only docs/** changed"})
		h.accept(up(1, 2))
		h.settled()
		h.wantGone(1)
		if events := h.events(1); !slices.Contains(events, "skipped: only docs/** changed") {
			t.Errorf("the history is %q", events)
		}
	})
}
