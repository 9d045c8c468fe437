package sqlite

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"vitrine/deployments"
)

// table puts records as "shop-pr-1 -> shop-pr-1 [http://...]" with the labels alone, so that a test can hold them against what it expects.
func table(routes []deployments.Route) (lines []string) {
	for _, r := range routes {
		label := strings.TrimSuffix(r.Host, ".preview.test")
		switch {
		case r.Removed:
			lines = append(lines, label+" removed")
		case len(r.Backends) == 0:
			lines = append(lines, fmt.Sprintf("%s -> %s lobby", label, r.Identifier))
		default:
			lines = append(lines, fmt.Sprintf("%s -> %s %s", label, r.Identifier, strings.Join(r.Backends, " ")))
		}
	}
	return lines
}

// wantTable holds records against lines of table.
func (f *fixture) wantTable(what string, routes []deployments.Route, want ...string) {
	f.Helper()
	if diff := cmp.Diff(want, table(routes)); diff != "" {
		f.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// lobby points the environment of an origin at the lobby.
func (f *fixture) lobby(o deployments.Origin) []deployments.Route {
	f.Helper()
	return must(f.Lobby(f.Context(), f.of(o).ID))
}

func TestRoutesOfAPullRequest(t *testing.T) {
	f := newFixture(t)
	f.accept(push(pull(1), commit(1, "login")))
	f.wantTable("at first", f.lobby(pull(1)), "shop-pr-1 -> shop-pr-1 lobby")
	must(f.Reserve(t.Context(), 1, public("web", "api")))
	first := f.lobby(pull(1))
	f.wantTable("reserved", first, "shop-pr-1 -> shop-pr-1 lobby", "api-shop-pr-1 -> shop-pr-1 lobby", "shop-login -> shop-pr-1 lobby")
	if diff := cmp.Diff(first, f.lobby(pull(1))); diff != "" {
		t.Errorf("a second time (-first +second):\n%s", diff)
	}

	_, routes := f.deploy(pull(1), "web", "api")
	live := []string{
		"shop-pr-1 -> shop-pr-1 http://10.213.0.2:8080", "api-shop-pr-1 -> shop-pr-1 http://10.213.0.3:8080",
		"shop-login -> shop-pr-1 http://10.213.0.2:8080",
	}
	f.wantTable("switched", routes, live...)
	for i, r := range routes {
		if r.Revision <= first[i].Revision {
			t.Errorf("revision of %s = %d, was %d", r.Host, r.Revision, first[i].Revision)
		}
	}
	f.accept(push(pull(1), commit(2, "login")))
	f.wantTable("while the next one builds", f.lobby(pull(1)))

	_, routes = f.deploy(pull(1), "web", "admin")
	f.wantTable("other services", routes, "shop-pr-1 -> shop-pr-1 http://10.213.0.34:8080",
		"admin-shop-pr-1 -> shop-pr-1 http://10.213.0.35:8080", "api-shop-pr-1 removed", "shop-login -> shop-pr-1 http://10.213.0.34:8080")
	f.wantTable("gone", f.down(pull(1)), "shop-pr-1 removed", "admin-shop-pr-1 removed", "api-shop-pr-1 removed", "shop-login removed")
	f.wantTable("lobby of what is gone", f.lobby(pull(1)))
	f.accept(push(pull(1), commit(3, "login")))
	f.wantTable("reopened", f.lobby(pull(1)), "shop-pr-1 -> shop-pr-1 lobby", "admin-shop-pr-1 -> shop-pr-1 lobby", "shop-login -> shop-pr-1 lobby")
}

func TestSwitchRefusesAServiceWithoutAHost(t *testing.T) {
	f := newFixture(t)
	f.accept(push(pull(1), commit(1, "login")))
	d := f.claim(pull(1))
	before := f.dump()
	if _, err := f.Switch(t.Context(), d, backends(d, "web"), start); err == nil {
		t.Error("switched to a service that has no host")
	}
	if diff := cmp.Diff(before, f.dump()); diff != "" {
		t.Errorf("it wrote (-before +after):\n%s", diff)
	}
}

func TestTheOldestPullRequestHasTheBranchsHost(t *testing.T) {
	f := newFixture(t)
	f.up(pull(2), commit(1, "login"))
	f.wantTable("alone", must(f.Routes(t.Context())),
		"shop-login -> shop-pr-2 http://10.213.0.2:8080", "shop-pr-2 -> shop-pr-2 http://10.213.0.2:8080")
	f.accept(push(pull(1), commit(1, "login")))
	d := f.claim(pull(1))
	must(f.Reserve(t.Context(), d.Environment, public("web")))
	f.wantTable("an older one builds", f.lobby(pull(1)), "shop-pr-1 -> shop-pr-1 lobby")
	f.accept(push(pull(2), commit(2, "login")))
	_, routes := f.deploy(pull(2))
	f.wantTable("and the newer one is live again first", routes,
		"shop-pr-2 -> shop-pr-2 http://10.213.0.66:8080", "shop-login -> shop-pr-2 http://10.213.0.66:8080")
	f.reportAll()
	f.wantTable("it is live", must(f.Switch(t.Context(), d, backends(d, "web"), start)),
		"shop-pr-1 -> shop-pr-1 http://10.213.0.34:8080", "shop-login -> shop-pr-1 http://10.213.0.34:8080")
	bookmarks := make(map[string]string)
	for _, r := range f.reports() {
		bookmarks[r.Environment.Name] = r.Bookmark
	}
	if diff := cmp.Diff(map[string]string{"shop-pr-1": "shop-login", "shop-pr-2": ""}, bookmarks); diff != "" {
		t.Errorf("bookmarks to be reported (-want +got):\n%s", diff)
	}
	_, routes = f.deploy(pull(2)) // a new version of the one that does not have it
	f.wantTable("the newer one again", routes, "shop-pr-2 -> shop-pr-2 http://10.213.0.98:8080", "shop-login -> shop-pr-1 http://10.213.0.34:8080")
	f.wantTable("the older one is closed", f.down(pull(1)), "shop-pr-1 removed", "shop-login -> shop-pr-2 http://10.213.0.98:8080")
	f.wantTable("both are closed", f.down(pull(2)), "shop-pr-2 removed", "shop-login removed")
}

func TestTheTrackedBranchHasItsHost(t *testing.T) {
	f := newFixture(t)
	f.up(pull(1), commit(1, "main"))
	f.accept(push(tracked("main"), commit(1, "main")))
	if name := f.of(tracked("main")).Name; name != "shop-main" {
		t.Fatalf("name = %s, want the host of the branch", name)
	}
	f.wantTable("while it builds, the pull request has it", f.lobby(tracked("main")))
	_, routes := f.deploy(tracked("main"), "web", "api")
	f.wantTable("live", routes, "shop-main -> shop-main http://10.213.0.34:8080", "api-shop-main -> shop-main http://10.213.0.35:8080")
	f.accept(push(pull(1), commit(2, "main")))
	_, routes = f.deploy(pull(1))
	f.wantTable("the pull request again", routes, "shop-pr-1 -> shop-pr-1 http://10.213.0.66:8080", "shop-main -> shop-main http://10.213.0.34:8080")
	f.wantTable("gone", f.down(tracked("main")), "shop-main -> shop-pr-1 http://10.213.0.66:8080", "api-shop-main removed")
	f.accept(push(tracked("main"), commit(3, "main")))
	_, routes = f.deploy(tracked("main"))
	f.wantTable("back", routes, "shop-main -> shop-main http://10.213.0.98:8080", "api-shop-main removed")
	f.wantTable("the pull request is closed", f.down(pull(1)), "shop-pr-1 removed", "shop-main -> shop-main http://10.213.0.98:8080")
}

func TestABranchThatComesBackBeforeItIsTakenDownKeepsItsHost(t *testing.T) {
	f := newFixture(t)
	f.up(tracked("main"), commit(1, "main"))
	f.accept(closed(tracked("main")))
	f.accept(push(pull(1), commit(1, "main")))
	_, routes := f.deploy(pull(1))
	f.wantTable("on its way out", routes, "shop-pr-1 -> shop-pr-1 http://10.213.0.34:8080", "shop-main -> shop-main http://10.213.0.2:8080")
	f.accept(push(tracked("main"), commit(1, "main")), push(pull(1), commit(2, "main")))
	_, routes = f.deploy(pull(1))
	f.wantTable("back", routes, "shop-pr-1 -> shop-pr-1 http://10.213.0.66:8080", "shop-main -> shop-main http://10.213.0.2:8080")
}

func TestAPullRequestOfAnotherBranchGivesTheHostBack(t *testing.T) {
	f := newFixture(t)
	f.up(pull(1), commit(1, "login"))
	f.up(pull(2), commit(1, "login"))
	f.accept(push(pull(1), commit(2, "signin"))) // the branch was renamed
	_, routes := f.deploy(pull(1))
	f.wantTable("renamed", routes, "shop-pr-1 -> shop-pr-1 http://10.213.0.66:8080",
		"shop-login -> shop-pr-2 http://10.213.0.34:8080", "shop-signin -> shop-pr-1 http://10.213.0.66:8080")
}
