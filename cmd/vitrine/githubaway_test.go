package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"vitrine/bot/githubsim"
	"vitrine/cmd/internal/sample"
)

// A fault answers a request in place of GitHub. over is closed when the fault ends.
type fault func(rw http.ResponseWriter, r *http.Request, over <-chan struct{})

// erring answers 500.
func erring(rw http.ResponseWriter, _ *http.Request, _ <-chan struct{}) {
	refuse(rw, http.StatusInternalServerError, "Server Error")
}

// limited answers that the rate limit is used up for the time given (docs.github.com, "Rate limits for the REST API").
func limited(left time.Duration) fault {
	return func(rw http.ResponseWriter, _ *http.Request, _ <-chan struct{}) {
		rw.Header().Set("X-RateLimit-Remaining", "0")
		rw.Header().Set("X-RateLimit-Reset", strconv.FormatInt(time.Now().Add(left).Unix(), 10))
		refuse(rw, http.StatusForbidden, "API rate limit exceeded")
	}
}

// silent keeps whoever asks waiting, and then answers 502.
func silent(rw http.ResponseWriter, r *http.Request, over <-chan struct{}) {
	select {
	case <-over:
	case <-r.Context().Done():
	}
	refuse(rw, http.StatusBadGateway, "Unicorn!")
}

func refuse(rw http.ResponseWriter, status int, message string) {
	rw.Header().Set("Content-Type", "application/json; charset=utf-8")
	rw.WriteHeader(status)
	// Who gave up reads nothing.
	_ = json.NewEncoder(rw).Encode(map[string]string{"message": message, "documentation_url": "https://docs.github.com/rest"})
}

// An outage has GitHub's API away, or its git too.
type outage struct {
	*world

	mu      sync.Mutex
	fault   fault // nil while GitHub answers
	git     bool  // whether git has the fault too
	atFetch fault // comes with the next fetch
	over    chan struct{}
	asked   int // how many requests had the fault
}

// newSmallWorld makes a world with the least stack, whose GitHub may go away.
func newSmallWorld(t *testing.T) *outage {
	t.Helper()
	o := &outage{world: newWorld(t), over: make(chan struct{})}
	o.must(sample.Small(t.Context(), o.github, o.base))
	o.github.Intercept(o.intercept)
	t.Cleanup(o.end)
	return o
}

func (o *outage) intercept(rw http.ResponseWriter, r *http.Request) bool {
	api := strings.HasPrefix(r.URL.Path, "/api/v3/")
	fetch := strings.HasSuffix(r.URL.Path, "/git-upload-pack")
	o.mu.Lock()
	if fetch && o.atFetch != nil {
		o.fault, o.atFetch = o.atFetch, nil
	}
	f, over := o.fault, o.over
	hit := f != nil && (api || o.git && (fetch || strings.HasSuffix(r.URL.Path, "/info/refs")))
	if hit {
		o.asked++
	}
	o.mu.Unlock()
	if hit {
		f(rw, r, over)
	}
	return hit
}

// begin has the API away from now on, and git too where that is wanted.
func (o *outage) begin(f fault, git bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.over)
	o.fault, o.git, o.asked, o.over = f, git, 0, make(chan struct{})
}

// beginAtFetch has the API away from the moment at which a commit is fetched.
func (o *outage) beginAtFetch(f fault) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.atFetch = f
}

// end has GitHub answer again.
func (o *outage) end() { o.begin(nil, false) }

// felt waits until GitHub was asked in vain.
func (o *outage) felt() {
	o.Helper()
	o.eventually("GitHub is asked in vain", func() bool {
		o.mu.Lock()
		defer o.mu.Unlock()
		return o.asked > 0
	})
}

// change commits a page with the text to a branch.
func (o *outage) change(branch, text string) (sha string) {
	o.Helper()
	sha, err := o.github.Commit(o.Context(), githubsim.Change{
		Repository: sample.SmallRepository, Branch: branch, Author: sample.Developer, Files: map[string]string{"index.html": sample.SmallPage(text)},
	})
	o.must(err)
	return sha
}

// propose opens a pull request of a branch that has a page with the text.
func (o *outage) propose(branch, text string) (sha string) {
	o.Helper()
	sha = o.change(branch, text)
	_, err := o.github.OpenPullRequest(o.Context(), githubsim.PullRequest{
		Repository: sample.SmallRepository, Head: branch, Title: text, Author: sample.Developer,
	})
	o.must(err)
	return sha
}

// shows waits until the preview of a pull request shows the commit.
func (o *outage) shows(number int, sha string) {
	o.Helper()
	o.must(o.story().answers(o.bounded(patience), labelOf(number-1), "Commit "+sha))
}

// saysReady waits until the one comment on a pull request says that the commit is ready.
func (o *outage) saysReady(number int, sha string) {
	o.Helper()
	var bodies []string
	o.eventually(fmt.Sprintf("the comment on #%d says that %s is ready", number, sha[:7]), func() bool {
		bodies = o.comments(number)
		return len(bodies) > 0 && strings.Contains(bodies[0], "### Preview: ready") && strings.Contains(bodies[0], sha[:7])
	})
	if len(bodies) != 1 {
		o.Errorf("there are %d comments on #%d, want one: %q", len(bodies), number, bodies)
	}
}

