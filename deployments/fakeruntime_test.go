package deployments_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"vitrine/deployments"
)

// Occupied implements [deployments.Runtime].
func (w *world) Occupied(ctx context.Context) ([]netip.Prefix, error) {
	return nil, w.call(ctx, "Runtime.Occupied", "")
}

// Ready implements [deployments.Firewall].
func (w *world) Ready(ctx context.Context) error { return w.call(ctx, "Firewall.Ready", "") }

// Sweep implements [deployments.Firewall].
func (w *world) Sweep(ctx context.Context) error { return w.call(ctx, "Firewall.Sweep", "") }

// make notes that a deployment has something, before the call that makes it may fail.
func (w *world) make(d deployments.Deployment, what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.there[d.ID] = what
}

// Prepare implements [deployments.Runtime].
func (w *world) Prepare(ctx context.Context, d deployments.Deployment) error {
	defer w.work("prepare", d.Source, false)()
	w.make(d, "network")
	return w.call(ctx, "Runtime.Prepare", d.Source.SHA)
}

// Plan implements [deployments.Runtime].
func (w *world) Plan(ctx context.Context, r deployments.PlanRequest) (deployments.Plan, error) {
	defer w.work("plan", r.Deployment.Source, true)()
	plan := deployments.Plan{JSON: json.RawMessage(`{"version":1}`)}
	if r.Live != nil {
		plan.Replaces = w.replaced
	}
	return plan, w.call(ctx, "Runtime.Plan", r.Deployment.Source.SHA)
}

// Up implements [deployments.Runtime].
func (w *world) Up(ctx context.Context, d deployments.Deployment, s deployments.Start) ([]deployments.Backend, error) {
	defer w.work("up", d.Source, true)()
	if len(s.Plan.JSON) == 0 {
		return nil, errors.New("there is no plan")
	}
	w.make(d, "containers")
	w.keep(d)
	s.Progress("web", "starting")
	if err := w.runJobs(d, s); err != nil {
		return nil, err
	}
	if err := w.call(ctx, "Runtime.Up", d.Source.SHA); err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.tells != "" {
		lines := []string{"its value is " + w.variables[d.Source.SHA][w.tells]}
		return []deployments.Backend{{Service: "web", URL: backend(d.ID), Answer: 500, Lines: lines}}, nil
	}
	return []deployments.Backend{{Service: "web", URL: backend(d.ID), Answer: 200}}, nil
}

// keep notes that a deployment's state is there.
func (w *world) keep(d deployments.Deployment) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.states[d.State] = true
	if w.checkouts[d.Source.SHA] == 0 {
		w.violations = append(w.violations, "the checkout of "+d.Source.ShortSHA()+" is closed before it is up")
	}
}

// runJobs runs the init jobs that the deployment's state does not have behind it.
func (w *world) runJobs(d deployments.Deployment, s deployments.Start) error {
	w.mu.Lock()
	jobs := w.jobs
	w.mu.Unlock()
	for _, j := range jobs {
		if j.First && slices.Contains(d.Ran, j.Key) {
			continue
		}
		if err := s.Job(j); err != nil {
			return err
		}
		j.Done = true
		if err := s.Job(j); err != nil {
			return err
		}
		w.mu.Lock()
		w.ranJobs = append(w.ranJobs, fmt.Sprint(d.State, " ", j.Key))
		w.mu.Unlock()
	}
	return nil
}

// Clear implements [deployments.Runtime].
func (w *world) Clear(ctx context.Context, state int64) error {
	if err := w.call(ctx, "Runtime.Clear", fmt.Sprint(state)); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.states, state)
	return nil
}

// backend returns where a deployment answers.
func backend(deployment int64) string {
	return fmt.Sprintf("http://deployment-%d.test:8080", deployment)
}

// Down implements [deployments.Runtime].
func (w *world) Down(ctx context.Context, deployment int64) error {
	if err := w.call(ctx, "Runtime.Down", fmt.Sprint(deployment)); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.there, deployment)
	return nil
}

// Restore implements [deployments.Runtime].
func (w *world) Restore(ctx context.Context, d deployments.Deployment) error {
	if err := w.call(ctx, "Runtime.Restore", d.Source.SHA); err != nil {
		return err
	}
	if w.has(d.ID) != "containers" {
		return deployments.ErrNotFound
	}
	return nil
}

// Watch implements [deployments.Runtime].
func (w *world) Watch(ctx context.Context, connected func(), happened func(deployments.Incident)) error {
	if err := w.call(ctx, "Runtime.Watch", ""); err != nil {
		return err
	}
	connected()
	for {
		select {
		case id := <-w.ended:
			happened(deployments.Incident{Kind: deployments.Died, Deployment: id, Service: "web", Status: 1, At: time.Now()})
		case i := <-w.hears:
			i.At = time.Now()
			happened(i)
		case <-w.broken:
			return errAway
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Silent implements [deployments.Runtime].
func (w *world) Silent(ctx context.Context, backends []deployments.Backend) (silent []deployments.Backend, err error) {
	if err := w.call(ctx, "Runtime.Silent", ""); err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, b := range backends {
		if w.silent[b.URL] {
			silent = append(silent, b)
		}
	}
	return silent, nil
}

// Logs implements [deployments.Runtime].
func (w *world) Logs(ctx context.Context, q deployments.LogQuery, line func(deployments.LogLine) error) error {
	if err := w.call(ctx, "Runtime.Logs", q.Environment); err != nil {
		return err
	}
	for _, text := range w.prints[max(0, len(w.prints)-q.Tail):] {
		if err := line(deployments.LogLine{At: time.Now(), Service: q.Service, Text: text}); err != nil {
			return err
		}
	}
	return nil
}

// Inventory implements [deployments.Runtime].
func (w *world) Inventory(ctx context.Context) (deployments.Inventory, error) {
	err := w.call(ctx, "Runtime.Inventory", "")
	w.mu.Lock()
	defer w.mu.Unlock()
	return deployments.Inventory{Deployments: slices.Sorted(maps.Keys(w.there)), States: slices.Sorted(maps.Keys(w.states))}, err
}
