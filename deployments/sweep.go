package deployments

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// sweepTime bounds each part of a sweep, so that a neighbour that hangs holds up nothing else.
const sweepTime = time.Minute

// sweep compares the records with what is outside, removes what belongs to none, and makes due again what is missing. One part that fails
// does not keep the others from it. At the start nothing is under way, so what nothing owns can go at once.
func (c *Controller) sweep(ctx context.Context, start bool) {
	part := func(what string, of func(context.Context) error) (took time.Duration) {
		began := c.Now()
		bounded, cancel := context.WithTimeout(ctx, sweepTime)
		defer cancel()
		c.outcome(ctx, what, of(bounded))
		return c.Now().Sub(began)
	}
	took := part("sweep the engine", c.sweepRuntime)
	took += part("sweep the images", func(ctx context.Context) error { return c.sweepImages(ctx, start) })
	// The firewall is tested now and then, which takes seconds: what others do not wait for comes last.
	c.Log.Info("swept", "took", took, "firewall", part("sweep the firewall", c.sweepFirewall))
	c.raise(&c.hosts)
}

// sweepRuntime removes what no record owns, and has deployed again what is live by its record and not there. One deployment that fails does not
// keep the others from it.
func (c *Controller) sweepRuntime(ctx context.Context) error {
	// The inventory comes first: what is begun after it is in the records that are read then.
	began := c.Now()
	inventory, err := c.Runtime.Inventory(ctx)
	if err != nil {
		return err
	}
	owned, err := c.Store.Owned(ctx)
	if err != nil {
		return err
	}
	records, states := make(map[int64]bool, len(owned)), make(map[int64]bool, len(owned))
	for _, d := range owned {
		records[d.ID], states[d.State] = true, true
	}
	there := make(map[int64]bool, len(inventory.Deployments))
	var errs []error
	for _, id := range inventory.Deployments {
		there[id] = true
		if records[id] {
			continue
		}
		c.Log.Info("remove what no record owns", "deployment", id)
		if err := c.Runtime.Down(ctx, id); err != nil {
			errs = append(errs, fmt.Errorf("remove deployment %d: %w", id, err))
		}
	}
	for _, id := range inventory.States {
		if states[id] {
			continue
		}
		c.Log.Info("remove what no record owns", "state", id)
		if err := c.Runtime.Clear(ctx, id); err != nil {
			errs = append(errs, fmt.Errorf("remove state %d: %w", id, err))
		}
	}
	for _, d := range owned {
		if d.Phase == Ready && d.LiveAt.Before(began) && !there[d.ID] {
			if err := c.redeploy(ctx, d); !errors.Is(err, errUnderWay) { // the next sweep looks again
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}

func (c *Controller) sweepFirewall(ctx context.Context) error {
	if c.Firewall == nil {
		return nil
	}
	return away("the server's firewall", c.Firewall.Sweep(ctx))
}

// fenced returns nil where code of a repository may run: the firewall is up, or the operator wants none.
func (c *Controller) fenced(ctx context.Context) error {
	if c.Firewall == nil {
		return nil
	}
	return away("the server's firewall", c.Firewall.Ready(ctx))
}

// errUnderWay is returned where an attempt that is due anyway may mend what is to be mended.
var errUnderWay = errors.New("another attempt is due")

// redeploy asks for a live deployment again whose containers are gone. It returns errUnderWay where that has to wait for an attempt, which may replace
// it.
func (c *Controller) redeploy(ctx context.Context, d Deployment) error {
	e, err := c.Store.Environment(ctx, d.Environment)
	if err != nil {
		return err
	}
	switch {
	case e.Live != d.ID:
		return nil
	case e.Generation > e.Observed:
		return errUnderWay
	case e.Intent != Up:
		return nil
	}
	return c.want(ctx, Want{Origin: e.Origin, Source: d.Source, Intent: Up, By: e.By, Force: true, Cause: "its containers were gone"})
}

// sweepImages untags what no record owns. While builds run, an image is tagged before its record says so: then the tags of environments that may be
// building stay, and of the others only what was without an owner at the sweep before goes.
func (c *Controller) sweepImages(ctx context.Context, start bool) error {
	references, err := c.Builder.References(ctx)
	if err != nil {
		return err
	}
	unowned, err := c.Store.Unreferenced(ctx, 0, references)
	if err != nil {
		return err
	}
	unsettled, err := c.Store.Unsettled(ctx)
	if err != nil {
		return err
	}
	if !start {
		unowned = slices.DeleteFunc(unowned, func(r string) bool { return taggedFor(r, unsettled) })
	}
	c.mu.Lock()
	var remove []string
	seen := make(map[string]bool, len(unowned))
	for _, r := range unowned {
		if start || c.strays[r] {
			remove = append(remove, r)
		} else {
			seen[r] = true
		}
	}
	c.strays = seen
	c.mu.Unlock()
	if len(remove) == 0 {
		return nil
	}
	c.Log.Info("remove images that no record owns", "references", remove)
	return c.Builder.Remove(ctx, remove)
}

// taggedFor reports whether the reference has the tag of a commit of one of the environments.
func taggedFor(reference string, environments []Environment) bool {
	return slices.ContainsFunc(environments, func(e Environment) bool { return strings.Contains(reference, ":"+e.Name+".") })
}
