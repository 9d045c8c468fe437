package deployments

import (
	"context"
	"errors"
	"maps"
	"strconv"
	"time"
)

// startReports brings what changed to the people who watch it.
func (c *Controller) startReports(ctx context.Context) (next time.Time, err error) {
	pending, err := c.Store.Reports(ctx, c.Now(), 4*atOnce)
	if err != nil {
		return next, err
	}
	for _, p := range pending {
		if at := c.pausedUntil(p.Environment.ID); !at.IsZero() {
			next = soonest(next, at)
			continue
		}
		c.reports.start(p.Environment.ID, 0, func(ctx context.Context) { c.report(ctx, p) }, c.poke)
	}
	return next, nil
}

// pausedUntil returns when the environment may be reported again, the zero time where it may be now.
func (c *Controller) pausedUntil(environment int64) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.Now()
	maps.DeleteFunc(c.reported, func(_ int64, at time.Time) bool { return !at.Add(c.ReportPause).After(now) })
	if at, ok := c.reported[environment]; ok {
		return at.Add(c.ReportPause)
	}
	return time.Time{}
}

func (c *Controller) report(ctx context.Context, p PendingReport) {
	c.mu.Lock()
	c.reported[p.Environment.ID] = c.Now()
	c.mu.Unlock()
	notes, err := c.Reporter.Report(ctx, p)
	if err == nil {
		err = c.Store.Reported(ctx, p.Environment.ID, p.Change, notes)
	}
	if err == nil || ctx.Err() != nil {
		return
	}
	c.Log.Warn("report", "environment", p.Environment.Name, "error", err)
	until := retryAt(c.Now(), p.Failures, err)
	if err := c.Store.PostponeReport(ctx, p.Environment.ID, until, notes); err != nil {
		c.Log.Error("postpone a report", "environment", p.Environment.Name, "error", err)
	}
	c.recall(until)
}

// startRequests has the pending requests resolved and the others answered.
func (c *Controller) startRequests(ctx context.Context) (next time.Time, err error) {
	requests, err := c.Store.Requests(ctx, c.Now(), 4*atOnce)
	if err != nil {
		return next, err
	}
	for _, r := range requests {
		c.requests.start(r.ID, 0, func(ctx context.Context) { c.serve(ctx, r) }, c.poke)
	}
	return next, nil
}

// serve takes a request one step further.
func (c *Controller) serve(ctx context.Context, r Request) {
	var err error
	if r.State == RequestPending {
		err = c.resolve(ctx, r)
	} else if err = c.Clerk.Answer(ctx, r); err == nil {
		err = c.Store.Answered(ctx, r.ID, r.State)
	}
	if err == nil || ctx.Err() != nil {
		return
	}
	c.Log.Warn("serve a request", "origin", r.Origin.Key(), "request", r.ID, "error", err)
	until := retryAt(c.Now(), r.Failures, err)
	if err := c.Store.PostponeRequest(ctx, r.ID, until); err != nil {
		c.Log.Error("postpone a request", "request", r.ID, "error", err)
	}
	c.recall(until)
}

func (c *Controller) resolve(ctx context.Context, r Request) error {
	resolution, err := c.Clerk.Resolve(ctx, r)
	if err != nil {
		return err
	}
	_, err = c.Store.Resolve(ctx, r.ID, resolution)
	return err
}

// startPushes brings the images of what is live into the registry.
func (c *Controller) startPushes(ctx context.Context) (next time.Time, err error) {
	unpushed, err := c.Store.Unpushed(ctx)
	if err != nil {
		return next, err
	}
	for _, d := range unpushed {
		what := "push the images of deployment " + strconv.FormatInt(d.ID, 10)
		if at := c.held(what); !at.IsZero() {
			next = soonest(next, at)
			continue
		}
		c.pushes.start(d.ID, 0, func(ctx context.Context) {
			err := away("the registry", c.push(ctx, d.ID))
			c.tellOfPush(ctx, d, c.outcome(ctx, what, err), err)
		}, c.poke)
	}
	return next, nil
}

// tellOfPush says in the history when a push begins to wait, and when one that had waited has succeeded. failures is how often it has failed in a
// row, before where err is nil.
func (c *Controller) tellOfPush(ctx context.Context, d Deployment, failures int, err error) {
	text := "the images are safe in the registry"
	if err != nil {
		text = "the push of the images " + waitingFor(err)
	}
	if ctx.Err() != nil || err == nil && failures == 0 || err != nil && failures > 1 {
		return
	}
	e, err := c.Store.Environment(ctx, d.Environment)
	if err != nil {
		c.Log.Error("read the environment of a push", "deployment", d.ID, "error", err)
		return
	}
	c.tell(ctx, e.Origin, text)
}

// push looks at the deployment again first: since it was listed it may have been replaced or taken down, and its tags removed. What is live now and
// is taken down later has its push stopped before its tags go.
func (c *Controller) push(ctx context.Context, id int64) error {
	d, err := c.Store.Deployment(ctx, id)
	if err != nil || d.Phase != Ready {
		return err
	}
	images, err := c.Builder.Push(ctx, d.Images)
	if err != nil {
		return err
	}
	return c.Store.Pushed(ctx, id, images, c.Now())
}

// writeRoutes brings an environment's records to Redis. Where that fails, all are written again until it succeeds; the Store has them.
func (c *Controller) writeRoutes(ctx context.Context, e Environment, routes []Route) {
	if len(routes) == 0 {
		return
	}
	err := c.Routes.Write(ctx, routes)
	if err == nil {
		return
	}
	c.Log.Warn("write routes", "environment", e.Name, "error", err)
	c.tell(ctx, e.Origin, "the route "+waitingFor(away("Redis", err)))
	c.raise(&c.hosts)
}

// tell writes an Event that nothing else depends on.
func (c *Controller) tell(ctx context.Context, o Origin, text string) {
	if err := c.Store.Record(ctx, o.Key(), text); err != nil && ctx.Err() == nil {
		c.Log.Error("write an event", "origin", o.Key(), "text", text, "error", err)
	}
}

// startRoutes brings every host's record to what the Store says, where one may differ.
func (c *Controller) startRoutes(context.Context) (time.Time, error) {
	return c.lookInto(&c.hosts, c.routing, c.reconcileRoutes), nil
}

// reconcileRoutes writes what the Store says of every host. A write that fails from here on is not covered by what it reads, and is doubted anew.
func (c *Controller) reconcileRoutes(ctx context.Context) error {
	routes, err := c.Store.Routes(ctx)
	if err != nil {
		return err
	}
	removed := make(map[string]Route)
	var wanted []Route
	for _, r := range routes {
		if r.Removed {
			removed[r.Host] = r
		} else {
			wanted = append(wanted, r)
		}
	}
	// What is wanted comes first: the built-in proxy serves it even where Redis does not answer.
	written := c.Routes.Write(ctx, wanted)
	hosts, err := c.Routes.Hosts(ctx)
	if err != nil {
		return errors.Join(written, err)
	}
	var unwanted []Route
	for _, h := range hosts {
		if r, ok := removed[h]; ok {
			unwanted = append(unwanted, r)
		}
	}
	return errors.Join(written, c.Routes.Write(ctx, unwanted))
}
