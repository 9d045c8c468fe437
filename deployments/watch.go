package deployments

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"time"
)

// lastLines is how much of its output is shown of a service that is crashing.
const lastLines = 20

// lastLinesTime bounds the question for them.
const lastLinesTime = 10 * time.Second

// A watched is what is known of the services of a live deployment.
type watched struct {
	deployment int64
	services   map[string]*vitals
}

// heard takes in what the engine says. It is not called side by side.
func (c *Controller) heard(i Incident) {
	c.mu.Lock()
	c.incidents = append(c.incidents, i)
	c.mu.Unlock()
	c.poke()
}

// forgetIncidents forgets what was heard and not told yet: the engine was lost, and what ended just before may have ended with it.
func (c *Controller) forgetIncidents() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.incidents, c.lost = nil, true
}

// resume has a service looked at that a former process found to be crashing: it has run for long enough before it is said to run again.
func (c *Controller) resume(d Deployment) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.resumed[d.ID] {
		return
	}
	c.resumed[d.ID] = true
	for _, f := range d.Condition.Crashing {
		c.incidents = append(c.incidents, Incident{Kind: stillCrashing, Deployment: d.ID, Service: f.Service, At: c.Now()})
	}
}

// startTellings tells of what happened to containers, once it is clear what it was. Only the dispatcher calls it.
func (c *Controller) startTellings(ctx context.Context) (next time.Time, err error) {
	c.mu.Lock()
	incidents, lost := c.incidents, c.lost
	c.incidents, c.lost = nil, false
	c.mu.Unlock()
	if lost {
		for _, w := range c.watching {
			for _, v := range w.services {
				v.forget()
			}
		}
	}
	for _, i := range incidents {
		if err := c.attribute(ctx, i); err != nil {
			return next, err
		}
	}
	now := c.Now()
	for environment, w := range c.watching {
		for service, v := range w.services {
			sayings, at := v.due(now)
			next = soonest(next, at)
			for _, s := range sayings {
				c.say(ctx, environment, w.deployment, v, s)
			}
			if v.idle(now) {
				delete(w.services, service)
			}
		}
		if len(w.services) == 0 {
			delete(c.watching, environment)
		}
	}
	return next, nil
}

// attribute gives an incident to the live deployment that it is about. One about anything else is of no interest: the attempt sees it by itself.
func (c *Controller) attribute(ctx context.Context, i Incident) error {
	e, err := c.environmentOf(ctx, i)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if e.Live == 0 || i.Deployment != 0 && i.Deployment != e.Live {
		return nil
	}
	w := c.watching[e.ID]
	if w == nil || w.deployment != e.Live {
		if i.Kind == Started || i.Kind == Healthy {
			return nil // nothing was wrong with it
		}
		w = &watched{deployment: e.Live, services: make(map[string]*vitals)}
		c.watching[e.ID] = w
	}
	if w.services[i.Service] == nil {
		w.services[i.Service] = newVitals(i.Service)
	}
	w.services[i.Service].hear(i)
	if i.Kind == Died {
		c.detours[e.Live] = true
		c.doubtDeployment(e.Live, c.Now().Add(lull))
	}
	return nil
}

// startDetours sends visitors elsewhere where something has ended. It does not wait until that was brought back, which may take as long as a service is
// given to become healthy and which may end again meanwhile. Only the dispatcher calls it.
func (c *Controller) startDetours(context.Context) (next time.Time, err error) {
	for id := range c.detours {
		if c.detouring.start(id, 0, func(ctx context.Context) { c.detour(ctx, id) }, c.poke) {
			delete(c.detours, id)
		}
	}
	return next, nil
}

func (c *Controller) detour(ctx context.Context, id int64) {
	d, err := c.Store.Deployment(ctx, id)
	if err == nil && d.Phase == Ready {
		err = c.reroute(ctx, d, false)
	}
	if err != nil && ctx.Err() == nil { // whoever brings the deployment back looks again
		c.Log.Warn("look which backends answer", "deployment", id, "error", err)
	}
}

