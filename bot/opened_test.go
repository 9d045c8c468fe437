package bot

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"vitrine/bot/githubsim"
	"vitrine/deployments"
)

// What is open is asked of every repository: branches that have an environment of their own and pull requests, as many pages as there are. What is archived or
// not served has nothing open.
func TestOpened(t *testing.T) {
	w := newWorld(t, nil)
	w.bot.config.Serves = func(repo string) bool { return repo != "acme/unserved" }
	for _, name := range []string{"acme/unserved", "acme/archived", "acme/broken", "other/thing"} {
		w.must(w.CreateRepository(t.Context(), name, true, map[string]string{".vitrine.yml": "branches: {}\n"}))
	}
	w.must(w.ArchiveRepository("acme/archived", "acme"))
	commit := func(branch, file, text string) string {
		t.Helper()
		sha, err := w.Commit(t.Context(), githubsim.Change{Repository: "acme/shop", Branch: branch, Author: "ana", Files: map[string]string{file: text}})
		w.must(err)
		return sha
	}
	commit("main", ".vitrine.yml", "branches: [main, \"release/*\"]\n")
	main := w.Branch("acme/shop", "main")
	release := commit("release/1", "x", "1")
	number, sha := w.open("a", "First")
	closed, _ := w.open("b", "x")
	w.must(w.ClosePullRequest("acme/shop", closed, "ana"))
	fork, forkSHA := w.fromFork()
	w.deliveries()

	w.smallPages()
	opened, err := w.bot.Opened(t.Context())
	w.must(err)
	byRepo := map[string]deployments.Opened{}
	for _, o := range opened {
		byRepo[o.Repo] = o
	}
	if len(opened) != 5 || len(byRepo) != 5 {
		t.Fatalf("opened %+v", opened)
	}
	for repo, cause := range map[string]string{"acme/unserved": causeUnserved, "acme/archived": skipArchived} {
		if o := byRepo[repo]; o.Cause != cause || o.Heads != nil {
			t.Errorf("%+v", o)
		}
	}
	for _, repo := range []string{"acme/broken", "other/thing"} {
		if o := byRepo[repo]; !o.BranchesUnknown || o.Heads != nil || o.Cause != "" {
			t.Errorf("%+v", o)
		}
	}
	found := map[string]string{}
	for _, h := range byRepo["acme/shop"].Heads {
		found[h.Origin.Key()] = h.Source.SHA
		if h.Source.Fork != (h.Origin == fork) || h.Source.Branch == "" || (h.Origin.PullRequest != 0) == h.SeenAt.IsZero() {
			t.Errorf("head %+v", h)
		}
	}
	want := map[string]string{"acme/shop@main": main, "acme/shop@release/1": release, origin(number).Key(): sha, fork.Key(): forkSHA}
	if len(found) != len(want) {
		t.Errorf("heads %v, want %v", found, want)
	}
	for key, sha := range want {
		if found[key] != sha {
			t.Errorf("%s at %q, want %q", key, found[key], sha)
		}
	}
}

// A repository that cannot be asked about is left out and named; the others are answered. So are the other installations.
func TestOpenedInPart(t *testing.T) {
	w := newWorld(t, nil)
	w.bot.config.Serves = func(string) bool { return true }
	w.must(w.CreateRepository(t.Context(), "acme/second", true, nil))
	w.must(w.CreateRepository(t.Context(), "other/thing", true, nil))
	repos := func() (names []string, err error) {
		opened, err := w.bot.Opened(t.Context())
		for _, o := range opened {
			names = append(names, o.Repo)
		}
		return names, err
	}
	w.refuse("/repos/acme/second/pulls", http.StatusBadGateway, nil)
	names, err := repos()
	if want := []string{"acme/shop", "other/thing"}; !slices.Equal(names, want) || err == nil || !strings.Contains(err.Error(), "acme/second") {
		t.Errorf("opened %v, %v; want %v", names, err, want)
	}
	unavailable(t, err, waitsForGitHub)
	// Of the one installation nothing is told.
	failed := false
	w.Intercept(func(rw http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/installation/repositories") || failed {
			return false
		}
		failed = true
		fail(rw, http.StatusBadGateway, "down")
		return true
	})
	names, err = repos()
	if len(names) == 0 || len(names) == 3 || err == nil {
		t.Errorf("opened %v, %v", names, err)
	}
	w.hang()
	if names, err := repos(); len(names) != 0 || err == nil {
		t.Errorf("opened %v, %v", names, err)
	}
}
