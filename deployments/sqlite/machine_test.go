package sqlite

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"testing"
	"time"

	"pgregory.net/rapid"

	"vitrine/deployments"
)

// A machine does to a store what a controller, a forge and people might do, in any order, and remembers what must hold between two steps.
type machine struct {
	*Store
	ctx      context.Context
	dir      string
	clock    *clock
	attempts []deployments.Deployment // as the controller knows them

	owners  map[string]string            // of every label seen
	records map[string]deployments.Route // the last one seen of each host
	changes map[int64]int64              // the change number of each environment
	guids   int
}

// Few origins and branches, so that they meet.
var origins = []deployments.Origin{pull(1), pull(2), tracked("main")}

func TestAnyOrderKeepsTheInvariants(t *testing.T) {
	// Short runs seldom come to a second deployment, so few long ones; -rapid.checks=400 is for the night.
	byDefault("rapid.steps", "80")
	if testing.Short() {
		byDefault("rapid.checks", "5")
	}
	byDefault("rapid.checks", "10")
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "vitrine-machine-")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
		m := &machine{
			ctx: t.Context(), dir: dir, clock: &clock{now: start},
			owners: make(map[string]string), records: make(map[string]deployments.Route), changes: make(map[int64]int64),
		}
		m.open(t)
		t.Cleanup(func() { m.Close() })
		t.Repeat(map[string]func(*rapid.T){
			"accept": m.accept, "ask": m.ask, "resolve": m.resolve, "claim": m.claim, "save": m.save, "switch": m.switchTo, "settle": m.settle,
			"take down": m.takeDown, "taken down": m.takenDown, "removed": m.removed, "lobby": m.lobby, "postpone": m.postpone,
			"restart": m.restart, "bring up": m.bringUp, "": m.check,
		})
	})
}

// byDefault sets a flag of the test binary that the command line leaves open.
func byDefault(name, value string) {
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == name })
	if !given {
		must("", flag.Set(name, value))
	}
}

func (m *machine) open(t *rapid.T) {
	s, err := Open(m.ctx, m.dir, options(m.clock))
	if err != nil {
		t.Fatal(err)
	}
	// What outlives a crash of the machine is not the question here.
	if _, err := s.writer.Exec(`PRAGMA synchronous = OFF`); err != nil {
		t.Fatal(err)
	}
	m.Store = s
}

// restart opens the store anew, as after a crash.
func (m *machine) restart(t *rapid.T) {
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	m.open(t)
	if err := m.Interrupt(m.ctx, "the process ended"); err != nil {
		t.Fatal(err)
	}
}

func drawWant(t *rapid.T, o deployments.Origin) deployments.Want {
	w := deployments.Want{
		Origin: o, Cause: "a cause", By: rapid.SampledFrom([]deployments.By{deployments.ByEvent, deployments.ByHand}).Draw(t, "by"),
		Intent: rapid.SampledFrom([]deployments.Intent{deployments.Up, deployments.Up, deployments.Gone}).Draw(t, "intent"),
		Force:  rapid.Bool().Draw(t, "force"),
	}
	if w.Intent == deployments.Up {
		branch := o.Branch
		if branch == "" {
			branch = rapid.SampledFrom([]string{"main", "login"}).Draw(t, "branch")
		}
		w.Source = commit(rapid.IntRange(1, 3).Draw(t, "commit"), branch)
	}
	return w
}

func (m *machine) accept(t *rapid.T) {
	m.clock.Add(time.Second)
	m.guids++
	d := deployments.Delivery{GUID: fmt.Sprint(m.guids)}
	for range rapid.IntRange(1, 2).Draw(t, "wants") {
		d.Wants = append(d.Wants, drawWant(t, rapid.SampledFrom(origins).Draw(t, "origin")))
	}
	if _, err := m.Accept(m.ctx, d); err != nil {
		t.Fatal(err)
	}
	before := m.writes(t)
	if raised, err := m.Accept(m.ctx, d); err != nil || len(raised) != 0 || m.writes(t) != before {
		t.Fatalf("the same delivery again: raised %v, %v", raised, err)
	}
}

func (m *machine) ask(t *rapid.T) {
	o := rapid.SampledFrom(origins).Draw(t, "origin")
	if _, err := m.Accept(m.ctx, deployments.Delivery{Requests: []deployments.Request{{Origin: o}}}); err != nil {
		t.Fatal(err)
	}
}

