package deployments

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// cleanupTime bounds what an attempt does after it was cancelled.
const cleanupTime = 30 * time.Second

// An attempt brings one generation of an environment up.
type attempt struct {
	*Controller
	env Environment
	log *slog.Logger

	since time.Time // when the present phase began
	mask  *Mask     // hides what is secret of it; set before anything of the checkout is shown

	mu      sync.Mutex // guards what follows, which progress and jobRan write
	d       Deployment
	saved   time.Time
	initRan bool // an init job has begun
}

// attempt brings the environment to what its generation wants, or leaves it due.
func (c *Controller) attempt(ctx context.Context, e Environment) {
	err := c.converge(ctx, e)
	switch {
	case err == nil, errors.Is(err, ErrSuperseded), ctx.Err() != nil:
		return
	}
	until := c.retryWithoutForge(e.ID, retryAt(c.Now(), e.Failures, err))
	c.Log.Warn("attempt failed, will try again", "environment", e.Name, "generation", e.Generation, "error", err, "again", until)
	err = c.Store.Postpone(ctx, e.ID, e.Generation, until, waitingFor(err))
	if errors.Is(err, ErrSuperseded) {
		err = nil
	}
	// Where even that cannot be written, the environment is still due by its record.
	c.outcome(ctx, "postpone "+e.Name, err)
}

// converge makes one attempt at the environment, unless listed is out of date: it may have been read while the attempt before was about to end.
func (c *Controller) converge(ctx context.Context, listed Environment) error {
	e, err := c.Store.Environment(ctx, listed.ID)
	switch {
	case err != nil:
		return err
	case e.Generation != listed.Generation || !e.Due(c.Now()):
		return nil
	case e.Intent == Gone:
		return c.takeDownIfStillWanted(ctx, e)
	default:
		return c.bringUp(ctx, e)
	}
}

// bringUp makes one Deployment of the environment. A user's fault settles it and is no error here.
func (c *Controller) bringUp(ctx context.Context, e Environment) error {
	if err := c.fenced(ctx); err != nil {
		return fmt.Errorf("begin with %s: %w", e.Name, err)
	}
	occupied, err := c.occupied.list(ctx, c.Now(), c.Runtime)
	if err != nil {
		return err
	}
	d, err := c.Store.Claim(ctx, e.ID, c.Subnets, occupied)
	if errors.Is(err, ErrNoSubnet) {
		err = &Unavailable{Neighbour: "a free network of the server's address pool", Err: err}
	}
	if err != nil {
		return fmt.Errorf("claim %s: %w", e.Name, err)
	}
	a := &attempt{Controller: c, env: e, d: d, since: c.Now(),
		log: c.Log.With("environment", e.Name, "deployment", d.ID, "generation", d.Generation)}
	a.log.Info("attempt starts", "cause", e.Cause)
	defer a.letGo()
	// The claim is at the generation of its moment, whose flags and approval count. Where there is another one by now, nothing more can be written.
	claimed, err := c.Store.Environment(ctx, e.ID)
	if err == nil {
		a.env = claimed
		err = a.run(ctx)
	}
	if err == nil {
		return nil
	}
	return a.fail(ctx, err)
}

// run goes through the phases up to the switch.
func (a *attempt) run(ctx context.Context) error {
	stack, checkout, err := a.images(ctx)
	if checkout != nil {
		defer func() {
			// The deployment may be live by now; what is left of a checkout goes with the next start of the server.
			if err := checkout.Close(); err != nil {
				a.log.Warn("remove the checkout", "error", err)
			}
		}()
	}
	if err != nil || stack == nil {
		return err
	}
	backends, err := a.start(ctx, *stack, checkout.Dir)
	if err != nil {
		return err
	}
	return a.open(ctx, backends)
}

