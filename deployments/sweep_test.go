package deployments_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"vitrine/deployments"
)

const (
	sweepEvery  = 5 * time.Minute
	expireEvery = time.Minute
)

func TestASweepAtTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		h.there[4711] = "containers"
		h.engine["shop/web:left"] = true
		h.registry["shop/web:pushed"] = true
		h.start()
		h.wantThere()
		h.stop()
	})
}

func TestASweepLeavesWhatIsInTheRecords(t *testing.T) {
	inHouse(t, func(h *house) {
		h.pushed(1, 1)
		h.settled()
		before := h.live(1)
		h.mu.Lock()
		h.there[4711] = "network"
		h.mu.Unlock()
		h.pass(3 * sweepEvery)
		h.settled()
		h.wantLive(1, 1)
		h.wantThere(before)
	})
}

// While builds may run, a tag has to be without an owner at two sweeps.
func TestASweepGivesTagsTime(t *testing.T) {
	inHouse(t, func(h *house) {
		h.pass(sweepEvery / 2)
		h.tag("shop/web:left")
		h.pass(sweepEvery)
		if !slices.Contains(h.tags(), "shop/web:left") {
			t.Error("the tag went at the first sweep")
		}
		h.pass(sweepEvery)
		h.wantThere()
	})
}

// What a build has tagged belongs to nobody before the record says so, however long that takes.
func TestASweepLeavesWhatABuildTagged(t *testing.T) {
	inHouse(t, func(h *house) {
		g := newGate()
		h.when("Runtime.Plan", g.pass)
		h.pushed(1, 1)
		<-g.waits
		h.pass(3 * sweepEvery)
		g.open()
		h.settled()
		h.wantLive(1, 1)
		h.wantThere(h.live(1))
	})
}

func TestASweepDeploysAgainWhatIsNotThere(t *testing.T) {
	inHouse(t, func(h *house) {
		h.pushed(1, 1)
		h.pushed(2, 1)
		h.settled()
		h.pass(time.Minute)
		lost, kept := h.live(1), h.live(2)
		h.mu.Lock()
		delete(h.there, lost.ID)
		h.mu.Unlock()
		h.pass(sweepEvery)
		h.settled()
		h.wantLive(1, 1)
		h.wantThere(h.live(1), kept)
		if again := h.live(1); again.ID == lost.ID {
			t.Error("it was not deployed again")
		}
		if events := h.events(1); !slices.Contains(events, "its containers were gone") {
			t.Errorf("the history is %q", events)
		}
	})
}

func TestOnePartOfASweepDoesNotKeepTheOtherFromIt(t *testing.T) {
	for _, call := range []string{"Runtime.Inventory", "Runtime.Down", "Builder.References", "Builder.Remove", "Routes.Hosts", "Firewall.Sweep"} {
		for name, f := range map[string]func(context.Context, string) error{
			"fails": func(context.Context, string) error { return errAway },
			"hangs": func(ctx context.Context, _ string) error { <-ctx.Done(); return context.Cause(ctx) },
		} {
			t.Run(call+" "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					h := newHouse(t)
					h.there[4711] = "containers"
					h.engine["shop/web:left"] = true
					h.routes["shop-pr-1.preview.test"] = deployments.Route{Host: "shop-pr-1.preview.test"}
					h.when(call, f)
					h.start()
					h.pass(3 * time.Minute)
					if there := h.has(4711) != ""; there != (call == "Runtime.Inventory" || call == "Runtime.Down") {
						t.Errorf("the containers are there: %t", there)
					}
					if tagged := len(h.tags()) > 0; tagged != (call == "Builder.References" || call == "Builder.Remove") {
						t.Errorf("the tag is there: %t", tagged)
					}
					h.pushed(1, 1)
					h.until("it is live", func() bool { return h.hasEnv(1) && h.env(1).Live != 0 })
					h.when(call, nil)
					h.pass(2 * sweepEvery)
					h.settled()
					h.wantLive(1, 1)
					h.wantThere(h.live(1))
					h.stop()
				})
			})
		}
	}
}

