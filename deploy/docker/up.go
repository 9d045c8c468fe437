package docker

import (
	"context"
	"fmt"
	"net/http"
	"sync"

	"github.com/docker/docker/api/types/container"
	"golang.org/x/sync/errgroup"

	"vitrine/deploy"
	"vitrine/deployments"
)

// Up implements [deployments.Runtime]. Services that do not wait for each other are created, started and checked side by side. From its start until Up
// returns a service's exit is noticed at once. From then on, until [Runtime.Restore] was called, the engine leaves ended what ends. Up removes nothing
// but what an attempt that was killed left of the state, also when it fails or ctx is done: [Runtime.Down] and [Runtime.Restore] do.
//
// Once all are up, each public service is asked for "/" once, with the Host and X-Forwarded-Proto of its URL (see [deploy.NewPlan]); redirects are not
// followed, and a service that does not answer within ten seconds has no status.
//
// Progress gets "waits for db", "starting", "runs init job 1", and at the end "healthy" or, of a service that was to end, "completed".
func (r *Runtime) Up(ctx context.Context, d deployments.Deployment, s deployments.Start) ([]deployments.Backend, error) {
	plan, err := r.planOf(d.ID, s.Plan)
	if err != nil {
		return nil, fmt.Errorf("start deployment %d: %w", d.ID, err)
	}
	var backends []deployments.Backend
	err = r.attended(ctx, func(ctx context.Context) (err error) {
		backends, err = newStart(r, plan, s).run(ctx)
		return err
	})
	switch {
	case err == nil:
		return backends, nil
	case deployments.FaultOf(err) != nil:
		return nil, err
	default:
		return nil, fmt.Errorf("start deployment %d: %w", d.ID, err)
	}
}

// planOf reads the deployment's plan, if it is that.
func (r *Runtime) planOf(deployment int64, p deployments.Plan) (deploy.Plan, error) {
	plan, err := deploy.ParsePlan(p.JSON)
	if err == nil && (plan.Instance != r.instance || plan.Deployment != deployment) {
		err = fmt.Errorf("the plan is for deployment %d of instance %q", plan.Deployment, plan.Instance)
	}
	return plan, err
}

// A start is one plan on its way up.
type start struct {
	*Runtime
	plan     deploy.Plan
	dir      string // the checkout
	progress func(service, status string)
	job      func(deployments.JobRun) error
	services []*service
	named    map[part][]*service
}

// A part is what others depend on: a service, all replicas of it, or one of its jobs.
type part struct {
	service string
	job     int
}

// A service is one container of a start.
type service struct {
	deploy.Container
	id      string
	resumes bool          // the engine starts it again when it ends
	started chan struct{} // closed once it runs
	ended   chan struct{} // closed once it ended as it was meant to
	up      chan struct{} // closed once its check passed
}

func newStart(r *Runtime, plan deploy.Plan, how deployments.Start) *start {
	s := &start{
		Runtime: r, plan: plan, dir: how.Dir, progress: how.Progress, job: how.Job, named: make(map[part][]*service, len(plan.Containers)),
	}
	if s.progress == nil {
		s.progress = func(string, string) {}
	}
	if s.job == nil {
		s.job = func(deployments.JobRun) error { return nil }
	}
	for _, c := range plan.Containers {
		svc := &service{Container: c, started: make(chan struct{}), ended: make(chan struct{}), up: make(chan struct{})}
		s.services = append(s.services, svc)
		s.named[part{c.Service, c.Job}] = append(s.named[part{c.Service, c.Job}], svc)
	}
	return s
}

// run brings everything up. The first service that fails ends the others' waiting.
func (s *start) run(ctx context.Context) ([]deployments.Backend, error) {
	if err := s.tidy(ctx); err != nil {
		return nil, err
	}
	if err := s.surround(ctx); err != nil {
		return nil, err
	}
	var backends []deployments.Backend
	g, ctx := errgroup.WithContext(ctx)
	watching, stopWatching := context.WithCancel(ctx)
	defer stopWatching()
	for _, svc := range s.services {
		g.Go(func() error { return s.bring(ctx, watching, g, svc) })
	}
	g.Go(func() error {
		for _, svc := range s.services {
			if err := waitFor(ctx, svc.up); err != nil {
				return err
			}
		}
		backends = s.finish(ctx)
		stopWatching()
		return nil
	})
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return backends, nil
}

// surround makes what the containers need.
func (s *start) surround(ctx context.Context) error {
	if err := s.makeNetwork(ctx, s.plan.Network); err != nil {
		return err
	}
	return together(ctx, s.plan.Volumes, s.makeVolume)
}

