package builder

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"
	"go.uber.org/goleak"

	"vitrine/builder/registry"
	"vitrine/deployments"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if code == 0 {
		code = leaked()
	}
	os.Exit(code)
}

// leaked waits for goroutines to end. BuildKit's client leaves one for three seconds after a build; an application of distribution has one that
// nothing ends.
func leaked() int {
	var err error
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		err = goleak.Find(goleak.IgnoreTopFunction("github.com/docker/go-events.(*Broadcaster).run"))
		if err == nil {
			return 0
		}
	}
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// needEngine skips the test where no engine is asked for.
func needEngine(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a Docker engine")
	}
}

func random() string {
	var b [4]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// A workshop is a builder with an engine, a registry and a trusted base image of its own.
type workshop struct {
	*Builder
	t      *testing.T
	engine *client.Client
	base   string // a trusted image that holds /tool
}

func newWorkshop(t *testing.T) *workshop {
	t.Helper()
	needEngine(t)
	engine, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	check(t, err)
	t.Cleanup(func() { check(t, engine.Close()) })
	r, err := registry.Start(t.Context(), registry.Config{Root: filepath.Join(t.TempDir(), "registry"), Listen: "127.0.0.1:0"})
	check(t, err)
	t.Cleanup(func() { check(t, r.Close()) })
	id := random()
	w := &workshop{t: t, engine: engine, base: "vt-base-" + id + ":1"}
	w.Builder = newBuilder(t, Config{
		Instance: "test" + id,
		Registry: r.Addr(),
		Rule:     deployments.ImageRule{Trusted: []string{"vt-base-" + id + ":*"}},
	})
	w.importImage(w.base)
	t.Cleanup(w.sweep)
	return w
}

// newBuilder returns a builder on folders of the test's own.
func newBuilder(t *testing.T, c Config) *Builder {
	t.Helper()
	c.DataDir = t.TempDir()
	c.AllowFiles = true
	if c.Registry == "" {
		c.Registry, c.Instance = "127.0.0.1:1", "test"
	}
	b, err := New(c)
	check(t, err)
	t.Cleanup(func() { check(t, b.Close()) })
	return b
}

// sweep removes what the test left on the engine. By then nothing should be, but for the tags that a test wanted.
func (w *workshop) sweep() {
	ctx := context.Background()
	images, err := w.engine.ImageList(ctx, image.ListOptions{})
	check(w.t, err)
	for _, i := range images {
		for _, tag := range i.RepoTags {
			if strings.Contains(tag, w.prefix) {
				_, err := w.engine.ImageRemove(ctx, tag, image.RemoveOptions{PruneChildren: true})
				check(w.t, err)
			}
		}
	}
}

// importImage puts an image that holds /tool on the engine, for the test's time.
func (w *workshop) importImage(name string) {
	w.t.Helper()
	var layer bytes.Buffer
	tw := tar.NewWriter(&layer)
	check(w.t, tw.WriteHeader(&tar.Header{Name: "tool", Mode: 0o755, Size: int64(len(tool()))}))
	_, err := tw.Write(tool())
	check(w.t, err)
	check(w.t, tw.Close())
	answer, err := w.engine.ImageImport(w.t.Context(), image.ImportSource{Source: &layer, SourceName: "-"}, name, image.ImportOptions{
		Changes: []string{`LABEL vt.test=` + name},
	})
	check(w.t, err)
	_, err = io.Copy(io.Discard, answer)
	check(w.t, err)
	check(w.t, answer.Close())
	w.t.Cleanup(func() {
		_, err := w.engine.ImageRemove(context.Background(), name, image.RemoveOptions{})
		check(w.t, err)
	})
}

// tool compiles the program in testdata, once.
var tool = sync.OnceValue(func() []byte {
	dir, err := os.MkdirTemp("", "vt-tool-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", filepath.Join(dir, "tool"), "./testdata/tool")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		panic(fmt.Sprintf("%v: %s", err, out))
	}
	b, err := os.ReadFile(filepath.Join(dir, "tool"))
	if err != nil {
		panic(err)
	}
	return b
})

// request asks for images of the files given.
func (w *workshop) request(files map[string]string, builds ...deployments.Build) deployments.BuildRequest {
	w.t.Helper()
	dir := w.t.TempDir()
	writeFiles(w.t, dir, files)
	return deployments.BuildRequest{
		Environment: "shop-pr-42",
		Source:      deployments.Source{Repo: "acme/shop", Branch: "main", SHA: strings.Repeat("3f2a91c0", 5)},
		Dir:         dir,
		Builds:      builds,
	}
}

