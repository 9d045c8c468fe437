package main

import (
	"testing"

	"vitrine/bot/githubsim"
	"vitrine/cmd/internal/sample"
)

// While the server is down, one pull request is opened, another pushed, a third closed, and none of it is ever delivered: after its start all three are
// right.
func TestMissedWebhooks(t *testing.T) {
	t.Parallel() // it waits for most of its time
	w := newWorld(t)
	w.must(sample.Small(t.Context(), w.github, w.base))
	w.start()
	s := w.story()
	push := func(branch, text string) {
		t.Helper()
		_, err := w.github.Commit(t.Context(), githubsim.Change{
			Repository: sample.SmallRepository, Branch: branch, Author: sample.Developer, Files: map[string]string{"index.html": sample.SmallPage(text)},
		})
		w.must(err)
	}
	open := func(branch string) {
		t.Helper()
		_, err := w.github.OpenPullRequest(t.Context(), githubsim.PullRequest{
			Repository: sample.SmallRepository, Head: branch, Title: branch, Author: sample.Developer,
		})
		w.must(err)
	}
	push("pushed", "first")
	open("pushed")
	push("closed", "first")
	open("closed")
	w.must(s.answers(t.Context(), "page-pr-1", "first"))
	w.must(s.answers(t.Context(), "page-pr-2", "first"))
	w.settled()
	w.stop()

	w.github.SetWebhookURL("") // nothing is even recorded as failed
	push("pushed", "second")
	w.must(w.github.ClosePullRequest(sample.SmallRepository, 2, sample.Developer))
	push("opened", "new")
	open("opened")
	w.start()
	w.must(s.answers(t.Context(), "page-pr-1", "second"))
	w.must(s.answers(t.Context(), "page-pr-3", "new"))
	w.eventually("the closed one is gone", func() bool {
		return query[int](w, `SELECT COUNT(*) FROM environments WHERE name = 'page-pr-2' AND intent = 'gone' AND observed = generation`) == 1
	})
	w.stop()
}

// What GitHub could not deliver while the server was down is asked for again, each once, and is known by its number.
func TestFailedDeliveriesComeAgain(t *testing.T) {
	t.Parallel() // it waits for most of its time
	w := newWorld(t)
	w.must(sample.Small(t.Context(), w.github, w.base))
	for _, text := range []string{"/help", "/status"} { // no comparison finds these
		if text == "/help" {
			_, err := w.github.Commit(t.Context(), githubsim.Change{
				Repository: sample.SmallRepository, Branch: "x", Author: sample.Developer, Files: map[string]string{"index.html": sample.SmallPage("x")},
			})
			w.must(err)
			_, err = w.github.OpenPullRequest(t.Context(), githubsim.PullRequest{Repository: sample.SmallRepository, Head: "x", Title: "x", Author: sample.Developer})
			w.must(err)
		}
		_, err := w.github.Comment(sample.SmallRepository, 1, sample.Developer, text)
		w.must(err)
	}
	w.must(w.github.Settled(t.Context()))
	w.start()
	w.eventually("both commands are answered", func() bool {
		comments, err := w.github.Comments(sample.SmallRepository, 1)
		w.must(err)
		replies := 0
		for _, c := range comments {
			if c.Author == "vitrine[bot]" && len(c.Body) > 0 && c.Body[0] != '#' {
				replies++
			}
		}
		return replies == 2
	})
	w.settled()
	again := map[string]int{}
	for _, d := range w.github.Deliveries() {
		if d.Redelivery {
			again[d.GUID]++
		}
	}
	for guid, n := range again {
		if n != 1 {
			t.Errorf("delivery %s was asked for %d times", guid, n)
		}
	}
	w.stop()
}
