package deployments_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
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

// Head implements [deployments.Forge].
func (w *world) Head(ctx context.Context, o deployments.Origin) (deployments.Head, error) {
	err := w.call(ctx, "Forge.Head", o.Key())
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.heads[o.Key()], err
}

// Remote implements [deployments.Forge].
func (w *world) Remote(ctx context.Context, repo string) (deployments.Remote, error) {
	return deployments.Remote{URL: "https://forge.test/" + repo}, w.call(ctx, "Forge.Remote", repo)
}

// Opened implements [deployments.Forge]: what the forge says is open.
func (w *world) Opened(ctx context.Context) ([]deployments.Opened, error) {
	if err := w.call(ctx, "Forge.Opened", ""); err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	o := w.opened
	o.Repo = "acme/shop"
	for n := range w.heads {
		var number int
		if _, scanErr := fmt.Sscanf(n, "acme/shop#%d", &number); scanErr == nil && w.heads[n].Open {
			o.Heads = append(o.Heads, deployments.OpenHead{Origin: pull(number), Source: w.heads[n].Source, Title: w.heads[n].Title})
		}
	}
	return []deployments.Opened{o}, nil
}

// Redeliver implements [deployments.Forge].
func (w *world) Redeliver(ctx context.Context) error { return w.call(ctx, "Forge.Redeliver", "") }

// A clerk resolves a request as its payload says, which is a Resolution in JSON.
type clerk struct{ *world }

// Resolve implements [deployments.Clerk].
func (w clerk) Resolve(ctx context.Context, r deployments.Request) (resolution deployments.Resolution, err error) {
	if err := w.call(ctx, "Clerk.Resolve", r.Origin.Key()); err != nil {
		return resolution, err
	}
	err = json.Unmarshal(r.Payload, &resolution)
	return resolution, err
}

// Answer implements [deployments.Clerk].
func (w clerk) Answer(ctx context.Context, r deployments.Request) error {
	if err := w.call(ctx, "Clerk.Answer", r.Origin.Key()); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answers = append(w.answers, answer{r.ID, r.Origin.Key(), r.State})
	return nil
}

// Report implements [deployments.Reporter].
func (w *world) Report(ctx context.Context, r deployments.PendingReport) (json.RawMessage, error) {
	w.mu.Lock()
	began := time.Now()
	w.mu.Unlock()
	err := w.call(ctx, "Reporter.Report", r.Environment.Name)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reports = append(w.reports, reported{r, began})
	return fmt.Appendf(nil, `{"reported":%d}`, r.Environment.ID), err
}

// Fetch implements [deployments.Builder].
func (w *world) Fetch(ctx context.Context, _ deployments.Remote, _ deployments.Origin, s deployments.Source) (*deployments.Checkout, error) {
	defer w.work("build", s, true)()
	if err := w.call(ctx, "Builder.Fetch", s.SHA); err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.checkouts[s.SHA]++
	return &deployments.Checkout{Dir: "/checkout/" + s.SHA, Close: func() error {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.checkouts[s.SHA]--
		return nil
	}}, nil
}

// Build implements [deployments.Builder]. Commits with the same last digit before the zeros make the same image, so that environments share tags.
func (w *world) Build(ctx context.Context, req deployments.BuildRequest) ([]deployments.Image, error) {
	defer w.work("build", req.Source, true)()
	req.Progress("web", "step 1 of 2")
	if err := w.call(ctx, "Builder.Build", req.Source.SHA); err != nil {
		return nil, err
	}
	fmt.Fprintln(req.Log, "built", req.Source.SHA)
	id := strings.Repeat(req.Source.SHA[6:7], 64)
	references := []string{"shop/web:id-" + id, "shop/web:" + req.Environment + "." + req.Source.SHA[:12]}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range references {
		w.engine[r] = true
	}
	return []deployments.Image{{Service: "web", ID: "sha256:" + id, References: references}}, nil
}

