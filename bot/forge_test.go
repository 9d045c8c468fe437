package bot

import (
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"vitrine/bot/githubsim"
	"vitrine/bot/internal/show/showtest"
	"vitrine/deployments"
)

func (w *world) head(o deployments.Origin) deployments.Head {
	w.t.Helper()
	h, err := w.bot.Head(w.t.Context(), o)
	w.must(err)
	return h
}

func TestHeadOfAPullRequest(t *testing.T) {
	w := newWorld(t, nil)
	number, sha := w.open("feature/login", "Login")
	want := deployments.Head{Open: true, Title: "Login", Source: deployments.Source{Repo: "acme/shop", Branch: "feature/login", SHA: sha}}
	if diff := cmp.Diff(want, w.head(origin(number))); diff != "" {
		t.Errorf("open (-want +got)\n%s", diff)
	}

	sha, err := w.Commit(t.Context(), githubsim.Change{Repository: "acme/shop", Branch: "feature/login", Author: "ana", Files: map[string]string{"x": "2"}})
	w.must(err)
	if got := w.head(origin(number)).Source.SHA; got != sha {
		t.Errorf("after a push, the head is %s, want %s", got, sha)
	}

	w.must(w.ClosePullRequest("acme/shop", number, "ana"))
	if h := w.head(origin(number)); h.Open {
		t.Errorf("closed: %+v", h)
	}
	if n := w.requests.count("GET", "/acme/shop/installation"); n != 1 {
		t.Errorf("asked %d times for the installation", n)
	}
	if h := w.head(origin(99)); h.Open {
		t.Errorf("none: %+v", h)
	}
	if h := w.head(deployments.Origin{Repo: "acme/none", PullRequest: 1}); h.Open {
		t.Errorf("not installed: %+v", h)
	}
	if n := w.requests.count("POST", "/access_tokens"); n != 1 {
		t.Errorf("asked for %d tokens", n)
	}
}

func TestHeadSkips(t *testing.T) {
	w := newWorld(t, nil)
	number, _ := w.open("a", "Later [SKIP preview]")
	if h := w.head(origin(number)); h.Skip != skipTitle || !h.Open {
		t.Errorf("skipped by its title: %+v", h)
	}

	fork, err := w.Fork(t.Context(), "acme/shop", "mallory")
	w.must(err)
	_, err = w.Commit(t.Context(), githubsim.Change{Repository: fork, Branch: "b", Author: "mallory", Files: map[string]string{"x": "y"}})
	w.must(err)
	number, err = w.OpenPullRequest(t.Context(), githubsim.PullRequest{Repository: "acme/shop", Head: "mallory:b", Title: "x", Author: "mallory"})
	w.must(err)
	if h := w.head(origin(number)); h.Skip != "" || !h.Open {
		t.Errorf("from a fork: %+v", h)
	}
	for _, d := range w.deliveries() {
		for _, want := range d.Wants {
			if want.Origin == origin(number) && !want.Source.Fork {
				t.Errorf("%s of a fork wants %+v", d.Event, want)
			}
		}
	}
}

func TestHeadOfABranch(t *testing.T) {
	w := newWorld(t, nil)
	branch := deployments.Origin{Repo: "acme/shop", Branch: "release/1"}
	commit := func(branch, file, content string) string {
		sha, err := w.Commit(t.Context(), githubsim.Change{Repository: "acme/shop", Branch: branch, Author: "ana", Files: map[string]string{file: content}})
		w.must(err)
		return sha
	}
	sha := commit("release/1", "x", "1")
	if h := w.head(branch); h.Open {
		t.Errorf("without a configuration: %+v", h)
	}
	commit("main", ".vitrine.yml", "branches: [\"release/*\"]\n")
	want := deployments.Head{Open: true, Source: deployments.Source{Repo: "acme/shop", Branch: "release/1", SHA: sha}}
	if diff := cmp.Diff(want, w.head(branch)); diff != "" {
		t.Errorf("tracked (-want +got)\n%s", diff)
	}
	for _, name := range []string{"release/2", "..", "main"} {
		if h := w.head(deployments.Origin{Repo: "acme/shop", Branch: name}); h.Open {
			t.Errorf("%s: %+v", name, h)
		}
	}
	commit("main", ".vitrine.yml", "branches: {\n")
	if h := w.head(branch); !h.Open {
		t.Error("a configuration that cannot be read takes the branch down")
	}
	commit("main", ".vitrine.yml", "branches: [main]\n")
	if h := w.head(branch); h.Open {
		t.Errorf("not tracked any more: %+v", h)
	}
	commit("main", ".vitrine.yml", "branches: [\"release/*\"]\n")
	w.must(w.DeleteBranch(t.Context(), "acme/shop", "release/1", "ana"))
	if h := w.head(branch); h.Open {
		t.Errorf("deleted: %+v", h)
	}
}

