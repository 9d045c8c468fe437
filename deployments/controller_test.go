package deployments_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"vitrine/deployments"
)

func TestOpened(t *testing.T) {
	inHouse(t, func(h *house) {
		h.notes = []string{"host ports are not published"}
		h.pushed(1, 1)
		h.settled()
		h.wantLive(1, 1)
		d := h.live(1)
		h.wantThere(d)
		if d.PushedAt.IsZero() || !strings.HasPrefix(d.Images[0].Digest, "sha256:d") {
			t.Errorf("pushed at %s as %+v", d.PushedAt, d.Images)
		}
		for _, r := range d.Images[0].References {
			if !h.registry[r] {
				t.Errorf("%s is not in the registry", r)
			}
		}
		var phases []deployments.Phase
		for _, timing := range d.Timings {
			phases = append(phases, timing.Phase)
		}
		if diff := cmp.Diff([]deployments.Phase{deployments.Queued, deployments.Fetching, deployments.Building, deployments.Starting}, phases); diff != "" {
			t.Errorf("phases (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]deployments.ServiceState{{Name: "web", Status: "healthy", Host: "shop-pr-1", Answer: 200}}, d.Services); diff != "" {
			t.Errorf("services (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"push 0010001", "host ports are not published", "live: 0010001"}, h.events(1)); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
		if e := h.env(1); e.Title != "A shop window" || string(e.Notes) != fmt.Sprintf(`{"reported":%d}`, e.ID) {
			t.Errorf("title %q, notes %s", e.Title, e.Notes)
		}
		log, err := os.ReadFile(filepath.Join(h.config.LogDir, "shop-pr-1", fmt.Sprintf("%d.log", d.ID)))
		if want := "built " + commit(1, 1).SHA + "\n"; err != nil || string(log) != want {
			t.Errorf("the log is %q, %v; want %q", log, err, want)
		}
		if diff := cmp.Diff(map[string]string{
			"VITRINE_URL": "https://shop-pr-1.preview.test", "VITRINE_HOST": "shop-pr-1.preview.test", "VITRINE_ENVIRONMENT": "shop-pr-1",
			"VITRINE_SHA": commit(1, 1).SHA, "VITRINE_BRANCH": "branch-1", "VITRINE_PR": "1", "VITRINE_URL_WEB": "https://shop-pr-1.preview.test",
		}, h.variables[commit(1, 1).SHA]); diff != "" {
			t.Errorf("variables (-want +got):\n%s", diff)
		}
	})
}

// What .vitrine.yml says of a service's host is where people are sent, and what the services are told. The repository is the base's own.
func TestHosts(t *testing.T) {
	inHouse(t, func(h *house) {
		h.public = []deployments.PublicService{{Name: "shop", Port: 8080}, {Name: "web", Port: 80, Host: "ops"}, {Name: "api", Port: 9000}}
		h.pushed(1, 1)
		h.settled()
		var hosts []string
		for _, s := range h.live(1).Services {
			hosts = append(hosts, s.Name+" at "+s.Host)
		}
		if diff := cmp.Diff([]string{"shop at shop-pr-1", "web at ops-shop-pr-1", "api at api-shop-pr-1"}, hosts); diff != "" {
			t.Errorf("hosts (-want +got):\n%s", diff)
		}
		told := h.variables[commit(1, 1).SHA]
		for name, host := range map[string]string{"URL": "", "URL_SHOP": "", "URL_WEB": "ops-", "URL_API": "api-"} {
			if want := "https://" + host + "shop-pr-1.preview.test"; told["VITRINE_"+name] != want {
				t.Errorf("VITRINE_%s is %q, want %q", name, told["VITRINE_"+name], want)
			}
		}
		if diff := cmp.Diff(map[string]bool{"acme/shop": true}, h.repos); diff != "" {
			t.Errorf("repositories (-want +got):\n%s", diff)
		}
	})
}

// What a service printed that answers 500 is shown to people, but not what is secret of it.
func TestLastLinesAreMasked(t *testing.T) {
	inHouse(t, func(h *house) {
		h.settings.Env = map[string]deployments.Declaration{"KEY": {Generate: 32}}
		h.tells = "KEY"
		h.pushed(1, 1)
		h.settled()
		d := h.live(1)
		want := []deployments.ServiceState{{Name: "web", Status: "healthy", Host: "shop-pr-1", Answer: 500, Lines: []string{"its value is ***"}}}
		if diff := cmp.Diff(want, d.Services); diff != "" {
			t.Errorf("services (-want +got):\n%s", diff)
		}
		if value := h.variables[commit(1, 1).SHA]["KEY"]; len(value) != 32 {
			t.Errorf("the value was %q", value)
		}
	})
}

func TestAPushSupersedesARunningAttempt(t *testing.T) {
	for _, call := range []string{"Forge.Head", "Forge.Remote", "Builder.Fetch", "Builder.Build", "Runtime.Prepare", "Runtime.Plan", "Runtime.Up"} {
		t.Run(call, func(t *testing.T) {
			inHouse(t, func(h *house) {
				h.pushed(1, 1)
				h.settled()
				first := h.live(1)
				g := newGate()
				h.when(call, g.pass)
				h.pushed(1, 2)
				<-g.waits
				h.when(call, nil)
				h.pushed(1, 3)
				cause := <-g.causes
				if !errors.Is(cause, deployments.ErrSuperseded) || !strings.Contains(cause.Error(), commit(1, 3).ShortSHA()) {
					t.Errorf("the attempt was cancelled because %q, want superseded by %s", cause, commit(1, 3).ShortSHA())
				}
				h.until("the newest is live", func() bool { return h.live(1).Source == commit(1, 3) })
				h.settled()
				h.wantLive(1, 3)
				h.wantThere(h.live(1))
				// The one between was never live, and says why.
				between := h.deployment(first.ID + 1)
				if between.Phase != deployments.Superseded || !strings.Contains(between.Reason, commit(1, 3).ShortSHA()) || !between.LiveAt.IsZero() {
					t.Errorf("the attempt between is %s: %q", between.Phase, between.Reason)
				}
				if after := h.live(1); after.ID != first.ID+2 {
					t.Errorf("%d is live, want the attempt after the one that was superseded", after.ID)
				}
			})
		})
	}
}

// While the first version is built, the lobby answers; from then on, what is live does.
func TestTheLobbyAnswersWhileItIsBuilt(t *testing.T) {
	inHouse(t, func(h *house) {
		g := newGate()
		h.when("Builder.Build", g.pass)
		h.pushed(1, 1)
		<-g.waits
		synctest.Wait()
		if backends, ok := h.served()["shop-pr-1.preview.test"]; !ok || len(backends) != 0 {
			t.Errorf("the host has a record: %t, backends %q; want the lobby", ok, backends)
		}
		state, err := h.store.HostState(h.t.Context(), "shop-pr-1")
		if err != nil || state.Status != deployments.HostBuilding || !strings.Contains(state.Detail, "web") {
			t.Errorf("the lobby says %+v, %v", state, err)
		}
		g.open()
		h.settled()
		h.wantLive(1, 1)
	})
}

// What was given a name by hand has no forge to ask.
func TestByName(t *testing.T) {
	inHouse(t, func(h *house) {
		demo := deployments.Want{
			Origin: deployments.Origin{Name: "demo"}, Source: commit(1, 1), Intent: deployments.Up, By: deployments.ByHand, Cause: "by hand",
		}
		h.accept(demo)
		h.settled()
		if n := len(h.served()["demo.preview.test"]); n != 1 || h.called("Forge.Head") != 0 {
			t.Errorf("%d backends, the forge was asked %d times", n, h.called("Forge.Head"))
		}
		if pr, ok := h.variables[commit(1, 1).SHA]["VITRINE_PR"]; pr != "" || !ok {
			t.Errorf("VITRINE_PR is %q, set: %t", pr, ok)
		}
		demo.Intent = deployments.Gone
		h.accept(demo)
		h.settled()
		h.wantThere()
		if served := h.served(); len(served) != 0 || h.called("Forge.Head") != 0 {
			t.Errorf("served is %v, the forge was asked %d times", served, h.called("Forge.Head"))
		}
	})
}

func TestBuildsWaitForASlotAndStartsDoNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		h.config.Builds = 1
		h.start()
		g := newGate()
		h.when("Runtime.Up", g.pass)
		const n = 5
		for p := range n {
			h.pushed(p+1, 1)
		}
		h.until("all of them start", func() bool { return len(g.waits) == n })
		if h.most["build"] != 1 || h.most["up"] != n {
			t.Errorf("%d built and %d started side by side, want 1 and %d", h.most["build"], h.most["up"], n)
		}
		g.open()
		h.settled()
		var live []deployments.Deployment
		for p := range n {
			h.wantLive(p+1, 1)
			live = append(live, h.live(p+1))
		}
		h.wantThere(live...)
		h.stop()
	})
}

