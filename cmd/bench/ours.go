package main

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"vitrine/cmd/bench/report"
)

// ours is Vitrine: one preview of it.
type ours struct {
	world  *world
	branch string
	label  string // of the preview's host
}

var _ contestant = (*ours)(nil)

// openOurs opens a pull request from a new branch and waits until its preview is live.
func openOurs(ctx context.Context, w *world, branch string) (*ours, error) {
	const text = "before all rounds"
	number, err := w.openPull(ctx, branch, text)
	if err != nil {
		return nil, err
	}
	o := &ours{world: w, branch: branch, label: fmt.Sprintf("shop-pr-%d", number)}
	if _, err := o.visitor().sees(ctx, answers(text)); err != nil {
		return nil, fmt.Errorf("wait for the first preview: %w; serve said:\n%s", err, tail(w.serve.logs))
	}
	return o, o.rest(ctx)
}

func (o *ours) name() string { return "Vitrine" }

func (o *ours) host() string { return o.label + "." + domain }

func (o *ours) visitor() *visitor { return newVisitor("http://"+o.world.serve.address+"/", o.host()) }

// round pushes a commit, and measures from the moment its webhook was ready to be sent.
func (o *ours) round(ctx context.Context, text string) (t trial, err error) {
	sha, err := o.world.commit(ctx, o.branch, text)
	if err != nil {
		return t, err
	}
	at, err := o.visitor().sees(ctx, answers(text))
	if err != nil {
		return t, fmt.Errorf("%w; serve said:\n%s", err, tail(o.world.serve.logs))
	}
	sent, err := o.sent(sha)
	if err != nil {
		return t, err
	}
	var r record
	err = until(ctx, "serve has recorded the deployment", func() (bool, error) {
		r, err = o.world.serve.deploymentOf(ctx, sha)
		return err == nil, nil
	})
	if err != nil {
		return t, err
	}
	return trial{took: at.Sub(sent), phases: r.phases(sent, at)}, nil
}

// sent returns when the webhook that tells of the commit was ready to be sent.
func (o *ours) sent(sha string) (time.Time, error) {
	for _, d := range slices.Backward(o.world.github.Deliveries()) {
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

// phases returns what a round that began and ended at the given times was made of.
func (r record) phases(sent, at time.Time) []report.Phase {
	phases := []report.Phase{{Name: beforeClaim, Took: r.created.Sub(sent)}}
	rest := r.live.Sub(r.created)
	for _, t := range r.timings {
		phases = append(phases, report.Phase{Name: string(t.Phase), Took: t.Took})
		rest -= t.Took
	}
	return append(phases, report.Phase{Name: between, Took: rest}, report.Phase{Name: afterSwitch, Took: at.Sub(r.live)})
}

// rest waits until the old version is gone and the images are in the registry.
func (o *ours) rest(ctx context.Context) error { return o.world.serve.idle(ctx) }

// Close does nothing: what serve made goes with the world.
func (o *ours) Close() error { return nil }
