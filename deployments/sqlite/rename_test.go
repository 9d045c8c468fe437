package sqlite

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"vitrine/deployments"
)

func renamed(from, to string) deployments.Delivery {
	return deployments.Delivery{Renames: []deployments.Rename{{From: from, To: to}}}
}

// A repository's previews keep their names, hosts, history and Variables under its new name.
func TestRename(t *testing.T) {
	f := newFixture(t)
	f.up(pull(1), commit(1, "login"))
	live := must(f.Deployment(t.Context(), f.of(pull(1)).Live))
	f.ok(f.SetVariables(t.Context(), "acme/shop", map[string]string{"KEY": "value"}))
	before := must(f.EnvironmentOf(t.Context(), pull(1).Key()))
	history := f.texts(pull(1))
	_, err := f.Accept(t.Context(), renamed("ACME/Shop", "other/store"))
	f.ok(err)
	moved := deployments.Origin{Repo: "other/store", PullRequest: 1}
	after := must(f.EnvironmentOf(t.Context(), moved.Key()))
	want := before
	want.Origin = moved
	want.Sources = []deployments.Source{before.Source()}
	want.Sources[0].Repo = "other/store"
	if diff := cmp.Diff(want, after); diff != "" {
		t.Errorf("the environment (-want +got):\n%s", diff)
	}
	if d := must(f.Deployment(t.Context(), live.ID)); d.Source.Repo != "other/store" {
		t.Errorf("what is live is of %s", d.Source.Repo)
	}
	if diff := cmp.Diff(history, f.texts(moved)); diff != "" {
		t.Errorf("the history (-want +got):\n%s", diff)
	}
	if v := must(f.Variables(t.Context(), "other/store")); v["KEY"] != "value" {
		t.Errorf("the Variables are %v", v)
	}
	// The next pull request goes on under the repository's first name, and the branch's host is still the same.
	f.accept(deployments.Want{Origin: deployments.Origin{Repo: "other/store", PullRequest: 2}, Source: deployments.Source{Repo: "other/store", Branch: "x", SHA: "c"},
		Intent: deployments.Up, By: deployments.ByEvent})
	if e := must(f.EnvironmentOf(t.Context(), "other/store#2")); e.Name != "shop-pr-2" {
		t.Errorf("the next is called %s", e.Name)
	}
	if list := f.reports(); len(list) != 2 || list[0].Bookmark == "" {
		t.Errorf("the reports are %+v", list)
	}
}

// A repository that takes a name which another one had inherits nothing of it.
func TestRenameToANameThatWasTaken(t *testing.T) {
	f := newFixture(t)
	f.up(pull(1), commit(1, "login"))
	f.ok(f.SetVariables(t.Context(), "acme/shop", map[string]string{"KEY": "value"}))
	other := deployments.Origin{Repo: "acme/other", PullRequest: 1}
	f.accept(deployments.Want{Origin: other, Source: deployments.Source{Repo: "acme/other", Branch: "x", SHA: "c"}, Intent: deployments.Up, By: deployments.ByEvent})
	name := must(f.EnvironmentOf(t.Context(), other.Key())).Name
	for range 2 { // a second time there is nothing to do
		_, err := f.Accept(t.Context(), renamed("acme/other", "acme/shop"))
		f.ok(err)
		if e := must(f.EnvironmentOf(t.Context(), pull(1).Key())); e.Name != name {
			t.Fatalf("acme/shop#1 is %s, want %s", e.Name, name)
		}
		_, err = f.Accept(t.Context(), renamed("acme/shop", "acme/shop"))
		f.ok(err)
	}
	if v := must(f.Variables(t.Context(), "acme/shop")); len(v) != 0 {
		t.Errorf("it has the Variables %v", v)
	}
	old := must(f.EnvironmentNamed(t.Context(), "shop-pr-1"))
	if old.Intent != deployments.Gone || old.Origin.Repo != "acme/shop~1" {
		t.Errorf("the former one is %s, of %s", old.Intent, old.Origin.Repo)
	}
}