// Push implements [deployments.Builder].
func (w *world) Push(ctx context.Context, images []deployments.Image) ([]deployments.Image, error) {
	if err := w.call(ctx, "Builder.Push", images[0].References[1]); err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	pushed := slices.Clone(images)
	for i := range pushed {
		for _, r := range pushed[i].References {
			// The tag is made first: another deployment's end may have taken it since the build.
			w.engine[r], w.registry[r] = true, true
		}
		pushed[i].Digest = strings.Replace(pushed[i].ID, "sha256:", "sha256:d", 1)
	}
	return pushed, nil
}

// Remove implements [deployments.Builder].
func (w *world) Remove(ctx context.Context, references []string) error {
	if err := w.call(ctx, "Builder.Remove", strings.Join(references, " ")); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range references {
		delete(w.engine, r)
		delete(w.registry, r)
	}
	return nil
}

// References implements [deployments.Builder].
func (w *world) References(ctx context.Context) ([]string, error) {
	err := w.call(ctx, "Builder.References", "")
	return w.tags(), err
}

// tags returns every tag of the engine and the registry.
func (w *world) tags() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := maps.Clone(w.engine)
	maps.Copy(all, w.registry)
	return slices.Sorted(maps.Keys(all))
}

// Settings implements [deployments.StackReader].
func (w *world) Settings(context.Context, string) (deployments.Settings, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.settings, nil
}

// Public implements [deployments.StackReader].
func (w *world) Public(ctx context.Context, repo, dir string, _ deployments.Values) ([]deployments.PublicService, error) {
	w.mu.Lock()
	public := w.public
	if w.repos == nil {
		w.repos = make(map[string]bool)
	}
	w.repos[repo] = true
	w.mu.Unlock()
	if public == nil {
		public = []deployments.PublicService{{Name: "web", Port: 8080}}
	}
	return public, w.call(ctx, "Stacks.Public", dir)
}

// Read implements [deployments.StackReader].
func (w *world) Read(ctx context.Context, repo, dir string, v deployments.Values) (deployments.Stack, error) {
	if err := w.call(ctx, "Stacks.Read", dir); err != nil {
		return deployments.Stack{}, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.variables[v.Own["VITRINE_SHA"]] = v.All()
	w.repos[repo] = true
	return deployments.Stack{
		JSON: json.RawMessage(`{}`), Notes: w.notes,
		Builds: []deployments.Build{{Service: "web", Context: "."}}, Public: []deployments.PublicService{{Name: "web", Port: 8080}},
	}, nil
}

// Occupied implements [deployments.Runtime].
func (w *world) Occupied(ctx context.Context) ([]netip.Prefix, error) {
	return nil, w.call(ctx, "Runtime.Occupied", "")
}

// Ready implements [deployments.Firewall].
func (w *world) Ready(ctx context.Context) error { return w.call(ctx, "Firewall.Ready", "") }

// Sweep implements [deployments.Firewall].
func (w *world) Sweep(ctx context.Context) error { return w.call(ctx, "Firewall.Sweep", "") }

// make notes that a deployment has something, before the call that makes it may fail.
func (w *world) make(d deployments.Deployment, what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.there[d.ID] = what
}

// Prepare implements [deployments.Runtime].
func (w *world) Prepare(ctx context.Context, d deployments.Deployment) error {
	defer w.work("prepare", d.Source, false)()
	w.make(d, "network")
	return w.call(ctx, "Runtime.Prepare", d.Source.SHA)
}

// Plan implements [deployments.Runtime].
func (w *world) Plan(ctx context.Context, r deployments.PlanRequest) (deployments.Plan, error) {
	defer w.work("plan", r.Deployment.Source, true)()
	plan := deployments.Plan{JSON: json.RawMessage(`{"version":1}`)}
	if r.Live != nil {
		plan.Replaces = w.replaced
	}
	return plan, w.call(ctx, "Runtime.Plan", r.Deployment.Source.SHA)
}

// Up implements [deployments.Runtime].
func (w *world) Up(ctx context.Context, d deployments.Deployment, s deployments.Start) ([]deployments.Backend, error) {
	defer w.work("up", d.Source, true)()
	if len(s.Plan.JSON) == 0 {
		return nil, errors.New("there is no plan")
	}
	w.make(d, "containers")
	w.keep(d)
	s.Progress("web", "starting")
	if err := w.runJobs(d, s); err != nil {
		return nil, err
	}
	if err := w.call(ctx, "Runtime.Up", d.Source.SHA); err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.tells != "" {
		lines := []string{"its value is " + w.variables[d.Source.SHA][w.tells]}
		return []deployments.Backend{{Service: "web", URL: backend(d.ID), Answer: 500, Lines: lines}}, nil
	}
	return []deployments.Backend{{Service: "web", URL: backend(d.ID), Answer: 200}}, nil
}

// keep notes that a deployment's state is there.
func (w *world) keep(d deployments.Deployment) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.states[d.State] = true
	if w.checkouts[d.Source.SHA] == 0 {
		w.violations = append(w.violations, "the checkout of "+d.Source.ShortSHA()+" is closed before it is up")
	}
}