// start plans the stack and carries the plan out.
func (a *attempt) start(ctx context.Context, stack Stack, dir string) ([]Backend, error) {
	before, err := a.predecessor(ctx)
	if err != nil {
		return nil, err
	}
	plan, err := a.Runtime.Plan(ctx, PlanRequest{Environment: a.env, Deployment: a.d, Stack: stack, Live: before})
	if err != nil {
		return nil, away("the Docker engine", fmt.Errorf("plan %s: %w", a.env.Name, err))
	}
	a.d.Plan = plan
	if err := a.enter(ctx, Starting); err != nil {
		return nil, err
	}
	if len(plan.Replaces) > 0 {
		a.tell(ctx, a.env.Origin, fmt.Sprintf("%s: replaced in place, so a short downtime is expected", strings.Join(plan.Replaces, ", ")))
	}
	a.holdStack()
	backends, err := a.Runtime.Up(ctx, a.d, Start{Plan: plan, Dir: dir, Progress: a.progress(ctx), Job: a.jobRan(ctx)})
	if err != nil {
		return nil, away("the Docker engine", fmt.Errorf("start %s: %w", a.env.Name, err))
	}
	return backends, nil
}

// images holds a build slot while it fetches and builds. It returns no stack where there is nothing to do after all. The checkout, where there is one, is
// the caller's to close.
func (a *attempt) images(ctx context.Context) (*Stack, *Checkout, error) {
	select {
	case a.slots <- struct{}{}:
		defer func() { <-a.slots }()
	case <-ctx.Done():
		return nil, nil, context.Cause(ctx)
	}
	proceed, err := a.consult(ctx)
	if err != nil || !proceed {
		return nil, nil, err
	}
	if err := a.enter(ctx, Fetching); err != nil {
		return nil, nil, err
	}
	remote, err := a.Forge.Remote(ctx, a.d.Source.Repo)
	if err != nil {
		return nil, nil, away("GitHub", err)
	}
	checkout, err := a.Builder.Fetch(ctx, remote, a.env.Origin, a.d.Source)
	if err != nil {
		return nil, nil, away("GitHub", err)
	}
	stack, err := a.build(ctx, checkout.Dir)
	return stack, checkout, err
}

// build makes the images of what the checkout asks for, while the network is made.
func (a *attempt) build(ctx context.Context, dir string) (*Stack, error) {
	stack, err := a.read(ctx, dir)
	if err != nil {
		return nil, err
	}
	if err := a.enter(ctx, Building); err != nil {
		return nil, err
	}
	a.openLobby(ctx)
	log, err := a.openLog()
	if err != nil {
		return nil, err
	}
	defer log.Close()
	masked := a.mask.Writer(log)

	prepared := make(chan error, 1)
	go func(d Deployment) { prepared <- a.Runtime.Prepare(ctx, d) }(a.d)
	images, err := a.Builder.Build(ctx, BuildRequest{
		Environment: a.env.Name, Source: a.d.Source, Dir: dir, Fresh: a.env.Fresh, Builds: stack.Builds, Mask: a.mask, Log: masked, Progress: a.progress(ctx),
	})
	// The log is written as well as it goes, like every line of it.
	_ = masked.Close()
	return stack, errors.Join(away("the Docker engine", err), away("the Docker engine", <-prepared), a.keep(ctx, images))
}

// keep records the images that were built. From then on nobody takes their tags for left behind, however long the plan takes.
func (a *attempt) keep(ctx context.Context, images []Image) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.d.Images = images
	if len(images) == 0 {
		return nil
	}
	if err := a.Store.Save(ctx, a.d); err != nil {
		return fmt.Errorf("record the images of %s: %w", a.env.Name, err)
	}
	return nil
}

// read reads the stack and gives its public services their hosts.
func (a *attempt) read(ctx context.Context, dir string) (*Stack, error) {
	values, err := a.values(ctx, dir)
	if err != nil {
		return nil, err
	}
	public, err := a.Stacks.Public(ctx, a.d.Source.Repo, dir, values)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(public))
	for i, s := range public {
		names[i] = s.Name
	}
	labels, err := a.Store.Reserve(ctx, a.env.ID, public)
	if err != nil {
		return nil, fmt.Errorf("reserve hosts of %s: %w", a.env.Name, err)
	}
	values.Own = a.own(names, labels)
	stack, err := a.Stacks.Read(ctx, a.d.Source.Repo, dir, values)
	if err != nil {
		return nil, err
	}
	a.d.Services = make([]ServiceState, len(names))
	for i, name := range names {
		a.d.Services[i] = ServiceState{Name: name, Status: "waiting", Host: labels[i]}
	}
	for _, note := range stack.Notes {
		if err := a.Store.Record(ctx, a.env.Origin.Key(), a.mask.String(note)); err != nil {
			return nil, err
		}
	}
	return &stack, nil
}

