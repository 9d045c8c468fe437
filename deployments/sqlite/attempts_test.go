package sqlite

import (
	"database/sql"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"vitrine/deployments"
)

// change returns an environment's change number, and the one reported.
func (f *fixture) change(id int64) (change, reported int64) {
	f.Helper()
	f.ok(f.reader.QueryRow(`SELECT change, reported FROM environments WHERE id = ?`, id).Scan(&change, &reported))
	return change, reported
}

// visible runs what people can see of an environment change, and fails unless its change number grew.
func (f *fixture) visible(o deployments.Origin, what string, do func()) {
	f.Helper()
	id := f.of(o).ID
	before, _ := f.change(id)
	do()
	if after, _ := f.change(id); after <= before {
		f.Errorf("%s: the change number stays %d", what, before)
	}
}

func TestDeploymentIsKeptWhole(t *testing.T) {
	f := newFixture(t)
	f.accept(push(pull(1), commit(1, "login")))
	d := f.claim(pull(1))
	want := deployments.Deployment{
		ID: 1, Environment: 1, Generation: 1, Source: commit(1, "login"), Phase: deployments.Queued,
		Subnet: netip.MustParsePrefix("10.213.0.0/27"), CreatedAt: start, State: 1,
	}
	if diff := cmp.Diff(want, d, cmp.Comparer(samePrefix)); diff != "" {
		t.Errorf("claimed (-want +got):\n%s", diff)
	}
	want.Phase, want.Source = deployments.Building, commit(2, "login")
	want.Images = []deployments.Image{{Service: "web", ID: "sha256:ab", References: []string{"shop/web:id-ab"}, Cached: true}}
	want.Plan.JSON = []byte(`{"version":1}`)
	want.Services = []deployments.ServiceState{{Name: "web", Status: "building, step 6 of 11", Host: "shop-pr-1", Answer: 200}}
	want.Timings = []deployments.Timing{{Phase: deployments.Fetching, Took: 412 * time.Millisecond}}
	f.ok(f.Save(t.Context(), want))
	if diff := cmp.Diff(want, must(f.Deployment(t.Context(), 1)), cmp.Comparer(samePrefix)); diff != "" {
		t.Errorf("saved (-want +got):\n%s", diff)
	}
	f.clock.Add(time.Minute)
	want.Phase, want.Reason, want.EndedAt = deployments.Failed, "web does not listen", start.Add(time.Minute)
	want.Fault = &deployments.Fault{Kind: deployments.FaultStart, Service: "web", Reason: "does not listen", Excerpt: []string{"bye"}}
	f.ok(f.Settle(t.Context(), want))
	if diff := cmp.Diff(want, must(f.Deployment(t.Context(), 1)), cmp.Comparer(samePrefix)); diff != "" {
		t.Errorf("settled (-want +got):\n%s", diff)
	}
	if _, err := f.Deployment(t.Context(), 2); !errors.Is(err, deployments.ErrNotFound) {
		t.Errorf("unknown deployment: %v, want ErrNotFound", err)
	}
}

func samePrefix(a, b netip.Prefix) bool { return a == b }

