package docker

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"golang.org/x/sync/errgroup"

	"vitrine/deploy"
	"vitrine/deployments"
)

// restorePause lies between two looks at a container that is on its way up.
const restorePause = 100 * time.Millisecond

// Restore removes the containers of the deployment's state that its plan does not have, which may be those of an attempt that failed or was killed, or what
// it has replaced itself. Then it starts again what of the deployment's plan has stopped, in the order of its dependencies, has the engine do so by itself from then on, and
// returns once every service is up as its check says. What runs goes on, and one-shot jobs that ended with status 0 stay as they are. The addresses are
// the plan's afterwards.
//
// The error is a [deployments.ErrNotFound] where a container or the network is not there any more, is not the plan's or can never be started again, a
// Fault of the service that does not come up again, and a [deployments.Unavailable] where the engine is away. Calling it again is harmless.
//
// After its own restart an engine starts again what it stopped itself. What was running when the engine was killed, it may leave stopped.
func (r *Runtime) Restore(ctx context.Context, d deployments.Deployment) error {
	plan, err := r.planOf(d.ID, d.Plan)
	if err != nil {
		return fmt.Errorf("restore deployment %d: %w", d.ID, err)
	}
	err = r.attended(ctx, func(ctx context.Context) error {
		return newStart(r, plan, deployments.Start{}).restore(ctx)
	})
	if err == nil || deployments.FaultOf(err) != nil {
		return err
	}
	return fmt.Errorf("restore deployment %d: %w", d.ID, err)
}

func (s *start) restore(ctx context.Context) error {
	there, err := s.hasNetwork(ctx, s.plan.Network)
	if err != nil {
		return err
	}
	if !there {
		return fmt.Errorf("look up network %s: %w", s.plan.Network.Name, deployments.ErrNotFound)
	}
	// What is to start again may need a volume that others still write to.
	if err := s.outgrown(ctx); err != nil {
		return err
	}
	// Nothing is started where something is missing: the rest is of no use then.
	found := make([]*container.State, len(s.services))
	for i, svc := range s.services {
		if found[i], err = s.look(ctx, svc); err != nil {
			return err
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	for i, svc := range s.services {
		g.Go(func() error { return s.revive(ctx, svc, found[i]) })
	}
	return g.Wait()
}

// look returns the state of the service's container, and takes its ID down.
func (s *start) look(ctx context.Context, svc *service) (*container.State, error) {
	limited, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	found, err := s.inspect(limited, svc.Container)
	if err != nil {
		return nil, missing(err)
	}
	if found.State.Dead {
		return nil, fmt.Errorf("look up container %s: the engine is removing it: %w", svc.Name, deployments.ErrNotFound)
	}
	svc.id = found.ID
	svc.resumes = found.HostConfig.RestartPolicy.IsUnlessStopped()
	endpoint := found.NetworkSettings.Networks[s.plan.Network.Name]
	if svc.State && endpoint == nil { // nobody but somebody else has disconnected it, and it holds what must not be lost
		if err := s.join(limited, svc); err != nil {
			return nil, err
		}
		return found.State, nil
	}
	if !placed(found.State, endpoint, svc.Address.String()) {
		return nil, fmt.Errorf("look up container %s: it is not at %s in network %s any more: %w", svc.Name, svc.Address, s.plan.Network.Name, deployments.ErrNotFound)
	}
	return found.State, nil
}

// placed reports whether the container has the address, or will have it once it is started.
func placed(state *container.State, endpoint *network.EndpointSettings, address string) bool {
	if endpoint == nil || endpoint.IPAMConfig == nil || endpoint.IPAMConfig.IPv4Address != address {
		return false
	}
	return !state.Running || state.Restarting || endpoint.IPAddress == address
}

// restartTime is ample for a service that exits whenever it is started to do so once more.
const restartTime = 5 * time.Second

// stuck is how an engine says that a container's last start was cut off, by the engine's own end, so that there can be no other before somebody clears
// what is left of it (moby/moby#50040, moby/moby#39630).
var stuck = regexp.MustCompile(`failed to start shim: mkdir .*: file exists|container with (given )?id (already )?exists`)

// missing makes a [deployments.ErrNotFound] of an engine's answer that something is not there, or is of no use any more.
func missing(err error) error {
	if errdefs.IsNotFound(err) || errors.Is(err, errAnother) || stuck.MatchString(err.Error()) {
		return errors.Join(err, deployments.ErrNotFound)
	}
	return err
}

// revive starts the service if it has stopped, and waits until it is up.
func (s *start) revive(ctx context.Context, svc *service, state *container.State) error {
	job := svc.Check.Kind == deploy.CheckExit
	if !job && !svc.resumes {
		if err := s.keep(ctx, svc); err != nil {
			return missing(err)
		}
	}
	switch {
	case job && state.Status == container.StateExited && state.ExitCode == 0:
		close(svc.started)
		close(svc.up)
		return nil
	case !state.Running && !state.Restarting:
		for _, d := range svc.DependsOn {
			if err := s.await(ctx, svc, d); err != nil {
				return err
			}
		}
		if err := s.launch(ctx, svc); err != nil {
			return missing(err)
		}
	}
	close(svc.started)
	if err := s.settle(ctx, svc); err != nil {
		return err
	}
	close(svc.up)
	return nil
}

// keep has the engine start the container again when it dies and when the engine itself comes back.
func (s *start) keep(ctx context.Context, svc *service) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err := s.client.ContainerUpdate(ctx, svc.id, container.UpdateConfig{
		RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyUnlessStopped},
	})
	if err != nil {
		return fmt.Errorf("set restart policy of container %s: %w", svc.Name, err)
	}
	return nil
}

