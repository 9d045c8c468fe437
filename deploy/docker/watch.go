package docker

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"

	"vitrine/deploy"
	"vitrine/deployments"
)

const (
	// failurePause is ample for the client to hand an error over that it has already.
	failurePause = 20 * time.Millisecond
	// detailTime bounds a question about a container of an event.
	detailTime = 5 * time.Second
	// engineCut ends what an engine keeps of a check's output where that is more than 4 KiB (moby daemon/health.go).
	engineCut = "..."
)

// Watch follows the engine's events of this instance until the connection is lost or ctx is done, and returns why. connected is called once, as soon as
// whatever happens from then on will be told. happened is called, by the same goroutine, for each Incident; ends that this Runtime brings about are left
// out where they are told while it runs, and ends that the end of the engine brings about are. What the engine starts again by itself is told too.
//
// The connection is lost where the engine ends, and where it does not answer any more.
func (r *Runtime) Watch(ctx context.Context, connected func(), happened func(deployments.Incident)) error {
	err := r.attended(ctx, func(ctx context.Context) error { return r.follow(ctx, connected, happened) })
	return fmt.Errorf("watch the engine: %w", err)
}

func (r *Runtime) follow(ctx context.Context, connected func(), happened func(deployments.Incident)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	by := filters.NewArgs(r.ours(), filters.Arg("type", string(events.ContainerEventType)))
	for _, a := range []events.Action{events.ActionDie, events.ActionOOM, events.ActionStart, events.ActionDestroy, events.ActionHealthStatus} {
		by.Add("event", string(a))
	}
	// The engine answers before it listens to itself; what happens in between, it tells of because of the time (moby api/server/router/system).
	messages, errs := r.client.Events(ctx, events.ListOptions{Filters: by, Since: strconv.FormatInt(time.Now().Unix(), 10)})
	// The client does not say whether it got through, only, a moment later, if it did not.
	select {
	case err := <-errs:
		return err
	case <-time.After(failurePause):
		r.processors.Store(0) // the engine may be another one than before
		connected()
	}
	for {
		select {
		case m := <-messages:
			if err := r.tell(ctx, m, happened); err != nil {
				return err
			}
		case err := <-errs:
			return err
		}
	}
}

// tell hands the event on as an Incident, where it is one. It returns an error where a container has ended because the engine ends: it closes its door
// before it stops the first one.
func (r *Runtime) tell(ctx context.Context, m events.Message, happened func(deployments.Incident)) error {
	i := deployments.Incident{
		Environment: m.Actor.Attributes[deploy.LabelEnvironment], Service: m.Actor.Attributes[deploy.LabelService], At: time.Unix(0, m.TimeNano),
	}
	var ok bool
	if i.Deployment, ok = number(m.Actor.Attributes, deploy.LabelDeployment); !ok && m.Actor.Attributes[deploy.LabelState] == "" {
		r.log.Warn("container of this instance has neither deployment nor state", "container", m.Actor.ID)
		return nil
	}
	switch m.Action {
	case events.ActionStart, events.ActionDestroy:
		r.stopped.Delete(m.Actor.ID)
		r.stopped.Delete(m.Actor.Attributes["name"])
	}
	if r.meant(i.Deployment, m.Actor) {
		return nil
	}
	switch m.Action {
	case events.ActionDie:
		i.Kind = deployments.Died
		// An engine that is well always says how it ended; where it does not, that is no status.
		i.Status, _ = strconv.Atoi(m.Actor.Attributes["exitCode"])
		if err := r.answers(ctx); err != nil {
			return err
		}
	case events.ActionOOM:
		i.Kind, i.Memory = deployments.OutOfMemory, r.memoryOf(ctx, m.Actor.ID)
	case events.ActionStart:
		i.Kind = deployments.Started
	case events.ActionHealthStatusUnhealthy:
		i.Kind, i.Detail = deployments.Unhealthy, r.lastCheck(ctx, i.Environment, m.Actor.ID)
	case events.ActionHealthStatusHealthy:
		i.Kind = deployments.Healthy
	default:
		return nil
	}
	happened(i)
	return nil
}

// meant reports whether this Runtime has the container end.
func (r *Runtime) meant(deployment int64, c events.Actor) bool {
	_, removed := r.removing.Load(deployment)
	_, byID := r.stopped.Load(c.ID)
	_, byName := r.stopped.Load(c.Attributes["name"])
	return removed || byID || byName
}

// memoryOf returns the container's limit in bytes, 0 where it cannot be asked for any more.
func (r *Runtime) memoryOf(ctx context.Context, id string) int64 {
	ctx, cancel := context.WithTimeout(ctx, detailTime)
	defer cancel()
	found, err := r.client.ContainerInspect(ctx, id)
	if err != nil || found.HostConfig == nil {
		r.log.Info("limit of a container that ran out of memory is not known", "container", id, "error", err)
		return 0
	}
	return found.HostConfig.Memory
}

// lastCheck returns what the container's health check printed last, one line, or nothing. What is secret of the environment is masked.
func (r *Runtime) lastCheck(ctx context.Context, environment, id string) string {
	ctx, cancel := context.WithTimeout(ctx, detailTime)
	defer cancel()
	found, err := r.client.ContainerInspect(ctx, id)
	if err != nil || found.State == nil || found.State.Health == nil || len(found.State.Health.Log) == 0 {
		r.log.Info("what the check of an unhealthy container said is not known", "container", id, "error", err)
		return ""
	}
	mask, err := r.maskOf(ctx, environment)
	if err != nil {
		r.log.Warn("what the check of an unhealthy container said is not shown", "container", id, "error", err)
		return ""
	}
	log := found.State.Health.Log
	return lastLine(log[len(log)-1].Output, mask.now())
}

// lastLine returns the last line of what the engine keeps of a check's output, masked.
func lastLine(output string, hide *deployments.Mask) string {
	if kept, cut := strings.CutSuffix(output, engineCut); cut {
		output = hide.Cut(kept) + engineCut
	}
	return strings.Join(readable(output, 1, hide), "")
}

// Silent implements [deployments.Runtime]. A backend is given two seconds to take a connection.
func (r *Runtime) Silent(ctx context.Context, backends []deployments.Backend) ([]deployments.Backend, error) {
	answering := make([]bool, len(backends))
	var asked sync.WaitGroup
	for i, b := range backends {
		asked.Go(func() { answering[i] = answersAt(ctx, b.URL) })
	}
	asked.Wait()
	var silent []deployments.Backend
	for i, b := range backends {
		if !answering[i] {
			silent = append(silent, b)
		}
	}
	if len(silent) == 0 {
		return nil, nil
	}
	if err := r.answers(ctx); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, fmt.Errorf("look which backends answer: %w", err)
	}
	return silent, nil
}

// silentAfter is how long a backend may take to accept a connection.
const silentAfter = 2 * time.Second

// answersAt reports whether something accepts connections at the URL.
func answersAt(ctx context.Context, address string) bool {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, silentAfter)
	defer cancel()
	return retry(ctx, firstPortPause, lastPortPause, func(ctx context.Context) (bool, error) { return listens(ctx, u.Host), nil }) == nil
}
