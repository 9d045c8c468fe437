package deployments

import (
	"context"
	"time"
)

// A doubt is that something may not be as it should. It is guarded by the Controller's mu.
type doubt struct {
	remedy string // what is done about it, for the log
	raised bool
}

// raise has the doubt looked into.
func (c *Controller) raise(d *doubt) {
	c.mu.Lock()
	d.raised = true
	c.mu.Unlock()
	c.poke()
}

// lookInto has remedy called, as the only task of its kind, where the doubt was raised. What failed is done again; the time is when, where that is later.
func (c *Controller) lookInto(d *doubt, kind *tasks, remedy func(context.Context) error) time.Time {
	c.mu.Lock()
	raised := d.raised
	c.mu.Unlock()
	if !raised {
		return time.Time{}
	}
	if at := c.held(d.remedy); !at.IsZero() {
		return at
	}
	kind.start(0, 0, func(ctx context.Context) {
		c.mu.Lock()
		d.raised = false
		c.mu.Unlock()
		err := remedy(ctx)
		c.outcome(ctx, d.remedy, err)
		if err != nil {
			c.raise(d)
		}
	}, c.poke)
	return time.Time{}
}