func TestTheOldOneGoesAfterTheDrain(t *testing.T) {
	inHouse(t, func(h *house) {
		h.pushed(1, 1)
		h.settled()
		old := h.live(1)
		h.pushed(1, 2)
		h.until("the new one is live", func() bool { return h.live(1).ID != old.ID })
		h.wantLive(1, 2)
		if removeAt := h.deployment(old.ID).RemoveAt; removeAt.Sub(h.live(1).LiveAt) != drain {
			t.Errorf("the old one goes %s after the switch, want %s", removeAt.Sub(h.live(1).LiveAt), drain)
		}
		h.pass(time.Until(h.deployment(old.ID).RemoveAt) - time.Second)
		if h.has(old.ID) == "" {
			t.Error("the old one went before it had drained")
		}
		h.pass(2 * time.Second)
		if h.has(old.ID) != "" || h.deployment(old.ID).Phase != deployments.PhaseGone {
			t.Errorf("after the drain the old one is %s", h.deployment(old.ID).Phase)
		}
		h.settled()
		h.wantThere(h.live(1))
	})
}

func TestTheSameCommitIsNotBuiltAgain(t *testing.T) {
	inHouse(t, func(h *house) {
		h.pushed(1, 1)
		h.settled()
		first := h.live(1)
		h.accept(up(1, 2)) // the forge still says 1: somebody pushed and pushed back
		h.settled()
		if h.live(1).ID != first.ID || h.called("Builder.Build") != 1 {
			t.Errorf("%d is live after %d builds, want %d after 1", h.live(1).ID, h.called("Builder.Build"), first.ID)
		}
		if reason := h.deployment(first.ID + 1).Reason; reason != "0010001 is live already" {
			t.Errorf("the attempt ended because %q", reason)
		}
		h.wantThere(first)

		h.accept(byHand(1, deployments.Up))
		h.settled()
		if h.live(1).ID == first.ID || h.called("Builder.Build") != 2 {
			t.Errorf("forced: %d is live after %d builds, want another one after 2", h.live(1).ID, h.called("Builder.Build"))
		}
		h.wantLive(1, 1)
		h.wantThere(h.live(1))
	})
}

