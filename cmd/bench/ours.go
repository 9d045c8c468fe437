package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"vitrine/cmd/bench/report"
	"vitrine/cmd/bench/world"
)

// ours is Vitrine: one preview of it.
type ours struct {
	world  *world.World
	branch string
	label  string // of the preview's host
}

var _ contestant = (*ours)(nil)

// openPreviews opens a world with the repository, and a preview of each branch, one after the other. The world is the caller's to close, except after an
// error.
func openPreviews(ctx context.Context, o options, branches ...string) (_ *world.World, previews []*ours, err error) {
	w, err := o.openWorld(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.Close())
		}
	}()
	if err := w.Create(ctx, world.Repository, world.Stack(w.Base)); err != nil {
		return nil, nil, err
	}
	for _, branch := range branches {
		preview, err := openOurs(ctx, w, branch)
		if err != nil {
			return nil, nil, err
		}
		previews = append(previews, preview)
	}
	return w, previews, nil
}

// openOurs opens a pull request from a new branch and waits until its preview is live.
func openOurs(ctx context.Context, w *world.World, branch string) (*ours, error) {
	const text = "before all rounds"
	number, err := w.OpenPull(ctx, branch, text)
	if err != nil {
		return nil, err
	}
	o := &ours{world: w, branch: branch, label: fmt.Sprintf("shop-pr-%d", number)}
	if _, err := o.visitor().Sees(ctx, world.Answer(text)); err != nil {
		return nil, fmt.Errorf("wait for the first preview: %w; serve said:\n%s", err, w.Serve.Tail())
	}
	return o, o.rest(ctx)
}

func (o *ours) name() string { return "Vitrine" }

func (o *ours) host() string { return o.label + "." + world.Domain }

func (o *ours) visitor() *world.Visitor {
	return world.NewVisitor("http://"+o.world.Serve.Address+"/", o.host())
}

// round pushes a commit, and measures from the moment its webhook was ready to be sent.
func (o *ours) round(ctx context.Context, text string) (t trial, err error) {
	sha, err := o.world.Commit(ctx, o.branch, text)
	if err != nil {
		return t, err
	}
	at, err := o.visitor().Sees(ctx, world.Answer(text))
	if err != nil {
		return t, fmt.Errorf("%w; serve said:\n%s", err, o.world.Serve.Tail())
	}
	sent, err := o.sent(sha)
	if err != nil {
		return t, err
	}
	var r world.Record
	err = world.Until(ctx, "serve has recorded the deployment", func() (bool, error) {
		r, err = o.world.Serve.Deployment(ctx, sha)
		return err == nil, nil
	})
	if err != nil {
		return t, err
	}
	return trial{took: at.Sub(sent), phases: phasesOf(r, sent, at)}, nil
}

// sent returns when the webhook that tells of the commit was ready to be sent.
func (o *ours) sent(sha string) (time.Time, error) {
	for _, d := range slices.Backward(o.world.Github.Deliveries()) {
		if d.Event == "pull_request" && d.Action == "synchronize" && bytes.Contains(d.Body, []byte(`"after":"`+sha)) {
			return d.At, nil
		}
	}
	return time.Time{}, fmt.Errorf("no webhook told of %s", sha)
}

// The parts of a round that no phase of the deployment covers.
const (
	beforeClaim = "webhook to claim"
	afterSwitch = "switch to first byte"
	between     = "between the phases"
)

// phasesOf returns what a round that began and ended at the given times was made of. r is what serve noted of its deployment.
func phasesOf(r world.Record, sent, at time.Time) []report.Phase {
	phases := []report.Phase{{Name: beforeClaim, Took: r.Created.Sub(sent)}}
	rest := r.Live.Sub(r.Created)
	for _, t := range r.Timings {
		phases = append(phases, report.Phase{Name: string(t.Phase), Took: t.Took})
		rest -= t.Took
	}
	return append(phases, report.Phase{Name: between, Took: rest}, report.Phase{Name: afterSwitch, Took: at.Sub(r.Live)})
}

// rest waits until the old version is gone and the images are in the registry.
func (o *ours) rest(ctx context.Context) error { return o.world.Serve.Idle(ctx) }

// Close does nothing: what serve made goes with the world.
func (o *ours) Close() error { return nil }
