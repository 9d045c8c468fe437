package sqlite

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"vitrine/deployments"
)

// owner returns whom a label is reserved for, "" for nobody.
func (f *fixture) owner(label string) (owner string) {
	f.Helper()
	f.ok(f.reader.QueryRow(`SELECT coalesce(max(owner), '') FROM hosts WHERE label = ?`, label).Scan(&owner))
	return owner
}

func TestNamesAreReserved(t *testing.T) {
	f := newFixture(t)
	other := deployments.Origin{Repo: "other/shop", PullRequest: 1}
	for _, o := range []deployments.Origin{
		pull(1), other, tracked("feature/login"), tracked("feature-login"), tracked("pr-1"), {Name: "demo"},
	} {
		f.accept(deployments.Want{Origin: o, Source: commit(1, o.Branch), Intent: deployments.Up})
	}
	for o, want := range map[deployments.Origin]string{
		pull(1):                  "shop-pr-1",
		other:                    "other-shop-pr-1",
		tracked("feature/login"): "shop-feature-login",
		tracked("feature-login"): deployments.BranchName("acme/shop", "shop", "feature-login").Fallback,
		tracked("pr-1"):          deployments.BranchName("acme/shop", "shop", "pr-1").Fallback,
		{Name: "demo"}:           "demo",
	} {
		if e := f.of(o); e.Name != want || f.owner(want) != o.Key() {
			t.Errorf("%s is called %s and owned by %s, want %s", o.Key(), e.Name, f.owner(e.Name), want)
		}
	}
}

func TestALabelIsFoundWhenTheFallbackIsTakenToo(t *testing.T) {
	f := newFixture(t)
	long := strings.Repeat("long-", 20) + "end"
	name := deployments.BranchName("acme/shop", "shop", long)
	if name.Label != name.Fallback || len(name.Label) > maxLabel {
		t.Fatalf("name = %+v, want one label for both", name)
	}
	squatter := strings.TrimPrefix(name.Fallback, "shop-") // a branch that is called like the label
	f.accept(push(tracked(squatter), commit(1, squatter)), push(tracked(long), commit(1, long)))
	first, second := f.of(tracked(squatter)).Name, f.of(tracked(long)).Name
	if first != name.Fallback || first == second || len(second) > maxLabel || !strings.HasSuffix(second, "-2") {
		t.Errorf("names = %s, %s", first, second)
	}
}

func TestCandidates(t *testing.T) {
	name := deployments.Name{Label: "a", Fallback: strings.Repeat("b", 60) + "-cc"}
	next := slices.Collect(func(yield func(string) bool) {
		for c := range candidates(name) {
			if !yield(c) {
				return
			}
			if len(c) > maxLabel || strings.HasSuffix(c, "-") || strings.Contains(c, "--") {
				t.Errorf("candidate %q is no label", c)
			}
		}
	})
	want := []string{"a", name.Fallback, strings.Repeat("b", 60) + "-2", strings.Repeat("b", 60) + "-3"}
	if diff := cmp.Diff(want, next[:4]); diff != "" {
		t.Errorf("candidates (-want +got):\n%s", diff)
	}
}

func TestReserve(t *testing.T) {
	f := newFixture(t)
	f.accept(push(deployments.Origin{Repo: "acme/api-shop", PullRequest: 1}, deployments.Source{SHA: sha(1)})) // has the label of our api
	f.accept(push(pull(1), commit(1, "login")))
	fallback := deployments.ServiceName("shop-pr-1", "api").Fallback
	for _, test := range []struct {
		services []deployments.PublicService
		want     []string
	}{
		{public("web", "api"), []string{"shop-pr-1", fallback}},
		{public("web", "api"), []string{"shop-pr-1", fallback}},
		{public("api", "web"), []string{"shop-pr-1", "web-shop-pr-1"}},
		{[]deployments.PublicService{{Name: "web"}, {Name: "api", Host: "ops"}}, []string{"shop-pr-1", "ops-shop-pr-1"}},
		{[]deployments.PublicService{{Name: "web"}, {Name: "admin", Host: "api"}, {Name: "api", Host: "backend"}}, []string{"shop-pr-1", fallback, "backend-shop-pr-1"}},
		{public("web", "api"), []string{"shop-pr-1", fallback}},
		{nil, nil},
	} {
		if diff := cmp.Diff(test.want, must(f.Reserve(t.Context(), 2, test.services))); diff != "" {
			t.Errorf("labels of %v (-want +got):\n%s", test.services, diff)
		}
	}
	if owner := f.owner("shop-login"); owner != "acme/shop@login" {
		t.Errorf("the branch's host is owned by %q", owner)
	}
}

func TestAForksBranchHasNoHost(t *testing.T) {
	f := newFixture(t)
	f.accept(push(pull(1), deployments.Source{Repo: "acme/shop", Branch: "main", SHA: sha(1), Fork: true}))
	f.deploy(pull(1))
	if owner := f.owner("shop-main"); owner != "" {
		t.Errorf("a fork reserved shop-main for %s", owner)
	}
	for _, r := range must(f.Routes(t.Context())) {
		if r.Host != "shop-pr-1.preview.test" {
			t.Errorf("a fork has the record %+v", r)
		}
	}
}

