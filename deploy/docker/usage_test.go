package docker

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"vitrine/deploy"
	"vitrine/deployments"
)

// used returns what the environment of the tests takes.
func (b *bench) used() deployments.Usage {
	b.t.Helper()
	all, err := b.Usage(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	if len(all) != 1 || all[0].Environment != testEnvironment.Name {
		b.t.Fatalf("used by %+v, want one environment", all)
	}
	return all[0]
}

// measured is used, with the disk measured anew.
func (b *bench) measured() deployments.Usage {
	b.t.Helper()
	b.meter.mu.Lock()
	b.meter.measured = time.Time{}
	b.meter.mu.Unlock()
	return b.used()
}

func TestUsage(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if all, err := b.Usage(t.Context()); err != nil || len(all) != 0 {
		t.Fatalf("used by %+v, %v, want nothing", all, err)
	}
	stack := deploy.Stack{Services: []deploy.Service{web("web"), web("api")}, Volumes: []string{"files"}}
	stack.Services[0].Mounts = []deploy.Mount{{Volume: "files", Target: "/files"}}
	_, of := b.live(1, stack)
	before := b.measured()
	if before.Containers != 2 || before.Memory <= 0 || before.Disk.At.IsZero() {
		t.Errorf("at first it uses %+v", before)
	}
	const much = 32 << 20
	size := "33554432"
	b.asks(of["web"], "/eat", "bytes", size)
	b.until("the memory is used", func() bool { return b.used().Memory >= before.Memory+much })
	b.get(of["web"], "/work", url.Values{"for": {"500ms"}})
	if cpus := b.used().CPUs; cpus <= 0 {
		t.Errorf("after some work %g processors were in use", cpus)
	}
	// Whoever asks first is not told of nothing.
	b.until("work is seen without a question before", func() bool {
		b.meter.mu.Lock()
		b.meter.cpu = nil
		b.meter.mu.Unlock()
		return b.busyWhile(of["web"])
	})
	b.get(of["web"], "/fill", url.Values{"path": {"/files/big"}, "bytes": {size}})
	b.get(of["api"], "/fill", url.Values{"path": {"/tmp/big"}, "bytes": {size}})
	b.get(of["api"], "/long", url.Values{"bytes": {"1000000"}})
	b.until("the disk is used", func() bool {
		now := b.measured().Disk
		return now.Volumes >= before.Disk.Volumes+much && now.Layers >= before.Disk.Layers+much && now.Logs >= before.Disk.Logs+1_000_000
	})
	// Not measured anew so soon.
	at := b.used().Disk.At
	if again := b.used().Disk.At; !again.Equal(at) {
		t.Errorf("the disk was measured at %s and at %s", at, again)
	}
	if err := b.Down(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if n := b.measuredContainers(); n != 0 {
		t.Errorf("%d containers are measured after the removal", n)
	}
}

// busyWhile reports whether processors are in use while a service works.
func (b *bench) busyWhile(backend deployments.Backend) bool {
	b.t.Helper()
	ended := make(chan error, 1)
	go func() {
		response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get(backend.URL + "/work?for=3s")
		if err == nil {
			err = response.Body.Close()
		}
		ended <- err
	}()
	busy := b.used().CPUs > 0.1
	if err := <-ended; err != nil {
		b.t.Fatal(err)
	}
	return busy
}

// measuredContainers returns how many containers run.
func (b *bench) measuredContainers() (n int) {
	b.t.Helper()
	all, err := b.Usage(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	for _, u := range all {
		n += u.Containers
	}
	return n
}
