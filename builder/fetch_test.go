package builder

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"vitrine/deployments"
)

func shop(sha string) deployments.Source {
	return deployments.Source{Repo: "acme/shop", Branch: "main", SHA: sha}
}

var fromMain = deployments.Origin{Repo: "acme/shop", Branch: "main"}

// files returns what is in a checkout; links as "-> target".
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	got := map[string]string{}
	check(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if d.Type()&fs.ModeSymlink != 0 {
			target, err := os.Readlink(path)
			got[name] = "-> " + target
			return err
		}
		text, err := os.ReadFile(path)
		got[name] = string(text)
		return err
	}))
	return got
}

func TestFetchChecksOutTheCommit(t *testing.T) {
	o, b := newOrigin(t), newBuilder(t, Config{})
	want := map[string]string{"web/main.go": "package main", "README": "one", "away": "-> /etc/passwd", "near": "-> README", ".gitattributes": "README export-ignore\n"}
	first := o.commit("refs/heads/main", want)
	o.commit("refs/heads/main", map[string]string{"README": "two"})

	c, err := b.Fetch(t.Context(), o.file(), fromMain, shop(first))
	check(t, err)
	if diff := cmp.Diff(want, files(t, c.Dir)); diff != "" {
		t.Error(diff)
	}
	if !filepath.IsAbs(c.Dir) {
		t.Errorf("%s is not absolute", c.Dir)
	}
	check(t, c.Close())
	left, err := os.ReadDir(b.config.CheckoutDir)
	check(t, err)
	if len(left) > 0 {
		t.Errorf("after Close there is %v", left)
	}
}

func TestFetchOfACommitThatIsHereAsksNobody(t *testing.T) {
	o, b := newOrigin(t), newBuilder(t, Config{})
	sha := o.commit("refs/heads/main", map[string]string{"a": "1"})
	for range 2 {
		c, err := b.Fetch(t.Context(), o.file(), fromMain, shop(sha))
		check(t, err)
		check(t, c.Close())
		check(t, os.RemoveAll(o.dir))
	}
}

func TestFetchSideBySide(t *testing.T) {
	o, b := newOrigin(t), newBuilder(t, Config{})
	var shas []string
	for _, text := range []string{"1", "2", "3", "4", "5", "6"} {
		shas = append(shas, o.commit("refs/heads/b"+text, map[string]string{"a": text}))
	}
	var group errgroup.Group
	for i, sha := range append(shas, shas...) {
		group.Go(func() error {
			from := deployments.Origin{Repo: "acme/shop", PullRequest: 1 + i%3}
			c, err := b.Fetch(t.Context(), o.file(), from, shop(sha))
			if err != nil {
				return err
			}
			text, err := os.ReadFile(filepath.Join(c.Dir, "a"))
			if want := string(rune('1' + i%6)); err == nil && string(text) != want {
				err = errors.New("got " + string(text) + ", want " + want)
			}
			return errors.Join(err, c.Close())
		})
	}
	check(t, group.Wait())
}

func TestFetchAcrossAKilledOne(t *testing.T) {
	o, b := newOrigin(t), newBuilder(t, Config{})
	for i, name := range []string{"shallow.lock", "packed-refs.lock", "objects/pack/tmp_pack_x", "refs/vitrine/" + hashOf(fromMain.Key()) + ".lock"} {
		sha := o.commit("refs/heads/main", map[string]string{"a": name})
		if i > 0 {
			writeFiles(t, b.mirrorOf("acme/shop").path, map[string]string{name: ""})
		}
		c, err := b.Fetch(t.Context(), o.file(), fromMain, shop(sha))
		check(t, err)
		check(t, c.Close())
	}
}

func TestFetchOfAMissingCommit(t *testing.T) {
	absent := strings.Repeat("0123456789", 4)
	branches := []string{
		"main", "--upload-pack=touch pwned", "a;b", "../x", "a:b", "*", "^main", "", "ветка/вход", strings.Repeat("x", 200),
		"refs/heads/main", "a b", "$(touch pwned)", "-c", "main\nmain",
	}
	for _, branch := range branches {
		t.Run(branch, func(t *testing.T) {
			o, b := newOrigin(t), newBuilder(t, Config{})
			o.commit("refs/heads/main", map[string]string{"a": "1"})
			for _, from := range []deployments.Origin{{Repo: "acme/shop", Branch: branch}, {Repo: "acme/shop", PullRequest: 7}} {
				_, err := b.Fetch(t.Context(), o.file(), from, deployments.Source{Repo: "acme/shop", Branch: branch, SHA: absent})
				fault(t, err, deployments.FaultFetch)
			}
			for _, dir := range []string{o.dir, b.config.DataDir, mirrorsIn(b.config.DataDir), "."} {
				if _, err := os.Stat(filepath.Join(dir, "pwned")); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("the branch's name was run in %s", dir)
				}
			}
		})
	}
}

func TestFetchByBranchesOfAnyName(t *testing.T) {
	for _, branch := range []string{"--upload-pack=x", "a;b", "ветка/вход", strings.Repeat("x", 200), "$(x)"} {
		t.Run(branch, func(t *testing.T) {
			o, b := newOrigin(t), newBuilder(t, Config{})
			sha := o.commit("refs/heads/"+branch, map[string]string{"a": "1"})
			m := b.mirrorOf("acme/shop")
			g := b.git(m)
			check(t, m.open(t.Context(), g))
			ref := fallbackRef(t.Context(), g, fromMain, deployments.Source{Branch: branch})
			check(t, g.fetch(t.Context(), o.file().URL, ref, "refs/vitrine/x"))
			if !g.has(t.Context(), sha) {
				t.Error("the branch's commit is not in the mirror")
			}
		})
	}
}