func TestHostState(t *testing.T) {
	failed := func(f *fixture) {
		d := f.claim(pull(1))
		must(f.Reserve(f.Context(), d.Environment, public("web", "api")))
		d.Phase, d.Fault = deployments.Failed, &deployments.Fault{Kind: deployments.FaultBuild, Reason: "RUN npm ci exited 1"}
		f.ok(f.Settle(f.Context(), d))
	}
	for _, test := range []struct {
		name  string
		do    func(f *fixture)
		label string
		want  deployments.HostState
	}{
		{"unknown", func(*fixture) {}, "nothing", deployments.HostState{Status: deployments.HostUnknown}},
		{"queued", func(*fixture) {}, "shop-pr-1", deployments.HostState{Status: deployments.HostBuilding, Name: "shop-pr-1", Detail: "queued"}},
		{"waiting", func(f *fixture) {
			f.ok(f.Postpone(f.Context(), 1, 1, start.Add(time.Minute), "for GitHub to answer"))
		}, "shop-pr-1", deployments.HostState{Status: deployments.HostWaiting, Name: "shop-pr-1", Detail: "for GitHub to answer"}},
		{"fetching", func(f *fixture) {
			d := f.claim(pull(1))
			d.Phase = deployments.Fetching
			f.ok(f.Save(f.Context(), d))
		}, "shop-pr-1", deployments.HostState{Status: deployments.HostBuilding, Name: "shop-pr-1", Detail: "fetching"}},
		{"building", func(f *fixture) {
			d := f.claim(pull(1))
			d.Phase = deployments.Building
			d.Services = []deployments.ServiceState{{Name: "web", Status: "building, step 6 of 11"}, {Name: "api", Status: "built, cached"}, {Name: "db"}}
			f.ok(f.Save(f.Context(), d))
		}, "shop-pr-1", deployments.HostState{
			Status: deployments.HostBuilding, Name: "shop-pr-1", Detail: "building: web building, step 6 of 11; api built, cached",
		}},
		{"failed", failed, "shop-pr-1", deployments.HostState{Status: deployments.HostFailed, Name: "shop-pr-1", Detail: "RUN npm ci exited 1"}},
		{"failed, another service", failed, "api-shop-pr-1",
			deployments.HostState{Status: deployments.HostFailed, Name: "shop-pr-1", Detail: "RUN npm ci exited 1"}},
		{"ready", func(f *fixture) { f.deploy(pull(1)) }, "shop-pr-1", deployments.HostState{Status: deployments.HostReady, Name: "shop-pr-1"}},
		{"ready by its branch", func(f *fixture) { f.deploy(pull(1)) }, "shop-login",
			deployments.HostState{Status: deployments.HostReady, Name: "shop-pr-1"}},
		{"ready while the next one builds", func(f *fixture) {
			f.deploy(pull(1))
			f.accept(push(pull(1), commit(2, "login")))
			f.claim(pull(1))
		}, "shop-pr-1", deployments.HostState{Status: deployments.HostReady, Name: "shop-pr-1"}},
		{"ready though the next one failed", func(f *fixture) {
			f.deploy(pull(1))
			f.accept(push(pull(1), commit(2, "login")))
			failed(f)
		}, "shop-pr-1", deployments.HostState{Status: deployments.HostReady, Name: "shop-pr-1"}},
		{"a service that is no more", func(f *fixture) {
			f.deploy(pull(1), "web", "api")
			f.accept(push(pull(1), commit(2, "login")))
			f.deploy(pull(1), "web")
		}, "api-shop-pr-1", deployments.HostState{Status: deployments.HostExpired, Name: "shop-pr-1", Detail: "the present version has no service here"}},
		{"skipped", func(f *fixture) {
			w := closed(pull(1))
			w.Skip = "only docs/** changed"
			f.accept(w)
		}, "shop-pr-1", deployments.HostState{Status: deployments.HostUnknown}},
		{"held", func(f *fixture) { f.ok(f.Hold(f.Context(), f.claim(pull(1)))) }, "shop-pr-1", deployments.HostState{
			Status: deployments.HostWaiting, Name: "shop-pr-1", Detail: "waits for somebody with write access to approve its code",
		}},
		{"held beside what is live", func(f *fixture) {
			f.deploy(pull(1))
			f.accept(push(pull(1), commit(2, "login")))
			f.ok(f.Hold(f.Context(), f.claim(pull(1))))
		}, "shop-pr-1", deployments.HostState{Status: deployments.HostReady, Name: "shop-pr-1"}},
		{"gone", func(f *fixture) { f.deploy(pull(1)); f.down(pull(1)) }, "shop-pr-1",
			deployments.HostState{Status: deployments.HostExpired, Name: "shop-pr-1", Detail: "pull request closed"}},
		{"gone, by its branch", func(f *fixture) { f.deploy(pull(1)); f.down(pull(1)) }, "shop-login",
			deployments.HostState{Status: deployments.HostExpired, Name: "shop-pr-1", Detail: "pull request closed"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t)
			f.accept(push(pull(1), commit(1, "login")))
			test.do(f)
			if diff := cmp.Diff(test.want, must(f.HostState(t.Context(), test.label))); diff != "" {
				t.Errorf("state (-want +got):\n%s", diff)
			}
		})
	}
}
