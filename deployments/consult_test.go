package deployments_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"vitrine/deployments"
)

// What the forge may do instead of saying what the head is.
func silences() map[string]func(context.Context, string) error {
	return map[string]func(context.Context, string) error{
		"it refuses":      func(context.Context, string) error { return errAway },
		"it hangs":        takes(time.Hour),
		"it names a time": func(context.Context, string) error { return limited(time.Now().Add(30 * time.Minute)) },
	}
}

func limited(until time.Time) error {
	return &deployments.Unavailable{Neighbour: "GitHub, whose rate limit is used up", Until: until, Err: errors.New("403")}
}

// A forge that does not answer, while git does, costs ten seconds.
func TestForgeSilent(t *testing.T) {
	for name, silence := range silences() {
		t.Run(name, func(t *testing.T) {
			inHouse(t, func(h *house) {
				h.pushed(1, 1)
				h.settled()
				h.when("Forge.Head", silence)
				h.when("Forge.Opened", silence)
				fetched := h.called("Builder.Fetch")
				h.pushed(1, 2)
				h.says(1, deployments.Head{Open: true, Source: commit(1, 3)}) // what it does not say
				h.pass(9 * time.Second)
				h.wantLive(1, 1)
				if n := h.called("Builder.Fetch"); n != fetched {
					t.Error("it did not wait for the forge")
				}
				h.pass(3 * time.Second)
				h.wantLive(1, 2)
				built := h.called("Builder.Build")
				h.pass(3 * time.Minute)
				if n := h.called("Builder.Build"); n != built {
					t.Errorf("it was built %d times more", n-built)
				}
				h.when("Forge.Head", nil)
				h.when("Forge.Opened", nil)
				h.settled()
				h.wantLive(1, 3)
			})
		})
	}
}

// What git needs is at hand when the forge goes silent: it is renewed for each repository that has something live, also after a restart.
func TestRemotesAreKept(t *testing.T) {
	inHouse(t, func(h *house) {
		h.pushed(1, 1)
		h.pushed(2, 1)
		h.settled()
		h.when("Forge.Remote", func(context.Context, string) error { return errAway })
		asked := h.called("Forge.Remote")
		h.pass(61 * time.Minute)
		if n := h.called("Forge.Remote") - asked; n != 3 {
			t.Errorf("it was asked for %d times within an hour, want 3", n)
		}
		h.stop()
		asked = h.called("Forge.Remote")
		h.start()
		if n := h.called("Forge.Remote") - asked; n != 1 {
			t.Errorf("it was asked for %d times at the start, want once", n)
		}
	})
}

// What was deployed without the forge's word is not deployed again where it says the same.
func TestForgeConfirms(t *testing.T) {
	inHouse(t, func(h *house) {
		h.when("Forge.Head", func(context.Context, string) error { return errAway })
		h.pushed(1, 1)
		h.until("it is live", func() bool { return h.env(1).Live != 0 })
		h.pass(time.Minute)
		h.when("Forge.Head", nil)
		h.settled()
		h.wantLive(1, 1)
		if n := h.called("Builder.Build"); n != 1 {
			t.Errorf("it was built %d times, want once", n)
		}
		h.wantThere(h.live(1))
	})
}

// A commit that fails without the forge's word is built once more when the forge has confirmed it, not before.
func TestForgeSilentAndTheBuildFails(t *testing.T) {
	inHouse(t, func(h *house) {
		fault := &deployments.Fault{Kind: deployments.FaultBuild, Reason: "the command ended with 2"}
		h.when("Forge.Head", func(context.Context, string) error { return errAway })
		h.when("Builder.Build", func(context.Context, string) error { return fault })
		h.pushed(1, 1)
		h.pass(5 * time.Minute)
		if n := h.called("Builder.Build"); n != 1 || !h.env(1).Failed {
			t.Errorf("it was built %d times; the environment is %+v", n, h.env(1))
		}
		h.when("Forge.Head", nil)
		h.settled()
		if n := h.called("Builder.Build"); n != 2 || !h.env(1).Failed {
			t.Errorf("it was built %d times; the environment is %+v", n, h.env(1))
		}
	})
}

// Where git is away as well it waits, says for whom, and goes on when the forge is back.
func TestForgeAndGitAway(t *testing.T) {
	for name, silence := range silences() {
		t.Run(name, func(t *testing.T) {
			inHouse(t, func(h *house) {
				h.when("Forge.Head", silence)
				h.when("Builder.Fetch", func(context.Context, string) error { return errAway })
				h.pushed(1, 1)
				h.until("it says so", func() bool { return h.env(1).Waiting == "waits for GitHub" })
				h.pass(3 * time.Minute)
				said := 0
				for _, text := range h.events(1) {
					if text == "waits for GitHub" {
						said++
					}
				}
				if said != 1 {
					t.Errorf("the history says %d times that it waits: %q", said, h.events(1))
				}
				h.when("Forge.Head", nil)
				h.when("Builder.Fetch", nil)
				h.settled()
				h.wantLive(1, 1)
			})
		})
	}
}

