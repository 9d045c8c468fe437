package main

import (
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
)

// A container of a preview is killed from outside of the engine, once and then again and again: the history tells of the first end and of the crash, the
// comment shows it, the lobby answers while it is down, and the preview is back by itself, as it was.
func TestContainersEnd(t *testing.T) {
	t.Parallel() // it waits for most of its time
	w := newWorld(t)
	w.start()
	s := w.story()
	ctx := w.bounded(5 * time.Minute)
	w.must(s.open(ctx))
	const origin = "acme/shop#1"
	live := w.liveOf("shop-pr-1")

	w.killProcess("web")
	w.eventually("the end is told", func() bool { return w.told(origin, "web exited with status 137 (killed); restarted") })
	for range 8 { // the engine waits longer each time, 25.6 s at last
		w.killProcess("web")
	}
	w.eventually("the lobby answers", func() bool {
		status, text, err := s.get(ctx, "shop-pr-1")
		return err == nil && status == http.StatusServiceUnavailable && strings.Contains(text, "does not answer at the moment")
	})
	w.eventually("the crash is told", func() bool { return w.told(origin, "web is crashing: restarted 5 times within 10 minutes") })
	w.must(s.comment(ctx, 1, "### Preview: web is crashing", "restarted 5 times within 10 minutes"))
	if n := w.tellings(origin, "exited with status 137"); n > 2 { // the crash names the last end
		t.Errorf("%d lines tell of ends", n)
	}

	w.eventually("it answers again", func() bool {
		status, _, err := s.get(ctx, "shop-pr-1")
		return err == nil && status == http.StatusOK
	})
	if now := w.liveOf("shop-pr-1"); now != live {
		t.Errorf("deployment %d was made, %d was live", now, live)
	}
	w.stop()
}

// killProcess kills the main process of a service's container, once it runs, and waits until the engine has noticed.
func (w *world) killProcess(service string) {
	w.Helper()
	running := func() (pid int) {
		by := filters.NewArgs(filters.Arg("label", "vitrine.instance="+w.instance()), filters.Arg("label", "vitrine.service="+service))
		found, err := w.docker().ContainerList(w.Context(), container.ListOptions{Filters: by})
		w.must(err)
		if len(found) == 0 {
			return 0
		}
		c, err := w.docker().ContainerInspect(w.Context(), found[0].ID)
		w.must(err)
		if c.State.Restarting || !strings.HasPrefix(c.Name, "/vitrine-") {
			return 0
		}
		return c.State.Pid
	}
	var pid int
	w.eventually(fmt.Sprintf("%s runs", service), func() bool { pid = running(); return pid > 1 })
	w.must(syscall.Kill(pid, syscall.SIGKILL))
	w.eventually("the engine has noticed", func() bool { return running() != pid })
}