// runJobs runs the init jobs that the deployment's state does not have behind it.
func (w *world) runJobs(d deployments.Deployment, s deployments.Start) error {
	w.mu.Lock()
	jobs := w.jobs
	w.mu.Unlock()
	for _, j := range jobs {
		if j.First && slices.Contains(d.Ran, j.Key) {
			continue
		}
		if err := s.Job(j); err != nil {
			return err
		}
		j.Done = true
		if err := s.Job(j); err != nil {
			return err
		}
		w.mu.Lock()
		w.ranJobs = append(w.ranJobs, fmt.Sprint(d.State, " ", j.Key))
		w.mu.Unlock()
	}
	return nil
}

// Clear implements [deployments.Runtime].
func (w *world) Clear(ctx context.Context, state int64) error {
	if err := w.call(ctx, "Runtime.Clear", fmt.Sprint(state)); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.states, state)
	return nil
}

// backend returns where a deployment answers.
func backend(deployment int64) string {
	return fmt.Sprintf("http://deployment-%d.test:8080", deployment)
}

// Down implements [deployments.Runtime].
func (w *world) Down(ctx context.Context, deployment int64) error {
	if err := w.call(ctx, "Runtime.Down", fmt.Sprint(deployment)); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.there, deployment)
	return nil
}

// Restore implements [deployments.Runtime].
func (w *world) Restore(ctx context.Context, d deployments.Deployment) error {
	if err := w.call(ctx, "Runtime.Restore", d.Source.SHA); err != nil {
		return err
	}
	if w.has(d.ID) != "containers" {
		return deployments.ErrNotFound
	}
	return nil
}

// Watch implements [deployments.Runtime].
func (w *world) Watch(ctx context.Context, connected func(), happened func(deployments.Incident)) error {
	if err := w.call(ctx, "Runtime.Watch", ""); err != nil {
		return err
	}
	connected()
	for {
		select {
		case id := <-w.ended:
			happened(deployments.Incident{Kind: deployments.Died, Deployment: id, Service: "web", Status: 1, At: time.Now()})
		case i := <-w.hears:
			i.At = time.Now()
			happened(i)
		case <-w.broken:
			return errAway
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Silent implements [deployments.Runtime].
func (w *world) Silent(ctx context.Context, backends []deployments.Backend) (silent []deployments.Backend, err error) {
	if err := w.call(ctx, "Runtime.Silent", ""); err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, b := range backends {
		if w.silent[b.URL] {
			silent = append(silent, b)
		}
	}
	return silent, nil
}

// Logs implements [deployments.Runtime].
func (w *world) Logs(ctx context.Context, q deployments.LogQuery, line func(deployments.LogLine) error) error {
	if err := w.call(ctx, "Runtime.Logs", q.Environment); err != nil {
		return err
	}
	for _, text := range w.prints[max(0, len(w.prints)-q.Tail):] {
		if err := line(deployments.LogLine{At: time.Now(), Service: q.Service, Text: text}); err != nil {
			return err
		}
	}
	return nil
}

// Inventory implements [deployments.Runtime].
func (w *world) Inventory(ctx context.Context) (deployments.Inventory, error) {
	err := w.call(ctx, "Runtime.Inventory", "")
	w.mu.Lock()
	defer w.mu.Unlock()
	return deployments.Inventory{Deployments: slices.Sorted(maps.Keys(w.there)), States: slices.Sorted(maps.Keys(w.states))}, err
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
