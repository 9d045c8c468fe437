package deployments_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"vitrine/deployments"
)

func TestAUsersFaultSettles(t *testing.T) {
	for _, call := range []string{"Builder.Fetch", "Stacks.Public", "Stacks.Read", "Builder.Build", "Runtime.Plan", "Runtime.Up"} {
		t.Run(call, func(t *testing.T) {
			inHouse(t, func(h *house) {
				h.pushed(1, 1)
				h.settled()
				old := h.live(1)
				fault := &deployments.Fault{Kind: deployments.FaultBuild, Service: "web", Where: "Dockerfile:3", Reason: "the command ended with 2"}
				h.when(call, func(context.Context, string) error { return fmt.Errorf("wrapped: %w", fault) })
				before := h.called(call)
				h.pushed(1, 2)
				h.settled()
				h.wantLive(1, 1)
				h.wantThere(old)
				e, d := h.env(1), h.deployment(old.ID+1)
				if !e.Failed || e.Waiting != "" || e.Live != old.ID {
					t.Errorf("the environment is %+v", e)
				}
				if diff := cmp.Diff(fault, d.Fault); diff != "" || d.Phase != deployments.Failed || d.Reason != fault.Error() {
					t.Errorf("the attempt is %s, %q, fault (-want +got):\n%s", d.Phase, d.Reason, diff)
				}
				h.pass(10 * time.Minute)
				if n := h.called(call) - before; n != 1 {
					t.Errorf("%s was called %d times, want once", call, n)
				}
				h.when(call, nil)
				h.pushed(1, 3)
				h.settled()
				h.wantLive(1, 3)
				if h.env(1).Failed {
					t.Error("it is live and failed")
				}
			})
		})
	}
}

// What fails by our doing is tried again until it succeeds, later each time, and people see what it waits for.
func TestOurFaultsLeaveItDue(t *testing.T) {
	for call, waiting := range map[string]string{
		"Forge.Remote":     "waits for GitHub",
		"Builder.Fetch":    "waits for GitHub",
		"Stacks.Read":      "waits for the next try, after a fault of the server's",
		"Builder.Build":    "waits for the Docker engine",
		"Firewall.Ready":   "waits for the server's firewall",
		"Runtime.Occupied": "waits for the Docker engine",
		"Runtime.Prepare":  "waits for the Docker engine",
		"Runtime.Plan":     "waits for the Docker engine",
		"Runtime.Up":       "waits for the Docker engine",
	} {
		t.Run(call, func(t *testing.T) {
			inHouse(t, func(h *house) {
				h.pushed(1, 1)
				h.settled()
				h.pass(2 * time.Minute)
				old := h.live(1)
				tries := h.failFor(call, 5)
				h.pushed(1, 2)
				h.until("it says so", func() bool { return h.env(1).Waiting == waiting })
				h.wantLive(1, 1)
				h.until("it is shown", func() bool { return h.lastReport("shop-pr-1").Environment.Waiting == waiting })
				h.settled()
				h.wantLive(1, 2)
				h.wantThere(h.live(1))
				h.growing(*tries, 5)
				if e := h.env(1); e.Waiting != "" || e.Failures != 0 || e.Failed {
					t.Errorf("after all, it is %+v", e)
				}
				if d := h.deployment(old.ID); d.Phase != deployments.PhaseGone {
					t.Errorf("the old one is %s", d.Phase)
				}
			})
		})
	}
}

// Taking down is tried again in the same way.
func TestOurFaultsLeaveATakeDownDue(t *testing.T) {
	for call, waiting := range map[string]string{
		"Forge.Head":     "waits for GitHub",
		"Runtime.Down":   "waits for the Docker engine",
		"Builder.Remove": "waits for the registry",
	} {
		t.Run(call, func(t *testing.T) {
			inHouse(t, func(h *house) {
				h.pushed(1, 1)
				h.settled()
				tries := h.failFor(call, 5)
				h.closed(1)
				h.until("it says so", func() bool { return h.env(1).Waiting == waiting })
				h.settled()
				h.wantGone(1)
				h.wantThere()
				if len(*tries) < 6 {
					t.Errorf("%s was called %d times, want 6 at least", call, len(*tries))
				}
			})
		})
	}
}

// What an attempt made and could not remove goes later.
func TestWhatAFailedAttemptLeftIsRemoved(t *testing.T) {
	for _, call := range []string{"Runtime.Down", "Builder.Remove"} {
		t.Run(call, func(t *testing.T) {
			inHouse(t, func(h *house) {
				tries := h.failFor(call, 4)
				h.when("Runtime.Up", func(context.Context, string) error {
					return &deployments.Fault{Kind: deployments.FaultStart, Reason: "it exited with 1"}
				})
				h.pushed(1, 1)
				h.settled()
				h.wantThere()
				h.growing((*tries)[1:], 3) // the first was the attempt's own
			})
		})
	}
}