func (m *machine) resolve(t *rapid.T) {
	due, err := m.Requests(m.ctx, m.clock.Now(), 1000)
	if err != nil {
		t.Fatal(err)
	}
	pending := make(map[deployments.Origin]bool)
	for _, r := range due {
		if r.State != deployments.RequestPending {
			if err := m.Answered(m.ctx, r.ID, r.State); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if pending[r.Origin] {
			t.Fatalf("two requests of %s are to be resolved at once", r.Origin.Key())
		}
		pending[r.Origin] = true
		resolution := deployments.Resolution{State: deployments.RequestTaken, Wants: []deployments.Want{drawWant(t, r.Origin)}}
		if _, err := m.Resolve(m.ctx, r.ID, resolution); err != nil {
			t.Fatal(err)
		}
	}
}

// environment draws one of those that are there and that fit.
func (m *machine) environment(t *rapid.T, fits func(deployments.Environment) bool) deployments.Environment {
	var list []deployments.Environment
	for _, o := range origins {
		e, err := m.EnvironmentOf(m.ctx, o.Key())
		if err != nil && !errors.Is(err, deployments.ErrNotFound) {
			t.Fatal(err)
		}
		if err == nil && fits(e) {
			list = append(list, e)
		}
	}
	if len(list) == 0 {
		t.Skip("there is no such environment")
	}
	return list[rapid.IntRange(0, len(list)-1).Draw(t, "environment")]
}

func anyOne(deployments.Environment) bool { return true }

func unsettled(e deployments.Environment) bool { return e.Generation > e.Observed }

func unwanted(e deployments.Environment) bool { return e.Intent == deployments.Gone }

func takenDown(e deployments.Environment) bool { return unwanted(e) && e.Live == 0 }

func (m *machine) claim(t *rapid.T) { m.claimFor(t, m.environment(t, unsettled).ID) }

func (m *machine) claimFor(t *rapid.T, environment int64) {
	d, err := m.Claim(m.ctx, environment, netip.MustParsePrefix("10.213.0.0/24"), nil)
	if errors.Is(err, deployments.ErrNoSubnet) {
		t.Skip("no free subnet")
	}
	if err != nil {
		t.Fatal(err)
	}
	m.attempts = append(m.attempts, d)
}

// attempt draws one of those that were ever claimed, mostly the newest, and says whether it may still write.
func (m *machine) attempt(t *rapid.T) (d deployments.Deployment, e deployments.Environment, fresh bool) {
	if len(m.attempts) == 0 {
		t.Skip("no attempt")
	}
	back := rapid.SampledFrom([]int{0, 0, 0, 1, 2, 5}).Draw(t, "back")
	d = m.attempts[max(0, len(m.attempts)-1-back)]
	stored, err := m.Deployment(m.ctx, d.ID)
	if err != nil {
		t.Fatal(err)
	}
	if e, err = m.Environment(m.ctx, d.Environment); err != nil {
		t.Fatal(err)
	}
	return d, e, stored.Generation == e.Generation && stored.Phase.Running()
}

// fenced runs a write of an attempt, which must go through where it is fresh and write nothing where it is not.
func (m *machine) fenced(t *rapid.T, fresh bool, write func() error) {
	before := m.writes(t)
	err := write()
	switch {
	case fresh && err != nil:
		t.Fatal(err)
	case !fresh && !errors.Is(err, deployments.ErrSuperseded):
		t.Fatalf("a stale attempt wrote: %v", err)
	case !fresh && m.writes(t) != before:
		t.Fatal("a stale attempt was refused, and wrote all the same")
	}
}

func (m *machine) save(t *rapid.T) {
	d, e, fresh := m.attempt(t)
	d.Phase = rapid.SampledFrom([]deployments.Phase{deployments.Fetching, deployments.Building, deployments.Starting}).Draw(t, "phase")
	m.fenced(t, fresh, func() error { return m.Adopt(m.ctx, d, deployments.Head{Open: true, Source: e.Source()}) })
	m.fenced(t, fresh, func() error { return m.Save(m.ctx, d) })
}

func (m *machine) switchTo(t *rapid.T) {
	d, e, fresh := m.attempt(t)
	services := rapid.SampledFrom([][]string{{"web"}, {"web", "api"}, {"api", "web"}}).Draw(t, "services")
	if fresh {
		if _, err := m.Reserve(m.ctx, e.ID, public(services...)); err != nil {
			t.Fatal(err)
		}
	}
	m.fenced(t, fresh && e.Intent == deployments.Up, func() error {
		_, err := m.Switch(m.ctx, d, backends(d, services...), m.clock.Now())
		return err
	})
}

// bringUp takes the steps that a push takes when nothing comes between, so that most runs have something live.
func (m *machine) bringUp(t *rapid.T) {
	w := drawWant(t, rapid.SampledFrom(origins).Draw(t, "origin"))
	w.Intent, w.Force = deployments.Up, true
	if w.Source.SHA == "" {
		w.Source = commit(1, "main")
	}
	raised, err := m.Accept(m.ctx, deployments.Delivery{Wants: []deployments.Want{w}})
	if err != nil || len(raised) != 1 {
		t.Fatalf("a forced want raised %v, %v", raised, err)
	}
	m.claimFor(t, raised[0].ID)
	d := m.attempts[len(m.attempts)-1]
	if err := m.Adopt(m.ctx, d, deployments.Head{Open: true, Source: w.Source}); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Reserve(m.ctx, d.Environment, public("web")); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Switch(m.ctx, d, backends(d, "web"), m.clock.Now()); err != nil {
		t.Fatal(err)
	}
}

func (m *machine) settle(t *rapid.T) {
	d, e, fresh := m.attempt(t)
	d.Phase = rapid.SampledFrom([]deployments.Phase{
		deployments.Failed, deployments.Ready, deployments.Superseded, deployments.Cancelled,
	}).Draw(t, "phase")
	if d.Phase == deployments.Superseded || d.Phase == deployments.Cancelled {
		if err := m.Settle(m.ctx, d); err != nil {
			t.Fatal(err)
		}
		after, err := m.Environment(m.ctx, e.ID)
		if err != nil || after.Observed != e.Observed || after.Live != e.Live {
			t.Fatalf("settled as %s: %v, environment %+v", d.Phase, err, after)
		}
		return
	}
	if d.Phase == deployments.Ready && e.Live == 0 {
		d.Phase = deployments.Failed
	}
	m.fenced(t, fresh && e.Intent == deployments.Up, func() error { return m.Settle(m.ctx, d) })
}

func drawBehind(t *rapid.T) int64 { return int64(rapid.SampledFrom([]int{0, 0, 1}).Draw(t, "behind")) }

func (m *machine) takeDown(t *rapid.T) {
	e, behind := m.environment(t, unwanted), drawBehind(t)
	m.fenced(t, behind == 0, func() error {
		_, err := m.TakeDown(m.ctx, e.ID, e.Generation-behind)
		return err
	})
}

func (m *machine) takenDown(t *rapid.T) {
	e, behind := m.environment(t, takenDown), drawBehind(t)
	m.fenced(t, behind == 0, func() error { return m.TakenDown(m.ctx, e.ID, e.Generation-behind) })
}

func (m *machine) postpone(t *rapid.T) {
	e, behind := m.environment(t, anyOne), drawBehind(t)
	m.fenced(t, behind == 0, func() error {
		return m.Postpone(m.ctx, e.ID, e.Generation-behind, m.clock.Now().Add(time.Minute), "for GitHub")
	})
}

func (m *machine) removed(t *rapid.T) {
	for _, d := range m.owned(t) {
		err := m.Removed(m.ctx, d.ID)
		if refused := d.Phase.Running() || d.Phase == deployments.Ready; refused != (err != nil) {
			t.Fatalf("Removed of one that is %s: %v", d.Phase, err)
		}
	}
}

func (m *machine) lobby(t *rapid.T) {
	if _, err := m.Lobby(m.ctx, m.environment(t, anyOne).ID); err != nil {
		t.Fatal(err)
	}
}

func (m *machine) owned(t *rapid.T) []deployments.Deployment {
	list, err := m.Owned(m.ctx)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// writes returns how many rows were ever written, rolled back or not.
func (m *machine) writes(t *rapid.T) (n int64) {
	if err := m.writer.QueryRow(`SELECT total_changes()`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
