package docker

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"

	"vitrine/deploy"
	"vitrine/deployments"
)

// A watch is a Watch under way.
type watch struct {
	t      *testing.T
	heard  chan deployments.Incident
	lost   chan error
	cancel context.CancelCauseFunc
}

// watch begins to follow the engine, until the test ends or the engine does.
func (b *bench) watch() *watch {
	b.t.Helper()
	ctx, cancel := context.WithCancelCause(b.t.Context())
	w := &watch{t: b.t, heard: make(chan deployments.Incident, 1000), lost: make(chan error, 1), cancel: cancel}
	connected, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		w.lost <- b.Watch(ctx, func() { close(connected) }, func(i deployments.Incident) { w.heard <- i })
	}()
	b.t.Cleanup(func() {
		cancel(errors.New("the test ends"))
		<-ended
	})
	select {
	case <-connected:
	case err := <-w.lost:
		b.t.Fatal(err)
	}
	return w
}

// hears returns the next Incident of a kind. Starts and first words on health before it are passed over.
func (w *watch) hears(kind deployments.IncidentKind) deployments.Incident {
	w.t.Helper()
	for deadline := time.After(time.Minute); ; {
		select {
		case i := <-w.heard:
			if i.Kind == kind {
				return i
			}
			if i.Kind != deployments.Started && i.Kind != deployments.Healthy {
				w.t.Errorf("heard of %+v while waiting for %q", i, kind)
			}
		case <-deadline:
			w.t.Fatalf("never heard of %q", kind)
		}
	}
}

// live brings the stack up and returns the deployment as it is recorded.
func (b *bench) live(id int64, stack deploy.Stack) (deployments.Deployment, map[string]deployments.Backend) {
	b.t.Helper()
	d := b.deployment(id, stack)
	d.Plan = b.plan(d, stack)
	backends, err := b.Up(b.t.Context(), d, d.Plan, b.progress)
	if err != nil {
		b.t.Fatal(err)
	}
	of := make(map[string]deployments.Backend, len(backends))
	for _, backend := range backends {
		of[backend.Service] = backend
	}
	return d, of
}

// until waits for the condition.
func (b *bench) until(what string, holds func() bool) {
	b.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.t.Fatalf("never came: %s", what)
		}
	}
}

func TestLastLineOfACheck(t *testing.T) {
	hide := deployments.NewMask([]string{"hunter2-first"})
	for output, want := range map[string]string{
		"one\ntwo\n":              "two",
		"it is hunter2-first\n":   "it is ***",
		"it is hunter2-f...":      "it is ...", // cut by the engine
		"what it is...":           "what it is...",
		"\x1b[31mhunter2-first\n": "***",
	} {
		if got := lastLine(output, hide); got != want {
			t.Errorf("of %q it is %q, want %q", output, got, want)
		}
	}
}

func TestWatch(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	small := web("small")
	small.Memory = 48 << 20
	sick := web("sick")
	sick.Health = &deploy.Health{Test: []string{"CMD", "/server", "check", "http://127.0.0.1:8080/healthy"}, Interval: time.Second, Retries: 1}
	d, of := b.live(1, deploy.Stack{Services: []deploy.Service{web("web"), small, sick}})
	w := b.watch()
	if err := b.Restore(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	same := func(i deployments.Incident, service string) {
		t.Helper()
		if i.Environment != testEnvironment.Name || i.Deployment != 1 || i.Service != service || time.Since(i.At) > time.Minute {
			t.Errorf("got %+v, want one of %s", i, service)
		}
	}

	if err := b.client.ContainerKill(t.Context(), b.inspect(d, "web").ID, "KILL"); err != nil {
		t.Fatal(err)
	}
	died := w.hears(deployments.Died)
	same(died, "web")
	if died.Status != 137 {
		t.Errorf("killed with status %d, want 137", died.Status)
	}
	b.asks(of["small"], "/exit", "status", "3")
	died = w.hears(deployments.Died)
	same(died, "small")
	if died.Status != 3 {
		t.Errorf("exited with status %d, want 3", died.Status)
	}
	same(w.hears(deployments.Started), "small")
	b.asks(of["small"], "/eat", "bytes", "200000000")
	oom := w.hears(deployments.OutOfMemory)
	same(oom, "small")
	if oom.Memory != small.Memory {
		t.Errorf("the limit is %d bytes, want %d", oom.Memory, small.Memory)
	}
	same(w.hears(deployments.Died), "small")

	b.asks(of["sick"], "/sick", "", "")
	unhealthy := w.hears(deployments.Unhealthy)
	same(unhealthy, "sick")
	if !strings.Contains(unhealthy.Detail, "503") {
		t.Errorf("the check said %q, want something of 503", unhealthy.Detail)
	}
	b.asks(of["sick"], "/well", "", "")
	same(w.hears(deployments.Healthy), "sick")

	if err := b.Down(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	// What comes last is of another container: nothing of the removal was told before it.
	other := deploy.Stack{Services: []deploy.Service{web("other")}}
	d2 := b.deployment(2, other)
	b.up(d2, other)
	if err := b.client.ContainerStop(t.Context(), b.inspect(d2, "other").ID, container.StopOptions{}); err != nil {
		t.Fatal(err)
	}
	if i := w.hears(deployments.Died); i.Service != "other" {
		t.Errorf("the removal was told as %+v", i)
	}
}

// asks has a service do something that it may not live to answer for.
func (b *bench) asks(backend deployments.Backend, path, key, value string) {
	b.t.Helper()
	b.until("it takes a connection", func() bool { return answersAt(b.t.Context(), backend.URL) })
	once := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := once.Get(backend.URL + path + "?" + url.Values{key: {value}}.Encode())
	if err == nil {
		resp.Body.Close()
	}
}

func TestSilent(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	stack := deploy.Stack{Services: []deploy.Service{web("web"), web("api")}}
	d, of := b.live(1, stack)
	backends := []deployments.Backend{of["web"], of["api"]}
	if silent, err := b.Silent(t.Context(), backends); err != nil || len(silent) != 0 {
		t.Errorf("silent are %v, %v; want none", silent, err)
	}
	if err := b.client.ContainerKill(t.Context(), b.inspect(d, "api").ID, "KILL"); err != nil {
		t.Fatal(err)
	}
	b.until("it is noticed", func() bool {
		silent, err := b.Silent(t.Context(), backends)
		return err == nil && len(silent) == 1 && strings.HasPrefix(silent[0].Service, "api")
	})
}
