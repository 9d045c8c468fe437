package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"vitrine/bot/githubsim"
	"vitrine/cmd/internal/sample"
	"vitrine/deploy/docker/enginetest"
)

// The engine is stopped and started, with a push meanwhile, killed and started, and stopped in the middle of a start: what was live is live again as it
// was, what was pushed goes live without a new event, and nobody is blamed.
func TestEngineAway(t *testing.T) {
	t.Parallel() // it waits for most of its time
	engine := enginetest.Start(t)
	w := newWorldBeside(t, neighbours{engine: engine})
	w.start()
	s := w.story()
	ctx := w.bounded(5 * time.Minute)
	w.must(s.open(ctx))
	w.openMore(ctx)
	restarted := func(after, label string) {
		t.Helper()
		before := w.liveOf("shop-pr-2")
		engine.Restart()
		w.must(s.answers(ctx, "shop-pr-1", label+": 12"))
		w.must(s.answers(ctx, "shop-pr-2", "99"))
		if now := w.liveOf("shop-pr-2"); now != before {
			t.Errorf("after %s of the engine shop-pr-2 has deployment %d, before %d", after, now, before)
		}
	}

	engine.Stop()
	w.eventually("nothing answers while the engine is stopped", func() bool {
		status, _, err := s.get(ctx, "shop-pr-2")
		return err == nil && status == http.StatusBadGateway
	})
	w.pushLabel("Meanwhile")
	w.eventually("the history says who is waited for", func() bool { return w.told("acme/shop#1", "waits for the Docker engine") })
	w.must(s.comment(ctx, 1, "### Preview: waiting", "It waits for the Docker engine, and goes on by itself."))
	restarted("a stop", "Meanwhile")

	before := w.liveOf("shop-pr-1")
	engine.Kill() // the containers go on, without names for each other, until the next engine ends them
	restarted("a crash", "Meanwhile")
	if now := w.liveOf("shop-pr-1"); now != before {
		t.Errorf("after a crash of the engine shop-pr-1 has deployment %d, before %d", now, before)
	}

	w.endsAtStart(ctx, engine)
	w.settled()
	w.must(s.answers(ctx, "shop-pr-2", "99"))
	if n := query[int](w, `SELECT COUNT(*) FROM deployments WHERE phase = 'failed'`); n > 0 {
		t.Errorf("%d deployments were called failed", n)
	}
	objects, err := w.left(ctx)
	w.must(err)
	if n := len(containers(objects)); n != 2*sample.Services {
		t.Errorf("%d containers are left for two previews, want %d: %q", n, 2*sample.Services, objects)
	}
	w.stop()
}

// endsAtStart pushes and stops the engine when the new version is starting, and holds that it goes live all the same.
func (w *world) endsAtStart(ctx context.Context, engine *enginetest.Engine) {
	w.Helper()
	for {
		sha := w.pushLabel("Restarted")
		w.eventually("it starts", func() bool { return slices.Contains([]string{"starting", "ready"}, w.phaseOf(sha)) })
		engine.Stop()
		var ended string
		w.eventually("the start has ended", func() bool {
			ended = w.phaseOf(sha)
			return ended != "starting"
		})
		engine.Restart()
		w.must(w.story().answers(ctx, "shop-pr-1", "Commit "+sha))
		if ended == "cancelled" {
			return
		}
		w.Logf("when the engine was stopped the start was over and %s; once more", ended)
	}
}

// bounded returns a context for what a test waits for altogether.
func (w *world) bounded(most time.Duration) context.Context {
	ctx, cancel := context.WithTimeoutCause(w.Context(), most, fmt.Errorf("not done after %s", most))
	w.Cleanup(cancel)
	return ctx
}

// openMore opens the second pull request and waits for its preview.
func (w *world) openMore(ctx context.Context) {
	w.Helper()
	_, err := w.github.Commit(ctx, githubsim.Change{
		Repository: sample.Repository, Branch: "more-stock", Author: sample.Developer, Files: map[string]string{"api/stock.json": "{\"pieces\": 99}\n"},
	})
	w.must(err)
	_, err = w.github.OpenPullRequest(ctx, githubsim.PullRequest{Repository: sample.Repository, Head: "more-stock", Title: "Order more", Author: sample.Developer})
	w.must(err)
	w.must(w.story().answers(ctx, "shop-pr-2", "99"))
}

// pushLabel commits a page with the label to the first pull request's branch.
func (w *world) pushLabel(label string) (sha string) {
	w.Helper()
	sha, err := w.github.Commit(w.Context(), githubsim.Change{
		Repository: sample.Repository, Branch: "stock", Author: sample.Developer, Files: map[string]string{"web/index.html": sample.Page(label)},
	})
	w.must(err)
	return sha
}

// liveOf returns the live deployment of an environment.
func (w *world) liveOf(environment string) int {
	w.Helper()
	return query[int](w, `SELECT live FROM environments WHERE name = ?`, environment)
}

// told reports whether the history of an origin has a line with the text.
func (w *world) told(origin, text string) bool {
	w.Helper()
	return w.tellings(origin, text) > 0
}

// tellings returns how many lines of an origin's history have the text.
func (w *world) tellings(origin, text string) int {
	w.Helper()
	return query[int](w, `SELECT COUNT(*) FROM events WHERE origin = ? AND instr(text, ?) > 0`, origin, text)
}
