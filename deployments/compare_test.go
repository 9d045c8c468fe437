package deployments_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"vitrine/deployments"
)

// What was opened, pushed and closed while nobody listened is made up for at the start, without an event.
func TestMissedWhileDown(t *testing.T) {
	inHouse(t, func(h *house) {
		h.pushed(2, 1)
		h.pushed(3, 1)
		h.settled()
		h.end()
		h.says(1, deployments.Head{Open: true, Source: commit(1, 1)})
		h.says(2, deployments.Head{Open: true, Source: commit(2, 2)})
		h.says(3, deployments.Head{Source: commit(3, 1)})
		h.start()
		h.until("all three are right", func() bool {
			one, err := h.store.EnvironmentOf(h.t.Context(), pull(1).Key())
			return err == nil && one.Live != 0 && h.live(2).Source == commit(2, 2) && h.env(3).Intent == deployments.Gone
		})
		h.settled()
		h.wantLive(1, 1)
		h.wantLive(2, 2)
		h.wantGone(3)
	})
}

// A comparison that finds nothing changes nothing, also of what a rule skips and of what a person took down.
func TestComparisonFindsNothing(t *testing.T) {
	inHouse(t, func(h *house) {
		h.pushed(1, 1)
		h.says(2, deployments.Head{Open: true, Source: commit(2, 1), Skip: "only docs/** changed"})
		h.accept(up(2, 1))
		h.pushed(3, 1)
		h.settled()
		h.accept(byHand(3, deployments.Gone))
		h.settled()
		before := []int64{h.env(1).Generation, h.env(2).Generation, h.env(3).Generation}
		asked := h.called("Forge.Opened")
		h.pass(10 * time.Minute)
		if h.called("Forge.Opened") < asked+3 || h.called("Forge.Redeliver") < 3 {
			t.Errorf("the forge was asked %d times what is open, %d times for what was missed", h.called("Forge.Opened")-asked, h.called("Forge.Redeliver"))
		}
		for i, generation := range before {
			if now := h.env(i + 1).Generation; now != generation {
				t.Errorf("pull request %d: generation %d, was %d", i+1, now, generation)
			}
		}
	})
}

// Where the forge is away nothing is taken down, and the comparison is made up for.
func TestComparisonWithoutForge(t *testing.T) {
	inHouse(t, func(h *house) {
		h.pushed(1, 1)
		h.settled()
		h.when("Forge.Opened", func(context.Context, string) error { return errors.New("nobody answers") })
		h.pass(10 * time.Minute)
		h.wantLive(1, 1)
		h.when("Forge.Opened", nil)
		h.says(1, deployments.Head{Source: commit(1, 1)})
		h.until("it is gone", func() bool { return h.env(1).Intent == deployments.Gone })
	})
}

// A repository that the forge has taken away without a word is found missing from what it lists. One that the list has left out by mistake stays.
func TestComparisonFindsARepositoryGone(t *testing.T) {
	inHouse(t, func(h *house) {
		origin := deployments.Origin{Repo: "acme/gone", PullRequest: 1}
		source := commit(9, 1)
		source.Repo = origin.Repo
		h.mu.Lock()
		h.heads[origin.Key()] = deployments.Head{Open: true, Source: source}
		h.mu.Unlock()
		h.accept(deployments.Want{Origin: origin, Source: source, Intent: deployments.Up, By: deployments.ByEvent, Cause: "opened"})
		h.settled()
		env := func() deployments.Environment {
			e, err := h.store.EnvironmentOf(h.t.Context(), origin.Key())
			if err != nil {
				h.t.Fatal(err)
			}
			return e
		}
		h.pass(10 * time.Minute)
		h.settled()
		if e := env(); e.Intent != deployments.Up || e.Live == 0 {
			h.t.Fatalf("%s, live %d, though the forge says that it is open", e.Intent, e.Live)
		}
		h.mu.Lock()
		h.heads[origin.Key()] = deployments.Head{Cause: "the App is not installed on the repository any more"}
		h.mu.Unlock()
		h.until("it is gone", func() bool { return env().Intent == deployments.Gone && env().Live == 0 })
	})
}

// A branch whose configuration cannot be read is left alone, and one of a repository that is archived goes for that reason.
func TestComparisonOfBranches(t *testing.T) {
	inHouse(t, func(h *house) {
		branch := deployments.Origin{Repo: "acme/shop", Branch: "main"}
		source := commit(9, 1)
		h.mu.Lock()
		h.heads[branch.Key()] = deployments.Head{Open: true, Source: source}
		h.opened.BranchesUnknown = true
		h.mu.Unlock()
		h.accept(deployments.Want{Origin: branch, Source: source, Intent: deployments.Up, By: deployments.ByEvent, Cause: "push"})
		h.settled()
		env := func() deployments.Environment {
			e, err := h.store.EnvironmentOf(h.t.Context(), branch.Key())
			if err != nil {
				h.t.Fatal(err)
			}
			return e
		}
		generation := env().Generation
		h.pass(10 * time.Minute)
		if e := env(); e.Generation != generation {
			h.t.Errorf("generation %d, was %d: %s", e.Generation, generation, e.Cause)
		}
		h.mu.Lock()
		h.opened = deployments.Opened{Cause: "the repository is archived"}
		h.heads[branch.Key()] = deployments.Head{}
		h.mu.Unlock()
		h.until("it is gone", func() bool { return env().Intent == deployments.Gone })
		if e := env(); e.Cause != "the repository is archived" {
			h.t.Errorf("gone for %q", e.Cause)
		}
	})
}
