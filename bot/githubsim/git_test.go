package githubsim

import (
	"context"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// gitClient runs git as people and the builder do, apart from this machine's configuration, and returns its output.
func gitClient(t *testing.T, dir string, args ...string) (string, error) {
	t.Helper()
	return gitClientUntil(t, dir, time.Minute, args...)
}

func gitClientUntil(t *testing.T, dir string, most time.Duration, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), most)
	defer cancel()
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir, cmd.WaitDelay = dir, time.Second
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0", "LC_ALL=C",
		"GIT_AUTHOR_NAME=ana", "GIT_AUTHOR_EMAIL=ana@users.noreply.localhost", "GIT_COMMITTER_NAME=ana", "GIT_COMMITTER_EMAIL=ana@users.noreply.localhost",
	}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func mustGit(t *testing.T, dir string, args ...string) string {
	t.Helper()
	out, err := gitClient(t, dir, args...)
	if err != nil {
		t.Fatalf("git %v: %v: %s", args, err, out)
	}
	return out
}

// as returns the address of a repository with somebody's password in it.
func (w *world) as(login, password, repo string) string {
	u, err := url.Parse(w.url + "/" + repo)
	w.ok(err)
	u.User = url.UserPassword(login, password)
	return u.String()
}

func TestCloneChangePush(t *testing.T) {
	w := newWorld(t, false)
	number, _ := w.propose("stock")
	w.hooked()
	dir := filepath.Join(t.TempDir(), "shop")
	mustGit(t, "", "clone", "--quiet", w.url+"/acme/shop.git", dir)
	mustGit(t, dir, "switch", "--quiet", "stock")
	if err := os.WriteFile(filepath.Join(dir, "web/index.html"), []byte("<h1>Bestand</h1>\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	mustGit(t, dir, "commit", "--quiet", "--all", "--message", "German label")
	if out, err := gitClient(t, dir, "push", "origin", "stock"); err == nil || !strings.Contains(out, "terminal prompts disabled") {
		t.Errorf("pushed without a password: %s", out)
	}
	mustGit(t, dir, "push", "--quiet", w.as("ana", "demo", "acme/shop.git"), "stock")
	sha := strings.TrimSpace(mustGit(t, dir, "rev-parse", "HEAD"))
	got := w.hooked()
	if diff := cmp.Diff([]string{"push", "pull_request synchronize"}, names(got)); diff != "" {
		t.Fatal(diff)
	}
	if got[1].payload["after"] != sha || dig(got[0].payload, "pusher", "name") != "ana" || got[0].payload["forced"] != false {
		t.Errorf("pushed %v", got[0].payload)
	}
	if p, err := w.PullRequest("acme/shop", number); err != nil || p.HeadSHA != sha {
		t.Errorf("the pull request is at %s, %v; want %s", p.HeadSHA, err, sha)
	}

	mustGit(t, dir, "commit", "--quiet", "--amend", "--message", "Other label")
	mustGit(t, dir, "push", "--quiet", "--force", w.as("ben", "demo", "acme/shop"), "stock", "HEAD:refs/tags/v1", "HEAD:refs/heads/other")
	got = w.hooked()
	if diff := cmp.Diff([]string{"push", "push", "pull_request synchronize", "push"}, names(got)); diff != "" {
		t.Fatal(diff)
	}
	if got[1].payload["forced"] != true || got[0].payload["created"] != true {
		t.Errorf("pushed %v", got)
	}
	mustGit(t, dir, "push", "--quiet", w.as("ana", "demo", "acme/shop.git"), ":stock", ":refs/tags/v1")
	if diff := cmp.Diff([]string{"push", "delete", "pull_request closed", "push", "delete"}, names(w.hooked())); diff != "" {
		t.Error(diff)
	}
}

func TestFetchByCommitAndByPullRequest(t *testing.T) {
	w := newWorld(t, false)
	_, sha := w.propose("stock")
	w.ok(w.DeleteBranch(t.Context(), "acme/shop", "stock", "ana"))
	dir := t.TempDir()
	mustGit(t, dir, "init", "--quiet", "--bare", "--initial-branch=main")
	for _, what := range []string{sha, "refs/pull/1/head"} {
		mustGit(t, dir, "fetch", "--quiet", "--depth=1", w.url+"/acme/shop.git", what)
		if got := strings.TrimSpace(mustGit(t, dir, "rev-parse", "FETCH_HEAD")); got != sha {
			t.Errorf("fetched %s for %s, want %s", got, what, sha)
		}
	}
}

func TestWhoMayReadAndPush(t *testing.T) {
	w := newWorld(t, false)
	w.ok(w.CreateRepository(t.Context(), "acme/secret", true, map[string]string{"a": "b"}))
	w.ok(w.SetPermission("acme/secret", "ben", "read"))
	w.ok(w.CreateRepository(t.Context(), "globex/vault", true, nil))
	token, _ := w.newToken("")
	few, _ := w.newToken(`{"permissions":{"issues":"read"}}`)
	for _, c := range []struct {
		who, address string
		reads        bool
		says         string // of a push, that is always refused
	}{
		{"nobody, public", w.url + "/acme/shop.git", true, "terminal prompts disabled"},
		{"a stranger, public", w.as("mallory", "demo", "acme/shop.git"), true, "denied to mallory"},
		{"a wrong password", w.as("ana", "wrong", "acme/shop.git"), true, "Authentication failed"},
		{"a bot without password", w.as("vitrine[bot]", "", "acme/secret.git"), false, "Authentication failed"},
		{"nobody, private", w.url + "/acme/secret.git", false, "terminal prompts disabled"},
		{"a stranger, private", w.as("mallory", "demo", "acme/secret.git"), false, "not found"},
		{"a reader", w.as("ben", "demo", "acme/secret.git"), true, "denied to ben"},
		{"a token", w.as("x-access-token", token, "acme/secret.git"), true, "denied to vitrine[bot]"},
		{"a token without contents", w.as("x-access-token", few, "acme/secret.git"), false, "not found"},
		{"another account's token", w.as("x-access-token", token, "globex/vault.git"), false, "not found"},
		{"a wrong token", w.as("x-access-token", "ghs_x", "acme/secret.git"), false, "Authentication failed"},
		{"nothing there", w.as("ana", "demo", "acme/none.git"), false, "not found"},
	} {
		dir := filepath.Join(t.TempDir(), "clone")
		out, err := gitClient(t, "", "clone", "--quiet", c.address, dir)
		if (err == nil) != c.reads {
			t.Errorf("%s: clone: %v: %s", c.who, err, out)
		}
		own := t.TempDir()
		mustGit(t, own, "init", "--quiet", "--initial-branch=x")
		mustGit(t, own, "commit", "--quiet", "--allow-empty", "--message", "x")
		if out, err := gitClient(t, own, "push", c.address, "x"); err == nil || !strings.Contains(out, c.says) {
			t.Errorf("%s: push: %v: %s; want %q", c.who, err, out, c.says)
		}
	}
}

// TestBigPush sends more than git puts into one request with a length: it comes in chunks.
func TestBigPush(t *testing.T) {
	w := newWorld(t, false)
	dir := filepath.Join(t.TempDir(), "shop")
	mustGit(t, "", "clone", "--quiet", w.url+"/acme/shop.git", dir)
	noise := make([]byte, 3<<20)
	state := uint32(1)
	for i := range noise {
		state = state*1664525 + 1013904223
		noise[i] = byte(state >> 24)
	}
	if err := os.WriteFile(filepath.Join(dir, "noise"), noise, 0o600); err != nil {
		t.Fatal(err)
	}
	mustGit(t, dir, "add", "noise")
	mustGit(t, dir, "commit", "--quiet", "--message", "Noise")
	mustGit(t, dir, "push", "--quiet", w.as("ana", "demo", "acme/shop.git"), "main")
	if got, want := w.Branch("acme/shop", "main"), strings.TrimSpace(mustGit(t, dir, "rev-parse", "HEAD")); got != want {
		t.Errorf("main is at %s, want %s", got, want)
	}
}

func TestPullRefsAreNotPushable(t *testing.T) {
	w := newWorld(t, false)
	w.propose("stock")
	dir := filepath.Join(t.TempDir(), "shop")
	mustGit(t, "", "clone", "--quiet", w.url+"/acme/shop.git", dir)
	if out, err := gitClient(t, dir, "push", w.as("ana", "demo", "acme/shop.git"), "HEAD:refs/pull/1/head"); err == nil {
		t.Errorf("pushed to refs/pull: %s", out)
	}
}

func TestOldProtocolIsRefused(t *testing.T) {
	w := newWorld(t, false)
	for _, path := range []string{"/acme/shop.git/info/refs", "/acme/shop.git/info/refs?service=git-upload-archive"} {
		if status := w.get(path); status != 403 {
			t.Errorf("%s answered %d, want 403", path, status)
		}
	}
	for _, path := range []string{"/acme/shop.git/HEAD", "/acme/shop.git/config", "/acme/shop.git/objects/info/packs"} {
		if status := w.get(path); status != 404 {
			t.Errorf("%s answered %d, want 404", path, status)
		}
	}
}