func TestRemote(t *testing.T) {
	w := newWorld(t, map[string]string{"contents": "read", "pull_requests": "write", "issues": "write"})
	remote, err := w.bot.Remote(t.Context(), "acme/shop")
	w.must(err)
	if remote.URL != w.url+"/acme/shop.git" || remote.Token == "" {
		t.Fatalf("%+v", remote)
	}
	git := exec.CommandContext(t.Context(), "git", "-c", "http.extraHeader=Authorization: Basic "+basic("x-access-token", remote.Token),
		"ls-remote", "--heads", "--end-of-options", remote.URL)
	git.Env = append(git.Environ(), "GIT_TERMINAL_PROMPT=0", "GIT_CONFIG_GLOBAL=/dev/null")
	if out, err := git.CombinedOutput(); err != nil || !strings.Contains(string(out), "refs/heads/main") {
		t.Errorf("git ls-remote: %v\n%s", err, out)
	}

	// The token reads contents, and nothing else.
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.url+"/api/v3/repos/acme/shop/pulls", nil)
	w.must(err)
	r.Header.Set("Authorization", "token "+remote.Token)
	answer, err := w.bot.config.Transport.RoundTrip(r)
	w.must(err)
	w.must(answer.Body.Close())
	if answer.StatusCode != http.StatusForbidden {
		t.Errorf("with the token for git, pull requests are answered %d", answer.StatusCode)
	}

	again, err := w.bot.Remote(t.Context(), "acme/shop")
	w.must(err)
	if again != remote {
		t.Error("a fresh token, though the last one is valid for an hour")
	}
	w.pass(51 * time.Minute)
	if again, err = w.bot.Remote(t.Context(), "acme/shop"); err != nil || again.Token == remote.Token {
		t.Errorf("the token has nine minutes left, and is given again (%v)", err)
	}
	if _, err := w.bot.Remote(t.Context(), "acme/none"); err == nil || !strings.Contains(err.Error(), "not installed") {
		t.Errorf("not installed: %v", err)
	}
	if _, err := w.bot.Remote(t.Context(), "../x"); err == nil {
		t.Error("a remote of ../x")
	}
}

// An App that was taken away and installed anew has another installation, which is asked for again.
func TestInstalledAnew(t *testing.T) {
	w := newWorld(t, nil)
	number, _ := w.open("a", "x")
	w.bot.apps.repos["acme/shop"] = w.InstallationID("acme") + 1000
	_, err := w.bot.Head(t.Context(), origin(number))
	unavailable(t, err, waitsForPermission)
	if h := w.head(origin(number)); !h.Open {
		t.Errorf("%+v", h)
	}
}

func TestNewRefuses(t *testing.T) {
	good := Config{AppID: 1, PrivateKey: testPEM(t), WebhookSecret: "s", TTL: time.Hour, MaxTTL: time.Hour, PreviewURL: showtest.PreviewURL, States: states{}}
	if _, err := New(good); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*Config){
		"id is missing":              func(c *Config) { c.AppID = 0 },
		"private key is missing":     func(c *Config) { c.PrivateKey = nil },
		"read the App's private key": func(c *Config) { c.PrivateKey = []byte("x") },
		"secret is missing":          func(c *Config) { c.WebhookSecret = "" },
		`"github.com" is no http`:    func(c *Config) { c.URL = "github.com" },
		`"ftp://x" is no http`:       func(c *Config) { c.APIURL = "ftp://x" },
		"ttl is not above zero":      func(c *Config) { c.TTL = 0 },
		"longest ttl is below":       func(c *Config) { c.MaxTTL = time.Minute },
		"previews have no address":   func(c *Config) { c.PreviewURL = nil },
		"no records to read":         func(c *Config) { c.States = nil },
	} {
		c := good
		change(&c)
		if _, err := New(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func basic(user, password string) string {
	r := http.Request{Header: http.Header{}}
	r.SetBasicAuth(user, password)
	_, encoded, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return encoded
}
