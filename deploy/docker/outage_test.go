package docker

import (
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"

	"vitrine/deploy"
	"vitrine/deploy/docker/enginetest"
	"vitrine/deployments"
)

// An outage is a bench on an engine of its own, which may be stopped. Its Runtime loses patience within a second or two.
type outage struct {
	*bench
	host *enginetest.Engine
}

func newOutage(t *testing.T, options ...enginetest.Option) *outage {
	t.Helper()
	host := enginetest.Start(t, options...)
	e := newEngine(client.WithHost(host.Host))
	if e.err != nil {
		t.Fatal(e.err)
	}
	c := Config{Host: host.Host, Instance: "test" + random(), StartTimeout: 20 * time.Second, Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	r, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	r.patience = patience{pause: 200 * time.Millisecond, timeout: time.Second}
	t.Cleanup(func() {
		if err := errors.Join(r.Close(), e.client.Close()); err != nil {
			t.Error(err)
		}
	})
	return &outage{bench: &bench{Runtime: r, t: t, engine: e}, host: host}
}

// waitsFor fails unless err names the neighbour.
func waitsFor(t *testing.T, err error, neighbour string) {
	t.Helper()
	var u *deployments.Unavailable
	if !errors.As(err, &u) || u.Neighbour != neighbour || deployments.FaultOf(err) != nil {
		t.Errorf("got %v (%T), want one that waits for %s", err, err, neighbour)
	}
}

// states returns when each container of the deployment was started, by name.
func (o *outage) states(d deployments.Deployment) map[string]string {
	o.t.Helper()
	found, err := o.client.ContainerList(o.t.Context(), container.ListOptions{All: true, Filters: o.labelled(d.ID)})
	if err != nil {
		o.t.Fatal(err)
	}
	states := map[string]string{}
	for _, c := range found {
		full, err := o.client.ContainerInspect(o.t.Context(), c.ID)
		if err != nil {
			o.t.Fatal(err)
		}
		states[c.Labels[deploy.LabelService]] = full.ID + " " + full.State.Status + " " + full.State.StartedAt
	}
	return states
}

// shop is a stack with a one-shot job in the middle: web needs migrate, which needs db.
func shop() deploy.Stack {
	db := web("db")
	db.Public = false
	db.Health = &deploy.Health{Test: []string{"CMD", "/server", "check", "http://127.0.0.1:8080/"}}
	migrate := job("migrate", "-exit", "0")
	migrate.DependsOn = []deploy.Dependency{{Service: "db", Condition: deploy.Healthy}}
	front := web("web")
	front.DependsOn = []deploy.Dependency{{Service: "migrate", Condition: deploy.Completed}}
	return deploy.Stack{Services: []deploy.Service{front, migrate, db, job("worker", "-listen", "none")}}
}

func TestRestore(t *testing.T) {
	t.Parallel()
	o := newOutage(t)
	d, backends := o.live(1, shop())
	before := o.states(d)
	restored := func(after string) {
		t.Helper()
		if err := o.Restore(t.Context(), d); err != nil {
			t.Fatalf("restore after %s: %v", after, err)
		}
		if got := o.get(backends["web"], "/get", map[string][]string{"url": {"http://db:8080/"}}); !strings.HasPrefix(got, "db ") {
			t.Errorf("after %s web got %q from db", after, got)
		}
		first := o.states(d)
		if first["migrate"] != before["migrate"] {
			t.Errorf("after %s the job is %s, before it was %s", after, first["migrate"], before["migrate"])
		}
		for service, state := range first {
			if want := "running"; service != "migrate" && !strings.Contains(state, want) {
				t.Errorf("after %s %s is %s", after, service, state)
			}
		}
		if err := o.Restore(t.Context(), d); err != nil {
			t.Errorf("second restore after %s: %v", after, err)
		}
		for service, state := range o.states(d) {
			if state != first[service] {
				t.Errorf("the second restore after %s changed %s: %s, then %s", after, service, first[service], state)
			}
		}
	}
	restored("nothing")
	o.host.Stop()
	waitsFor(t, o.Restore(t.Context(), d), neighbourEngine)
	o.host.Restart()
	restored("a stop of the engine")
	o.host.Kill()
	o.host.Restart()
	restored("a crash of the engine")
	for _, service := range []string{"db", "web"} {
		if err := o.client.ContainerStop(t.Context(), o.inspect(d, service).ID, container.StopOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	restored("a stop by hand")

	web := o.inspect(d, "web").ID
	if err := o.client.ContainerRemove(t.Context(), web, container.RemoveOptions{Force: true}); err != nil {
		t.Fatal(err)
	}
	if err := o.Restore(t.Context(), d); !errors.Is(err, deployments.ErrNotFound) {
		t.Errorf("got %v for a container that was removed, want ErrNotFound", err)
	}
	if err := o.Down(t.Context(), d.ID); err != nil {
		t.Fatal(err)
	}
	if err := o.Restore(t.Context(), d); !errors.Is(err, deployments.ErrNotFound) {
		t.Errorf("got %v for a network that was removed, want ErrNotFound", err)
	}
}

// TestRestoreFault holds that a service that does not come up again is blamed. It came up once, as its volume was empty then.
func TestRestoreFault(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	s := web("web", "-once", "/data/mark")
	s.StartTimeout = 3 * time.Second
	stack := deploy.Stack{Services: []deploy.Service{s}}
	d := b.deployment(1, stack)
	d.Plan = b.plan(d, stack)
	if _, err := b.Up(t.Context(), d, d.Plan, b.progress); err != nil {
		t.Fatal(err)
	}
	if err := b.client.ContainerStop(t.Context(), b.inspect(d, "web").ID, container.StopOptions{}); err != nil {
		t.Fatal(err)
	}
	fault := deployments.FaultOf(b.Restore(t.Context(), d))
	if fault == nil || fault.Service != "web" || !strings.Contains(fault.Reason, "exits with status 4 whenever") || !slices.Contains(fault.Excerpt, "was here before") {
		t.Errorf("got %+v, want a Fault of web that exits with 4", fault)
	}
}

// TestEngineEnds holds that an engine that goes away while a deployment comes up is no fault of the deployment's, and that nothing is left of it.
func TestEngineEnds(t *testing.T) {
	t.Parallel()
	o := newOutage(t)
	for name, end := range map[string]func(){"stopped": o.host.Stop, "killed": o.host.Kill} {
		for i, at := range []string{"db starting", "web starting"} {
			o.endsAt(t, int64(1+i), name, at, end)
		}
	}
	o.host.Freeze()
	start := time.Now()
	_, err := o.Inventory(t.Context())
	waitsFor(t, err, neighbourEngine)
	if took := time.Since(start); took > callTimeout/2 {
		t.Errorf("an engine that does not answer was waited for %s", took)
	}
	o.host.Thaw()
}

func (o *outage) endsAt(t *testing.T, id int64, name, at string, end func()) {
	t.Helper()
	never := web("web")
	never.Health = &deploy.Health{Test: []string{"CMD", "/server", "fail"}}
	never.DependsOn = []deploy.Dependency{{Service: "db", Condition: deploy.Healthy}}
	stack := deploy.Stack{Services: []deploy.Service{web("db"), never}, Volumes: []string{"files"}}
	d := o.deployment(id, stack)
	p := o.plan(d, stack)
	reached, ended := make(chan struct{}), make(chan struct{})
	var once atomic.Bool
	up := make(chan error, 1)
	go func() {
		_, err := o.Up(t.Context(), d, p, func(service, status string) {
			if service+" "+status == at && once.CompareAndSwap(false, true) {
				close(reached)
			}
		})
		up <- err
		close(ended)
	}()
	select {
	case <-reached:
	case <-ended:
	}
	end()
	err := <-up
	waitsFor(t, err, neighbourEngine)
	t.Logf("%s at %q: %v", name, at, err)
	o.host.Restart()
	if err := o.Down(t.Context(), id); err != nil {
		t.Fatalf("remove what is left after the engine was %s: %v", name, err)
	}
	if n := o.left(id); n != 0 {
		t.Errorf("%d objects are left after the engine was %s", n, name)
	}
}

// TestFrozenEngine holds that an engine that accepts and never answers holds nobody up, also in a health check.
func TestFrozenEngine(t *testing.T) {
	t.Parallel()
	o := newOutage(t)
	never := web("web")
	never.Health = &deploy.Health{Test: []string{"CMD", "/server", "fail"}}
	stack := deploy.Stack{Services: []deploy.Service{never}}
	d := o.deployment(1, stack)
	p := o.plan(d, stack)
	started := make(chan struct{})
	up := make(chan error, 1)
	go func() {
		_, err := o.Up(t.Context(), d, p, func(_, status string) {
			if status == "starting" {
				close(started)
			}
		})
		up <- err
	}()
	<-started
	o.until("web runs", func() bool { return strings.Contains(o.states(d)["web"], "running") })
	o.host.Freeze()
	select {
	case err := <-up:
		waitsFor(t, err, neighbourEngine)
	case <-time.After(2 * makeTimeout):
		t.Error("an engine that never answers holds Up up")
	}
	waitsFor(t, o.Watch(t.Context(), func() { t.Error("a frozen engine counts as connected") }, func(deployments.Incident) {}), neighbourEngine)
	o.host.Thaw()
	if err := o.Down(t.Context(), d.ID); err != nil {
		t.Error(err)
	}
}

// Containers that end with the engine are not told of, and what happens once it is back is.
func TestWatchOverRestart(t *testing.T) {
	t.Parallel()
	o := newOutage(t)
	w := o.watch()
	d, _ := o.live(1, deploy.Stack{Services: []deploy.Service{web("web")}})
	o.host.Stop()
	waitsFor(t, <-w.lost, neighbourEngine)
	for len(w.heard) > 0 {
		if i := <-w.heard; i.Kind == deployments.Died {
			t.Errorf("the end of the engine was told as %+v", i)
		}
	}
	waitsFor(t, o.Watch(t.Context(), func() { t.Error("no engine, and connected") }, func(deployments.Incident) {}), neighbourEngine)
	o.host.Restart()
	w = o.watch()
	if err := o.Restore(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	if err := o.client.ContainerStop(t.Context(), o.inspect(d, "web").ID, container.StopOptions{}); err != nil {
		t.Fatal(err)
	}
	w.hears(deployments.Died)
	cause := errors.New("the server ends")
	w.cancel(cause)
	if err := <-w.lost; !errors.Is(err, cause) {
		t.Errorf("got %v, want the cause of the cancellation", err)
	}
}

// TestFullDisk fills the disk of an engine before the containers are made, before another network is, and under a service that writes.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	o := newOutage(t, enginetest.WithDisk(64<<20))
	stack := deploy.Stack{Services: []deploy.Service{web("web")}, Volumes: []string{"files"}}
	d := o.deployment(1, stack)
	p := o.plan(d, stack)
	o.host.FillDisk(0)
	_, err := o.Up(t.Context(), d, p, o.progress)
	waitsFor(t, err, neighbourDisk)
	// The engine's record of its networks may have room inside.
	if err := o.Prepare(t.Context(), o.deployment(2, stack)); err != nil {
		waitsFor(t, err, neighbourDisk)
	}
	if err := o.Down(t.Context(), d.ID); err != nil {
		t.Errorf("remove on a full disk: %v", err)
	}
	o.host.FreeDisk()
	if err := o.Down(t.Context(), d.ID); err != nil {
		t.Error(err)
	}
	if n := o.left(d.ID); n != 0 {
		t.Errorf("%d objects are left", n)
	}
	writer := web("web", "-fill", "/data/big")
	stack = deploy.Stack{Services: []deploy.Service{writer}}
	d = o.deployment(3, stack)
	_, err = o.Up(t.Context(), d, o.plan(d, stack), o.progress)
	waitsFor(t, err, neighbourDisk)
}