// open makes the deployment the one that is served.
func (a *attempt) open(ctx context.Context, backends []Backend) error {
	a.endPhase()
	for i, s := range a.d.Services {
		for _, b := range backends {
			// Of several replicas the worst answer counts.
			if b.Service == s.Name && b.Answer >= a.d.Services[i].Answer {
				a.d.Services[i].Answer, a.d.Services[i].Lines = b.Answer, a.mask.lines(b.Lines)
			}
		}
		a.d.Services[i].Status = "healthy"
	}
	routes, err := a.Store.Switch(ctx, a.d, backends, a.Now().Add(a.Drain))
	if err != nil {
		return fmt.Errorf("switch %s: %w", a.env.Name, err)
	}
	a.writeRoutes(ctx, a.env, routes)
	// What ended since Up returned has to be started again, and from now on without being told. Nobody waits for that.
	a.doubtDeployment(a.d.ID, a.Now())
	a.log.Info("live", "source", a.d.Source.ShortSHA(), "hosts", len(routes))
	return nil
}

// enter records that the attempt is in a phase now.
func (a *attempt) enter(ctx context.Context, p Phase) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.endPhase()
	a.d.Phase = p
	a.saved = a.Now()
	if err := a.Store.Save(ctx, a.d); err != nil {
		return fmt.Errorf("record that %s is %s: %w", a.env.Name, p, err)
	}
	a.log.Info(string(p), "source", a.d.Source.ShortSHA())
	a.poke()
	return nil
}

// endPhase notes how long the present phase took.
func (a *attempt) endPhase() {
	now := a.Now()
	a.d.Timings = append(a.d.Timings, Timing{Phase: a.d.Phase, Took: now.Sub(a.since)})
	a.since = now
}

// progress returns a function that takes what a service is doing. It is saved at most once a second; what matters is saved with the next phase.
func (a *attempt) progress(ctx context.Context) func(service, status string) {
	return func(service, status string) {
		a.mu.Lock()
		defer a.mu.Unlock()
		for i := range a.d.Services {
			if a.d.Services[i].Name == service {
				a.d.Services[i].Status = a.mask.String(status)
			}
		}
		if a.Now().Sub(a.saved) < time.Second {
			return
		}
		a.saved = a.Now()
		if err := a.Store.Save(ctx, a.d); err != nil && !errors.Is(err, ErrSuperseded) && ctx.Err() == nil {
			a.log.Warn("save progress", "error", err)
		}
		a.poke()
	}
}

// fail removes what the attempt made and records why it ended. It returns an error where the environment is to be tried again.
func (a *attempt) fail(ctx context.Context, cause error) error {
	clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTime)
	defer cancel()
	a.endPhase()
	cause = a.mask.error(cause)
	fault := a.mask.Fault(FaultOf(cause))
	switch {
	case errors.Is(cause, ErrSuperseded) || errors.Is(context.Cause(ctx), ErrSuperseded):
		a.d.Phase, a.d.Reason = Superseded, supersedeReason(ctx, cause)
	case ctx.Err() != nil:
		a.d.Phase, a.d.Reason = Cancelled, context.Cause(ctx).Error()
	case fault != nil:
		a.d.Phase, a.d.Reason, a.d.Fault = Failed, fault.Error(), fault
		cause = nil
	default:
		a.d.Phase, a.d.Reason = Cancelled, cause.Error()
		a.forgetGuess()
	}
	a.tellOfInit(clean)
	a.log.Info("attempt ends", "phase", a.d.Phase, "reason", a.d.Reason)
	removed := a.clear(clean, a.d)
	err := a.Store.Settle(clean, a.d)
	if errors.Is(err, ErrSuperseded) {
		a.d.Phase, a.d.Reason, a.d.Fault = Superseded, supersedeReason(ctx, err), nil
		err = a.Store.Settle(clean, a.d)
	}
	if err == nil && removed == nil {
		removed = a.Store.Removed(clean, a.d.ID)
	}
	if removed != nil {
		a.log.Warn("remove what a failed attempt left; it will be tried again", "error", removed)
	}
	return errors.Join(err, cause)
}

func supersedeReason(ctx context.Context, err error) string {
	if cause := context.Cause(ctx); cause != nil {
		return cause.Error()
	}
	return err.Error()
}
