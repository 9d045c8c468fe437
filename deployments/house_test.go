package deployments_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"

	"vitrine/deployments"
	"vitrine/deployments/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	drain       = 30 * time.Second
	reportPause = 5 * time.Second
	ttl         = 3 * time.Hour
)

// A house is a Controller with a real Store, between fakes of all its neighbours, in a bubble of testing/synctest: its clock runs only while
// everybody waits.
type house struct {
	t testing.TB
	*world
	store  *sqlite.Store
	ports  deployments.Ports
	config deployments.Config
	*deployments.Controller
	end func()
}

// inHouse runs f in a bubble, with a Controller that has started.
func inHouse(t *testing.T, f func(h *house)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		h.start()
		f(h)
		h.stop()
	})
}

// newHouse returns one whose Controller has not started. Call it in a bubble.
func newHouse(t *testing.T) *house {
	t.Helper()
	lifetime := deployments.Lifetime{TTL: ttl, Max: 30 * ttl}
	store, err := sqlite.Open(t.Context(), t.TempDir(), sqlite.Options{Now: time.Now, Lifetime: lifetime, Domain: "preview.test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	w := newWorld()
	return &house{
		t: t, world: w, store: store, end: func() {},
		ports: deployments.Ports{
			Store: store, Forge: w, Clerk: clerk{w}, Reporter: w, Builder: w, Stacks: w, Runtime: w, Routes: w, Firewall: w,
		},
		config: deployments.Config{
			Domain: "preview.test", PreviewURL: func(label string) string { return "https://" + label + ".preview.test" },
			Subnets: netip.MustParsePrefix("10.213.0.0/16"), Builds: 2, Drain: drain, LogDir: t.TempDir(), ReportPause: reportPause,
			Now: time.Now, Log: slog.New(slog.DiscardHandler),
		},
	}
}

// start starts a Controller, as a new process would.
func (h *house) start() {
	h.t.Helper()
	h.Controller = deployments.NewController(h.config, h.ports)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	h.end = func() {
		cancel()
		if err := <-ended; err != nil {
			h.t.Errorf("Run: %v", err)
		}
		h.end = func() {}
	}
	h.t.Cleanup(func() { h.end() })
	synctest.Wait()
}

// stop ends the Controller and holds that nothing happened that may never happen.
func (h *house) stop() {
	h.t.Helper()
	h.end()
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, v := range h.violations {
		h.t.Error(v)
	}
	for sha, n := range h.checkouts {
		if n != 0 {
			h.t.Errorf("%d checkouts of %s are still open after Run returned", n, sha)
		}
	}
	for what, n := range h.inside {
		if n != 0 {
			h.t.Errorf("%d are still in %s after Run returned", n, what)
		}
	}
}

// until lets the clock run until the condition holds, for two hours at most.
func (h *house) until(what string, holds func() bool) {
	h.t.Helper()
	pause := time.Second
	for began := time.Now(); time.Since(began) < 2*time.Hour; time.Sleep(pause) {
		synctest.Wait()
		if holds() {
			return
		}
		if time.Since(began) > 2*time.Minute {
			pause = 10 * time.Second // what takes long is not looked at as often
		}
	}
	h.t.Fatalf("never came: %s; %s", what, h.pending())
}

// pass lets that much time go by.
func (h *house) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// settled lets the clock run until nothing is due any more and nothing that ended has an object left.
func (h *house) settled() {
	h.t.Helper()
	h.until("nothing is due", func() bool { return h.pending() == "" })
}

// pending says what is still to be done, "" for nothing.
func (h *house) pending() string {
	ctx := h.t.Context()
	unsettled, err := h.store.Unsettled(ctx)
	if err != nil || len(unsettled) > 0 {
		return fmt.Sprintf("unsettled %+v %v", unsettled, err)
	}
	later := time.Now().Add(time.Hour)
	requests, err := h.store.Requests(ctx, later, 1000)
	if err != nil || len(requests) > 0 {
		return fmt.Sprintf("requests %+v %v", requests, err)
	}
	reports, err := h.store.Reports(ctx, later, 1000)
	if err != nil || len(reports) > 0 {
		return fmt.Sprintf("reports %+v %v", reports, err)
	}
	unpushed, err := h.store.Unpushed(ctx)
	if err != nil || len(unpushed) > 0 {
		return fmt.Sprintf("unpushed %+v %v", unpushed, err)
	}
	owned, err := h.store.Owned(ctx)
	owned = slices.DeleteFunc(owned, func(d deployments.Deployment) bool { return d.Phase == deployments.Ready })
	if err != nil || len(owned) > 0 {
		return fmt.Sprintf("owned %+v %v", owned, err)
	}
	return ""
}

// pull is a pull request of acme/shop.
func pull(n int) deployments.Origin { return deployments.Origin{Repo: "acme/shop", PullRequest: n} }

// commit is the n-th commit of a pull request. Its first three digits name the pull request.
func commit(pull, n int) deployments.Source {
	return deployments.Source{Repo: "acme/shop", Branch: fmt.Sprintf("branch-%d", pull), SHA: fmt.Sprintf("%03x%04x%033d", pull, n, 0)}
}

// accept has the Controller take wants in.
func (h *house) accept(wants ...deployments.Want) {
	h.t.Helper()
	if err := h.Accept(h.t.Context(), deployments.Delivery{Wants: wants}); err != nil {
		h.t.Fatal(err)
	}
}

// says sets what the forge says of a pull request.
func (h *house) says(n int, head deployments.Head) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.heads[pull(n).Key()] = head
}

// pushed has the n-th commit of a pull request pushed; the first opens it.
func (h *house) pushed(p, n int) {
	h.t.Helper()
	h.says(p, deployments.Head{Open: true, Source: commit(p, n), Title: "A shop window"})
	h.accept(up(p, n))
}

func up(p, n int) deployments.Want {
	return deployments.Want{
		Origin: pull(p), Source: commit(p, n), Intent: deployments.Up, By: deployments.ByEvent, Cause: "push " + commit(p, n).ShortSHA(),
	}
}

// closed has a pull request closed.
func (h *house) closed(p int) {
	h.t.Helper()
	h.says(p, deployments.Head{Source: commit(p, 1)})
	h.accept(closing(p))
}

func closing(p int) deployments.Want {
	return deployments.Want{Origin: pull(p), Intent: deployments.Gone, By: deployments.ByEvent, Cause: "closed"}
}

// byHand is a want of a person's: /deploy or /destroy.
func byHand(p int, intent deployments.Intent) deployments.Want {
	return deployments.Want{Origin: pull(p), Intent: intent, By: deployments.ByHand, Force: intent == deployments.Up, Cause: "by hand"}
}

// env returns a pull request's environment.
func (h *house) env(p int) deployments.Environment {
	h.t.Helper()
	e, err := h.store.EnvironmentOf(h.t.Context(), pull(p).Key())
	if err != nil {
		h.t.Fatal(err)
	}
	return e
}

// live returns what is served of a pull request.
func (h *house) live(p int) deployments.Deployment {
	h.t.Helper()
	return h.deployment(h.env(p).Live)
}

func (h *house) deployment(id int64) deployments.Deployment {
	h.t.Helper()
	d, err := h.store.Deployment(h.t.Context(), id)
	if err != nil {
		h.t.Fatal(err)
	}
	return d
}

// wantLive holds that the n-th commit of a pull request is served, and that its deployment is the only one there is of it.
func (h *house) wantLive(p, n int) {
	h.t.Helper()
	d := h.live(p)
	if d.Source != commit(p, n) || d.Phase != deployments.Ready {
		h.t.Errorf("live is %s, %s; want %s", d.Source.ShortSHA(), d.Phase, commit(p, n).ShortSHA())
	}
	if diff := cmp.Diff([]string{backend(d.ID)}, h.served()[fmt.Sprintf("shop-pr-%d.preview.test", p)]); diff != "" {
		h.t.Errorf("the host's backends (-want +got):\n%s", diff)
	}
}

// wantThere holds that exactly these deployments have containers, nothing else has anything, and only they have tags.
func (h *house) wantThere(live ...deployments.Deployment) {
	h.t.Helper()
	there := make(map[int64]string)
	states := make(map[int64]bool)
	tags := make(map[string]bool)
	for _, d := range live {
		there[d.ID], states[d.State] = "containers", true
		for _, image := range d.Images {
			for _, r := range image.References {
				tags[r] = true
			}
		}
	}
	h.mu.Lock()
	if diff := cmp.Diff(there, maps.Clone(h.there)); diff != "" {
		h.t.Errorf("on the engine (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(states, maps.Clone(h.states)); diff != "" {
		h.t.Errorf("states on the engine (-want +got):\n%s", diff)
	}
	h.mu.Unlock()
	if diff := cmp.Diff(slices.Sorted(maps.Keys(tags)), h.tags(), cmpopts.EquateEmpty()); diff != "" {
		h.t.Errorf("tags (-want +got):\n%s", diff)
	}
}

// events returns the history of a pull request.
func (h *house) events(p int) (texts []string) {
	h.t.Helper()
	events, err := h.store.Events(h.t.Context(), pull(p).Key())
	if err != nil {
		h.t.Fatal(err)
	}
	for _, e := range events {
		texts = append(texts, e.Text)
	}
	return texts
}

// A gate is where calls wait until it opens, or until their context is done. It notes why they were cancelled.
type gate struct {
	opened chan struct{}
	waits  chan string // gets what each call that comes is about
	causes chan error
}

func newGate() *gate {
	return &gate{opened: make(chan struct{}), waits: make(chan string, 100), causes: make(chan error, 100)}
}

func (g *gate) open() { close(g.opened) }

func (g *gate) pass(ctx context.Context, about string) error {
	g.waits <- about
	select {
	case <-g.opened:
		return nil
	case <-ctx.Done():
		g.causes <- context.Cause(ctx)
		return context.Cause(ctx)
	}
}

// errAway is a fault of ours.
var errAway = errors.New("connection refused")

// failing returns what fails as often as said, and then no more.
func failing(times int) func(context.Context, string) error {
	return func(context.Context, string) error {
		if times--; times >= 0 {
			return errAway
		}
		return nil
	}
}

// takes returns what needs some time, and ends at once when its context is done.
func takes(d time.Duration) func(context.Context, string) error {
	return func(ctx context.Context, _ string) error {
		select {
		case <-time.After(d):
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// failingWith returns what always fails with an error.
func failingWith(err error) func(context.Context, string) error {
	return func(context.Context, string) error { return err }
}
