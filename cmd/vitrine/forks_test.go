package main

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"vitrine/bot/githubsim"
	"vitrine/cmd/internal/sample"
	"vitrine/deploy"
)

const (
	// mallory has no access to the sample repository, and a fork of it.
	mallory = "mallory"
	// keptSecret is a Variable of the sample repository.
	keptSecret = "sk_live_9b1f0c77aa"
)

// A pull request from a fork, from its opening to its second approval: nothing of it runs before somebody who may write has approved that very commit, what
// was approved is served until the next approval, and none of it ever sees a secret.
func TestForkStory(t *testing.T) {
	t.Parallel()                                                           // it waits for most of its time
	w := newWorld(t, "VITRINE_FIREWALL=on", "VITRINE_FIREWALL_BUILDS=off") // builds of other tests share the engine's default network
	w.static = true
	w.start()
	s := w.story()
	command(t, "env", "set", sample.Repository, "STRIPE_KEY="+keptSecret, "--data="+w.data).says(t, exitOK, "Set for acme/shop: STRIPE_KEY.")
	first := w.gift(s, "Gift", "main") // the branch's name is that of the repository's own default branch

	// Opened: nothing runs, and people are told what it waits for.
	w.checked(first, "action_required")
	w.must(s.comment(t.Context(), 1, "### Preview: waits for a maintainer", first[:7]))
	w.nothingRan()

	// Somebody who may read does not approve it.
	id, err := w.github.Comment(sample.Repository, 1, sample.Stranger, "/deploy")
	w.must(err)
	w.must(s.reaction(t.Context(), 1, id, "confused"))
	w.nothingRan()

	// A maintainer does.
	w.command(s, sample.Developer, "/deploy", "rocket")
	w.must(s.answers(t.Context(), "shop-pr-1", "Gift: 12"))
	w.checked(first, "success")
	w.withoutSecrets("shop-pr-1")
	if status, _, err := s.get(t.Context(), "shop-main"); err != nil || status != http.StatusNotFound {
		t.Errorf("a fork's branch called main has the host of the repository's own: it answers %d, %v", status, err)
	}

	// Pushed again: the old commit is served, the new one waits.
	second := w.regift("Poison")
	w.checked(second, "action_required")
	w.must(s.comment(t.Context(), 1, second[:7], first[:7]))
	w.must(s.answers(t.Context(), "shop-pr-1", "Gift: 12"))

	// An approval that was written before a push arrived is none of what was pushed. GitHub tells of the push later than of the comment.
	w.github.SetWebhookURL("")
	third := w.regift("Late poison")
	w.github.SetWebhookURL(w.webhookURL())
	w.command(s, sample.Developer, "/deploy", "confused")
	w.eventually("the refusal names the new head", func() bool { return w.replied(1, third[:7]) })
	w.must(s.answers(t.Context(), "shop-pr-1", "Gift: 12"))

	// From here on the head is known, and what is approved now is it.
	w.laterThan(time.Now())
	w.command(s, sample.Developer, "/deploy", "rocket")
	w.must(s.answers(t.Context(), "shop-pr-1", "Late poison: 12"))
	w.checked(third, "success")
	w.withoutSecrets("shop-pr-1")
	w.stop()
}

// gift has mallory open a pull request from a branch of a fork, and returns its head.
func (w *world) gift(s *story, label, branch string) string {
	w.Helper()
	ctx := w.Context()
	w.must(w.github.CreateUser(mallory, sample.Password))
	_, err := w.github.Fork(ctx, sample.Repository, mallory)
	w.must(err)
	sha := w.regiftOn(label, branch)
	_, err = w.github.OpenPullRequest(ctx, githubsim.PullRequest{
		Repository: sample.Repository, Head: mallory + ":" + branch, Title: "A gift", Author: mallory,
	})
	w.must(err)
	return sha
}

// regift pushes to the branch main of mallory's fork.
func (w *world) regift(label string) string { return w.regiftOn(label, "main") }

func (w *world) regiftOn(label, branch string) string {
	w.Helper()
	sha, err := w.github.Commit(w.Context(), githubsim.Change{
		Repository: mallory + "/shop", Branch: branch, Author: mallory, Files: map[string]string{"web/index.html": sample.Page(label)},
	})
	w.must(err)
	return sha
}

// checked waits until the check of a commit of the sample repository has ended as told.
func (w *world) checked(sha, conclusion string) {
	w.Helper()
	w.checkedIn(sample.Repository, sha, conclusion)
}

// command comments in somebody's name and waits for the reaction.
func (w *world) command(s *story, login, text, reaction string) {
	w.Helper()
	id, err := w.github.Comment(sample.Repository, 1, login, text)
	w.must(err)
	w.must(s.reaction(w.Context(), 1, id, reaction))
}

// replied reports whether one of the App's replies says the text.
func (w *world) replied(number int, text string) bool {
	w.Helper()
	comments, err := w.github.Comments(sample.Repository, number)
	w.must(err)
	return slices.ContainsFunc(comments, func(c githubsim.Comment) bool {
		return strings.HasSuffix(c.Author, "[bot]") && strings.Contains(c.Body, "vitrine:reply:") && strings.Contains(c.Body, text)
	})
}

// laterThan waits until GitHub's clock, which knows whole seconds, is past a time.
func (w *world) laterThan(t time.Time) {
	w.Helper()
	w.eventually("the next second", func() bool { return time.Now().Truncate(time.Second).After(t) })
}

// nothingRan holds that nothing was fetched, built or started.
func (w *world) nothingRan() {
	w.Helper()
	left, err := w.left(context.Background())
	w.must(err)
	left = slices.DeleteFunc(left, func(o string) bool { return strings.Contains(o, deploy.BridgePrefix(w.instance())+"0") }) // of a test of the firewall
	if n := query[int](w, `SELECT COUNT(*) FROM deployments WHERE images <> 'null' OR plan IS NOT NULL OR live_at > 0`); n > 0 || len(left) > 0 {
		w.Errorf("%d deployments were built, and there is %q", n, left)
	}
}

// withoutSecrets holds that the repository's Variable is not in the containers of what is live, and not in the history of their images.
func (w *world) withoutSecrets(name string) {
	w.Helper()
	engine := w.docker()
	live := w.liveOf(name)
	for _, c := range w.containersOf(live) {
		found, err := engine.ContainerInspect(w.Context(), c)
		w.must(err)
		history, err := engine.ImageHistory(w.Context(), found.Image)
		w.must(err)
		seen := strings.Join(found.Config.Env, "\n")
		for _, layer := range history {
			seen += "\n" + layer.CreatedBy
		}
		if !strings.Contains(seen, "VITRINE_SHA=") {
			w.Errorf("%s has no environment that could be looked at: %q", found.Name, seen)
		}
		if strings.Contains(seen, keptSecret) || strings.Contains(seen, "STRIPE_KEY") {
			w.Errorf("%s sees the secret: %q", found.Name, seen)
		}
	}
}
