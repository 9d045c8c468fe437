package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	mathrand "math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"
	"github.com/sirupsen/logrus"
	"go.uber.org/goleak"

	"vitrine/deploy"
	"vitrine/deployments"
)

// An engine is the real one, with the image of testdata/server on it.
type engine struct {
	client *client.Client
	image  string // its ID
	keeper string // the ID of one that is the same but for a volume at /data
	tag    string
	err    error
}

// theEngine is set up by the first test that asks for it.
var theEngine = sync.OnceValue(func() *engine {
	asked.Store(true)
	return newEngine(client.FromEnv)
})

func newEngine(at client.Opt) *engine {
	e := &engine{tag: "vitrine-test-" + random() + "/server:1"}
	e.client, e.err = client.NewClientWithOpts(at, client.WithAPIVersionNegotiation())
	if e.err == nil {
		e.image, e.err = e.build(e.tag)
	}
	if e.err == nil {
		e.keeper, e.err = e.build(e.tag+"-keeper", "VOLUME /data")
	}
	return e
}

// asked is set once a test asked for the engine.
var asked atomic.Bool

// nextSubnet counts through the pool of these tests from a place of this run's own.
var nextSubnet atomic.Uint32

func TestMain(m *testing.M) {
	nextSubnet.Store(mathrand.Uint32N(1 << 11))
	logrus.SetOutput(io.Discard) // the registry of the tests logs through its global
	code := m.Run()
	if err := removeEngine(); err != nil {
		fmt.Fprintln(os.Stderr, "remove test image:", err)
		code = 1
	}
	if code == 0 {
		// The registry never ends its broadcaster of events.
		if err := goleak.Find(goleak.IgnoreAnyFunction("github.com/docker/go-events.(*Broadcaster).run")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// removeEngine takes the image away, if the tests had one.
func removeEngine() error {
	if !asked.Load() {
		return nil
	}
	e := theEngine()
	if e.client == nil {
		return nil
	}
	var errs []error
	tags := []string{e.tag, e.tag + "-keeper"}
	for _, name := range probeNames() {
		tags = append(tags, e.tag+"-"+name)
	}
	for _, tag := range tags {
		if _, err := e.client.ImageRemove(context.Background(), tag, image.RemoveOptions{}); e.err == nil && !errdefs.IsNotFound(err) {
			errs = append(errs, err)
		}
	}
	return errors.Join(append(errs, e.client.Close())...)
}

func random() string {
	b := make([]byte, 4)
	rand.Read(b)
	return hex.EncodeToString(b)
}

// theLayer is a file system of nothing but the static test server.
var theLayer = sync.OnceValues(func() ([]byte, error) {
	content, err := static("./testdata/server")
	if err != nil {
		return nil, err
	}
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	files := []tar.Header{
		{Name: "data/", Typeflag: tar.TypeDir, Mode: 0o777}, {Name: "tmp/", Typeflag: tar.TypeDir, Mode: 0o777},
		{Name: "server", Mode: 0o755, Size: int64(len(content))},
	}
	for _, f := range files {
		if err := w.WriteHeader(&f); err != nil {
			return nil, err
		}
	}
	if _, err := w.Write(content); err != nil {
		return nil, err
	}
	return layer.Bytes(), w.Close()
})

// static builds a package without anything that it would need around it.
func static(pkg string) ([]byte, error) {
	dir, err := os.MkdirTemp("", "vitrine-docker-test")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	binary := filepath.Join(dir, "binary")
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", binary, pkg)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build %s: %w: %s", pkg, err, out)
	}
	return os.ReadFile(binary)
}

// build makes an image of the test server and returns its ID.
func (e *engine) build(tag string, more ...string) (string, error) {
	layer, err := theLayer()
	if err != nil {
		return "", err
	}
	return e.importLayer(layer, tag, append([]string{`ENTRYPOINT ["/server"]`, "EXPOSE 8080/tcp"}, more...)...)
}

// importLayer makes an image of a file system and returns its ID.
func (e *engine) importLayer(layer []byte, tag string, changes ...string) (string, error) {
	ctx := context.Background()
	stream, err := e.client.ImageImport(ctx, image.ImportSource{Source: bytes.NewReader(layer), SourceName: "-"}, tag, image.ImportOptions{
		Changes: changes,
	})
	if err != nil {
		return "", err
	}
	defer stream.Close()
	if _, err := io.Copy(io.Discard, stream); err != nil {
		return "", err
	}
	found, err := e.client.ImageInspect(ctx, tag)
	return found.ID, err
}

// A bench is a Runtime of an instance of its own on the real engine.
type bench struct {
	*Runtime
	t      *testing.T
	engine *engine
}

func newBench(t *testing.T, change ...func(*Config)) *bench {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a Docker engine")
	}
	e := theEngine()
	if e.err != nil {
		t.Fatalf("the Docker engine that this test needs: %v", e.err)
	}
	c := Config{Instance: "test" + random(), StartTimeout: 20 * time.Second, Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	for _, f := range change {
		f(&c)
	}
	r, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{Runtime: r, t: t, engine: e}
	t.Cleanup(func() {
		there, err := r.Inventory(context.Background())
		if err != nil {
			t.Error(err)
		}
		for _, id := range there.Deployments {
			if err := r.Down(context.Background(), id); err != nil {
				t.Error(err)
			}
		}
		for _, id := range there.States {
			if err := r.Clear(context.Background(), id); err != nil {
				t.Error(err)
			}
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// deployment returns the attempt of a number, with a subnet of its own and the test image for each service without one.
func (b *bench) deployment(id int64, stack deploy.Stack) deployments.Deployment {
	d := deployments.Deployment{ID: id, Subnet: newSubnet()}
	for _, s := range stack.Services {
		if s.Image == "" {
			d.Images = append(d.Images, deployments.Image{Service: s.Name, ID: b.engine.image})
		}
	}
	return d
}

var testEnvironment = deployments.Environment{ID: 7, Name: "shop-pr-42"}

// plan prepares and plans the deployment.
func (b *bench) plan(d deployments.Deployment, stack deploy.Stack) deployments.Plan {
	b.t.Helper()
	if err := b.Prepare(b.t.Context(), d); err != nil {
		b.t.Fatal(err)
	}
	encoded, err := json.Marshal(stack)
	if err != nil {
		b.t.Fatal(err)
	}
	p, err := b.Plan(b.t.Context(), deployments.PlanRequest{Environment: testEnvironment, Deployment: d, Stack: deployments.Stack{JSON: encoded}})
	if err != nil {
		b.t.Fatal(err)
	}
	return p
}

// Up is the Runtime's, for stacks without files and jobs.
func (b *bench) Up(ctx context.Context, d deployments.Deployment, p deployments.Plan, progress func(service, status string)) ([]deployments.Backend, error) {
	return b.Runtime.Up(ctx, d, deployments.Start{Plan: p, Progress: progress})
}

// Down removes the deployment and the state that it began.
func (b *bench) Down(ctx context.Context, deployment int64) error {
	return errors.Join(b.Runtime.Down(ctx, deployment), b.Clear(ctx, deployment))
}

// up brings the stack up and returns where its public services answer.
func (b *bench) up(d deployments.Deployment, stack deploy.Stack) map[string]deployments.Backend {
	b.t.Helper()
	backends, err := b.Up(b.t.Context(), d, b.plan(d, stack), b.progress)
	if err != nil {
		b.t.Fatal(err)
	}
	of := make(map[string]deployments.Backend, len(backends))
	for _, backend := range backends {
		of[backend.Service] = backend
	}
	return of
}

// fails brings the stack up and returns the Fault that has to come of it.
func (b *bench) fails(d deployments.Deployment, stack deploy.Stack) *deployments.Fault {
	b.t.Helper()
	plan, err := deploy.ParsePlan(b.plan(d, stack).JSON)
	if err != nil {
		b.t.Fatal(err)
	}
	for i := range plan.Containers {
		// A busy engine tells of an exit when it gets to it.
		if c := &plan.Containers[i].Check; c.Kind == deploy.CheckRunning {
			c.Settle *= 10
		}
	}
	encoded, err := json.Marshal(plan)
	if err != nil {
		b.t.Fatal(err)
	}
	_, err = b.Up(b.t.Context(), d, deployments.Plan{JSON: encoded}, b.progress)
	fault := deployments.FaultOf(err)
	if fault == nil {
		b.t.Fatalf("got error %v, want a Fault", err)
	}
	return fault
}

func (b *bench) progress(service, status string) { b.t.Logf("%s: %s", service, status) }

// inspect returns the container of a service.
func (b *bench) inspect(d deployments.Deployment, service string) container.InspectResponse {
	b.t.Helper()
	named := filters.Arg("label", "vitrine.service="+service)
	found, err := b.client.ContainerList(b.t.Context(), container.ListOptions{All: true, Filters: filters.NewArgs(b.ours(), ofDeployment(d.ID), named)})
	if err == nil && len(found) == 0 {
		found, err = b.client.ContainerList(b.t.Context(), container.ListOptions{All: true, Filters: filters.NewArgs(b.ours(), ofState(d.ID), named)})
	}
	if err != nil || len(found) != 1 {
		b.t.Fatalf("containers of service %s: %v, %v", service, found, err)
	}
	c, err := b.client.ContainerInspect(b.t.Context(), found[0].ID)
	if err != nil {
		b.t.Fatal(err)
	}
	return c
}

func (b *bench) labelled(deployment int64, more ...string) filters.Args {
	by := filters.NewArgs(filters.Arg("label", "vitrine.instance="+b.instance), filters.Arg("label", "vitrine.deployment="+strconv.FormatInt(deployment, 10)))
	for _, l := range more {
		by.Add("label", l)
	}
	return by
}

// left returns how many objects the engine has of the deployment and of the state that it began.
func (b *bench) left(deployment int64) int {
	b.t.Helper()
	n := 0
	for _, label := range []filters.KeyValuePair{ofDeployment(deployment), ofState(deployment)} {
		found, err := b.find(context.Background(), filters.NewArgs(b.ours(), label))
		if err != nil {
			b.t.Fatal(err)
		}
		n += len(found.containers) + len(found.networks) + len(found.volumes)
	}
	return n
}

// get returns what a service answers, as text.
func (b *bench) get(backend deployments.Backend, path string, query url.Values) string {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, backend.URL+path+"?"+query.Encode(), nil)
	if err != nil {
		b.t.Fatal(err)
	}
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		b.t.Fatalf("GET %s%s: %s: %s", backend.URL, path, resp.Status, body)
	}
	return string(body)
}
