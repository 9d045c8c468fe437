package deployments

import (
	"context"
	"errors"
	"maps"
	"strconv"
	"time"
)

const (
	// longestUnfollowed bounds the pause before the engine is followed again: previews that were stopped with it stand still until then.
	longestUnfollowed = 5 * time.Second
	// lull is how long the engine is left alone after a container has ended. It starts again what died; and where it ended the container because it is
	// about to stop itself, what is started meanwhile may never start again (moby/moby#50040).
	lull = 3 * time.Second
	// secondLook is how long after a service has not come up again it is looked after once more.
	secondLook = 30 * time.Second
	// restoring begins the names of the work of bringing a deployment back.
	restoring = "restore deployment "
)

// watch follows the engine until ctx is done. What happened while it could not be followed is not known: then everything that is live is looked after,
// at once, however often that failed while the engine was away.
func (c *Controller) watch(ctx context.Context) {
	const what = "follow the engine"
	for ctx.Err() == nil {
		err := c.Runtime.Watch(ctx, func() {
			c.outcome(ctx, what, nil)
			c.forgetFailures(restoring)
			c.doubtLive()
		}, c.heard)
		c.forgetIncidents()
		c.outcome(ctx, what, err)
		breathe(ctx, min(c.held(what).Sub(c.Now()), longestUnfollowed))
	}
}

// doubtLive has everything that is live looked after.
func (c *Controller) doubtLive() {
	c.mu.Lock()
	c.liveDoubtful = true
	c.mu.Unlock()
	c.poke()
}

// doubtDeployment has a deployment looked after from that time on, if it is live.
func (c *Controller) doubtDeployment(id int64, from time.Time) {
	c.mu.Lock()
	c.stopped[id] = soonest(c.stopped[id], from)
	c.mu.Unlock()
	c.poke()
}

// startRestores has the live deployments run again of which something may have stopped.
func (c *Controller) startRestores(ctx context.Context) (next time.Time, err error) {
	c.mu.Lock()
	nothing := !c.liveDoubtful && len(c.stopped) == 0
	c.mu.Unlock()
	if nothing {
		return next, nil
	}
	owned, err := c.Store.Owned(ctx)
	if err != nil {
		return next, err
	}
	for id, from := range c.toRestore(owned) {
		what := restoring + strconv.FormatInt(id, 10)
		if at := later(from, c.held(what)); at.After(c.Now()) {
			next = soonest(next, at)
			continue
		}
		// What is heard of it from here on may come too late for the look that begins.
		c.mu.Lock()
		delete(c.stopped, id)
		c.mu.Unlock()
		if !c.restores.start(id, 0, func(ctx context.Context) { c.restore(ctx, what, id) }, c.poke) {
			c.mu.Lock()
			c.stopped[id] = soonest(c.stopped[id], from)
			c.mu.Unlock()
		}
	}
	return next, nil
}

// toRestore returns which of the deployments are live and may have stopped, and from when on they are to be looked after. What is not live is
// forgotten; where an attempt starts another version, it is left for later.
func (c *Controller) toRestore(owned []Deployment) map[int64]time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	doubted := make(map[int64]time.Time, len(c.stopped))
	later := make(map[int64]time.Time)
	for _, d := range owned {
		from, stopped := c.stopped[d.ID]
		switch {
		case d.Phase != Ready:
		case c.starting[d.Environment] && (c.liveDoubtful || stopped):
			later[d.ID] = c.Now()
		case c.liveDoubtful:
			doubted[d.ID] = c.Now()
		case stopped:
			doubted[d.ID] = from
		}
	}
	c.stopped, c.liveDoubtful = maps.Clone(doubted), false
	maps.Copy(c.stopped, later)
	return doubted
}

// restore brings a live deployment back to what its record says. Where that cannot be done without its images being deployed anew, this is asked for.
// Meanwhile visitors of what does not answer are sent to the lobby.
func (c *Controller) restore(ctx context.Context, what string, id int64) {
	d, err := c.Store.Deployment(ctx, id)
	if err == nil && c.stackHeld(d.Environment) {
		return // the attempt looks after it when it ends
	}
	if err == nil && d.Phase == Ready {
		c.resume(d)
		if err = c.reroute(ctx, d, false); err == nil {
			err = c.fenced(ctx)
		}
		if err == nil {
			err = NewMask(d.Secrets).error(c.Runtime.Restore(ctx, d))
		}
	}
	if errors.Is(err, ErrNotFound) {
		c.Log.Info("something of a live deployment is not there any more", "deployment", id, "error", err)
		if err := c.redeploy(ctx, d); c.outcome(ctx, what, err) > 0 && err != nil {
			c.doubtDeployment(id, c.Now()) // the attempt that is due may find that nothing has to be deployed
		}
		return
	}
	fault := FaultOf(err)
	if fault == nil && c.outcome(ctx, what, err) > 0 && err != nil {
		c.doubtDeployment(id, c.Now())
		return
	}
	if ctx.Err() != nil || d.Phase != Ready {
		return
	}
	c.fare(ctx, id, func(now *Condition) { now.Fault = fault })
	if err := c.reroute(ctx, d, true); err != nil && ctx.Err() == nil {
		c.Log.Warn("look which backends answer", "deployment", id, "error", err)
	}
	if fault != nil {
		// It may come up later than it was given time for, without another word of the engine.
		c.doubtDeployment(id, c.Now().Add(secondLook))
	}
}
