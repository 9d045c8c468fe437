package deployments

import (
	"context"
	"errors"
	"fmt"
)

// errStackTaken is the cause of a restore that ends because an attempt starts another version.
var errStackTaken = errors.New("another version starts")

// holdStack keeps everybody else from what runs of the environment, until letGo. A restore of what is live would undo what the attempt does to the state.
func (a *attempt) holdStack() {
	a.Controller.mu.Lock()
	a.starting[a.env.ID] = true
	a.Controller.mu.Unlock()
	if a.env.Live != 0 {
		a.restores.stop(a.env.Live, errStackTaken)
	}
}

// letGo ends what holdStack began. What was live before is looked after, as the attempt may have stopped something of it.
func (a *attempt) letGo() {
	a.Controller.mu.Lock()
	held := a.starting[a.env.ID]
	delete(a.starting, a.env.ID)
	a.Controller.mu.Unlock()
	if held {
		a.doubtDeployment(a.env.Live, a.Now())
	}
}

// stackHeld reports whether an attempt starts another version of the environment.
func (c *Controller) stackHeld(environment int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.starting[environment]
}

// predecessor returns what is live, where the attempt has its state; nil where it begins one of its own.
func (a *attempt) predecessor(ctx context.Context) (*Deployment, error) {
	if a.env.Live == 0 || a.d.State == a.d.ID {
		return nil, nil
	}
	live, err := a.Store.Deployment(ctx, a.env.Live)
	if err != nil || live.State != a.d.State {
		return nil, err
	}
	return &live, nil
}

// jobRan takes what becomes of an init job. One that runs once for each state is recorded when it has succeeded, so that it never runs again.
func (a *attempt) jobRan(ctx context.Context) func(JobRun) error {
	return func(j JobRun) error {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.initRan = true
		if !j.Done || !j.First {
			return nil
		}
		a.d.Ran = append(a.d.Ran, j.Key)
		return a.Store.Save(ctx, a.d)
	}
}

// tellOfInit says in the history of an attempt that has failed that what its init jobs did to the environment's data stays.
func (a *attempt) tellOfInit(ctx context.Context) {
	a.mu.Lock()
	ran := a.initRan
	a.mu.Unlock()
	if ran && a.d.State != a.d.ID {
		a.tell(ctx, a.env.Origin, "init had begun on data that is kept: what it changed there is not rolled back; /reset begins with fresh data")
	}
}

// clearState removes the state of a deployment that is removed, unless another one has it.
func (c *Controller) clearState(ctx context.Context, d Deployment) error {
	owned, err := c.Store.Owned(ctx)
	if err != nil {
		return err
	}
	for _, other := range owned {
		if other.ID != d.ID && other.State == d.State {
			return nil
		}
	}
	if err := c.Runtime.Clear(ctx, d.State); err != nil {
		return away("the Docker engine", fmt.Errorf("remove the state of deployment %d: %w", d.ID, err))
	}
	return nil
}