// environmentOf returns the environment that an incident happened in.
func (c *Controller) environmentOf(ctx context.Context, i Incident) (Environment, error) {
	if i.Deployment == 0 {
		return c.Store.EnvironmentNamed(ctx, i.Environment)
	}
	d, err := c.Store.Deployment(ctx, i.Deployment)
	if err != nil {
		return Environment{}, err
	}
	return c.Store.Environment(ctx, d.Environment)
}

// say brings what is to be said of a service into the history, and that it is crashing or not any more into the deployment's condition as well.
func (c *Controller) say(ctx context.Context, environment, deployment int64, v *vitals, s saying) {
	if s.crashes || s.steady {
		// One that is refused is due again once there is room.
		service := v.service
		if c.tellings.start(deployment, 0, func(ctx context.Context) {
			if s.crashes {
				c.tellOfCrash(ctx, environment, deployment, service, s.text)
			} else {
				c.fare(ctx, deployment, func(now *Condition) { now.recovers(service) })
			}
		}, c.poke) {
			v.told(s)
		}
		return
	}
	e, err := c.Store.Environment(ctx, environment)
	var d Deployment
	if err == nil {
		d, err = c.Store.Deployment(ctx, deployment)
	}
	if err != nil {
		c.Log.Error("read the environment of a container", "environment", environment, "error", err)
		return
	}
	text := NewMask(d.Secrets).String(s.text) // a health check's output may have any of them
	c.Log.Warn("container", "environment", e.Name, "deployment", deployment, "service", v.service, "event", text)
	c.tell(ctx, e.Origin, v.service+" "+text)
}

// tellOfCrash records that a service is crashing, with the last that it printed.
func (c *Controller) tellOfCrash(ctx context.Context, environment, deployment int64, service, reason string) {
	fault := Fault{Kind: FaultRun, Service: service, Reason: reason}
	bounded, cancel := context.WithTimeout(ctx, lastLinesTime)
	defer cancel()
	e, err := c.Store.Environment(bounded, environment)
	if err == nil {
		query := LogQuery{Environment: e.Name, Service: service, Tail: lastLines}
		err = c.Runtime.Logs(bounded, query, func(l LogLine) error {
			if text := strings.TrimSpace(l.Text); text != "" {
				fault.Excerpt = append(fault.Excerpt, l.Text)
			}
			return nil
		})
	}
	if err != nil {
		c.Log.Warn("last lines of a crashing service are missing", "deployment", deployment, "service", service, "error", err)
	}
	c.fare(ctx, deployment, func(now *Condition) { now.crashes(fault) })
}

// reroute sends the visitors of backends that do not answer to others, or to the lobby, and where back is set also back to those that do again.
func (c *Controller) reroute(ctx context.Context, d Deployment, back bool) error {
	silent, err := c.Runtime.Silent(ctx, d.Backends)
	if err != nil {
		return away("the Docker engine", err)
	}
	if len(silent) == 0 && !back {
		return nil
	}
	c.fare(ctx, d.ID, func(now *Condition) {
		now.Down = nil
		for _, b := range silent {
			now.Down = append(now.Down, b.URL)
		}
	})
	return nil
}

// fare records a change of how a live deployment fares, with what follows from it: its routes, and lines of the history. The user has to mend most of it.
func (c *Controller) fare(ctx context.Context, id int64, change func(*Condition)) {
	c.faring.Lock()
	defer c.faring.Unlock()
	d, err := c.Store.Deployment(ctx, id)
	if err != nil {
		c.Log.Error("read how a deployment fares", "deployment", id, "error", err)
		return
	}
	after := d.Condition
	change(&after)
	after = NewMask(d.Secrets).condition(after)
	if d.Phase != Ready || reflect.DeepEqual(after, d.Condition) {
		return
	}
	routes, err := c.Store.Fare(ctx, id, after)
	if errors.Is(err, ErrSuperseded) || err != nil && ctx.Err() != nil {
		return
	}
	var e Environment
	if err == nil {
		e, err = c.Store.Environment(ctx, d.Environment)
	}
	if err != nil {
		c.Log.Error("record how a deployment fares", "deployment", id, "error", err)
		return
	}
	c.writeRoutes(ctx, e, routes)
	for _, text := range d.Condition.sayings(after) {
		c.Log.Warn("live deployment", "environment", e.Name, "deployment", d.ID, "event", text)
		c.tell(ctx, e.Origin, text)
	}
	c.poke()
}