func TestClaimGivesEachItsSubnet(t *testing.T) {
	f := newFixture(t)
	small := netip.MustParsePrefix("10.9.0.0/26") // two networks
	for n := range 3 {
		f.accept(push(pull(n+1), commit(n, "b")))
	}
	a, b := must(f.Claim(t.Context(), 1, small, nil)), must(f.Claim(t.Context(), 2, small, nil))
	if a.Subnet == b.Subnet {
		t.Errorf("two attempts share %s", a.Subnet)
	}
	if _, err := f.Claim(t.Context(), 3, small, nil); !errors.Is(err, deployments.ErrNoSubnet) {
		t.Errorf("third claim: %v, want ErrNoSubnet", err)
	}
	if err := f.Removed(t.Context(), a.ID); err == nil {
		t.Error("an attempt that runs was recorded as removed")
	}
	a.Phase = deployments.Cancelled
	f.ok(f.Settle(t.Context(), a))
	if _, err := f.Claim(t.Context(), 3, small, nil); !errors.Is(err, deployments.ErrNoSubnet) {
		t.Errorf("claim before the cancelled one is removed: %v, want ErrNoSubnet", err)
	}
	f.ok(f.Removed(t.Context(), a.ID))
	f.ok(f.Removed(t.Context(), a.ID))
	if c := must(f.Claim(t.Context(), 3, small, nil)); c.Subnet != a.Subnet {
		t.Errorf("subnet = %s, want the freed %s", c.Subnet, a.Subnet)
	}
	if _, err := f.Claim(t.Context(), 99, small, nil); !errors.Is(err, deployments.ErrNotFound) {
		t.Errorf("claim of an unknown environment: %v, want ErrNotFound", err)
	}
}

func TestClaimEndsTheAttemptBefore(t *testing.T) {
	f := newFixture(t)
	f.accept(push(pull(1), commit(1, "login")))
	first, second := f.claim(pull(1)), f.claim(pull(1))
	if d := must(f.Deployment(t.Context(), first.ID)); d.Phase != deployments.Superseded || d.EndedAt.IsZero() {
		t.Errorf("the first is %s, want superseded", d.Phase)
	}
	if err := f.Save(t.Context(), first); !errors.Is(err, deployments.ErrSuperseded) {
		t.Errorf("Save of the first: %v, want ErrSuperseded", err)
	}
	f.ok(f.Save(t.Context(), second))
}

func TestAStaleAttemptWritesNothing(t *testing.T) {
	for _, test := range []struct {
		name  string
		write func(f *fixture, d deployments.Deployment) error
	}{
		{"Adopt", func(f *fixture, d deployments.Deployment) error {
			return f.Adopt(f.Context(), d, deployments.Head{Source: commit(7, "x"), Title: "x"})
		}},
		{"Save", func(f *fixture, d deployments.Deployment) error {
			d.Phase = deployments.Starting
			return f.Save(f.Context(), d)
		}},
		{"Switch", func(f *fixture, d deployments.Deployment) error {
			_, err := f.Switch(f.Context(), d, backends(d, "web"), start)
			return err
		}},
		{"Settle failed", func(f *fixture, d deployments.Deployment) error {
			d.Phase = deployments.Failed
			return f.Settle(f.Context(), d)
		}},
		{"Settle ready", func(f *fixture, d deployments.Deployment) error {
			d.Phase = deployments.Ready
			return f.Settle(f.Context(), d)
		}},
		{"TakeDown", func(f *fixture, d deployments.Deployment) error {
			_, err := f.TakeDown(f.Context(), d.Environment, d.Generation)
			return err
		}},
		{"TakenDown", func(f *fixture, d deployments.Deployment) error {
			return f.TakenDown(f.Context(), d.Environment, d.Generation)
		}},
		{"Postpone", func(f *fixture, d deployments.Deployment) error {
			return f.Postpone(f.Context(), d.Environment, d.Generation, start.Add(time.Hour), "for GitHub")
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t)
			f.up(pull(1), commit(1, "login"))
			f.accept(push(pull(1), commit(2, "login")))
			stale := f.claim(pull(1))
			f.accept(closed(pull(1))) // the forge takes it back
			f.accept(push(pull(1), commit(3, "login")))
			before := f.dump()
			stale.Generation = f.of(pull(1)).Generation // what the caller says of its generation does not count
			if test.name == "TakeDown" || test.name == "TakenDown" || test.name == "Postpone" {
				stale.Generation = 2
			}
			if err := test.write(f, stale); !errors.Is(err, deployments.ErrSuperseded) {
				t.Errorf("err = %v, want ErrSuperseded", err)
			}
			if diff := cmp.Diff(before, f.dump()); diff != "" {
				t.Errorf("it wrote (-before +after):\n%s", diff)
			}
		})
	}
}