func writeFiles(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		check(t, os.MkdirAll(filepath.Dir(path), 0o755))
		if target, ok := strings.CutPrefix(text, "-> "); ok {
			check(t, os.Symlink(target, path))
			continue
		}
		check(t, os.WriteFile(path, []byte(text), 0o644))
	}
}

// web is a build of the whole checkout.
var web = deployments.Build{Service: "web", Context: "."}

// fault fails the test unless err is one of the kind.
func fault(t *testing.T, err error, kind deployments.FaultKind) *deployments.Fault {
	t.Helper()
	f := deployments.FaultOf(err)
	if f == nil || f.Kind != kind {
		t.Fatalf("got %v, want a fault of the kind %q", err, kind)
	}
	return f
}

// unavailable fails the test unless err waits for the neighbour.
func unavailable(t *testing.T, err error, neighbour string) {
	t.Helper()
	var u *deployments.Unavailable
	if !errors.As(err, &u) || u.Neighbour != neighbour || deployments.FaultOf(err) != nil {
		t.Errorf("got %v (%+v), want to wait for %q", err, u, neighbour)
	}
}

// normal returns the full name of an image, as the frontend passes it on.
func normal(image string) string {
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		panic(err)
	}
	return named.String()
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// buffer is a bytes.Buffer for several goroutines.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// An origin is a repository that tests push to.
type origin struct {
	t   *testing.T
	dir string // bare
}

func newOrigin(t *testing.T) *origin {
	t.Helper()
	o := &origin{t: t, dir: filepath.Join(t.TempDir(), "acme", "shop.git")}
	check(t, os.MkdirAll(o.dir, 0o755))
	o.git("init", "--quiet", "--bare", "--initial-branch=main")
	return o
}

// git runs a command in the origin and returns what it prints.
func (o *origin) git(args ...string) string {
	o.t.Helper()
	return o.gitWith(nil, args...)
}

func (o *origin) gitWith(env []string, args ...string) string {
	o.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = o.dir
	cmd.Env = append(append(os.Environ(), "GIT_DIR="+o.dir, "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@shop.test", "GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=ada@shop.test"), env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		o.t.Fatalf("git %v: %v: %s", args, err, stderr.String())
	}
	return strings.TrimSpace(string(out))
}

// commit puts the files on a reference and returns the commit. A file with the text "-> x" is a symbolic link.
func (o *origin) commit(ref string, files map[string]string) string {
	o.t.Helper()
	tree := o.t.TempDir()
	writeFiles(o.t, tree, files)
	env := []string{"GIT_WORK_TREE=" + tree, "GIT_INDEX_FILE=" + filepath.Join(o.t.TempDir(), "index")}
	o.gitWith(env, "add", "--all", "--force", ".")
	sha := o.git("commit-tree", "-m", ref, o.gitWith(env, "write-tree"))
	o.git("update-ref", ref, sha)
	return sha
}

func (o *origin) file() deployments.Remote { return deployments.Remote{URL: "file://" + o.dir} }

// serve serves the origin over git's smart HTTP and returns its address; seen is called with every request, and answers 401 where it returns false.
func (o *origin) serve(seen func(*http.Request) bool) deployments.Remote {
	o.t.Helper()
	server := httptest.NewServer(o.handler(seen))
	o.t.Cleanup(server.Close)
	return deployments.Remote{URL: server.URL + "/acme/shop.git"}
}

// handler is what serve serves.
func (o *origin) handler(seen func(*http.Request) bool) http.Handler {
	o.t.Helper()
	out, err := exec.Command("git", "--exec-path").Output()
	check(o.t, err)
	backend := &cgi.Handler{
		Path:       filepath.Join(strings.TrimSpace(string(out)), "git-http-backend"),
		Env:        []string{"GIT_PROJECT_ROOT=" + filepath.Dir(filepath.Dir(o.dir)), "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_GLOBAL=/dev/null"},
		InheritEnv: []string{"PATH"},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !seen(r) {
			w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if p := r.Header.Get("Git-Protocol"); p != "" {
			h := *backend
			h.Env = append(h.Env[:len(h.Env):len(h.Env)], "GIT_PROTOCOL="+p)
			h.ServeHTTP(w, r)
			return
		}
		backend.ServeHTTP(w, r)
	})
}

// redirectTo serves redirects to another server.
func redirectTo(t *testing.T, address string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, address+strings.TrimPrefix(r.URL.Path, "/x")+"?"+r.URL.RawQuery, http.StatusFound)
	}))
	t.Cleanup(server.Close)
	return server.URL + "/x"
}
