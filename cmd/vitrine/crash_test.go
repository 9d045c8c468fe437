package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"vitrine/bot/githubsim"
	"vitrine/cmd/internal/sample"
)

// A crash is a moment of a deploy, as it is seen from outside, at which serve is killed.
type crash struct {
	name  string
	phase string // that the deployment is left in, empty for any
	// now reports whether the moment has come for the deployment of a commit. One that was missed is tried again with another commit.
	now func(w *world, sha string) bool
}

// in is the moment at which a deployment is seen in a phase.
func in(phase string) crash {
	return crash{"while it is " + phase, phase, func(w *world, sha string) bool { return w.phaseOf(sha) == phase }}
}

// later is a moment some time after a deployment was seen in a phase.
func later(phase string, after time.Duration) crash {
	return crash{fmt.Sprintf("%s into %s", after, phase), "", func(w *world, sha string) bool {
		if w.phaseOf(sha) != phase {
			return false
		}
		time.Sleep(after) // the moment itself, not a wait for something
		return true
	}}
}

// clearing is the moment at which the old version is being removed.
func clearing() crash {
	return crash{"while the old one is removed", "ready", func(w *world, sha string) bool {
		return w.phaseOf(sha) == "ready" && query[int](w, `SELECT COUNT(*) FROM deployments WHERE phase = 'removing'`) > 0 &&
			query[int](w, `SELECT COUNT(*) FROM deployments WHERE phase = 'removing' AND remove_at > ?`, time.Now().UnixNano()) == 0
	}}
}

// Killed at any moment of a deploy and started again, serve goes live without a new event, and leaves one set of containers.
func TestKilledWhileDeploying(t *testing.T) {
	t.Parallel() // it waits for starts most of the time
	killedAt(t, in("building"), in("ready"))
}

func TestSoakKilledWhileDeploying(t *testing.T) {
	t.Parallel() // it waits for most of its time
	killedAt(t, in("fetching"), later("starting", time.Second), clearing())
}

// killedAt kills serve at each of the moments.
func killedAt(t *testing.T, crashes ...crash) {
	w := newWorld(t, "VITRINE_BUILDS=1")
	// git takes a moment, and there is one build slot for two pull requests, so that no phase is over before it is seen.
	w.github.Intercept(func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/git-upload-pack") {
			time.Sleep(200 * time.Millisecond)
		}
		return false
	})
	w.start()
	s := w.story()
	w.must(s.open(t.Context()))
	_, err := w.github.Commit(t.Context(), githubsim.Change{Repository: sample.Repository, Branch: "other", Author: sample.Developer})
	w.must(err)
	_, err = w.github.OpenPullRequest(t.Context(), githubsim.PullRequest{Repository: sample.Repository, Head: "other", Title: "Other", Author: sample.Developer})
	w.must(err)
	w.must(s.answers(t.Context(), "shop-pr-2", "Shop: 12"))

	for i, c := range crashes {
		t.Log("kill -9", c.name)
		label := w.killAt(c, i)
		w.start()
		w.must(s.answers(t.Context(), "shop-pr-1", label+": 12"))
		w.settled()
		w.must(s.comment(t.Context(), 1, "### Preview: ready"))
		objects, err := w.left(t.Context())
		w.must(err)
		if n := len(containers(objects)); n != 2*sample.Services {
			t.Errorf("killed %s: %d containers are left for two previews, want %d: %q", c.name, n, 2*sample.Services, objects)
		}
	}
	w.stop()
}

// killAt pushes to the pull requests until serve could be killed at the moment, and returns the label that the page has.
func (w *world) killAt(c crash, i int) string {
	w.Helper()
	for try := range 20 {
		label := fmt.Sprintf("Kill-%d-%d", i, try)
		_, err := w.github.Commit(w.Context(), githubsim.Change{
			Repository: sample.Repository, Branch: "other", Author: sample.Developer, Files: map[string]string{"other.txt": label},
		})
		w.must(err)
		sha, err := w.github.Commit(w.Context(), githubsim.Change{
			Repository: sample.Repository, Branch: "stock", Author: sample.Developer, Files: map[string]string{"web/index.html": sample.Page(label)},
		})
		w.must(err)
		over := func() bool {
			return w.phaseOf(sha) == "ready" && query[int](w, `SELECT COUNT(*) FROM deployments WHERE phase = 'removing'`) == 0
		}
		for !c.now(w, sha) {
			if over() {
				break
			}
		}
		if !over() {
			w.kill()
			if c.phase == "" || w.phaseOf(sha) == c.phase {
				return label
			}
			w.start()
		}
		w.Logf("the moment %q was missed; once more", c.name)
	}
	w.Fatalf("could not kill serve %s", c.name)
	return ""
}

// phaseOf returns the phase of the newest deployment of a commit, empty while there is none.
func (w *world) phaseOf(sha string) string {
	w.Helper()
	return query[string](w, `SELECT phase FROM deployments WHERE source ->> '$.sha' = ? ORDER BY id DESC LIMIT 1`, sha)
}
