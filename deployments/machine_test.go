package deployments_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"vitrine/deployments"
)

// A step is one thing that happens to one pull request, or to the server.
type step struct {
	What  string
	Pull  int
	Times int           // how often it is delivered, or how often a call fails
	Call  string        // for "fail"
	Pause time.Duration // before the next step
}

// A machine runs steps and knows what they have to come to.
type machine struct {
	*house
	pulls map[int]*expected
	turns sync.Mutex     // guards fails
	fails map[string]int // how often a call is still to fail
}

// expected is what the forge says of a pull request, and whether somebody decided that it is to be down.
type expected struct {
	open bool
	head int // of its commits; 0 before it was opened
	down bool
}

// calls are those that take time and may fail.
func calls() []string {
	return []string{
		"Forge.Head", "Forge.Remote", "Builder.Fetch", "Stacks.Read", "Builder.Build", "Builder.Push", "Builder.Remove", "Builder.References",
		"Runtime.Occupied", "Runtime.Prepare", "Runtime.Plan", "Runtime.Up", "Runtime.Down", "Runtime.Inventory", "Runtime.Restore", "Runtime.Watch",
		"Reporter.Report",
		"Routes.Write", "Routes.Hosts", "Firewall.Ready", "Firewall.Sweep",
	}
}

func drawStep(t *rapid.T) step {
	return step{
		What: rapid.SampledFrom([]string{
			"push", "push", "push", "close", "reopen", "late push", "late close", "destroy", "deploy", "expire", "fail", "fail", "fail", "silence", "restart",
			"engine", "vanish",
		}).Draw(t, "what"),
		Pull:  rapid.IntRange(1, 3).Draw(t, "pull"),
		Times: rapid.IntRange(1, 3).Draw(t, "times"),
		Call:  rapid.SampledFrom(calls()).Draw(t, "call"),
		Pause: time.Duration(rapid.SampledFrom([]int{0, 0, 1, 150, 1_000, 2_500, 10_000, 45_000, 400_000}).Draw(t, "pause")) * time.Millisecond,
	}
}

// Whatever arrives, in whatever order, and whatever fails of ours on the way: in the end exactly that is there which the forge shows and nobody
// took down.
func TestItComesToWhatTheForgeShows(t *testing.T) {
	runs, found := 0, false
	rapid.Check(t, func(rt *rapid.T) {
		steps := rapid.SliceOfN(rapid.Custom(drawStep), 1, 25).Draw(rt, "steps")
		// Each run is a server's whole life: a tenth of the usual number has to do, but for what looks for the smallest one that fails.
		if runs++; runs%10 != 1 && !found {
			return
		}
		if failures := runSteps(t, steps); len(failures) > 0 {
			found = true
			rt.Fatal(strings.Join(failures, "\n"))
		}
	})
}

func runSteps(t *testing.T, steps []step) (failures []string) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{TB: t}
		defer func() {
			if given := recover(); given != nil && given != errGivenUp {
				panic(given)
			}
			failures = r.failures
		}()
		h := newHouse(t)
		h.t = r
		m := &machine{house: h, pulls: make(map[int]*expected), fails: make(map[string]int)}
		m.slowDown()
		h.start()
		for _, s := range steps {
			m.run(s)
			h.pass(s.Pause)
		}
		m.check()
		h.stop()
	})
	return failures
}

// slowDown gives every call a duration, so that what happens meets them at work, and has them fail when it is their turn.
func (m *machine) slowDown() {
	took := map[string]time.Duration{
		"Builder.Fetch": 300 * time.Millisecond, "Builder.Build": 3 * time.Second, "Runtime.Plan": 200 * time.Millisecond,
		"Runtime.Up": 2 * time.Second, "Runtime.Down": 2 * time.Second, "Builder.Push": 4 * time.Second,
	}
	for _, call := range calls() {
		d := took[call]
		if d == 0 {
			d = 20 * time.Millisecond
		}
		m.when(call, func(ctx context.Context, about string) error {
			if err := takes(d)(ctx, about); err != nil {
				return err
			}
			m.turns.Lock()
			defer m.turns.Unlock()
			if m.fails[call] > 0 {
				m.fails[call]--
				return errAway
			}
			return nil
		})
	}
}

