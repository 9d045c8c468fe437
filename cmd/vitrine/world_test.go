package main

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"vitrine/bot"
	"vitrine/bot/githubsim"
	"vitrine/bot/githubsim/conformance"
	"vitrine/builder"
	"vitrine/cmd/internal/loopback"
	"vitrine/cmd/internal/sample"
	"vitrine/deploy/docker"
)

// patience bounds whatever a test waits for.
const patience = 2 * time.Minute

// binary returns the path of the vitrine command, built once for all tests as `make build` does.
var binary = sync.OnceValues(func() (string, error) { return build(".", "CGO_ENABLED=0", "-trimpath") })

// shopBinary returns that of the small command that is /vitrine in the containers: what it does, vitrine does as well, but takes many times as long to start.
var shopBinary = sync.OnceValues(func() (string, error) { return build("./testdata/shop", "CGO_ENABLED=0", "-trimpath") })

// serveBinary returns the one that serve runs from: with the race detector where the tests have it, which no static binary can have.
var serveBinary = sync.OnceValues(func() (string, error) {
	if raceEnabled {
		return build(".", "CGO_ENABLED=1", "-race", "-gcflags=modernc.org/sqlite/lib=-race=false", "-gcflags=modernc.org/libc/...=-race=false",
			"-gcflags=modernc.org/memory=-race=false") // as the Makefile has it
	}
	return binary()
})

func build(command, env string, flags ...string) (string, error) {
	dir, err := os.MkdirTemp("", "vitrine-test-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "vitrine")
	building := exec.Command("go", append(append([]string{"build"}, flags...), "-o", path, command)...)
	building.Env = append(os.Environ(), env)
	if out, err := building.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w: %s", command, err, out)
	}
	return path, nil
}

// A world is a simulated GitHub and a `vitrine serve` in a process of its own, which may be killed and started again.
type world struct {
	*testing.T
	neighbours
	github   *githubsim.Server
	web      string
	base     string   // the image that repositories may build on: the shop binary, as /vitrine
	imported []string // further images, removed at the end
	port     int
	registry string
	data     string
	env      []string
	logs     string // the file that serve writes to
	static   bool   // serve runs from the static binary also under the race detector

	process *exec.Cmd
	exited  chan error
}

// newWorld makes a world whose serve was not started yet. extra are further VITRINE_ variables.
func newWorld(t *testing.T, extra ...string) *world {
	t.Helper()
	return newWorldBeside(t, neighbours{}, extra...)
}

// newWorldBeside makes a world that has neighbours of its own.
func newWorldBeside(t *testing.T, n neighbours, extra ...string) *world {
	t.Helper()
	w := newWorldOn(t, n, func(w *world) (*githubsim.Server, error) {
		return sample.NewGithub(w.web, w.TempDir(), w.webhookURL(), "secret")
	})
	key := filepath.Join(t.TempDir(), "app.pem")
	w.must(os.WriteFile(key, w.github.PrivateKeyPEM(), 0o600))
	w.env = append(append(w.env, fmt.Sprintf("VITRINE_GITHUB_APP_ID=%d", sample.App), "VITRINE_GITHUB_PRIVATE_KEY_FILE="+key,
		"VITRINE_GITHUB_WEBHOOK_SECRET=secret"), extra...)
	return w
}

