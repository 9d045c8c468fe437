package deployments_test

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"vitrine/deployments"
)

// Head implements [deployments.Forge].
func (w *world) Head(ctx context.Context, o deployments.Origin) (deployments.Head, error) {
	err := w.call(ctx, "Forge.Head", o.Key())
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.heads[o.Key()], err
}

// Remote implements [deployments.Forge].
func (w *world) Remote(ctx context.Context, repo string) (deployments.Remote, error) {
	return deployments.Remote{URL: "https://forge.test/" + repo}, w.call(ctx, "Forge.Remote", repo)
}

// Opened implements [deployments.Forge]: what the forge says is open.
func (w *world) Opened(ctx context.Context) ([]deployments.Opened, error) {
	if err := w.call(ctx, "Forge.Opened", ""); err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	o := w.opened
	o.Repo = "acme/shop"
	for n := range w.heads {
		var number int
		if _, scanErr := fmt.Sscanf(n, "acme/shop#%d", &number); scanErr == nil && w.heads[n].Open {
			o.Heads = append(o.Heads, deployments.OpenHead{Origin: pull(number), Source: w.heads[n].Source, Title: w.heads[n].Title})
		}
	}
	return []deployments.Opened{o}, nil
}

// Redeliver implements [deployments.Forge].
func (w *world) Redeliver(ctx context.Context) error { return w.call(ctx, "Forge.Redeliver", "") }

// A clerk resolves a request as its payload says, which is a Resolution in JSON.
type clerk struct{ *world }

// Resolve implements [deployments.Clerk].
func (w clerk) Resolve(ctx context.Context, r deployments.Request) (resolution deployments.Resolution, err error) {
	if err := w.call(ctx, "Clerk.Resolve", r.Origin.Key()); err != nil {
		return resolution, err
	}
	err = json.Unmarshal(r.Payload, &resolution)
	return resolution, err
}

// Answer implements [deployments.Clerk].
func (w clerk) Answer(ctx context.Context, r deployments.Request) error {
	if err := w.call(ctx, "Clerk.Answer", r.Origin.Key()); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answers = append(w.answers, answer{r.ID, r.Origin.Key(), r.State})
	return nil
}

// Report implements [deployments.Reporter].
func (w *world) Report(ctx context.Context, r deployments.PendingReport) (json.RawMessage, error) {
	w.mu.Lock()
	began := time.Now()
	w.mu.Unlock()
	err := w.call(ctx, "Reporter.Report", r.Environment.Name)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reports = append(w.reports, reported{r, began})
	return fmt.Appendf(nil, `{"reported":%d}`, r.Environment.ID), err
}
