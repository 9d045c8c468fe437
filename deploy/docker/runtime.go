// Package docker carries plans out on a Docker engine. It owns the engine's containers, and the networks and volumes around them: everything that
// it makes carries the labels of package deploy, and it touches nothing that lacks its instance's label. Engine 20.10 (API 1.41) and later will do.
package docker

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/docker/docker/client"

	"vitrine/deploy"
	"vitrine/deployments"
)

var _ deployments.Runtime = (*Runtime)(nil)

// A Config says which engine to use, and how.
type Config struct {
	// Host is the engine's address ("unix:///var/run/docker.sock"). Empty: DOCKER_HOST with its companions, else the engine's own default.
	Host string
	// Instance tells our objects from those of other servers on the same engine. Letters, digits and dashes; never empty.
	Instance string
	// Rule says which images may run that no build of ours made.
	Rule deployments.ImageRule
	// StartTimeout is how long a service may take to come up where its stack does not say. Zero: 60 s.
	StartTimeout time.Duration
	// Routes returns the networks that the engine's host has a way to, which ours must not hide. Nil for none.
	Routes func() ([]netip.Prefix, error)
	// LogDir is a folder for what removed containers had printed. Empty: that is not kept.
	LogDir string
	// LogBudget bounds what is kept of one environment, LogBudgetTotal what is kept of all, in bytes. Zero: 16 MiB and 512 MiB.
	LogBudget, LogBudgetTotal int64
	// Secrets returns the values that are hidden in whatever services of an environment print, given its name. It is called side by side. What they are is
	// known before the first container is made that has them. Where it fails, nothing is told or kept of what is printed. Nil: nothing is hidden.
	Secrets func(ctx context.Context, environment string) ([]string, error)
	Log     *slog.Logger // nil: nothing is logged
}

// A Runtime runs deployments on one engine. Its methods may be called side by side.
type Runtime struct {
	client       *client.Client
	door         *client.Client // asks on a connection of its own each time
	instance     string
	rule         deployments.ImageRule
	startTimeout time.Duration
	routes       func() ([]netip.Prefix, error)
	secrets      func(ctx context.Context, environment string) ([]string, error)
	log          *slog.Logger
	patience     patience
	archive      archive
	meter        meter
	removing     sync.Map     // the deployments, int64, that Down is removing
	stopped      sync.Map     // the IDs or names of containers that this Runtime stops, until they start again or are gone
	processors   atomic.Int64 // that the engine has; 0 where it is to be asked
}

// New returns the Runtime that c describes. It does not ask the engine for anything yet; see [Runtime.Ping].
func New(c Config) (*Runtime, error) {
	if c.Instance == "" {
		return nil, errors.New("set up docker: the instance has no name")
	}
	opts := []client.Opt{client.FromEnv, client.WithAPIVersionNegotiation()}
	if c.Host != "" {
		opts = append(opts, client.WithHost(c.Host))
	}
	engine, err := client.NewClientWithOpts(slices.Concat(opts, []client.Opt{tieConnections})...)
	if err != nil {
		return nil, fmt.Errorf("set up docker at %q: %w", c.Host, err)
	}
	door, err := client.NewClientWithOpts(slices.Concat(opts, []client.Opt{anew})...)
	if err != nil {
		return nil, fmt.Errorf("set up docker at %q: %w", c.Host, errors.Join(err, engine.Close()))
	}
	log := c.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	routes := c.Routes
	if routes == nil {
		routes = func() ([]netip.Prefix, error) { return nil, nil }
	}
	secrets := c.Secrets
	if secrets == nil {
		secrets = func(context.Context, string) ([]string, error) { return nil, nil }
	}
	r := &Runtime{
		client: engine, door: door, instance: c.Instance, rule: c.Rule, startTimeout: c.StartTimeout, routes: routes, secrets: secrets, log: log,
		patience: defaultPatience(),
		archive: archive{
			dir: c.LogDir, each: cmp.Or(c.LogBudget, defaultLogBudget), total: cmp.Or(c.LogBudgetTotal, defaultLogBudgetTotal),
		},
	}
	if err := r.archive.clear(); err != nil {
		return nil, errors.Join(fmt.Errorf("clear %s: %w", c.LogDir, err), r.Close())
	}
	return r, nil
}

