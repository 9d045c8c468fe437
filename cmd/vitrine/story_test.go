package main

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"vitrine/bot/githubsim"
	"vitrine/cmd/internal/sample"
)

// The story of `vitrine demo --once`, with serve in a process of its own, and every word to GitHub held against GitHub's description.
func TestStory(t *testing.T) {
	t.Parallel() // it waits for most of its time
	w := newWorld(t)
	w.start()
	w.must(w.story().play(t.Context()))
	w.stop()
}

func TestClosedWhileBuilding(t *testing.T) {
	w := newWorld(t)
	w.start()
	s := w.story()
	_, err := s.openStock(t.Context())
	w.must(err)
	w.eventually("the build runs", func() bool { return w.phase("building") })
	w.must(w.github.ClosePullRequest(sample.Repository, 1, sample.Developer))
	w.eventually("the environment is gone", func() bool {
		return query[int](w, `SELECT COUNT(*) FROM environments WHERE intent = 'gone' AND observed = generation`) == 1
	})
	left, err := s.left(t.Context())
	w.must(err)
	if len(left) > 0 {
		t.Errorf("left: %q", left)
	}
	if status, _, err := s.get(t.Context(), "shop-pr-1"); err != nil || status != http.StatusGone {
		t.Errorf("the preview answers %d (%v), want 410", status, err)
	}
}

func TestClosedAndReopened(t *testing.T) {
	t.Parallel() // it waits for most of its time
	w := newWorld(t)
	w.start()
	s := w.story()
	w.must(s.open(t.Context()))
	w.must(w.github.ClosePullRequest(sample.Repository, 1, sample.Developer))
	w.must(w.github.ReopenPullRequest(t.Context(), sample.Repository, 1, sample.Developer))
	w.settled()
	w.must(s.answers(t.Context(), "shop-pr-1", "Stock: 12"))
	w.oneSet()
}

// A command is carried out and answered: /deploy brings back what /destroy took down.
func TestCommands(t *testing.T) {
	t.Parallel() // it waits for most of its time
	w := newWorld(t)
	w.start()
	s := w.story()
	w.must(s.open(t.Context()))
	command := func(text string) {
		t.Helper()
		id, err := w.github.Comment(sample.Repository, 1, sample.Developer, text)
		w.must(err)
		w.must(s.reaction(t.Context(), 1, id, "rocket"))
	}
	command("/destroy")
	left, err := s.left(t.Context())
	w.must(err)
	if len(left) > 0 {
		t.Errorf("left after /destroy: %q", left)
	}
	command("/deploy")
	w.must(s.answers(t.Context(), "shop-pr-1", "Stock: 12"))
	command("/help")
	command("/status")
	w.eventually("four commands, the preview's comment and two replies are there", func() bool {
		comments, err := w.github.Comments(sample.Repository, 1)
		w.must(err)
		return len(comments) == 7
	})
}

// A tracked branch has an environment of its own, from .vitrine.yml at the default branch.
func TestTrackedBranch(t *testing.T) {
	w := newWorld(t)
	w.start()
	_, err := w.github.Commit(t.Context(), githubsim.Change{
		Repository: sample.Repository, Branch: "main", Author: sample.Developer,
		Files: map[string]string{".vitrine.yml": "branches: [main]\n", "web/index.html": sample.Page("Main")},
	})
	w.must(err)
	w.must(w.story().answers(t.Context(), "shop-main", "Main: 12"))
}

// phase reports whether an attempt is in the phase.
func (w *world) phase(p string) bool {
	w.Helper()
	return query[int](w, `SELECT COUNT(*) FROM deployments WHERE phase = ?`, p) > 0
}

// settled waits until nothing is due, under way or to be removed.
func (w *world) settled() {
	w.Helper()
	w.must(w.github.Settled(context.Background()))
	w.eventually("everything is settled", func() bool {
		return query[int](w, `SELECT COUNT(*) FROM environments WHERE observed < generation`) == 0 &&
			query[int](w, `SELECT COUNT(*) FROM deployments WHERE removed_at = 0 AND phase <> 'ready'`) == 0
	})
}

// oneSet checks that one set of the sample's containers is left, in one network.
func (w *world) oneSet() {
	w.Helper()
	objects, err := w.left(context.Background())
	w.must(err)
	networks := 0
	for _, o := range objects {
		if strings.HasPrefix(o, "network ") {
			networks++
		}
	}
	if n := len(containers(objects)); n != sample.Services || networks != 1 {
		w.Errorf("there are %d containers in %d networks, want %d in 1: %q", n, networks, sample.Services, objects)
	}
}
