package docker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"

	"vitrine/deploy"
	"vitrine/deployments"
)

const (
	// killed is the status of what was killed (SIGKILL, signal(7)), as everything in a container is when its first process ends.
	killed = 128 + 9
	// endTime is ample for an engine to see that a container has ended whose processes it saw end.
	endTime = 3 * time.Second
)

// hooks runs what the service wants to have run in its container after each start, one after the other. Each may take as long as the service may take to
// become healthy. One that fails, or cannot be run, is a Fault with what it printed.
func (s *start) hooks(ctx context.Context, svc *service) error {
	if len(svc.PostStart) == 0 {
		return nil
	}
	mask, err := s.maskOf(ctx, s.plan.Environment)
	if err != nil {
		return err
	}
	s.progress(svc.Service, "runs its post_start hooks")
	for _, h := range svc.PostStart {
		if err := s.hook(ctx, svc, h, mask.now()); err != nil {
			return err
		}
	}
	return nil
}

func (s *start) hook(ctx context.Context, svc *service, h deploy.Hook, hide *deployments.Mask) error {
	limited, cancel := context.WithTimeoutCause(ctx, svc.Check.Timeout, errOverdue)
	defer cancel()
	var out ending
	status, err := s.execute(limited, svc.id, container.ExecOptions{Cmd: h.Command, WorkingDir: h.WorkingDir, Env: assignments(h.Environment)}, hide, &out)
	failed := func(format string, args ...any) error {
		reason := fmt.Sprintf("its post_start hook %q ", strings.Join(h.Command, " ")) + fmt.Sprintf(format, args...)
		err := s.fault(ctx, svc, reason)
		if f := deployments.FaultOf(err); f != nil {
			if lines := readable(string(out.kept), excerptLines, hide); len(lines) > 0 {
				f.Excerpt = lines
			}
		}
		return err
	}
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(context.Cause(limited), errOverdue):
		return failed("has not ended after %s", seconds(svc.Check.Timeout))
	case err == nil && status == 0:
		return nil
	case err != nil && disconnected(err):
		return fmt.Errorf("run a hook in container %s: %w", svc.Name, err)
	}
	// That the container ended says more than that nothing goes on in it.
	if ended := s.endedWith(ctx, svc, err == nil && status == killed); ended != nil {
		return ended
	}
	if err != nil {
		return failed("cannot be run: %v", err)
	}
	return failed("exited with status %d", status)
}

// endedWith returns the Fault of a container that has ended with another status than 0, else nil. With soon it may take the engine a moment to say so.
func (s *start) endedWith(ctx context.Context, svc *service, soon bool) error {
	limited, cancel := context.WithTimeout(ctx, endTime)
	defer cancel()
	var status int
	err := retry(limited, restorePause, restorePause, func(ctx context.Context) (bool, error) {
		found, err := s.client.ContainerInspect(ctx, svc.id)
		if err != nil {
			return false, err
		}
		status = found.State.ExitCode
		return !found.State.Running || !soon, nil
	})
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil || status == 0 {
		return nil
	}
	return s.exited(ctx, svc, int64(status))
}

// ending keeps the end of what is written to it.
type ending struct{ kept []byte }

func (e *ending) Write(p []byte) (int, error) {
	e.kept = append(e.kept, p...)
	e.kept = e.kept[max(0, len(e.kept)-outputLimit):]
	return len(p), nil
}