// One deployment that cannot be removed does not keep a sweep from the others.
func TestASweepGoesOnAfterAFailure(t *testing.T) {
	inHouse(t, func(h *house) {
		h.pushed(1, 1)
		h.settled()
		h.pass(time.Minute)
		lost := h.live(1)
		h.mu.Lock()
		delete(h.there, lost.ID)
		h.there[4711], h.there[4712] = "containers", "containers"
		h.mu.Unlock()
		h.when("Runtime.Down", func(_ context.Context, deployment string) error {
			if deployment == "4711" {
				return errAway
			}
			return nil
		})
		h.pass(sweepEvery)
		h.settled()
		if h.has(4711) == "" || h.has(4712) != "" {
			t.Errorf("there is %v, want 4712 gone", h.there)
		}
		if again := h.live(1); again.ID == lost.ID {
			t.Error("what is lost was not deployed again")
		}
	})
}

func TestARecordThatTheProxyLostIsWrittenAgain(t *testing.T) {
	inHouse(t, func(h *house) {
		h.pushed(1, 1)
		h.settled()
		h.mu.Lock()
		clear(h.routes)
		h.mu.Unlock()
		h.pass(sweepEvery)
		h.wantLive(1, 1)
	})
}

// A day before its end an environment is reported once more, so that people can be warned.
func TestWarned(t *testing.T) {
	inHouse(t, func(h *house) {
		h.pushed(1, 1)
		h.settled()
		h.pass(time.Until(h.env(1).Expires) - deployments.WarningTime - time.Second)
		before := len(h.shown())
		h.pass(expireEvery + 2*time.Second)
		if n := len(h.shown()) - before; n != 1 {
			t.Errorf("reported %d times, want once", n)
		}
		h.pass(10 * expireEvery)
		if n := len(h.shown()) - before; n != 1 {
			t.Errorf("reported %d times in all, want once", n)
		}
		h.wantLive(1, 1)
	})
}

func TestExpired(t *testing.T) {
	inHouse(t, func(h *house) {
		h.pushed(1, 1)
		h.pass(ttl / 2)
		h.pushed(2, 1)
		h.settled()
		h.pass(time.Until(h.env(1).Expires) - time.Second)
		h.wantLive(1, 1)
		h.pass(expireEvery + 2*time.Second)
		h.settled()
		h.wantGone(1)
		h.wantLive(2, 1)
		h.wantThere(h.live(2))
		e := h.env(1)
		if want := "expired on " + e.Expires.UTC().Format("2 Jan 2006, 15:04 UTC"); e.By != deployments.ByExpiry || e.Cause != want {
			t.Errorf("it went by %s, because %q; want %q", e.By, e.Cause, want)
		}
		h.accept(up(1, 1))
		h.settled()
		h.wantGone(1)
		h.pushed(1, 2)
		h.settled()
		h.wantLive(1, 2)
	})
}

func TestWhatAPersonTookDownStaysDown(t *testing.T) {
	inHouse(t, func(h *house) {
		h.pushed(1, 1)
		h.settled()
		h.accept(byHand(1, deployments.Gone))
		h.settled()
		h.accept(up(1, 1))
		h.settled()
		h.wantGone(1)
		h.wantThere()
		h.accept(byHand(1, deployments.Up))
		h.settled()
		h.wantLive(1, 1)
	})
}

// tag puts a tag on the engine that nobody made.
func (h *house) tag(reference string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.engine[reference] = true
}

// Nothing of a repository is built or started while the firewall is not up, and the sweep looks after it.
func TestNothingBeginsWithoutTheFirewall(t *testing.T) {
	inHouse(t, func(h *house) {
		h.pushed(1, 1)
		h.settled()
		swept := h.called("Firewall.Sweep")
		if swept == 0 {
			t.Error("the firewall was not put up at the start")
		}
		h.when("Firewall.Ready", func(context.Context, string) error {
			return &deployments.Unavailable{Neighbour: "the firewall", Err: errAway}
		})
		begun := h.called("Runtime.Prepare") + h.called("Builder.Build") + h.called("Runtime.Restore")
		h.pushed(1, 2)
		h.pushed(2, 1)
		h.ended <- h.live(1).ID
		h.pass(2 * sweepEvery)
		if n := h.called("Runtime.Prepare") + h.called("Builder.Build") + h.called("Runtime.Restore"); n != begun {
			t.Errorf("%d calls were made meanwhile", n-begun)
		}
		if h.called("Firewall.Sweep") == swept {
			t.Error("the firewall was not swept")
		}
		for _, p := range []int{1, 2} {
			if events := h.events(p); !slices.Contains(events, "waits for the firewall") {
				t.Errorf("the history of %d is %q", p, events)
			}
		}
		h.when("Firewall.Ready", nil)
		h.settled()
		h.wantLive(1, 2)
		h.wantLive(2, 1)
	})
}