func (f *fixture) dump() []string {
	f.Helper()
	return must(dump(f.reader))
}

// dump returns every row of the database.
func dump(db *sql.DB) (list []string, err error) {
	for _, table := range []string{"store", "slugs", "hosts", "environments", "deployments", "routes", "events", "deliveries", "requests"} {
		rows, err := db.Query(`SELECT * FROM ` + table)
		if err != nil {
			return nil, err
		}
		columns, err := rows.Columns()
		if err != nil {
			return nil, err
		}
		for rows.Next() {
			values, into := make([]any, len(columns)), make([]any, len(columns))
			for i := range values {
				into[i] = &values[i]
			}
			if err := rows.Scan(into...); err != nil {
				return nil, err
			}
			list = append(list, fmt.Sprintf("%s %q: %v", table, columns, values))
		}
		if err := rows.Err(); err != nil {
			return nil, err
		}
		if err := rows.Close(); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func TestAGoneEnvironmentDoesNotBecomeLive(t *testing.T) {
	f := newFixture(t)
	f.up(pull(1), commit(1, "login"))
	f.accept(closed(pull(1)))
	d := f.claim(pull(1))
	if _, err := f.Switch(t.Context(), d, backends(d, "web"), start); !errors.Is(err, deployments.ErrSuperseded) {
		t.Errorf("Switch: %v, want ErrSuperseded", err)
	}
	d.Phase = deployments.Failed
	if err := f.Settle(t.Context(), d); !errors.Is(err, deployments.ErrSuperseded) {
		t.Errorf("Settle: %v, want ErrSuperseded", err)
	}
}

func TestSwitch(t *testing.T) {
	f := newFixture(t)
	again := push(pull(1), commit(1, "login"))
	again.Force = true
	first := f.up(pull(1), commit(1, "login"))
	f.accept(again)
	f.ok(f.Postpone(t.Context(), 1, 2, start.Add(time.Second), "for the registry"))
	f.clock.Add(time.Minute)
	var second deployments.Deployment
	f.visible(pull(1), "switch", func() { second, _ = f.deploy(pull(1)) })
	e := f.of(pull(1))
	if e.Live != second.ID || e.Observed != 2 || e.Force || e.Failed || e.Failures != 0 || e.Waiting != "" || !e.NotBefore.IsZero() {
		t.Errorf("environment = %+v", e)
	}
	old, d := must(f.Deployment(t.Context(), first.Live)), must(f.Deployment(t.Context(), second.ID))
	if old.Phase != deployments.Removing || !old.RemoveAt.Equal(f.clock.Now()) || !old.EndedAt.Equal(start) {
		t.Errorf("the former is %s, to be removed at %s", old.Phase, old.RemoveAt)
	}
	if d.Phase != deployments.Ready || !d.LiveAt.Equal(f.clock.Now()) || !d.EndedAt.Equal(f.clock.Now()) {
		t.Errorf("deployment = %+v", d)
	}
	if err := f.Save(t.Context(), second); !errors.Is(err, deployments.ErrSuperseded) {
		t.Errorf("Save after Switch: %v, want ErrSuperseded", err)
	}
}

func TestSettleFailedKeepsTheOldOne(t *testing.T) {
	f := newFixture(t)
	old := f.up(pull(1), commit(1, "login"))
	routes := must(f.Routes(t.Context()))
	f.accept(push(pull(1), commit(2, "login")))
	d := f.claim(pull(1))
	d.Phase, d.Fault = deployments.Failed, &deployments.Fault{Kind: deployments.FaultBuild, Reason: "RUN npm ci exited 1"}
	f.visible(pull(1), "failure", func() { f.ok(f.Settle(t.Context(), d)) })
	e := f.of(pull(1))
	if !e.Failed || e.Observed != 2 || e.Live != old.Live {
		t.Errorf("environment = %+v, want failed, settled, the old one live", e)
	}
	if diff := cmp.Diff(routes, must(f.Routes(t.Context()))); diff != "" {
		t.Errorf("routes (-before +after):\n%s", diff)
	}
	f.up(pull(1), commit(3, "login"))
	if f.of(pull(1)).Failed {
		t.Error("still failed after a later one is live")
	}
}

func TestSettleReadyWhereTheCommitIsLive(t *testing.T) {
	f := newFixture(t)
	f.accept(push(pull(1), commit(1, "login")))
	d := f.claim(pull(1))
	d.Phase = deployments.Ready
	if err := f.Settle(t.Context(), d); err == nil {
		t.Fatal("settled as ready with nothing live")
	}
	f.deploy(pull(1))
	live := f.of(pull(1)).Live
	f.accept(push(pull(1), commit(2, "login")))
	d = f.claim(pull(1))
	d.Phase, d.Source = deployments.Ready, commit(1, "login")
	f.ok(f.Settle(t.Context(), d))
	e, stored := f.of(pull(1)), must(f.Deployment(t.Context(), d.ID))
	if e.Live != live || e.Observed != e.Generation || e.Failed {
		t.Errorf("environment = %+v", e)
	}
	if stored.Phase != deployments.Cancelled || stored.Reason != "0000001 is live already" || !stored.LiveAt.IsZero() {
		t.Errorf("attempt = %+v", stored)
	}
}

func TestSettleCancelledStaysDue(t *testing.T) {
	f := newFixture(t)
	f.accept(push(pull(1), commit(1, "login")))
	d := f.claim(pull(1))
	f.accept(push(pull(1), commit(2, "login")))
	d.Phase, d.Reason = deployments.Superseded, "superseded by 0000002"
	f.ok(f.Settle(t.Context(), d))
	if e := f.of(pull(1)); !e.Due(start) {
		t.Errorf("environment = %+v, want due", e)
	}
	if d := must(f.Deployment(t.Context(), d.ID)); d.Phase != deployments.Superseded || d.Reason != "superseded by 0000002" {
		t.Errorf("attempt = %+v", d)
	}
	live, _ := f.deploy(pull(1))
	live.Phase = deployments.Cancelled
	f.ok(f.Settle(t.Context(), live)) // the cancellation came after the switch
	if d := must(f.Deployment(t.Context(), live.ID)); d.Phase != deployments.Ready {
		t.Errorf("a live deployment became %s", d.Phase)
	}
	d.Phase = deployments.Building
	if err := f.Settle(t.Context(), d); err == nil {
		t.Error("settled as building")
	}
}

func TestPostpone(t *testing.T) {
	f := newFixture(t)
	f.accept(push(pull(1), commit(1, "login")))
	until := start.Add(time.Minute)
	f.visible(pull(1), "waiting", func() { f.ok(f.Postpone(t.Context(), 1, 1, until, "for GitHub to answer")) })
	f.ok(f.Postpone(t.Context(), 1, 1, until, "for GitHub to answer"))
	e := f.of(pull(1))
	if e.Failures != 2 || e.Due(start) || !e.Due(until) || e.Waiting != "for GitHub to answer" {
		t.Errorf("environment = %+v", e)
	}
	var d deployments.Deployment
	f.visible(pull(1), "claim", func() { d = f.claim(pull(1)) })
	if e := f.of(pull(1)); e.Waiting != "for GitHub to answer" {
		t.Errorf("environment while it is asked again = %+v, want that it still waits", e)
	}
	if diff := cmp.Diff([]string{"push 0000001", "for GitHub to answer"}, f.texts(pull(1))); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
	d.Phase = deployments.Building
	f.ok(f.Save(t.Context(), d))
	if e := f.of(pull(1)); e.Waiting != "" || e.Failures != 2 {
		t.Errorf("environment that builds = %+v, want that it waits for nothing and its failures count", e)
	}
	f.accept(push(pull(1), commit(2, "login")))
	if e := f.of(pull(1)); e.Failures != 0 || !e.Due(start) {
		t.Errorf("environment after a push = %+v, want due", e)
	}
}

func TestAdopt(t *testing.T) {
	f := newFixture(t)
	f.accept(push(pull(1), commit(1, "login")))
	d := f.claim(pull(1))
	head := deployments.Head{Open: true, Source: commit(2, "login"), Title: "Show stock"}
	f.visible(pull(1), "another commit", func() { f.ok(f.Adopt(t.Context(), d, head)) })
	e := f.of(pull(1))
	if e.Source() != head.Source || e.Title != "Show stock" || e.Generation != 1 {
		t.Errorf("environment = %+v", e)
	}
	if d := must(f.Deployment(t.Context(), d.ID)); d.Source != head.Source {
		t.Errorf("source = %v, want %v", d.Source, head.Source)
	}
	if raised := f.accept(push(pull(1), commit(2, "login"))); len(raised) != 0 {
		t.Error("the late event of an adopted commit raised the generation")
	}
	if err := f.Adopt(t.Context(), deployments.Deployment{ID: 99}, head); !errors.Is(err, deployments.ErrNotFound) {
		t.Errorf("unknown deployment: %v, want ErrNotFound", err)
	}
}

func TestSave(t *testing.T) {
	f := newFixture(t)
	f.accept(push(pull(1), commit(1, "login")))
	d := f.claim(pull(1))
	f.visible(pull(1), "phase", func() { d.Phase = deployments.Building; f.ok(f.Save(t.Context(), d)) })
	d.Services = []deployments.ServiceState{{Name: "web", Status: "building"}}
	f.visible(pull(1), "services", func() { f.ok(f.Save(t.Context(), d)) })
	before, _ := f.change(1)
	d.Plan.JSON = []byte(`{}`)
	f.ok(f.Save(t.Context(), d))
	if after, _ := f.change(1); after != before {
		t.Error("saving a plan is no change that people see")
	}
	d.Phase = deployments.Ready
	if err := f.Save(t.Context(), d); err == nil {
		t.Error("saved as ready without a switch")
	}
}

func TestInterrupt(t *testing.T) {
	f := newFixture(t)
	live := f.up(pull(1), commit(1, "login")).Live
	f.accept(push(pull(1), commit(2, "login")))
	d := f.claim(pull(1))
	f.clock.Add(time.Minute)
	f.visible(pull(1), "interrupt", func() { f.ok(f.Interrupt(t.Context(), "the process ended")) })
	stored := must(f.Deployment(t.Context(), d.ID))
	if stored.Phase != deployments.Cancelled || stored.Reason != "the process ended" || !stored.EndedAt.Equal(f.clock.Now()) {
		t.Errorf("attempt = %+v", stored)
	}
	if d := must(f.Deployment(t.Context(), live)); d.Phase != deployments.Ready {
		t.Errorf("the live one became %s", d.Phase)
	}
	if !f.of(pull(1)).Due(f.clock.Now()) {
		t.Error("the environment is not due")
	}
}

func TestClaimKeepsClearOfOccupiedNetworks(t *testing.T) {
	f := newFixture(t)
	f.accept(push(pull(1), commit(1, "stock")))
	occupied := []netip.Prefix{netip.MustParsePrefix("10.213.0.0/26"), netip.MustParsePrefix("172.17.0.0/16")}
	d := must(f.Claim(t.Context(), f.of(pull(1)).ID, netip.MustParsePrefix("10.213.0.0/16"), occupied))
	if want := "10.213.0.64/27"; d.Subnet.String() != want {
		t.Errorf("claimed %s, want %s", d.Subnet, want)
	}
}
