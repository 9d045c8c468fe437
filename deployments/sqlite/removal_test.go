package sqlite

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"vitrine/deployments"
)

func (f *fixture) owned() (ids []int64) {
	f.Helper()
	for _, d := range must(f.Owned(f.Context())) {
		ids = append(ids, d.ID)
	}
	return ids
}

func TestTakeDown(t *testing.T) {
	f := newFixture(t)
	e := f.up(pull(1), commit(1, "login"), "web", "api")
	if _, err := f.TakeDown(t.Context(), e.ID, e.Generation); err == nil {
		t.Error("took down what is wanted up")
	}
	f.accept(closed(pull(1)))
	f.clock.Add(time.Minute)
	var routes []deployments.Route
	f.visible(pull(1), "take down", func() { routes = must(f.TakeDown(t.Context(), e.ID, 2)) })
	var hosts []string
	for _, r := range routes {
		hosts = append(hosts, r.Host)
		if !r.Removed || len(r.Backends) != 0 {
			t.Errorf("record = %+v, want removed", r)
		}
	}
	want := []string{"shop-pr-1.preview.test", "api-shop-pr-1.preview.test", "shop-login.preview.test"}
	if diff := cmp.Diff(want, hosts); diff != "" {
		t.Errorf("hosts (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(routes, must(f.TakeDown(t.Context(), e.ID, 2))); diff != "" {
		t.Errorf("a second time (-first +second):\n%s", diff)
	}
	if slices.ContainsFunc(must(f.Routes(t.Context())), func(r deployments.Route) bool { return !r.Removed }) {
		t.Errorf("a host still has a record")
	}
	d := must(f.Deployment(t.Context(), e.Live))
	if d.Phase != deployments.Removing || !d.RemoveAt.Equal(f.clock.Now()) {
		t.Errorf("deployment = %+v", d)
	}
	if e := f.of(pull(1)); e.Live != 0 || e.Observed != 1 {
		t.Errorf("environment = %+v, want that nothing is live and the generation is not observed yet", e)
	}
	f.visible(pull(1), "taken down", func() { f.ok(f.TakenDown(t.Context(), e.ID, 2)) })
	if e := f.of(pull(1)); e.Observed != 2 {
		t.Errorf("observed = %d, want 2", e.Observed)
	}
}

func TestTakeDownEndsAnAttemptThatWasNotSettled(t *testing.T) {
	f := newFixture(t)
	f.accept(push(pull(1), commit(1, "login")))
	d := f.claim(pull(1))
	f.down(pull(1))
	f.ok(f.Removed(t.Context(), d.ID))
	if d := must(f.Deployment(t.Context(), d.ID)); d.Phase != deployments.Superseded || d.Reason != "pull request closed" {
		t.Errorf("attempt = %+v", d)
	}
}

func TestTakenDownIsNoLongerFailed(t *testing.T) {
	f := newFixture(t)
	f.accept(push(pull(1), commit(1, "login")))
	d := f.claim(pull(1))
	d.Phase = deployments.Failed
	f.ok(f.Settle(t.Context(), d))
	f.down(pull(1))
	if f.of(pull(1)).Failed {
		t.Error("an environment that is gone has failed")
	}
}

func TestOwnedUntilRemoved(t *testing.T) {
	f := newFixture(t)
	f.up(pull(1), commit(1, "login"))
	f.accept(push(pull(1), commit(2, "login")))
	failed := f.claim(pull(1))
	failed.Phase = deployments.Failed
	f.ok(f.Settle(t.Context(), failed))
	f.up(pull(1), commit(3, "login"))
	if diff := cmp.Diff([]int64{1, 2, 3}, f.owned()); diff != "" {
		t.Errorf("owned (-want +got):\n%s", diff)
	}
	if err := f.Removed(t.Context(), 3); err == nil {
		t.Error("the live deployment was recorded as removed")
	}
	f.ok(f.Removed(t.Context(), 1))
	f.ok(f.Removed(t.Context(), 2))
	if diff := cmp.Diff([]int64{3}, f.owned()); diff != "" {
		t.Errorf("owned (-want +got):\n%s", diff)
	}
	for id, want := range map[int64]deployments.Phase{1: deployments.PhaseGone, 2: deployments.Failed, 3: deployments.Ready} {
		if d := must(f.Deployment(t.Context(), id)); d.Phase != want {
			t.Errorf("deployment %d is %s, want %s", id, d.Phase, want)
		}
	}
}

func TestUnreferenced(t *testing.T) {
	f := newFixture(t)
	for n, references := range [][]string{{"web:id-a", "web:pr-1"}, {"web:id-a", "web:pr-2"}} {
		o := pull(n + 1)
		f.accept(push(o, commit(n, "b")))
		d := f.claim(o)
		d.Images = []deployments.Image{{Service: "web", References: references}}
		f.ok(f.Save(t.Context(), d))
		d.Phase = deployments.Cancelled
		f.ok(f.Settle(t.Context(), d))
	}
	all := []string{"web:id-a", "web:pr-1", "stray"}
	if diff := cmp.Diff([]string{"web:pr-1", "stray"}, must(f.Unreferenced(t.Context(), 1, all))); diff != "" {
		t.Errorf("while another has it (-want +got):\n%s", diff)
	}
	f.ok(f.Removed(t.Context(), 2))
	if diff := cmp.Diff(all, must(f.Unreferenced(t.Context(), 1, all))); diff != "" {
		t.Errorf("afterwards (-want +got):\n%s", diff)
	}
}
