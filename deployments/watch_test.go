package deployments_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"vitrine/deployments"
)

// hear has something happen to the container of a service of a pull request.
func (h *house) hear(p int, kind deployments.IncidentKind) {
	h.hears <- deployments.Incident{Kind: kind, Deployment: h.env(p).Live, Service: "web", Status: 1, Memory: 512 << 20}
}

// after returns the history of a pull request from the line on that begins with the text.
func (h *house) after(p int, text string) []string {
	h.t.Helper()
	texts := h.events(p)
	i := slices.IndexFunc(texts, func(s string) bool { return strings.HasPrefix(s, text) })
	if i < 0 {
		h.t.Fatalf("the history %q has no %q", texts, text)
	}
	return texts[i+1:]
}

func (h *house) wantHistory(p int, want ...string) {
	h.t.Helper()
	if diff := cmp.Diff(want, h.after(p, "live: "), cmpopts.EquateEmpty()); diff != "" {
		h.t.Errorf("the history since it is live (-want +got):\n%s", diff)
	}
}

// falls says which backends of a pull request do not answer, all or none.
func (h *house) falls(p int, silent bool) {
	d := h.live(p)
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, b := range d.Backends {
		h.silent[b.URL] = silent
	}
}

// What happens to a container is told once it is clear what it was, also where the container outlives deployments.
func TestIncidents(t *testing.T) {
	inHouse(t, func(h *house) {
		h.pushed(1, 1)
		h.settled()
		h.hear(1, deployments.OutOfMemory)
		h.hear(1, deployments.Died)
		h.hear(1, deployments.Started)
		h.pass(time.Second)
		h.wantHistory(1)
		h.pass(time.Minute)
		h.hears <- deployments.Incident{Kind: deployments.Unhealthy, Environment: "shop-pr-1", Service: "db", Detail: "refused"}
		h.hears <- deployments.Incident{Kind: deployments.Died, Environment: "shop-pr-7", Service: "db"}
		h.hears <- deployments.Incident{Kind: deployments.Died, Deployment: 1000, Service: "db"}
		h.pass(time.Minute)
		h.wantHistory(1, "web was killed: out of memory (limit 512 MiB); restarted", "db is unhealthy: refused")
	})
}

// What ended before the engine was lost may have ended with it.
func TestIncidentsBeforeTheEngineIsLost(t *testing.T) {
	inHouse(t, func(h *house) {
		h.pushed(1, 1)
		h.settled()
		h.hear(1, deployments.Died)
		h.pass(time.Second)
		h.broken <- struct{}{}
		h.pass(time.Minute)
		h.wantHistory(1)
	})
}

// Five restarts are a crash: people see it with the last lines, also a process later, and that it is over once it stays up.
func TestCrashing(t *testing.T) {
	inHouse(t, func(h *house) {
		h.prints = []string{"starting", "panic: no database"}
		h.pushed(1, 1)
		h.settled()
		for range 20 {
			h.hear(1, deployments.Died)
			h.hear(1, deployments.Started)
			h.pass(500 * time.Millisecond)
		}
		const line = "is crashing: restarted 5 times within 10 minutes; the last time it exited with status 1"
		h.settled()
		h.wantHistory(1, "web "+line)
		want := deployments.Condition{Crashing: []deployments.Fault{
			{Kind: deployments.FaultRun, Service: "web", Reason: line, Excerpt: h.prints},
		}}
		if diff := cmp.Diff(want, h.live(1).Condition); diff != "" {
			t.Errorf("the condition (-want +got):\n%s", diff)
		}
		shown := h.shown()
		if last := shown[len(shown)-1]; last.Live == nil || len(last.Live.Condition.Trouble()) != 1 {
			t.Errorf("people were shown %+v last", last.Live)
		}
		h.end()
		h.start()
		h.pass(time.Minute)
		h.wantHistory(1, "web "+line)
		h.pass(2 * time.Minute)
		h.wantHistory(1, "web "+line, "web runs again")
		if c := h.live(1).Condition; len(c.Trouble()) > 0 {
			t.Errorf("the condition is %+v", c)
		}
		h.settled()
	})
}

// A crash is over with the deployment that crashed.
func TestCrashingIsReplaced(t *testing.T) {
	inHouse(t, func(h *house) {
		h.pushed(1, 1)
		h.settled()
		for range 6 {
			h.hear(1, deployments.Died)
			h.hear(1, deployments.Started)
		}
		h.pass(time.Second)
		h.pushed(1, 2)
		h.settled()
		h.pass(time.Hour)
		h.wantLive(1, 2)
		if c := h.live(1).Condition; len(c.Trouble()) > 0 {
			t.Errorf("the condition is %+v", c)
		}
	})
}

// Visitors of what does not answer are sent to the lobby, which says so, and back once it answers.
func TestRouteFollows(t *testing.T) {
	inHouse(t, func(h *house) {
		h.pushed(1, 1)
		h.settled()
		fault := &deployments.Fault{Kind: deployments.FaultStart, Service: "web", Reason: "exits with status 1 whenever it is started again"}
		h.falls(1, true)
		h.when("Runtime.Restore", failingWith(fault))
		h.hear(1, deployments.Died)
		h.pass(20 * time.Second)
		if to := h.served()["shop-pr-1.preview.test"]; len(to) != 0 {
			t.Errorf("the host leads to %v, want the lobby", to)
		}
		state, err := h.store.HostState(h.t.Context(), "shop-pr-1")
		want := deployments.HostState{Status: deployments.HostDown, Name: "shop-pr-1", Detail: "web " + fault.Reason}
		if err != nil || state != want {
			t.Errorf("the host's state is %+v, %v, want %+v", state, err, want)
		}
		h.falls(1, false)
		h.when("Runtime.Restore", nil)
		h.pass(time.Minute)
		h.wantLive(1, 1)
		h.wantHistory(1, "does not run any more: "+fault.Error(), "web exited with status 1", "runs again")
	})
}

// Visitors are sent to the lobby while something else of the deployment takes its time to come up again.
func TestRouteFollowsDuringRestore(t *testing.T) {
	inHouse(t, func(h *house) {
		h.pushed(1, 1)
		h.settled()
		h.when("Runtime.Restore", takes(time.Minute))
		h.hear(1, deployments.Died)
		h.pass(10 * time.Second)
		h.wantLive(1, 1) // it was started again at once
		h.falls(1, true)
		h.hear(1, deployments.Died)
		h.pass(time.Second)
		if to := h.served()["shop-pr-1.preview.test"]; len(to) != 0 {
			t.Errorf("the host leads to %v, want the lobby", to)
		}
		h.falls(1, false)
		h.pass(2 * time.Minute)
		h.wantLive(1, 1)
	})
}

// While the engine is away nobody is sent anywhere else: the containers may answer.
func TestRouteStaysWithoutEngine(t *testing.T) {
	inHouse(t, func(h *house) {
		h.pushed(1, 1)
		h.settled()
		h.falls(1, true)
		h.when("Runtime.Silent", failing(1000))
		h.hear(1, deployments.Died)
		h.pass(time.Minute)
		h.wantLive(1, 1)
	})
}
