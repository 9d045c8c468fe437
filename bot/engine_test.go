package bot

import (
	"context"
	"encoding/json"
	"maps"
	"net/netip"
	"slices"
	"sync"

	"vitrine/deployments"
)

// An engine builds, runs and routes everything at once and without a fault. It is all of the Controller's ports that do not speak with GitHub.
type engine struct {
	*world
	mu      sync.Mutex
	there   map[int64]bool
	states  map[int64]bool
	fetched []deployments.Source
	fresh   []bool // of each build
}

var (
	_ deployments.Builder     = (*engine)(nil)
	_ deployments.StackReader = (*engine)(nil)
	_ deployments.Runtime     = (*engine)(nil)
	_ deployments.Routes      = (*engine)(nil)
	_ deployments.Firewall    = (*engine)(nil)
)

func newEngine(w *world) *engine {
	return &engine{world: w, there: map[int64]bool{}, states: map[int64]bool{}}
}

// built returns the commits that were fetched, in their order.
func (e *engine) built() (shas []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, s := range e.fetched {
		shas = append(shas, s.SHA)
	}
	return shas
}

// Fetch implements [deployments.Builder].
func (e *engine) Fetch(_ context.Context, _ deployments.Remote, _ deployments.Origin, s deployments.Source) (*deployments.Checkout, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.fetched = append(e.fetched, s)
	return &deployments.Checkout{Dir: "/nowhere", Close: func() error { return nil }}, nil
}

// Build implements [deployments.Builder].
func (e *engine) Build(_ context.Context, req deployments.BuildRequest) ([]deployments.Image, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.fresh = append(e.fresh, req.Fresh)
	return nil, nil
}

// Push implements [deployments.Builder].
func (e *engine) Push(_ context.Context, images []deployments.Image) ([]deployments.Image, error) {
	return images, nil
}

// Remove implements [deployments.Builder].
func (e *engine) Remove(context.Context, []string) error { return nil }

// References implements [deployments.Builder].
func (e *engine) References(context.Context) ([]string, error) { return nil, nil }

// Settings implements [deployments.StackReader].
func (e *engine) Settings(context.Context, string) (deployments.Settings, error) {
	return deployments.Settings{}, nil
}

func services() []deployments.PublicService {
	return []deployments.PublicService{{Name: "web", Port: 8080}}
}

// Public implements [deployments.StackReader].
func (e *engine) Public(context.Context, string, string, deployments.Values) ([]deployments.PublicService, error) {
	return services(), nil
}

// Read implements [deployments.StackReader].
func (e *engine) Read(context.Context, string, string, deployments.Values) (deployments.Stack, error) {
	return deployments.Stack{JSON: json.RawMessage(`{}`), Public: services()}, nil
}

// Occupied implements [deployments.Runtime].
func (e *engine) Occupied(context.Context) ([]netip.Prefix, error) { return nil, nil }

// Prepare implements [deployments.Runtime].
func (e *engine) Prepare(_ context.Context, d deployments.Deployment) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.there[d.ID], e.states[d.State] = true, true
	return nil
}

// Plan implements [deployments.Runtime].
func (e *engine) Plan(context.Context, deployments.PlanRequest) (deployments.Plan, error) {
	return deployments.Plan{JSON: json.RawMessage(`{}`)}, nil
}

// Up implements [deployments.Runtime].
func (e *engine) Up(context.Context, deployments.Deployment, deployments.Start) ([]deployments.Backend, error) {
	return []deployments.Backend{{Service: "web", URL: "http://127.0.0.1:1", Answer: 200}}, nil
}

// Down implements [deployments.Runtime].
func (e *engine) Down(_ context.Context, deployment int64) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.there, deployment)
	return nil
}

// Clear implements [deployments.Runtime].
func (e *engine) Clear(_ context.Context, state int64) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.states, state)
	return nil
}

// Restore implements [deployments.Runtime].
func (e *engine) Restore(context.Context, deployments.Deployment) error { return nil }

// Watch implements [deployments.Runtime].
func (e *engine) Watch(ctx context.Context, connected func(), _ func(deployments.Incident)) error {
	connected()
	<-ctx.Done()
	return context.Cause(ctx)
}

// Silent implements [deployments.Runtime].
func (e *engine) Silent(context.Context, []deployments.Backend) ([]deployments.Backend, error) {
	return nil, nil
}

// Inventory implements [deployments.Runtime].
func (e *engine) Inventory(context.Context) (deployments.Inventory, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return deployments.Inventory{Deployments: slices.Sorted(maps.Keys(e.there)), States: slices.Sorted(maps.Keys(e.states))}, nil
}

// Write implements [deployments.Routes].
func (e *engine) Write(context.Context, []deployments.Route) error { return nil }

// Hosts implements [deployments.Routes].
func (e *engine) Hosts(context.Context) ([]string, error) { return nil, nil }

// Ready implements [deployments.Firewall].
func (e *engine) Ready(context.Context) error { return nil }

// Sweep implements [deployments.Firewall].
func (e *engine) Sweep(context.Context) error { return nil }