// settle waits until the service is up as its check says. Unlike [start.bring] it takes no exit for final: after the engine's own restart services
// come up in any order, and the engine starts again whoever gave up on a neighbour.
func (s *start) settle(ctx context.Context, svc *service) error {
	first, err := s.look(ctx, svc)
	if err != nil {
		return err
	}
	switch svc.Check.Kind {
	case deploy.CheckExit, deploy.CheckRunning:
		return s.follow(ctx, svc, first)
	default:
		err := s.check(ctx, svc)
		if fault := deployments.FaultOf(err); fault != nil {
			return s.again(ctx, svc, first, fault)
		}
		if err != nil {
			return err
		}
		_, err = s.look(ctx, svc)
		return err
	}
}

// follow looks at the container, of which first was seen, until it has ended as a job should, or has run for as long as its check asks.
func (s *start) follow(ctx context.Context, svc *service, first *container.State) error {
	limited, cancel := context.WithTimeoutCause(ctx, svc.Check.Timeout, errOverdue)
	defer cancel()
	err := retry(limited, restorePause, restorePause, func(ctx context.Context) (bool, error) {
		state, err := s.look(ctx, svc)
		if err != nil {
			return false, err
		}
		if svc.Check.Kind == deploy.CheckExit {
			if state.Status == container.StateExited && state.ExitCode != 0 {
				return false, s.exited(ctx, svc, int64(state.ExitCode))
			}
			return state.Status == container.StateExited, nil
		}
		since, err := time.Parse(time.RFC3339Nano, state.StartedAt)
		return state.Running && !state.Restarting && time.Since(since) >= svc.Check.Settle, err
	})
	if ctx.Err() == nil && errors.Is(context.Cause(limited), errOverdue) && deployments.FaultOf(err) == nil {
		err = s.overdue(ctx, svc, "")
		if fault := deployments.FaultOf(err); fault != nil {
			return s.again(ctx, svc, first, fault)
		}
	}
	return err
}

// again says in the Fault that the service exits whenever it is started, where that is why it does not come up. first is how the container was seen before
// its check.
func (s *start) again(ctx context.Context, svc *service, first *container.State, fault *deployments.Fault) error {
	limited, cancel := context.WithTimeout(ctx, restartTime)
	defer cancel()
	var state *container.State
	err := retry(limited, restorePause, restorePause, func(context.Context) (_ bool, err error) {
		state, err = s.look(ctx, svc)
		// One that has been started meanwhile may just be at its next try.
		return err != nil || state.Restarting || !state.Running || state.StartedAt == first.StartedAt, err
	})
	if err != nil && (ctx.Err() != nil || limited.Err() == nil) {
		return err
	}
	if state.Restarting || !state.Running {
		fault.Reason = fmt.Sprintf("exits with status %d whenever it is started again", state.ExitCode)
	}
	return fault
}
