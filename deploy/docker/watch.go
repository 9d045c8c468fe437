package docker

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"

	"vitrine/deploy"
)

// failurePause is ample for the client to hand an error over that it has already.
const failurePause = 20 * time.Millisecond

// Watch follows the engine's events of this instance until the connection is lost or ctx is done, and returns why. connected is called once, as soon as
// whatever ends from then on will be told. ended is called, by one goroutine, for the deployment, or the state, of each container that died or ran out of memory; ends
// that [Runtime.Down] brings about are left out where they are told while it runs. What the engine starts again by itself is told too.
//
// The connection is lost where the engine ends, and where it does not answer any more.
func (r *Runtime) Watch(ctx context.Context, connected func(), ended func(deploymentOrState int64)) error {
	err := r.attended(ctx, func(ctx context.Context) error { return r.follow(ctx, connected, ended) })
	return fmt.Errorf("watch the engine: %w", err)
}

func (r *Runtime) follow(ctx context.Context, connected func(), ended func(deploymentOrState int64)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	by := filters.NewArgs(r.ours(), filters.Arg("type", string(events.ContainerEventType)),
		filters.Arg("event", string(events.ActionDie)), filters.Arg("event", string(events.ActionOOM)))
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
			r.tell(m, ended)
		case err := <-errs:
			return err
		}
	}
}

// tell calls ended for the deployment, or the state, of the event's container.
func (r *Runtime) tell(m events.Message, ended func(deploymentOrState int64)) {
	if state, ok := number(m.Actor.Attributes, deploy.LabelState); ok {
		ended(state)
		return
	}
	id, ok := number(m.Actor.Attributes, deploy.LabelDeployment)
	if !ok {
		r.log.Warn("container of this instance has neither deployment nor state", "container", m.Actor.ID)
		return
	}
	if _, ours := r.removing.Load(id); !ours {
		ended(id)
	}
}
