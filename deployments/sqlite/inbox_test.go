package sqlite

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"vitrine/deployments"
)

func TestAcceptMakesAnEnvironment(t *testing.T) {
	f := newFixture(t)
	w := push(pull(42), commit(1, "login"))
	w.Title = "Show stock"
	raised := f.accept(w)
	want := deployments.Environment{
		ID: 1, Name: "shop-pr-42", Origin: pull(42), Sources: []deployments.Source{commit(1, "login")}, Title: "Show stock",
		Intent: deployments.Up, By: deployments.ByEvent, Cause: "push 0000001", Generation: 1,
		Seen: commit(1, "login").SHA, SeenAt: start, Expires: start.Add(lifetime.TTL), CreatedAt: start,
	}
	if diff := cmp.Diff([]deployments.Environment{want}, raised); diff != "" {
		t.Errorf("raised (-want +got):\n%s", diff)
	}
	for name, got := range map[string]deployments.Environment{
		"EnvironmentOf": f.of(pull(42)), "Environment": must(f.Environment(t.Context(), 1)),
	} {
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if diff := cmp.Diff([]string{"push 0000001"}, f.texts(pull(42))); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
}

func TestAcceptTakesADeliveryOnce(t *testing.T) {
	f := newFixture(t)
	d := deployments.Delivery{
		GUID: "72d3162e", Event: "push", Wants: []deployments.Want{push(pull(1), commit(1, "login"))},
		Requests: []deployments.Request{{Origin: pull(1), Payload: []byte(`{"n":1}`)}},
	}
	if raised := must(f.Accept(t.Context(), d)); len(raised) != 1 {
		t.Errorf("the first raised %d environments, want 1", len(raised))
	}
	d.Wants = append(d.Wants, push(pull(2), commit(2, "other")))
	if raised := must(f.Accept(t.Context(), d)); len(raised) != 0 {
		t.Errorf("the second raised %v, want nothing", raised)
	}
	if _, err := f.EnvironmentOf(t.Context(), pull(2).Key()); !errors.Is(err, deployments.ErrNotFound) {
		t.Errorf("environment of the repeated delivery: %v, want ErrNotFound", err)
	}
	if requests := must(f.Requests(t.Context(), start, 1000)); len(requests) != 1 {
		t.Errorf("%d requests, want 1", len(requests))
	}
}

func TestAcceptIsAllOrNothing(t *testing.T) {
	f := newFixture(t)
	broken := push(pull(2), commit(2, "other"))
	broken.Intent, broken.Force = "sideways", true
	d := deployments.Delivery{GUID: "72d3162e", Wants: []deployments.Want{push(pull(1), commit(1, "login")), push(pull(2), commit(1, "x")), broken}}
	if raised, err := f.Accept(t.Context(), d); err == nil || raised != nil {
		t.Errorf("Accept = %v, %v, want an error", raised, err)
	}
	if list := must(f.Unsettled(t.Context())); len(list) != 0 {
		t.Errorf("a failed delivery left %v", list)
	}
	d.Wants = d.Wants[:1]
	if raised := must(f.Accept(t.Context(), d)); len(raised) != 1 {
		t.Errorf("its redelivery raised %d environments, want 1", len(raised))
	}
}

func TestAcceptWants(t *testing.T) {
	skip := push(pull(1), commit(9, "login"))
	skip.Intent, skip.Skip, skip.Cause = deployments.Gone, "only docs/** changed", "skipped: only docs/** changed"
	again := push(pull(1), commit(1, "login"))
	again.Force, again.Cause = true, "/deploy by ana"
	extend := deployments.Want{Origin: pull(1), Intent: deployments.Keep, Extend: 24 * time.Hour, Cause: "/extend 1d by ana"}
	byHand := closed(pull(1))
	byHand.By = deployments.ByHand
	for _, test := range []struct {
		name       string
		wants      []deployments.Want
		generation int64 // 0: there is no environment
		raised     int
		history    []string
	}{
		{"skipped", []deployments.Want{skip}, 1, 1, []string{"skipped: only docs/** changed"}},
		{"closed, never seen", []deployments.Want{closed(pull(1))}, 0, 0, nil},
		{"extended, never seen", []deployments.Want{extend}, 0, 0, nil},
		{"the same commit twice", []deployments.Want{push(pull(1), commit(1, "login")), push(pull(1), commit(1, "login"))}, 1, 1, []string{"push 0000001"}},
		{"skipped later", []deployments.Want{push(pull(1), commit(1, "login")), skip}, 2, 1,
			[]string{"push 0000001", "skipped: only docs/** changed"}},
		{"two commits", []deployments.Want{push(pull(1), commit(1, "login")), push(pull(1), commit(2, "login"))}, 2, 1,
			[]string{"push 0000001", "push 0000002"}},
		{"forced", []deployments.Want{push(pull(1), commit(1, "login")), again}, 2, 1, []string{"push 0000001", "/deploy by ana"}},
		{"extended", []deployments.Want{push(pull(1), commit(1, "login")), extend}, 1, 1, []string{"push 0000001"}},
		{"closed by hand, then the same commit", []deployments.Want{push(pull(1), commit(1, "login")), byHand, push(pull(1), commit(1, "login"))}, 2, 1,
			[]string{"push 0000001", "pull request closed"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t)
			if raised := f.accept(test.wants...); len(raised) != test.raised {
				t.Errorf("raised %d environments, want %d", len(raised), test.raised)
			}
			e, err := f.EnvironmentOf(t.Context(), pull(1).Key())
			if test.generation == 0 && !errors.Is(err, deployments.ErrNotFound) || e.Generation != test.generation {
				t.Errorf("generation = %d, %v, want %d", e.Generation, err, test.generation)
			}
			if diff := cmp.Diff(test.history, f.texts(pull(1))); diff != "" {
				t.Errorf("history (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReopenedIsTheSameEnvironment(t *testing.T) {
	f := newFixture(t)
	first := f.up(pull(42), commit(1, "login"))
	f.down(pull(42))
	f.clock.Add(time.Hour)
	second := f.up(pull(42), commit(1, "login"))
	if first.ID != second.ID || first.Name != second.Name || !second.CreatedAt.Equal(start) {
		t.Errorf("reopened as %d %s of %s, was %d %s", second.ID, second.Name, second.CreatedAt, first.ID, first.Name)
	}
	if want := start.Add(time.Hour + lifetime.TTL); !second.Expires.Equal(want) {
		t.Errorf("expires %s, want %s", second.Expires, want)
	}
}

func TestAcceptSideBySide(t *testing.T) {
	f := newFixture(t)
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			d := deployments.Delivery{GUID: sha(i / 2), Wants: []deployments.Want{push(pull(i%4+1), commit(i, "login"))}}
			if _, err := f.Accept(context.Background(), d); err != nil {
				t.Error(err)
			}
			if _, err := f.Unsettled(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	var sum int64
	for _, e := range must(f.Unsettled(t.Context())) {
		sum += e.Generation
	}
	if sum != 20 {
		t.Errorf("generations grew %d times for 20 deliveries, each sent twice", sum)
	}
}

func TestUnsettledInTheOrderOfWaiting(t *testing.T) {
	f := newFixture(t)
	for _, n := range []int{3, 1, 2} {
		f.accept(push(pull(n), commit(n, "b")))
		f.clock.Add(time.Minute)
	}
	f.accept(push(pull(3), commit(9, "b"))) // a further push keeps the place
	f.deploy(pull(1))
	f.accept(push(pull(1), commit(9, "b"))) // settled between: a new place
	var names []string
	for _, e := range must(f.Unsettled(t.Context())) {
		names = append(names, e.Name)
	}
	if diff := cmp.Diff([]string{"shop-pr-3", "shop-pr-2", "shop-pr-1"}, names); diff != "" {
		t.Errorf("unsettled (-want +got):\n%s", diff)
	}
}

// An end is warned of once; one that moved is another one.
func TestWarn(t *testing.T) {
	f := newFixture(t)
	f.up(pull(1), commit(1, "login"))
	f.up(tracked("main"), commit(2, "main"))
	f.up(pull(2), commit(3, "other"))
	f.down(pull(2))
	f.accept(push(pull(3), commit(4, "not live yet")))
	f.up(pull(4), commit(5, "pinned"))
	pin := true
	f.accept(deployments.Want{Origin: pull(4), Pin: &pin})
	reported := func(want ...string) {
		t.Helper()
		var names []string
		for _, r := range f.reports() {
			names = append(names, r.Environment.Name)
		}
		f.reportAll()
		if diff := cmp.Diff(want, names); diff != "" {
			t.Errorf("reported (-want +got):\n%s", diff)
		}
	}
	f.reportAll()
	end := start.Add(lifetime.TTL)
	warn := func(now time.Time, want int64) {
		t.Helper()
		if got := must(f.Warn(t.Context(), now)); got != want {
			t.Errorf("warned of %d ends at %s, want %d", got, now, want)
		}
	}
	warn(end.Add(-deployments.WarningTime-time.Nanosecond), 0)
	reported()
	warn(end.Add(-deployments.WarningTime), 1)
	reported("shop-pr-1")
	warn(end.Add(-time.Hour), 0)
	f.accept(deployments.Want{Origin: pull(1), Extend: time.Hour})
	reported("shop-pr-1")
	warn(end.Add(-time.Hour), 1)
	reported("shop-pr-1")
	warn(end.Add(time.Hour), 0)
	reported()
}

func TestExpired(t *testing.T) {
	f := newFixture(t)
	f.up(pull(1), commit(1, "login"))
	f.up(tracked("main"), commit(2, "main"))
	f.up(pull(2), commit(3, "other"))
	f.down(pull(2))
	f.clock.Add(time.Hour)
	f.up(pull(3), commit(4, "third"))
	for _, test := range []struct {
		now  time.Time
		want []string
	}{
		{start.Add(lifetime.TTL), nil},
		{start.Add(lifetime.TTL + time.Nanosecond), []string{"shop-pr-1"}},
		{start.Add(10000 * time.Hour), []string{"shop-pr-1", "shop-pr-3"}},
	} {
		var names []string
		for _, e := range must(f.Expired(t.Context(), test.now)) {
			names = append(names, e.Name)
		}
		if diff := cmp.Diff(test.want, names); diff != "" {
			t.Errorf("expired at %s (-want +got):\n%s", test.now, diff)
		}
	}
}

// A repository that is taken from us takes all of its environments down, and nobody else's.
func TestAcceptWithdrawal(t *testing.T) {
	for name, test := range map[string]struct {
		withdrawal deployments.Withdrawal
		gone       []string
	}{
		"one repository":           {deployments.Withdrawal{Owner: "ACME", Name: "Shop"}, []string{"acme/shop#1", "acme/shop@main"}},
		"every one of an owner":    {deployments.Withdrawal{Owner: "Acme"}, []string{"acme/shop#1", "acme/shop@main", "acme/front#1"}},
		"one that nobody knows":    {deployments.Withdrawal{Owner: "acme", Name: "sho_"}, nil},
		"an owner that is nobody":  {deployments.Withdrawal{Owner: "acm%"}, nil},
		"a name that begins alike": {deployments.Withdrawal{Owner: "ac"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			for _, o := range []deployments.Origin{
				{Repo: "acme/shop", PullRequest: 1}, {Repo: "acme/shop", Branch: "main"}, {Repo: "acme/front", PullRequest: 1}, {Repo: "acme2/shop", PullRequest: 1},
			} {
				f.accept(push(o, deployments.Source{Repo: o.Repo, SHA: sha(1)}))
			}
			test.withdrawal.Cause = "the App was uninstalled"
			var gone []string
			for _, e := range must(f.Accept(t.Context(), deployments.Delivery{GUID: "w", Withdrawals: []deployments.Withdrawal{test.withdrawal}})) {
				if e.Intent != deployments.Gone || e.Cause != test.withdrawal.Cause {
					t.Errorf("%s is %s because %q", e.Name, e.Intent, e.Cause)
				}
				gone = append(gone, e.Origin.Key())
			}
			if diff := cmp.Diff(test.gone, gone); diff != "" {
				t.Errorf("gone (-want +got)\n%s", diff)
			}
		})
	}
}

// What is due comes in the order in which it began to wait, no more than asked for, and with the time at which there will be more.
func TestDue(t *testing.T) {
	f := newFixture(t)
	for n := range 4 {
		f.accept(push(pull(n+1), commit(n+1, "login")))
		f.clock.Add(time.Second)
	}
	now := f.clock.Now()
	f.ok(f.Postpone(t.Context(), f.of(pull(1)).ID, 1, now.Add(time.Hour), "waits"))
	f.ok(f.Postpone(t.Context(), f.of(pull(2)).ID, 1, now.Add(time.Minute), "waits"))
	for name, test := range map[string]struct {
		at    time.Time
		limit int
		due   []string
		next  time.Time
	}{
		"now":            {now, 10, []string{"shop-pr-3", "shop-pr-4"}, now.Add(time.Minute)},
		"only one":       {now, 1, []string{"shop-pr-3"}, now.Add(time.Minute)},
		"a minute later": {now.Add(time.Minute), 10, []string{"shop-pr-2", "shop-pr-3", "shop-pr-4"}, now.Add(time.Hour)},
		"all":            {now.Add(time.Hour), 10, []string{"shop-pr-1", "shop-pr-2", "shop-pr-3", "shop-pr-4"}, time.Time{}},
	} {
		due, next, err := f.Due(t.Context(), test.at, test.limit)
		f.ok(err)
		var names []string
		for _, e := range due {
			names = append(names, e.Name)
		}
		if diff := cmp.Diff(test.due, names); diff != "" || !next.Equal(test.next) {
			t.Errorf("%s: next at %s, want %s; due (-want +got)\n%s", name, next, test.next, diff)
		}
	}
}