// bring creates the service, waits for what it depends on, starts it and waits until it is up. The container is watched, by a goroutine of g, until
// watching is done.
func (s *start) bring(ctx, watching context.Context, g *errgroup.Group, svc *service) error {
	if err := s.create(ctx, svc); err != nil {
		return err
	}
	for _, d := range svc.DependsOn {
		if err := s.await(ctx, svc, d); err != nil {
			return err
		}
	}
	if err := s.makeWay(ctx, svc); err != nil {
		return err
	}
	s.progress(svc.Service, svc.starting())
	if err := s.tellOfJob(svc, false); err != nil {
		return err
	}
	if svc.Kept {
		if err := s.join(ctx, svc); err != nil {
			return err
		}
	}
	// The wait is asked for before the start, or a quick exit would come before it.
	results, errs := s.client.ContainerWait(watching, svc.id, container.WaitConditionNextExit)
	g.Go(func() error { return s.watch(ctx, watching, svc, results, errs) })
	if err := s.launch(ctx, svc); err != nil {
		return err
	}
	close(svc.started)
	if err := s.check(ctx, svc); err != nil {
		return err
	}
	if err := s.tellOfJob(svc, true); err != nil {
		return err
	}
	if svc.Check.Kind == deploy.CheckExit {
		s.progress(svc.Service, "completed")
	} else {
		s.progress(svc.Service, "healthy")
	}
	close(svc.up)
	return nil
}

// create makes the service's container and copies its files there.
func (s *start) create(ctx context.Context, svc *service) error {
	id, fresh, err := s.makeContainer(ctx, s.plan, svc.Container)
	if err != nil {
		return err
	}
	svc.id = id
	if fresh {
		return s.copyFiles(ctx, svc)
	}
	return nil
}

// starting says what a service is doing when it starts.
func (svc *service) starting() string {
	if svc.Job > 0 {
		return fmt.Sprintf("runs init job %d", svc.Job)
	}
	return "starting"
}

// tellOfJob tells that a job begins, or has succeeded.
func (s *start) tellOfJob(svc *service, done bool) error {
	if svc.Job == 0 {
		return nil
	}
	if err := s.job(deployments.JobRun{Key: svc.JobKey, First: svc.First, Done: done}); err != nil {
		return fmt.Errorf("record init job %d of service %q: %w", svc.Job, svc.Service, err)
	}
	return nil
}

// launch starts the service's container, and runs its hooks there unless it runs already.
func (s *start) launch(ctx context.Context, svc *service) error {
	limited, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if svc.Kept && len(svc.PostStart) > 0 {
		found, err := s.client.ContainerInspect(limited, svc.id)
		if err != nil {
			return fmt.Errorf("look up container %s: %w", svc.Name, err)
		}
		if found.State != nil && found.State.Running {
			return nil
		}
	}
	if err := s.client.ContainerStart(limited, svc.id, container.StartOptions{}); err != nil {
		return s.startError(ctx, svc, err)
	}
	return s.hooks(ctx, svc)
}

// await waits until the dependency is in its condition: a service is once all of its replicas are.
func (s *start) await(ctx context.Context, svc *service, d deploy.Dependency) error {
	on := s.named[part{d.Service, d.Job}]
	if len(on) == 0 {
		return fmt.Errorf("service %q waits for %q, which the plan does not have", svc.Service, d.Service)
	}
	told := d.Job > 0 // that a service waits for its own job goes without saying
	for _, other := range on {
		done := other.up
		if d.Condition == deploy.Started {
			done = other.started
		}
		select {
		case <-done:
			continue
		default:
		}
		if !told {
			s.progress(svc.Service, "waits for "+d.Service)
			told = true
		}
		if err := waitFor(ctx, done); err != nil {
			return err
		}
	}
	return nil
}

// waitFor waits until done is closed.
func waitFor(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// watch waits for the container to exit, which is a Fault unless it was meant to end. It ends with the context watching.
func (s *start) watch(ctx, watching context.Context, svc *service, results <-chan container.WaitResponse, errs <-chan error) error {
	// The client sends on exactly one of the two, and ends with its context: to return before would leave it hanging.
	select {
	case result := <-results:
		if result.Error != nil {
			return fmt.Errorf("watch container %s: %s", svc.Name, result.Error.Message)
		}
		if svc.Check.Kind == deploy.CheckExit && result.StatusCode == 0 {
			// The engine tells of the end before it has let go of the address, which a service has in common with its jobs; an answer comes after.
			if _, err := s.client.ContainerInspect(ctx, svc.id); err != nil {
				return fmt.Errorf("look up container %s: %w", svc.Name, err)
			}
			close(svc.ended)
			return nil
		}
		return s.exited(ctx, svc, result.StatusCode)
	case err := <-errs:
		if watching.Err() != nil {
			return nil
		}
		return fmt.Errorf("watch container %s: %w", svc.Name, err)
	}
}

// finish is for when everything is up: the public services are asked what they answer.
func (s *start) finish(ctx context.Context) []deployments.Backend {
	var public []*service
	for _, svc := range s.services {
		if svc.Public {
			public = append(public, svc)
		}
	}
	backends := make([]deployments.Backend, len(public))
	var asked sync.WaitGroup
	for i, svc := range public {
		asked.Go(func() {
			backends[i] = s.opened(ctx, svc)
		})
	}
	asked.Wait()
	return backends
}

// opened returns the backend of a public service that is up, with what it answers first.
func (s *start) opened(ctx context.Context, svc *service) deployments.Backend {
	b := deployments.Backend{Service: svc.Service, URL: "http://" + svc.backend(), Answer: s.answer(ctx, svc)}
	if b.Answer < http.StatusInternalServerError {
		return b
	}
	limited, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	lines, err := s.lastLines(limited, svc)
	if err != nil {
		s.log.Warn("last lines of a service that answers an error are missing", "container", svc.Name, "error", err)
	}
	b.Lines = lines
	return b
}
