package deployments_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"vitrine/deployments"
)

// What has become live is looked after once, and once more when what it replaced is gone: from then on the engine does.
func TestNewlyLive(t *testing.T) {
	inHouse(t, func(h *house) {
		for i, want := range []int{1, 3, 5} {
			h.pushed(1, i+1)
			h.settled()
			if n := h.called("Runtime.Restore"); n != want {
				t.Errorf("after deployment %d was live, deployments were looked after %d times, want %d", i+1, n, want)
			}
		}
	})
}

// When the engine was away, everything that is live is looked after, and nothing is deployed anew that runs.
func TestEngineComesBack(t *testing.T) {
	inHouse(t, func(h *house) {
		for n := range 3 {
			h.pushed(n+1, 1)
		}
		h.settled()
		h.when("Runtime.Watch", failing(3))
		watched, restored := h.called("Runtime.Watch"), h.called("Runtime.Restore")
		h.broken <- struct{}{}
		h.pass(time.Minute)
		if n := h.called("Runtime.Watch") - watched; n != 4 {
			t.Errorf("the engine was followed %d times, want 4", n)
		}
		if n := h.called("Runtime.Restore") - restored; n != 3 {
			t.Errorf("%d deployments were looked after, want 3", n)
		}
		h.settled()
		for n := range 3 {
			h.wantLive(n+1, 1)
		}
		h.wantThere(h.live(1), h.live(2), h.live(3))
	})
}

// However long the engine was away and however often a deployment could not be looked after, it is within seconds of the engine's return.
func TestEngineWasAwayForLong(t *testing.T) {
	inHouse(t, func(h *house) {
		h.pushed(1, 1)
		h.settled()
		away := errors.New("no engine answers")
		h.when("Runtime.Watch", func(context.Context, string) error { return away })
		h.when("Runtime.Restore", func(context.Context, string) error { return away })
		h.ended <- h.live(1).ID
		h.broken <- struct{}{}
		h.pass(10 * time.Minute)
		h.when("Runtime.Restore", nil)
		h.when("Runtime.Watch", nil)
		restored := h.called("Runtime.Restore")
		h.pass(6 * time.Second)
		if h.called("Runtime.Restore") == restored {
			t.Error("the deployment is not looked after six seconds after the engine's return")
		}
	})
}

// A container that ended is looked after, and tried again for as long as the fault is ours.
func TestContainerEnds(t *testing.T) {
	inHouse(t, func(h *house) {
		h.pushed(1, 1)
		h.pushed(2, 1)
		h.settled()
		tries := h.failFor("Runtime.Restore", 3)
		h.ended <- h.live(1).ID
		h.pass(time.Minute)
		h.growing(*tries, 3)
		if len(*tries) != 4 {
			t.Errorf("%d tries, want 4", len(*tries))
		}
		h.ended <- h.live(1).ID + 1000
		h.pass(time.Minute)
		if len(*tries) != 4 {
			t.Error("what is not live was looked after")
		}
		h.wantLive(1, 1)
	})
}

// An engine that ends containers because it stops is left alone meanwhile.
func TestEngineStops(t *testing.T) {
	inHouse(t, func(h *house) {
		h.pushed(1, 1)
		h.settled()
		h.when("Runtime.Watch", failing(1))
		restored := h.called("Runtime.Restore")
		h.ended <- h.live(1).ID
		h.pass(2 * time.Second)
		if n := h.called("Runtime.Restore") - restored; n != 0 {
			t.Errorf("deployments were looked after %d times while the engine stopped", n)
		}
		h.broken <- struct{}{}
		h.pass(3 * time.Second)
		if n := h.called("Runtime.Restore") - restored; n == 0 {
			t.Error("no deployment was looked after when the engine was back")
		}
	})
}

// A service that ends again and again is looked after all the same.
func TestContainerEndsAgainAndAgain(t *testing.T) {
	inHouse(t, func(h *house) {
		h.pushed(1, 1)
		h.settled()
		restored := h.called("Runtime.Restore")
		for range 10 {
			h.ended <- h.live(1).ID
			h.pass(time.Second)
		}
		if n := h.called("Runtime.Restore") - restored; n < 2 || n > 3 {
			t.Errorf("the deployment was looked after %d times in ten seconds, want 2 or 3", n)
		}
	})
}

// A service that does not come up again is its author's to mend: the history says so once, and once more when it runs.
func TestDoesNotRunAnyMore(t *testing.T) {
	inHouse(t, func(h *house) {
		h.pushed(1, 1)
		h.settled()
		fault := &deployments.Fault{Kind: deployments.FaultStart, Service: "web", Reason: "exited with status 1"}
		h.when("Runtime.Restore", func(context.Context, string) error { return fault })
		for range 3 {
			h.ended <- h.live(1).ID
			h.pass(time.Minute)
		}
		h.when("Runtime.Restore", nil)
		h.ended <- h.live(1).ID
		h.pass(time.Minute)
		texts := slices.DeleteFunc(h.events(1), func(s string) bool { return strings.HasPrefix(s, "web exited") })
		if i := slices.Index(texts, "does not run any more: "+fault.Error()); i < 0 || !slices.Equal(texts[i+1:], []string{"runs again"}) {
			t.Errorf("the history is %q", texts)
		}
		h.wantLive(1, 1)
	})
}

// What is not there any more is deployed anew, and the old route stays until then.
func TestContainersAreGone(t *testing.T) {
	inHouse(t, func(h *house) {
		h.pushed(1, 1)
		h.settled()
		old := h.live(1)
		h.mu.Lock()
		h.there[old.ID] = "network"
		h.mu.Unlock()
		h.ended <- old.ID
		h.pass(time.Minute)
		h.settled()
		h.wantLive(1, 1)
		if h.live(1).ID == old.ID {
			t.Error("nothing was deployed")
		}
		h.wantThere(h.live(1))
	})
}

// A deployment that is removed is not started again meanwhile.
func TestRestoreOfWhatIsRemoved(t *testing.T) {
	inHouse(t, func(h *house) {
		h.pushed(1, 1)
		h.settled()
		g := newGate()
		h.when("Runtime.Restore", g.pass)
		h.ended <- h.live(1).ID
		<-g.waits
		h.closed(1)
		h.settled()
		h.wantGone(1)
		if cause := <-g.causes; cause.Error() != "the deployment is removed" {
			t.Errorf("it was ended because %v", cause)
		}
	})
}

// What has vanished is deployed again also where an attempt was due meanwhile that found its commit live already.
func TestVanishedWhileAnAttemptIsDue(t *testing.T) {
	inHouse(t, func(h *house) {
		h.when("Forge.Head", failingWith(errAway))
		h.pushed(1, 1)
		h.until("it is live without the forge's word", func() bool { return h.env(1).Live != 0 })
		h.mu.Lock()
		h.there[h.live(1).ID] = "network"
		h.mu.Unlock()
		h.ended <- h.live(1).ID
		h.pass(time.Minute)
		h.when("Forge.Head", nil)
		h.settled()
		h.pass(10 * time.Minute)
		h.settled()
		h.wantThere(h.live(1))
	})
}