// Where git comes back before the forge does, the commit of the event goes live then, and is built once.
func TestGitIsBackBeforeTheForge(t *testing.T) {
	for name, silence := range silences() {
		t.Run(name, func(t *testing.T) {
			inHouse(t, func(h *house) {
				h.when("Forge.Head", silence)
				h.when("Builder.Fetch", func(context.Context, string) error { return errAway })
				h.pushed(1, 1)
				h.pass(30 * time.Second)
				if h.called("Builder.Fetch") == 0 {
					t.Error("git was not tried")
				}
				h.when("Builder.Fetch", nil)
				h.until("it is live", func() bool { return h.env(1).Live != 0 })
				h.wantLive(1, 1)
				h.pass(5 * time.Minute)
				if n := h.called("Builder.Build"); n != 1 {
					t.Errorf("it was built %d times, want once", n)
				}
			})
		})
	}
}

// Nothing is taken down on the word of an event alone.
func TestForgeSilentOnATakeDown(t *testing.T) {
	inHouse(t, func(h *house) {
		h.pushed(1, 1)
		h.settled()
		h.when("Forge.Head", func(context.Context, string) error { return limited(time.Now().Add(10 * time.Minute)) })
		h.closed(1)
		h.until("it says so", func() bool { return h.env(1).Waiting == "waits for GitHub, whose rate limit is used up" })
		h.pass(5 * time.Minute)
		h.wantLive(1, 1)
		h.when("Forge.Head", nil)
		h.settled()
		h.wantGone(1)
	})
}

// A neighbour that says when it is back is left alone until then.
func TestRateLimitIsKept(t *testing.T) {
	for _, call := range []string{"Reporter.Report", "Clerk.Resolve", "Builder.Push", "Forge.Remote"} {
		t.Run(call, func(t *testing.T) {
			inHouse(t, func(h *house) {
				back := time.Now().Add(5 * time.Minute)
				h.when(call, func(context.Context, string) error {
					if time.Now().Before(back) {
						return limited(back)
					}
					return nil
				})
				h.ask(1, deployments.Resolution{State: deployments.RequestIgnored})
				h.pushed(1, 1)
				h.settled()
				h.wantLive(1, 1)
				if time.Now().Before(back) {
					t.Error("it did not wait")
				}
				if n := h.called(call); n > 4 {
					t.Errorf("%s was called %d times", call, n)
				}
			})
		})
	}
}

// A push that waits says so once, and once when it is made up for.
func TestPushWaits(t *testing.T) {
	inHouse(t, func(h *house) {
		h.failFor("Builder.Push", 4)
		h.pushed(1, 1)
		h.settled()
		h.wantLive(1, 1)
		texts := h.events(1)
		waits, safe := slices.Index(texts, "the push of the images waits for the registry"), slices.Index(texts, "the images are safe in the registry")
		if waits < 0 || safe < waits || slices.Contains(texts[waits+1:safe], texts[waits]) {
			t.Errorf("the history is %q", texts)
		}
	})
}

// A route that cannot be written says so, and is written later.
func TestRouteWaits(t *testing.T) {
	inHouse(t, func(h *house) {
		h.settled()
		h.failFor("Routes.Write", 3)
		h.pushed(1, 1)
		h.settled()
		h.until("it is served", func() bool { return len(h.served()) > 0 })
		h.pass(time.Minute)
		h.wantLive(1, 1)
		if texts := h.events(1); !slices.Contains(texts, "the route waits for Redis") {
			t.Errorf("the history is %q", texts)
		}
	})
}

// deaf is a Store that cannot write that an attempt waits.
type deaf struct {
	deployments.Store
	tries *[]time.Time
}

func (s deaf) Postpone(context.Context, int64, int64, time.Time, string) error {
	*s.tries = append(*s.tries, time.Now())
	return errAway
}

// Even where it cannot be written that an attempt failed, it is not tried again and again without a pause.
func TestPostponeThatCannotBeWritten(t *testing.T) {
	inHouse(t, func(h *house) {
		h.stop()
		var tries []time.Time
		h.ports.Store = deaf{h.store, &tries}
		h.failFor("Builder.Build", 6)
		h.start()
		h.pushed(1, 1)
		h.settled()
		h.wantLive(1, 1)
		h.growing(tries, 5)
	})
}

// However much is due, no more than some of it is asked for at once.
func TestManyAtOnce(t *testing.T) {
	inHouse(t, func(h *house) {
		for _, call := range []string{"Forge.Head", "Clerk.Resolve", "Reporter.Report", "Builder.Push"} {
			h.when(call, takes(time.Second))
		}
		var closings []deployments.Want
		for n := 1; n <= 24; n++ {
			h.ask(n, deployments.Resolution{State: deployments.RequestIgnored})
			h.pushed(n, 1)
			closings = append(closings, closing(n))
		}
		h.settled()
		for n := range closings {
			h.says(n+1, deployments.Head{Source: commit(n+1, 1)})
		}
		h.accept(closings...)
		h.settled()
		for call, most := range map[string]int{"Forge.Head": 8, "Clerk.Resolve": 16, "Reporter.Report": 16, "Builder.Push": 2} {
			if n := h.atOnce(call); n > most || n < 2 {
				t.Errorf("%s was called %d times at once, want 2 to %d", call, n, most)
			}
		}
	})
}