// newWorldOn makes a world on a simulated GitHub, whose serve knows of no App.
func newWorldOn(t *testing.T, n neighbours, github func(*world) (*githubsim.Server, error)) *world {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a Docker engine")
	}
	w := &world{
		T: t, neighbours: n, base: "vitrine-test-" + randomName() + ":base", port: freePort(t), registry: fmt.Sprintf("127.0.0.1:%d", freePort(t)),
		data: filepath.Join(n.folder(t), "data"), logs: filepath.Join(t.TempDir(), "serve.log"),
	}
	w.openGithub(github)
	w.env = append([]string{
		fmt.Sprintf("VITRINE_LISTEN=127.0.0.1:%d", w.port), "VITRINE_DATA=" + w.data, "VITRINE_REGISTRY_LISTEN=" + w.registry,
		"VITRINE_TRUSTED_IMAGES=" + w.base, "VITRINE_SUBNETS=" + somePool().String(), "VITRINE_FIREWALL=off",
		"VITRINE_GITHUB_URL=" + w.web, "VITRINE_GITHUB_API_URL=" + w.web + "/api/v3/",
	}, n.env()...)
	t.Cleanup(w.clean)
	path, err := shopBinary()
	w.must(err)
	b := w.builder()
	defer b.Close()
	w.must(sample.ImportBinary(t.Context(), b, path, w.base))
	w.must(sample.Cast(t.Context(), w.github, w.base))
	return w
}

func (w *world) openGithub(open func(*world) (*githubsim.Server, error)) {
	var handler http.Handler
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { handler.ServeHTTP(rw, r) }))
	w.Cleanup(server.Close)
	w.web = server.URL
	var err error
	w.github, err = open(w)
	w.must(err)
	w.Cleanup(func() { w.must(w.github.Close()) })
	handler = conformance.Conform(w.T, w.github)
}

// webhookURL is where GitHub sends webhooks.
func (w *world) webhookURL() string {
	return fmt.Sprintf("http://127.0.0.1:%d%s", w.port, bot.WebhookPath)
}