func TestClosedWhileAtWork(t *testing.T) {
	for _, call := range []string{"Forge.Head", "Builder.Fetch", "Builder.Build", "Runtime.Prepare", "Runtime.Plan", "Runtime.Up"} {
		t.Run(call, func(t *testing.T) {
			inHouse(t, func(h *house) {
				g := newGate()
				h.when(call, g.pass)
				h.pushed(1, 1)
				<-g.waits
				h.when(call, nil)
				h.closed(1)
				if cause := <-g.causes; !errors.Is(cause, deployments.ErrSuperseded) {
					t.Errorf("the attempt was cancelled because %q", cause)
				}
				h.settled()
				h.wantGone(1)
				h.wantThere()
				if d := h.deployment(1); d.Phase != deployments.Superseded {
					t.Errorf("the attempt is %s: %s", d.Phase, d.Reason)
				}
			})
		})
	}
}

func TestClosedAndReopenedAtOnce(t *testing.T) {
	for _, call := range []string{"", "Forge.Head", "Runtime.Down", "Builder.Remove"} {
		t.Run("while in "+call, func(t *testing.T) {
			inHouse(t, func(h *house) {
				h.pushed(1, 1)
				h.settled()
				if call == "" {
					h.closed(1)
				} else {
					g := newGate()
					h.when(call, g.pass)
					h.closed(1)
					<-g.waits
					h.when(call, nil)
				}
				h.pushed(1, 1)
				h.settled()
				h.wantLive(1, 1)
				h.wantThere(h.live(1))
			})
		})
	}
}

func TestTheForgeWinsOverALateEvent(t *testing.T) {
	t.Run("closed, and it says open", func(t *testing.T) {
		inHouse(t, func(h *house) {
			h.pushed(1, 1)
			h.settled()
			first := h.live(1)
			h.when("Runtime.Down", func(_ context.Context, deployment string) error {
				if deployment == fmt.Sprint(first.ID) {
					t.Error("it was taken down")
				}
				return nil
			})
			h.accept(closing(1))
			h.settled()
			h.wantLive(1, 1)
			h.wantThere(first)
		})
	})
	t.Run("pushed, and it says closed", func(t *testing.T) {
		inHouse(t, func(h *house) {
			h.pushed(1, 1)
			h.settled()
			h.says(1, deployments.Head{})
			h.accept(up(1, 2))
			h.settled()
			h.wantGone(1)
			h.wantThere()
			if cause := h.env(1).Cause; cause != "no longer open" {
				t.Errorf("gone because %q", cause)
			}
		})
	})
	t.Run("pushed, and it says not to", func(t *testing.T) {
		inHouse(t, func(h *house) {
			h.says(1, deployments.Head{Open: true, Source: commit(1, 1), Skip: "the pull request comes from a fork"})
			h.accept(up(1, 1))
			h.settled()
			h.wantGone(1)
			if events := h.events(1); !slices.Contains(events, "skipped: the pull request comes from a fork") || h.called("Builder.Fetch") != 0 {
				t.Errorf("fetched %d times, with the history %q", h.called("Builder.Fetch"), events)
			}
		})
	})
	t.Run("pushed, and it has another commit", func(t *testing.T) {
		inHouse(t, func(h *house) {
			h.says(1, deployments.Head{Open: true, Source: commit(1, 7)})
			h.accept(up(1, 2))
			h.settled()
			h.wantLive(1, 7)
		})
	})
}

// wantGone holds that nothing of a pull request is there, by the record and outside.
func (h *house) wantGone(p int) {
	h.t.Helper()
	if e := h.env(p); e.Intent != deployments.Gone || e.Live != 0 || e.Generation != e.Observed {
		h.t.Errorf("the environment is %+v, want it gone", e)
	}
	host := fmt.Sprintf("shop-pr-%d.preview.test", p)
	if backends, ok := h.served()[host]; ok {
		h.t.Errorf("%s is served still, by %q", host, backends)
	}
	if _, err := os.Stat(filepath.Join(h.config.LogDir, fmt.Sprintf("shop-pr-%d", p))); !errors.Is(err, os.ErrNotExist) {
		h.t.Errorf("its logs: %v, want none", err)
	}
}

// failFor has a call fail that many times, and returns when it was made.
func (h *house) failFor(call string, times int) *[]time.Time {
	fail, tries := failing(times), new([]time.Time)
	h.when(call, func(ctx context.Context, about string) error {
		h.mu.Lock()
		defer h.mu.Unlock()
		*tries = append(*tries, time.Now())
		return fail(ctx, about)
	})
	return tries
}

// growing holds that there was a try after each of the failures, with pauses of one second at first, two then and so on, give or take a fifth.
func (h *house) growing(tries []time.Time, failures int) {
	h.t.Helper()
	if len(tries) < failures+1 {
		h.t.Errorf("tried %d times, want %d", len(tries), failures+1)
		return
	}
	want := time.Second
	for i := range failures {
		pause := tries[i+1].Sub(tries[i])
		if pause < want*4/5 || pause > want*6/5+time.Millisecond {
			h.t.Errorf("tried again after %s, want %s, give or take a fifth", pause, want)
		}
		want = min(2*want, time.Minute)
	}
}

// lastReport returns what people see of an environment, the zero one where nothing was shown.
func (h *house) lastReport(name string) (last reported) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range h.reports {
		if r.Environment.Name == name {
			last = r
		}
	}
	return last
}