// run has a step happen.
func (m *machine) run(s step) {
	p := m.pulls[s.Pull]
	if p == nil {
		p = &expected{}
		m.pulls[s.Pull] = p
	}
	switch s.What {
	case "fail":
		m.turns.Lock()
		m.fails[s.Call] = s.Times
		m.turns.Unlock()
		return
	case "silence": // long enough for some to go on without the forge
		m.turns.Lock()
		m.fails["Forge.Head"] = 10 * s.Times
		m.turns.Unlock()
		return
	case "engine":
		select {
		case m.broken <- struct{}{}:
		case <-time.After(time.Second): // it is not followed just now
		}
		return
	case "restart":
		m.stop()
		m.start()
		return
	case "push":
		p.head++
		p.open, p.down = true, false
		m.forge(s.Pull, p)
		m.deliver(s, up(s.Pull, p.head))
		return
	}
	if p.head == 0 {
		return
	}
	switch s.What {
	case "close":
		p.open = false
		m.forge(s.Pull, p)
		m.deliver(s, closing(s.Pull))
	case "reopen":
		p.open = true
		m.forge(s.Pull, p)
		m.deliver(s, up(s.Pull, p.head))
	case "late push":
		// Another commit than the one that was taken down is news, although it is an old one.
		old := max(1, p.head-s.Times)
		p.down = p.down && m.env(s.Pull).Source() == commit(s.Pull, old)
		m.deliver(s, up(s.Pull, old))
	case "vanish":
		id := m.env(s.Pull).Live
		m.mu.Lock()
		if m.there[id] != "" {
			m.there[id] = "network"
		}
		m.mu.Unlock()
		select {
		case m.ended <- id:
		case <-time.After(time.Second):
		}
	case "late close":
		m.deliver(s, closing(s.Pull))
	case "deploy":
		p.down = false
		w := byHand(s.Pull, deployments.Up)
		w.Reset = s.Times%2 == 1
		m.deliver(s, w)
	case "destroy", "expire":
		w := byHand(s.Pull, deployments.Gone)
		if s.What == "expire" {
			w.By = deployments.ByExpiry
		}
		m.deliver(s, w)
		e := m.env(s.Pull)
		p.down = e.Intent == deployments.Gone && e.By != deployments.ByEvent
	}
}

func (m *machine) forge(pull int, p *expected) {
	m.says(pull, deployments.Head{Open: p.open, Source: commit(pull, p.head), Title: "A shop window"})
}

func (m *machine) deliver(s step, w deployments.Want) {
	for range s.Times {
		m.accept(w)
	}
}

// check lets everything settle, and holds what is there against what is expected.
func (m *machine) check() {
	m.pass(10 * time.Minute)
	m.turns.Lock()
	clear(m.fails)
	m.turns.Unlock()
	m.settled()
	m.pass(2*sweepEvery + time.Minute)
	m.settled()

	var live []deployments.Deployment
	routes := make(map[string][]string)
	for _, pull := range slices.Sorted(maps.Keys(m.pulls)) {
		p := m.pulls[pull]
		if p.head == 0 {
			continue
		}
		e := m.env(pull)
		if !p.open || p.down {
			m.wantGone(pull)
			continue
		}
		if e.Live == 0 {
			m.t.Errorf("%d: nothing is live, want %s: %+v", pull, commit(pull, p.head).ShortSHA(), e)
			continue
		}
		m.wantLive(pull, p.head)
		d := m.live(pull)
		live = append(live, d)
		routes[e.Name+".preview.test"] = []string{backend(d.ID)}
		routes[fmt.Sprintf("shop-branch-%d.preview.test", pull)] = []string{backend(d.ID)}
		m.wantReported(pull)
	}
	m.wantThere(live...)
	if diff := cmp.Diff(routes, m.served(), cmpopts.EquateEmpty()); diff != "" {
		m.t.Errorf("routes (-want +got):\n%s", diff)
	}
}

// errGivenUp ends what a recorder's Fatal is called from.
const errGivenUp = "given up"

// A recorder keeps what a test finds instead of failing, so that another one can look for the smallest case.
type recorder struct {
	testing.TB
	failures []string
}

func (r *recorder) Helper()           {}
func (r *recorder) Error(args ...any) { r.failures = append(r.failures, fmt.Sprint(args...)) }
func (r *recorder) Errorf(format string, args ...any) {
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}

func (r *recorder) Fatal(args ...any) {
	r.Error(args...)
	panic(errGivenUp)
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	panic(errGivenUp)
}