// Close ends the connections to the engine. What runs there goes on.
func (r *Runtime) Close() error {
	if err := errors.Join(r.client.Close(), r.door.Close()); err != nil {
		return fmt.Errorf("close docker client: %w", err)
	}
	return nil
}

// Ping returns the engine's version and address, "20.10.24 at unix:///var/run/docker.sock". The error says where an engine was looked for and what to do.
func (r *Runtime) Ping(ctx context.Context) (engine string, err error) {
	v, err := r.client.ServerVersion(ctx)
	if err != nil {
		return "", fmt.Errorf("no Docker engine answers at %s: %w; start it, or name another with --docker-host", r.client.DaemonHost(), err)
	}
	return v.Version + " at " + r.client.DaemonHost(), nil
}

// Plan implements [deployments.Runtime]. Services are run from image IDs: those that were built from d's, the others from what their registry or the
// image rule gives. An image's own health check, exposed ports and volumes count where the stack says nothing.
func (r *Runtime) Plan(ctx context.Context, req deployments.PlanRequest) (deployments.Plan, error) {
	d := req.Deployment
	var stack deploy.Stack
	if err := json.Unmarshal(req.Stack.JSON, &stack); err != nil {
		return deployments.Plan{}, fmt.Errorf("read stack of deployment %d: %w", d.ID, err)
	}
	live, err := r.livePlan(req.Live)
	if err != nil {
		return deployments.Plan{}, err
	}
	var images map[string]deploy.Image
	var processors int
	err = r.attended(ctx, func(ctx context.Context) (err error) {
		if images, err = r.images(ctx, stack, d.Images); err == nil {
			processors, err = r.size(ctx)
		}
		return err
	})
	if err == nil {
		err = r.mountable(ctx, stack)
	}
	if err != nil {
		return deployments.Plan{}, err
	}
	plan, err := deploy.NewPlan(deploy.PlanInput{
		Instance: r.instance, Environment: req.Environment.Name, Deployment: d.ID, State: d.State, Live: live, Ran: d.Ran,
		Subnet: d.Subnet, Stack: stack, Images: images, StartTimeout: r.startTimeout, MaxCPUs: float64(processors),
	})
	var wrong *deploy.StackError
	if errors.As(err, &wrong) {
		return deployments.Plan{}, &deployments.Fault{Kind: deployments.FaultConfig, Service: wrong.Service, Reason: wrong.Reason}
	}
	if err != nil {
		return deployments.Plan{}, err
	}
	b, err := json.Marshal(plan)
	if err != nil {
		return deployments.Plan{}, fmt.Errorf("write plan of deployment %d: %w", d.ID, err)
	}
	return deployments.Plan{JSON: b, Replaces: plan.Replaced()}, nil
}

// livePlan reads the plan of what is live, nil for none.
func (r *Runtime) livePlan(live *deployments.Deployment) (*deploy.Plan, error) {
	if live == nil {
		return nil, nil
	}
	plan, err := r.planOf(live.ID, live.Plan)
	if err != nil {
		return nil, fmt.Errorf("read plan of live deployment %d: %w", live.ID, err)
	}
	return &plan, nil
}

// size returns how many processors the engine has. It takes an engine 10 to 60 ms to say so; where it was started again, or does not take what was
// planned, it is asked anew.
func (r *Runtime) size(ctx context.Context) (int, error) {
	if n := r.processors.Load(); n > 0 {
		return int(n), nil
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	engine, err := r.client.Info(ctx)
	if err != nil {
		return 0, fmt.Errorf("ask engine for its size: %w", err)
	}
	r.processors.Store(int64(engine.NCPU))
	return engine.NCPU, nil
}

// makeTimeout bounds a creation that goes on after its caller has gone.
const makeTimeout = 30 * time.Second

// lasting returns a context for a call that makes something: it outlives ctx. An engine ends a creation whose caller hung up, unseen, and
// whoever removes the deployment then would miss what comes into being after it looked.
func lasting(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), makeTimeout)
}