// start starts serve and waits until it answers.
func (w *world) start() {
	w.Helper()
	path, err := serveBinary()
	if w.static {
		path, err = binary()
	}
	w.must(err)
	log, err := os.OpenFile(w.logs, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	w.must(err)
	defer log.Close()
	w.process = exec.Command(path, "serve")
	w.process.Env = append(os.Environ(), w.env...)
	w.process.Stdout, w.process.Stderr = log, log
	w.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	w.must(w.process.Start())
	w.exited = make(chan error, 1)
	go func(p *exec.Cmd, exited chan<- error) { exited <- p.Wait() }(w.process, w.exited)
	health := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	w.eventually("serve answers", func() bool {
		response, err := health.Get(fmt.Sprintf("http://127.0.0.1:%d/healthz", w.port))
		if err != nil {
			return false
		}
		response.Body.Close()
		return response.StatusCode == http.StatusOK
	})
}

// kill ends serve as kill -9 does.
func (w *world) kill() {
	w.Helper()
	w.must(w.process.Process.Kill())
	<-w.exited
	w.process = nil
}

// stop asks serve to end and expects that it does so without an error.
func (w *world) stop() {
	w.Helper()
	w.must(w.process.Process.Signal(syscall.SIGTERM))
	select {
	case err := <-w.exited:
		w.process = nil
		w.must(err)
	case <-time.After(patience):
		w.Fatal("serve did not end after SIGTERM")
	}
}

// vitrine runs a command beside serve, with serve's settings, and returns what it printed.
func (w *world) vitrine(args ...string) string {
	w.Helper()
	path, err := binary()
	w.must(err)
	command := exec.CommandContext(w.Context(), path, args...)
	command.Env = append(os.Environ(), w.env...)
	out, err := command.CombinedOutput()
	if err != nil {
		w.Fatalf("vitrine %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func (w *world) story() *story {
	client := &http.Client{Transport: loopback.Transport()}
	w.Cleanup(client.CloseIdleConnections)
	return &story{
		github: w.github, web: w.web, base: w.base,
		link:   func(label string) string { return fmt.Sprintf("http://%s.preview.localhost:%d", label, w.port) },
		client: client,
		say:    w.Logf,
		left:   w.left,
	}
}

// A webhook is one delivery as GitHub sends it.
type webhook struct {
	guid, event string
	body        []byte
}

// post sends a webhook to serve, signed, and returns the answer.
func (w *world) post(ctx context.Context, client *http.Client, h webhook) (status int, text string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, fmt.Sprintf("http://127.0.0.1:%d%s", w.port, bot.WebhookPath), bytes.NewReader(h.body))
	if err != nil {
		return 0, "", err
	}
	for name, value := range map[string]string{
		"Content-Type": "application/json", "X-GitHub-Event": h.event, "X-GitHub-Delivery": h.guid, "X-Hub-Signature-256": sign(string(h.body), "secret"),
	} {
		request.Header.Set(name, value)
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	return response.StatusCode, strings.TrimSpace(string(answer)), err
}

// query reads one value from serve's database, which another process has open; the zero value where there is no row yet.
func query[T any](w *world, text string, args ...any) (value T) {
	w.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(w.data, "vitrine.db")+"?mode=ro&_pragma=busy_timeout(5000)")
	w.must(err)
	defer db.Close()
	if err := db.QueryRow(text, args...).Scan(&value); err != nil && !errors.Is(err, sql.ErrNoRows) {
		w.Fatal(err)
	}
	return value
}

// left lists what serve has on the engine and in the registry's tags on it.
func (w *world) left(ctx context.Context) ([]string, error) {
	r, err := docker.New(docker.Config{Host: w.dockerHost(), Instance: w.instance()})
	if err != nil {
		return nil, err
	}
	defer r.Close()
	objects, err := r.Objects(ctx)
	if err != nil || w.process == nil {
		return objects, err
	}
	b := w.builder()
	defer b.Close()
	references, err := b.References(ctx)
	for _, reference := range references {
		objects = append(objects, "image "+reference)
	}
	return objects, err
}

func (w *world) instance() string { return query[string](w, `SELECT instance FROM store`) }

// builder returns one that sees serve's images.
func (w *world) builder() *builder.Builder {
	w.Helper()
	instance := "none"
	if _, err := os.Stat(filepath.Join(w.data, "vitrine.db")); err == nil {
		instance = w.instance()
	}
	b, err := builder.New(builder.Config{DataDir: w.TempDir(), DockerHost: w.dockerHost(), Instance: instance, Registry: w.registry, Log: slog.New(slog.DiscardHandler)})
	w.must(err)
	return b
}

// clean stops serve and removes everything of it from the engine.
func (w *world) clean() {
	ctx := context.Background()
	if w.process != nil {
		// What the engine is just making for a serve that is killed would come into being after the removal below.
		w.process.Process.Signal(syscall.SIGTERM)
		select {
		case <-w.exited:
		case <-time.After(patience):
			w.process.Process.Kill()
			<-w.exited
		}
	}
	log, err := os.ReadFile(w.logs)
	if err == nil && bytes.Contains(log, []byte("DATA RACE")) {
		w.Error("serve has a data race")
	}
	if w.Failed() {
		w.Logf("serve said:\n%s", log)
	}
	if w.engine != nil {
		return // it is removed as a whole
	}
	b := w.builder()
	defer b.Close()
	if _, err := os.Stat(filepath.Join(w.data, "vitrine.db")); err == nil {
		r, err := docker.New(docker.Config{Instance: w.instance()})
		w.must(err)
		defer r.Close()
		there, err := r.Inventory(ctx)
		w.must(err)
		for _, id := range there.Deployments {
			w.must(r.Down(ctx, id))
		}
		for _, id := range there.States {
			w.must(r.Clear(ctx, id))
		}
		images := w.openRegistry()
		defer images.Close()
		references, err := b.References(ctx)
		w.must(err)
		w.must(b.Remove(ctx, references))
	}
	for _, name := range append(w.imported, w.base) {
		w.must(b.RemoveImported(ctx, name))
	}
}

// eventually waits until done says so.
func (w *world) eventually(what string, done func() bool) {
	w.Helper()
	eventually(w.T, what, done)
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !done() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not after %s", what, patience)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}

func containers(objects []string) (names []string) {
	for _, o := range objects {
		if name, ok := strings.CutPrefix(o, "container "); ok {
			names = append(names, name)
		}
	}
	return names
}
