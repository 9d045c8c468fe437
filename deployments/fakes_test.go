package deployments_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"vitrine/deployments"
)

// A world is everything outside of a Controller but its Store: what the forge says, what runs, what is tagged, who answers for a host. It is
// all of the Controller's other ports at once.
type world struct {
	mu sync.Mutex
	// on has, by a call's name ("Runtime.Up"), what happens in it before it does its work: it may wait, and may fail. about is the commit that
	// the call is about, or what else tells calls of that name apart.
	on map[string]func(ctx context.Context, about string) error

	broken chan struct{} // takes the connection to the engine away
	ended  chan int64    // has a container of a deployment end
	hears  chan deployments.Incident
	silent map[string]bool // the URLs of backends that do not answer
	prints []string        // the last lines of every service
	tells  string          // the variable whose value every service prints, when it answers 500 to the first GET /; empty where it answers 200

	heads      map[string]deployments.Head  // what the forge says, by Origin.Key
	opened     deployments.Opened           // what it says of the repository beside what is open
	there      map[int64]string             // what a deployment has at the engine: "network" or "containers"
	states     map[int64]bool               // that are there at the engine
	jobs       []deployments.JobRun         // init jobs that every stack has
	ranJobs    []string                     // the state and the key of each that succeeded
	replaced   []string                     // the services that are replaced in place where something is live
	checkouts  map[string]int               // how many are open, by commit
	engine     map[string]bool              // tags
	registry   map[string]bool              // tags
	routes     map[string]deployments.Route // by host; those that were removed keep their revision here
	reports    []reported
	answers    []answer
	variables  map[string]map[string]string // what Read was given last, by commit
	calls      map[string]int               // how often each was called
	inside     map[string]int               // how many are in a call now, and in one of an environment's
	most       map[string]int               // the most there ever were
	violations []string
	notes      []string                    // that every stack has
	settings   deployments.Settings        // of every checkout
	repos      map[string]bool             // whose checkouts were read
	public     []deployments.PublicService // the same; nil is web alone
}

// A reported state is one that people were shown.
type reported struct {
	deployments.PendingReport
	at time.Time
}

// An answer is what a request's author was told.
type answer struct {
	request int64
	origin  string
	state   deployments.RequestState
}

var (
	_ deployments.Forge       = (*world)(nil)
	_ deployments.Clerk       = clerk{}
	_ deployments.Reporter    = (*world)(nil)
	_ deployments.Builder     = (*world)(nil)
	_ deployments.StackReader = (*world)(nil)
	_ deployments.Runtime     = (*world)(nil)
	_ deployments.Routes      = (*world)(nil)
	_ deployments.Firewall    = (*world)(nil)
)

func newWorld() *world {
	return &world{
		on: make(map[string]func(context.Context, string) error), broken: make(chan struct{}), ended: make(chan int64), hears: make(chan deployments.Incident), silent: make(map[string]bool),
		heads: make(map[string]deployments.Head), there: make(map[int64]string),
		states: make(map[int64]bool), checkouts: make(map[string]int),
		engine: make(map[string]bool), registry: make(map[string]bool), routes: make(map[string]deployments.Route),
		variables: make(map[string]map[string]string), calls: make(map[string]int), inside: make(map[string]int), most: make(map[string]int),
	}
}

// when has f happen in each of the calls of a name.
func (w *world) when(call string, f func(ctx context.Context, about string) error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.on[call] = f
}

// call is what every call does first.
func (w *world) call(ctx context.Context, name, about string) error {
	w.mu.Lock()
	w.calls[name]++
	f := w.on[name]
	key := "call " + name
	w.inside[key]++
	w.most[key] = max(w.most[key], w.inside[key])
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.inside[key]--
	}()
	if f != nil {
		if err := f(ctx, about); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// work counts somebody in until the function that it returns is called. Of one environment, nobody else may be at work.
func (w *world) work(kind string, s deployments.Source, alone bool) (leave func()) {
	keys := []string{kind, kind + " " + s.SHA[:3]}
	if alone {
		keys = append(keys, "anything "+s.SHA[:3])
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, key := range keys {
		w.inside[key]++
		w.most[key] = max(w.most[key], w.inside[key])
		if key != kind && w.inside[key] > 1 {
			w.violations = append(w.violations, fmt.Sprintf("%s of %s while another one is at work there", kind, s.ShortSHA()))
		}
	}
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, key := range keys {
			w.inside[key]--
		}
	}
}

// Write implements [deployments.Routes].
func (w *world) Write(ctx context.Context, routes []deployments.Route) error {
	if err := w.call(ctx, "Routes.Write", ""); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range routes {
		if r.Revision >= w.routes[r.Host].Revision {
			w.routes[r.Host] = r
		}
	}
	return nil
}

// Hosts implements [deployments.Routes].
func (w *world) Hosts(ctx context.Context) ([]string, error) {
	err := w.call(ctx, "Routes.Hosts", "")
	return slices.Sorted(maps.Keys(w.served())), err
}

// served returns the backends by host, none for the lobby. Hosts without a record are not in it.
func (w *world) served() map[string][]string {
	w.mu.Lock()
	defer w.mu.Unlock()
	served := make(map[string][]string)
	for host, r := range w.routes {
		if !r.Removed {
			served[host] = r.Backends
		}
	}
	return served
}

// has returns what a deployment has at the engine: "network", "containers" or nothing.
func (w *world) has(deployment int64) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.there[deployment]
}

// called returns how often a call was made.
func (w *world) called(call string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.calls[call]
}

// atOnce returns how many of the calls of a name there were side by side at most.
func (w *world) atOnce(call string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.most["call "+call]
}

// shown returns every report.
func (w *world) shown() []reported {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.reports)
}
