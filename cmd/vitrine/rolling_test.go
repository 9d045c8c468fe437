package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/websocket"

	"vitrine/bot/githubsim"
	"vitrine/cmd/internal/loopback"
	"vitrine/cmd/internal/sample"
)

const (
	rollingRepository = "acme/rolling"
	rollingPause      = 20 * time.Millisecond // between two requests: 50 a second
)

// rollingCompose is a web that asks an api of its version, and a database that keeps its data over versions.
const rollingCompose = `services:
  web: {build: ., command: [/rolling, web], ports: ["8080"], depends_on: {api: {condition: service_healthy}, db: {condition: service_healthy}}}
  api: {build: ., command: [/rolling, api], expose: ["8080"], healthcheck: {test: [CMD, /rolling, check]}}
  db:
    image: DB_IMAGE
    command: [/vitrine, db]
    volumes: ["data:/data"]
    healthcheck: {test: [CMD, /vitrine, check]}
volumes: {data: {}}
`

// files returns those of the repository at first.
func (r *rolling) files(binary string) map[string]string {
	return map[string]string{
		"compose.yaml": r.compose,
		"Dockerfile":   "FROM " + r.base + "\nCOPY --chmod=755 rolling /rolling\nCOPY version /version\n",
		"rolling":      binary,
		"version":      "v0\n",
	}
}

// A rolling is a preview that is visited while versions are pushed.
type rolling struct {
	*world
	compose string // the compose file at first
	client  *http.Client
	served  atomic.Int64 // requests that were answered as they should be
}

func TestRollingPushes(t *testing.T) {
	t.Parallel() // it waits for most of its time
	rollingPushes(t, 3)
}

func TestSoakRollingPushes(t *testing.T) {
	t.Parallel() // it waits for most of its time
	rollingPushes(t, 10)
}

// rollingPushes holds that while versions are pushed one after the other no visitor's request fails, each answer is of one version throughout, the database
// keeps its data, and a websocket ends only with its version; and that after /reset the same commit has fresh data.
func rollingPushes(t *testing.T, pushes int) {
	r := newRolling(t)
	r.start()
	number, err := r.openRolling()
	r.must(err)
	r.put("kept")

	ctx, leave := context.WithCancel(t.Context())
	var visitors sync.WaitGroup
	visitors.Go(func() { r.visit(ctx) })
	visitors.Go(func() { r.listen(ctx) })
	for version := range pushes {
		r.push(2 + version)
		r.eventually("the version is served", func() bool { return r.version() == fmt.Sprint("v", 2+version) })
	}
	leave()
	visitors.Wait()
	if least := int64(pushes * 20); r.served.Load() < least {
		t.Errorf("%d requests were answered, want %d at least", r.served.Load(), least)
	}
	id, err := r.github.Comment(rollingRepository, number, sample.Developer, "/reset")
	r.must(err)
	r.eventually("the data is fresh", func() bool { return strings.HasSuffix(r.page(), " empty") })
	if got, want := r.page(), fmt.Sprintf("v%d v%[1]d empty", 1+pushes); got != want {
		t.Errorf("after /reset it answers %q, want %q", got, want)
	}
	r.eventually("the command is answered", func() bool {
		comments, err := r.github.Comments(rollingRepository, number)
		r.must(err)
		return slices.ContainsFunc(comments, func(c githubsim.Comment) bool {
			return c.ID == id && slices.ContainsFunc(c.Reactions, func(reaction githubsim.Reaction) bool { return reaction.Content == "rocket" })
		})
	})
}

func newRolling(t *testing.T) *rolling {
	t.Helper()
	// The database is an image that is there, as people have it: one that is built is another whenever BuildKit has forgotten it.
	database := "vitrine-test-" + randomName() + ":db"
	r := &rolling{
		world:   newWorld(t, "VITRINE_TRUSTED_IMAGES=vitrine-test-*"),
		compose: strings.Replace(rollingCompose, "DB_IMAGE", database, 1),
		client:  &http.Client{Transport: loopback.Transport(), Timeout: 10 * time.Second},
	}
	t.Cleanup(r.client.CloseIdleConnections)
	binary := testProgram(t, "rolling")
	path := filepath.Join(t.TempDir(), "rolling")
	r.must(os.WriteFile(path, []byte(binary), 0o700))
	b := r.builder()
	defer b.Close()
	r.must(sample.ImportBinary(t.Context(), b, path, database))
	r.imported = append(r.imported, database)
	r.must(r.github.CreateRepository(t.Context(), rollingRepository, false, r.files(binary)))
	r.must(r.github.SetPermission(rollingRepository, sample.Developer, "write"))
	return r
}

