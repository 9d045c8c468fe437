package deployments

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// takeDownIfStillWanted takes the environment down unless its forge says that it is open again.
func (c *Controller) takeDownIfStillWanted(ctx context.Context, e Environment) error {
	head, err := c.head(ctx, e)
	if err != nil {
		return err
	}
	if intent, source, cause := e.Resolve(head); intent == Up {
		return c.want(ctx, Want{Origin: e.Origin, Source: source, Intent: Up, By: ByEvent, Cause: cause})
	}
	return c.takeDown(ctx, e)
}

// takeDown removes everything that belongs to the environment: routes first, then what they led to.
func (c *Controller) takeDown(ctx context.Context, e Environment) error {
	routes, err := c.Store.TakeDown(ctx, e.ID, e.Generation)
	if err != nil {
		return fmt.Errorf("take %s down: %w", e.Name, err)
	}
	c.writeRoutes(ctx, e, routes)
	owned, err := c.Store.Owned(ctx)
	if err != nil {
		return err
	}
	for _, d := range owned {
		if d.Environment != e.ID {
			continue
		}
		if err := c.remove(ctx, d); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(filepath.Join(c.LogDir, e.Name)); err != nil {
		return fmt.Errorf("remove the logs of %s: %w", e.Name, err)
	}
	if err := c.Store.TakenDown(ctx, e.ID, e.Generation); err != nil {
		return fmt.Errorf("record that %s is gone: %w", e.Name, err)
	}
	c.mu.Lock()
	delete(c.silent, e.ID)
	delete(c.guessed, e.ID)
	c.mu.Unlock()
	c.Log.Info("gone", "environment", e.Name, "cause", e.Cause)
	return nil
}

// remove removes everything outside that belongs to a deployment that has ended, and records it.
func (c *Controller) remove(ctx context.Context, d Deployment) error {
	if err := c.clear(ctx, d); err != nil {
		return err
	}
	return c.Store.Removed(ctx, d.ID)
}

// clear removes everything outside that belongs to the deployment.
func (c *Controller) clear(ctx context.Context, d Deployment) error {
	removed := errors.New("the deployment is removed")
	c.pushes.stop(d.ID, removed)
	c.restores.stop(d.ID, removed)
	c.mu.Lock()
	delete(c.resumed, d.ID)
	c.mu.Unlock()
	if err := c.Runtime.Down(ctx, d.ID); err != nil {
		return away("the Docker engine", fmt.Errorf("remove deployment %d: %w", d.ID, err))
	}
	if err := c.clearState(ctx, d); err != nil {
		return err
	}
	var references []string
	for _, image := range d.Images {
		references = append(references, image.References...)
	}
	references, err := c.Store.Unreferenced(ctx, d.ID, references)
	if err != nil {
		return err
	}
	if err := c.Builder.Remove(ctx, references); err != nil {
		return away("the registry", fmt.Errorf("remove the images of deployment %d: %w", d.ID, err))
	}
	return nil
}

// startRemovals removes what was replaced and has drained, and what an ended attempt left.
func (c *Controller) startRemovals(ctx context.Context) (next time.Time, err error) {
	owned, err := c.Store.Owned(ctx)
	if err != nil {
		return next, err
	}
	for _, d := range owned {
		if d.Phase.Running() || d.Phase == Ready || c.attempts.busy(d.Environment) && d.Phase != Removing {
			continue
		}
		what := "remove deployment " + strconv.FormatInt(d.ID, 10)
		at := later(d.RemoveAt, c.held(what))
		if at.After(c.Now()) {
			next = soonest(next, at)
			continue
		}
		c.removals.start(d.ID, 0, func(ctx context.Context) { c.outcome(ctx, what, c.removeReplaced(ctx, d)) }, c.poke)
	}
	return next, nil
}

// removeReplaced removes a deployment and has what is live in its place looked after: what drained for it is to go, too.
func (c *Controller) removeReplaced(ctx context.Context, d Deployment) error {
	if err := c.remove(ctx, d); err != nil {
		return err
	}
	e, err := c.Store.Environment(ctx, d.Environment)
	if err != nil {
		return err
	}
	if d.Phase == Removing && e.Live != 0 {
		c.doubtDeployment(e.Live, c.Now())
	}
	return nil
}