// A stale list of what is due may have an attempt in it that ends before it is looked at: it is not made twice.
func TestADueEnvironmentIsLookedAtAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		g := newGate()
		h.when("Runtime.Up", g.pass)
		var late atomic.Bool
		h.ports.Store = lateStore{h.store, func(due []deployments.Environment) {
			if len(due) > 0 && late.CompareAndSwap(true, false) {
				g.open()
				time.Sleep(time.Second) // of the bubble's clock, which runs when the attempt has ended
			}
		}}
		h.start()
		h.pushed(1, 1)
		<-g.waits
		synctest.Wait()
		late.Store(true)
		h.accept(closing(2)) // has the Controller look
		h.settled()
		if late.Load() || h.called("Builder.Build") != 1 {
			t.Errorf("built %d times, want once", h.called("Builder.Build"))
		}
		h.wantThere(h.live(1))
		h.stop()
	})
}

// A lateStore calls a function between reading what is due and returning it.
type lateStore struct {
	deployments.Store
	before func(due []deployments.Environment)
}

func (s lateStore) Due(ctx context.Context, now time.Time, limit int) ([]deployments.Environment, time.Time, error) {
	due, next, err := s.Store.Due(ctx, now, limit)
	s.before(slices.Clone(due))
	return due, next, err
}