// testProgram returns one of testdata as a binary for containers.
func testProgram(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	command := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, "./testdata/"+name)
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v: %s", name, err, out)
	}
	binary, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(binary)
}

// openRolling opens a pull request and waits for its preview.
func (r *rolling) openRolling() (int, error) {
	r.push(1)
	number, err := r.github.OpenPullRequest(r.Context(), githubsim.PullRequest{
		Repository: rollingRepository, Head: "topic", Title: "Roll on", Author: sample.Developer,
	})
	r.eventually("the preview is up", func() bool { return r.page() == "v1 v1 empty" })
	return number, err
}

func (r *rolling) push(version int) {
	_, err := r.github.Commit(r.Context(), githubsim.Change{
		Repository: rollingRepository, Branch: "topic", Author: sample.Developer, Files: map[string]string{"version": fmt.Sprintf("v%d\n", version)},
	})
	r.must(err)
}

func (r *rolling) url(path string) string {
	return fmt.Sprintf("http://rolling-pr-1.preview.localhost:%d%s", r.port, path)
}

func (r *rolling) put(row string) {
	r.Helper()
	request, err := http.NewRequestWithContext(r.Context(), http.MethodPut, r.url("/row"), strings.NewReader(row))
	r.must(err)
	response, err := r.client.Do(request)
	r.must(err)
	r.must(response.Body.Close())
	if response.StatusCode != http.StatusOK {
		r.Fatalf("PUT /row: %s", response.Status)
	}
}

// page returns what the preview answers, "" for anything but 200.
func (r *rolling) page() string {
	text, err := r.get(r.Context())
	if err != nil {
		return ""
	}
	return text
}

func (r *rolling) version() string {
	version, _, _ := strings.Cut(r.page(), " ")
	return version
}

func (r *rolling) get(ctx context.Context) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url("/"), nil)
	if err != nil {
		return "", err
	}
	response, err := r.client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", response.Status, text)
	}
	return string(text), err
}

// visit sends requests until ctx is done, each in its time whatever becomes of the one before.
func (r *rolling) visit(ctx context.Context) {
	var under sync.WaitGroup
	defer under.Wait()
	tick := time.NewTicker(rollingPause)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			under.Go(func() { r.once(ctx) })
		}
	}
}

// once sends a request, which has to be answered by one version throughout.
func (r *rolling) once(ctx context.Context) {
	text, err := r.get(context.WithoutCancel(ctx))
	parts := strings.Fields(text)
	switch {
	case err != nil:
		r.Errorf("a request failed: %v", err)
	case len(parts) != 3 || parts[0] != parts[1] || parts[2] != "kept":
		r.Errorf("a request was answered %q, want twice the same version and the data", text)
	default:
		r.served.Add(1)
	}
}

// listen keeps a websocket open, and opens it again where its version was replaced, until ctx is done.
func (r *rolling) listen(ctx context.Context) {
	for ctx.Err() == nil {
		version, err := r.socket(ctx)
		switch {
		case ctx.Err() != nil:
		case version == "":
			r.Errorf("no websocket: %v", err)
			return
		case r.version() == version:
			r.Errorf("the websocket of %s ended while that is served: %v", version, err)
		}
	}
}

// socket sends on one websocket until it ends, and returns the version that was at the other end.
func (r *rolling) socket(ctx context.Context) (version string, err error) {
	config, err := websocket.NewConfig(strings.Replace(r.url("/socket"), "http:", "ws:", 1), r.url("/"))
	if err != nil {
		return "", err
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", r.port))
	if err != nil {
		return "", err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	ws, err := websocket.NewClient(config, conn)
	if err != nil {
		return "", err
	}
	if err := websocket.Message.Receive(ws, &version); err != nil {
		return "", err
	}
	tick := time.NewTicker(rollingPause)
	defer tick.Stop()
	for range tick.C {
		echo := ""
		if err := websocket.Message.Send(ws, version); err != nil {
			return version, err
		}
		if err := websocket.Message.Receive(ws, &echo); err != nil || echo != version {
			return version, fmt.Errorf("got %q back: %w", echo, err)
		}
	}
	return version, nil
}