// Under the first version of git's protocol a server gives no commit that none of its references names.
func TestFetchFromAnOlderServer(t *testing.T) {
	o, b := newOrigin(t), newBuilder(t, Config{})
	sha := o.commit("refs/pull/7/head", map[string]string{"a": "1"})
	old := o.serve(func(r *http.Request) bool { r.Header.Del("Git-Protocol"); return true })
	o.git("config", "uploadpack.hideRefs", "refs/pull")
	_, err := b.Fetch(t.Context(), old, deployments.Origin{Repo: "acme/shop", PullRequest: 7}, shop(sha))
	fault(t, err, deployments.FaultFetch)
	o.git("config", "--unset", "uploadpack.hideRefs")
	c, err := b.Fetch(t.Context(), old, deployments.Origin{Repo: "acme/shop", PullRequest: 7}, shop(sha))
	check(t, err)
	check(t, c.Close())
}

func TestFetchRefusesWhatIsNoCommit(t *testing.T) {
	b := newBuilder(t, Config{})
	for _, sha := range []string{"", "HEAD", "main", "--help", strings.Repeat("A", 40), strings.Repeat("a", 39), strings.Repeat("a", 40) + "\n"} {
		_, err := b.Fetch(t.Context(), deployments.Remote{URL: "file:///nowhere"}, fromMain, shop(sha))
		fault(t, err, deployments.FaultFetch)
	}
}

func TestFetchRefusesRemotes(t *testing.T) {
	b := newBuilder(t, Config{})
	for _, address := range []string{
		"ssh://git@127.0.0.1/x", "ext::touch pwned", "/tmp", "http://u:p@127.0.0.1/x", "--upload-pack=x", "git://127.0.0.1/x", "http://", "::",
	} {
		_, err := b.Fetch(t.Context(), deployments.Remote{URL: address}, fromMain, shop(strings.Repeat("a", 40)))
		if err == nil || deployments.FaultOf(err) != nil {
			t.Errorf("%s: got %v, want an error that is ours", address, err)
		}
	}
}

func TestFetchFromAnAbsentServerIsOurs(t *testing.T) {
	b := newBuilder(t, Config{})
	_, err := b.Fetch(t.Context(), deployments.Remote{URL: "http://127.0.0.1:1/x", Token: "sesame"}, fromMain, shop(strings.Repeat("a", 40)))
	unavailable(t, err, waitsForGitHub)
}

func TestFetchSendsTheTokenAndKeepsItToItself(t *testing.T) {
	const token = "ghs_sesame"
	o, b := newOrigin(t), newBuilder(t, Config{})
	sha := o.commit("refs/heads/main", map[string]string{"a": "1"})
	r := o.serve(func(r *http.Request) bool {
		user, password, _ := r.BasicAuth()
		return user == "x-access-token" && password == token
	})
	_, err := b.Fetch(t.Context(), r, fromMain, shop(sha))
	unavailable(t, err, waitsForGitHub)
	r.Token = token
	// A name that this machine's resolver need not know.
	r.URL = strings.Replace(r.URL, "127.0.0.1", "github.shop.localhost", 1)
	c, err := b.Fetch(t.Context(), r, fromMain, shop(sha))
	check(t, err)
	check(t, c.Close())
	for name, text := range files(t, b.config.DataDir) {
		if strings.Contains(text, token) {
			t.Errorf("%s holds the token", name)
		}
	}
}

func TestFetchDoesNotFollowRedirects(t *testing.T) {
	o, b := newOrigin(t), newBuilder(t, Config{})
	sha := o.commit("refs/heads/main", map[string]string{"a": "1"})
	var mu sync.Mutex
	asked := 0
	target := o.serve(func(*http.Request) bool { mu.Lock(); defer mu.Unlock(); asked++; return true })
	redirect := redirectTo(t, target.URL)
	_, err := b.Fetch(t.Context(), deployments.Remote{URL: redirect, Token: "sesame"}, fromMain, shop(sha))
	if err == nil || asked > 0 {
		t.Errorf("got %v after %d requests elsewhere, want an error and none", err, asked)
	}
}

func TestFetchStopsWithItsContext(t *testing.T) {
	b := newBuilder(t, Config{})
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("superseded")
	o := newOrigin(t)
	asked := make(chan struct{})
	release := make(chan struct{})
	var once sync.Once
	r := o.serve(func(*http.Request) bool { once.Do(func() { close(asked) }); <-release; return false })
	t.Cleanup(func() { close(release) }) // before the server closes
	done := make(chan error, 1)
	go func() {
		_, err := b.Fetch(ctx, r, fromMain, shop(strings.Repeat("a", 40)))
		done <- err
	}()
	<-asked
	cancel(cause)
	if err := <-done; !errors.Is(err, cause) {
		t.Errorf("got %v, want %v", err, cause)
	}
}

func TestNewRemovesFormerCheckouts(t *testing.T) {
	dir := t.TempDir()
	writeFiles(t, dir, map[string]string{"checkouts/checkout-1/tree/a": "1", "checkouts/keep": "1"})
	b, err := New(Config{DataDir: dir, Instance: "x", Registry: "127.0.0.1:1"})
	check(t, err)
	defer b.Close()
	if diff := cmp.Diff(map[string]string{"keep": "1"}, files(t, filepath.Join(dir, "checkouts"))); diff != "" {
		t.Error(diff)
	}
}