func (o *outage) comments(number int) (bodies []string) {
	o.Helper()
	comments, err := o.github.Comments(sample.SmallRepository, number)
	o.must(err)
	for _, c := range comments {
		bodies = append(bodies, c.Body)
	}
	return bodies
}

// waitsFor waits until the history of a pull request and the page of its preview say that it is GitHub that is waited for.
func (o *outage) waitsFor(number int, whom string) {
	o.Helper()
	origin := fmt.Sprintf("%s#%d", sample.SmallRepository, number)
	o.eventually("the history says that it waits for "+whom, func() bool {
		return query[int](o.world, `SELECT COUNT(*) FROM events WHERE origin = ? AND text = ?`, origin, "waits for "+whom) > 0
	})
	o.must(o.story().until(o.bounded(patience), "the preview's page says that it waits for "+whom, func() (bool, error) {
		status, body, err := o.story().get(o.Context(), labelOf(number-1))
		return status == http.StatusServiceUnavailable && strings.Contains(body, "waits for "+whom), err
	}))
}

// confirmed waits until nothing is due, and checks how many deployments were built.
func (o *outage) confirmed(builds int) {
	o.Helper()
	o.settled()
	const built = `SELECT COUNT(*) FROM deployments WHERE timings LIKE '%"building"%'`
	if n := query[int](o.world, built); n != builds {
		o.Errorf("%d deployments were built, want %d", n, builds)
	}
}

// The API goes away while a commit is fetched: it goes live all the same, and the comment follows.
func TestGithubAwayAfterFetch(t *testing.T) {
	t.Parallel() // it waits for most of its time
	o := newSmallWorld(t)
	o.start()
	o.beginAtFetch(erring)
	sha := o.propose("topic", "Early")
	o.shows(1, sha)
	o.felt()
	o.begin(limited(3*time.Second), false)
	o.felt()
	o.begin(silent, false)
	o.felt()
	if bodies := o.comments(1); len(bodies) > 0 {
		t.Errorf("there are comments while GitHub is away: %q", bodies)
	}
	o.end()
	o.saysReady(1, sha)
	o.confirmed(1)
	o.stop()
}

// The API and git are away before a commit is fetched: it is said who is waited for, and the commit goes live without a new event.
func TestGithubAwayBeforeFetch(t *testing.T) {
	t.Parallel() // it waits for most of its time
	o := newSmallWorld(t)
	o.start()
	o.begin(erring, true)
	sha := o.propose("topic", "Late")
	o.waitsFor(1, "GitHub")
	o.begin(limited(4*time.Second), true)
	o.waitsFor(1, "GitHub, whose rate limit is used up")
	o.begin(silent, true)
	o.felt()
	if n := query[int](o.world, `SELECT COUNT(*) FROM deployments WHERE timings LIKE '%"fetching"%'`); n > 0 {
		t.Errorf("%d attempts have fetched something while git was away", n)
	}
	o.end()
	o.shows(1, sha)
	o.saysReady(1, sha)
	o.confirmed(1)
	o.stop()
}

// Only the API is away. What is pushed then goes live with the commit that the event named, and is confirmed when the API is back.
func TestGithubAwayButGit(t *testing.T) {
	t.Parallel() // it waits for most of its time
	o := newSmallWorld(t)
	o.start()
	first := o.propose("topic", "First")
	o.shows(1, first)
	o.saysReady(1, first)
	o.confirmed(1)
	o.begin(silent, false)
	second := o.change("topic", "Second")
	o.shows(1, second)
	if n := query[int](o.world, `SELECT generation - observed FROM environments`); n == 0 {
		t.Error("the generation is settled before GitHub has said what its head is")
	}
	o.end()
	o.confirmed(2)
	o.saysReady(1, second)
	o.stop()
}

// The whole course, with a minute in which GitHub does not answer at all: one commit was fetched before it, one is pushed during it.
func TestSoakGithubAway(t *testing.T) {
	t.Parallel() // it waits for most of its time
	o := newSmallWorld(t)
	o.start()
	o.beginAtFetch(erring)
	first := o.propose("early", "Early")
	o.shows(1, first)
	o.begin(erring, true)
	second := o.propose("late", "Late")
	o.waitsFor(2, "GitHub")
	o.begin(limited(5*time.Second), true)
	o.waitsFor(2, "GitHub, whose rate limit is used up")
	o.begin(silent, true)
	until := time.Now().Add(time.Minute)
	o.eventually("GitHub was silent for a minute", func() bool {
		if status, _, err := o.story().get(t.Context(), labelOf(0)); err != nil || status != http.StatusOK {
			t.Errorf("the first preview answers %d (%v) meanwhile", status, err)
			return true
		}
		return time.Now().After(until)
	})
	o.waitsFor(2, "GitHub")
	o.end()
	o.shows(2, second)
	o.saysReady(1, first)
	o.saysReady(2, second)
	o.confirmed(2)
	o.stop()
}
