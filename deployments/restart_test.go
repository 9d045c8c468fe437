package deployments_test

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"vitrine/deployments"
)

// A Controller that ends leaves nothing running. What it was at stays due, and the next one on the same Store does it.
func TestRestart(t *testing.T) {
	for _, call := range []string{
		"Forge.Head", "Forge.Remote", "Builder.Fetch", "Stacks.Read", "Builder.Build", "Runtime.Prepare", "Runtime.Plan", "Runtime.Up",
		"Runtime.Occupied", "Firewall.Ready", "Builder.Push", "Reporter.Report", "Routes.Write",
	} {
		t.Run(call, func(t *testing.T) {
			inHouse(t, func(h *house) {
				h.pushed(2, 1)
				h.settled()
				g := newGate()
				h.when(call, g.pass)
				h.pushed(1, 1)
				<-g.waits
				h.when(call, nil)
				h.stop()
				if cause := <-g.causes; cause == nil || !strings.Contains(cause.Error(), "server stopped") {
					t.Errorf("%s was cancelled because %v", call, cause)
				}
				if e := h.env(1); e.Failures != 0 || e.Failed {
					t.Errorf("the environment is %+v after the end", e)
				}
				if latest, ok := h.latest(1); ok && latest.Phase != deployments.Cancelled && latest.Phase != deployments.Ready {
					t.Errorf("the attempt is %s after the end", latest.Phase)
				}
				h.start()
				h.settled()
				h.wantLive(1, 1)
				h.wantLive(2, 1)
				h.wantThere(h.live(1), h.live(2))
				h.wantReported(1)
			})
		})
	}
}

// Run returns when nothing runs any more, however long that takes.
func TestRunJoinsEverything(t *testing.T) {
	for _, call := range []string{"Forge.Head", "Builder.Build", "Runtime.Prepare", "Runtime.Up", "Builder.Push", "Reporter.Report", "Clerk.Resolve"} {
		t.Run(call, func(t *testing.T) {
			inHouse(t, func(h *house) {
				entered, release := make(chan struct{}), make(chan struct{})
				once := sync.OnceFunc(func() { close(entered) })
				h.when(call, func(context.Context, string) error { // deaf to its context
					once()
					<-release
					return nil
				})
				h.pushed(1, 1)
				h.ask(1, deployments.Resolution{State: deployments.RequestRefused})
				<-entered
				ended := make(chan struct{})
				go func() {
					h.end()
					close(ended)
				}()
				h.pass(time.Minute)
				select {
				case <-ended:
					t.Errorf("Run returned while %s runs", call)
				default:
				}
				close(release)
				<-ended
			})
		})
	}
}

func TestRestartWhileTakingDown(t *testing.T) {
	for _, call := range []string{"Forge.Head", "Routes.Write", "Runtime.Down", "Builder.Remove"} {
		t.Run(call, func(t *testing.T) {
			inHouse(t, func(h *house) {
				h.pushed(1, 1)
				h.settled()
				g := newGate()
				h.when(call, g.pass)
				h.closed(1)
				<-g.waits
				h.when(call, nil)
				h.stop()
				h.start()
				h.settled()
				h.pass(time.Minute)
				h.wantGone(1)
				h.wantThere()
			})
		})
	}
}

// A process that is killed writes nothing more. Its successor ends its attempts and removes what they made.
func TestKilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		h.says(1, deployments.Head{Open: true, Source: commit(1, 1)})
		if _, err := h.store.Accept(t.Context(), deployments.Delivery{Wants: []deployments.Want{up(1, 1)}}); err != nil {
			t.Fatal(err)
		}
		d, err := h.store.Claim(t.Context(), h.env(1).ID, h.config.Subnets, nil)
		if err != nil {
			t.Fatal(err)
		}
		d.Phase = deployments.Building
		if err := h.store.Save(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		h.there[d.ID] = "network"
		h.engine["shop/web:shop-pr-1.001000100000"] = true
		h.start()
		h.settled()
		h.wantLive(1, 1)
		h.wantThere(h.live(1))
		if d := h.deployment(d.ID); d.Phase != deployments.Cancelled || d.Reason != "the server stopped" {
			t.Errorf("the attempt of the killed process is %s: %q", d.Phase, d.Reason)
		}
		h.stop()
	})
}

// A Store that cannot be read for a while holds everything up, and loses nothing.
func TestTheStoreIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		var away atomic.Bool
		h.ports.Store = brokenStore{h.store, func() error {
			if away.Load() {
				return errAway
			}
			return nil
		}}
		h.start()
		away.Store(true)
		h.pushed(1, 1)
		h.pass(10 * time.Second)
		if h.called("Forge.Head") != 0 {
			t.Error("it went on without its records")
		}
		away.Store(false)
		h.settled()
		h.wantLive(1, 1)
		h.stop()
	})
}

// A brokenStore cannot say what is due.
type brokenStore struct {
	deployments.Store
	fail func() error
}

func (s brokenStore) Due(ctx context.Context, now time.Time, limit int) ([]deployments.Environment, time.Time, error) {
	if err := s.fail(); err != nil {
		return nil, time.Time{}, err
	}
	return s.Store.Due(ctx, now, limit)
}

// What was listed to be pushed and is taken down before the push begins is not pushed: its tags would come back.
func TestAPushThatComesTooLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		stale := &staleStore{Store: h.store}
		h.ports.Store = stale
		h.start()
		h.pushed(1, 1)
		h.settled()
		h.closed(1)
		h.settled()
		pushes := h.called("Builder.Push")
		stale.again.Store(true)
		h.pass(2 * time.Minute) // the dispatcher looks once a minute at least
		if stale.again.Load() {
			t.Error("nothing was listed again")
		}
		if n := h.called("Builder.Push") - pushes; n != 0 {
			t.Errorf("pushed %d times after it was taken down", n)
		}
		h.wantThere()
		h.stop()
	})
}

// A staleStore lists once more, when it is told to, what was to be pushed before.
type staleStore struct {
	deployments.Store
	again  atomic.Bool
	listed []deployments.Deployment // by the one dispatcher
}

func (s *staleStore) Unpushed(ctx context.Context) ([]deployments.Deployment, error) {
	if s.again.CompareAndSwap(true, false) {
		return s.listed, nil
	}
	unpushed, err := s.Store.Unpushed(ctx)
	s.listed = append(s.listed, unpushed...)
	return unpushed, err
}

// latest returns the newest attempt of a pull request that may have something outside.
func (h *house) latest(p int) (latest deployments.Deployment, ok bool) {
	h.t.Helper()
	owned, err := h.store.Owned(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	e := h.env(p)
	for _, d := range owned {
		if d.Environment == e.ID {
			latest, ok = d, true
		}
	}
	return latest, ok
}
