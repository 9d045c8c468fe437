package bot

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"vitrine/bot/githubsim"
	"vitrine/deployments"
)

func TestCommands(t *testing.T) {
	w := newWorld(t, nil)
	number, sha := w.open("feature/login", "Login")
	o := origin(number)
	w.states[o.Key()] = environmentOf(number)
	up := deployments.Want{
		Origin: o, Source: deployments.Source{Repo: "acme/shop", Branch: "feature/login", SHA: sha}, Title: "Login",
		Intent: deployments.Up, By: deployments.ByHand, Cause: "/deploy by ben", Force: true,
	}
	extended := func(d time.Duration) []deployments.Want {
		return []deployments.Want{{Origin: o, By: deployments.ByHand, Cause: "/extend by ben", Extend: d}}
	}
	const day = 24 * time.Hour
	tests := []struct {
		login, body string
		state       deployments.RequestState
		wants       []deployments.Want
		reply       string // a part of it; "" for none
	}{
		{"ben", "/deploy", deployments.RequestTaken, []deployments.Want{up}, ""},
		{"ben", "/extend 3d", deployments.RequestSucceeded, extended(3 * day), ""},
		{"ben", "/EXTEND", deployments.RequestSucceeded, extended(7 * day), ""},
		{"ben", "/extend 99w", deployments.RequestSucceeded, extended(30 * day), ""},
		{"ben", "/reset", deployments.RequestTaken, []deployments.Want{{Origin: o, Intent: deployments.Up, By: deployments.ByHand, Cause: "/reset by ben", Force: true, Reset: true}}, ""},
		{"ben", "/destroy", deployments.RequestTaken, []deployments.Want{{Origin: o, Intent: deployments.Gone, By: deployments.ByHand, Cause: "/destroy by ben"}}, ""},
		{"ben", "/status", deployments.RequestSucceeded, nil, "building (fetching). Newest commit: `3f2a91c`. Until 28 Nov 2024, 14:00 UTC."},
		{"carl", "/status", deployments.RequestSucceeded, nil, "building"},
		{"carl", "/help", deployments.RequestSucceeded, nil, "| `/extend [duration]` |"},
		{"carl", "/deploy", deployments.RequestRefused, nil, "`/deploy` needs write access to `acme/shop`, which `carl` does not have."},
		{"mallory", "/extend 3d", deployments.RequestRefused, nil, "`/extend` needs access to `acme/shop`, which `mallory` does not have."},
		{"mallory", "/help", deployments.RequestRefused, nil, "`/help` needs access"},
		{"ben", "/extend tomorrow", deployments.RequestRefused, nil, "`tomorrow` is no duration. The right form is `/extend 3d`"},
		{"ben", "/deploy fresh", deployments.RequestRefused, nil, "`/deploy` stands alone in its line, without `fresh`."},
		{"carl", "/extend tomorrow", deployments.RequestRefused, nil, "needs write access"},
	}
	for _, test := range tests {
		t.Run(test.login+" "+test.body, func(t *testing.T) {
			resolution, _ := w.command(number, test.login, test.body)
			if resolution.State != test.state {
				t.Errorf("%s, want %s (%s)", resolution.State, test.state, resolution.Reply)
			}
			if diff := cmp.Diff(test.wants, resolution.Wants); diff != "" {
				t.Errorf("wants (-want +got)\n%s", diff)
			}
			if !strings.Contains(resolution.Reply, test.reply) || (test.reply == "") != (resolution.Reply == "") {
				t.Errorf("reply %q, want %q", resolution.Reply, test.reply)
			}
		})
	}
}

func TestCommandsWithoutAPreview(t *testing.T) {
	w := newWorld(t, nil)
	number, _ := w.open("a", "x")
	for _, body := range []string{"/extend 3d", "/reset", "/destroy"} {
		if resolution, _ := w.command(number, "ben", body); resolution.State != deployments.RequestRefused || !strings.Contains(resolution.Reply, "no preview") {
			t.Errorf("%s: %+v", body, resolution)
		}
	}
	if resolution, _ := w.command(number, "ben", "/status"); !strings.Contains(resolution.Reply, "There is no preview here") {
		t.Errorf("/status: %+v", resolution)
	}
	e := environmentOf(number)
	e.Intent, e.Cause = deployments.Gone, "/destroy by @ana"
	w.states[origin(number).Key()] = e
	if resolution, _ := w.command(number, "ben", "/status"); !strings.Contains(resolution.Reply, "removed (/destroy by @\u200bana)") {
		t.Errorf("/status of what is gone: %+v", resolution)
	}
	if resolution, _ := w.command(number, "ben", "/destroy"); resolution.State != deployments.RequestRefused {
		t.Errorf("/destroy of what is gone: %+v", resolution)
	}
	if resolution, _ := w.command(number, "ben", "/deploy"); resolution.State != deployments.RequestTaken {
		t.Errorf("/deploy of what is gone: %+v", resolution)
	}
}

func TestDeployIsRefused(t *testing.T) {
	w := newWorld(t, nil)
	refused := func(number int, reason string) {
		t.Helper()
		if resolution, _ := w.command(number, "ben", "/deploy"); resolution.State != deployments.RequestRefused || !strings.Contains(resolution.Reply, reason) {
			t.Errorf("%+v, want a refusal with %q", resolution, reason)
		}
	}
	fork, err := w.Fork(t.Context(), "acme/shop", "mallory")
	w.must(err)
	_, err = w.Commit(t.Context(), githubsim.Change{Repository: fork, Branch: "b", Author: "mallory", Files: map[string]string{"x": "y"}})
	w.must(err)
	number, err := w.OpenPullRequest(t.Context(), githubsim.PullRequest{Repository: "acme/shop", Head: "mallory:b", Title: "x", Author: "mallory"})
	w.must(err)
	w.deliveries()
	refused(number, "comes from a fork")

	number, _ = w.open("skipped", "x [skip preview]")
	refused(number, "`[skip preview]`")

	number, _ = w.open("closed", "x")
	w.must(w.ClosePullRequest("acme/shop", number, "ana"))
	w.deliveries()
	refused(number, "is closed")
}

func TestAnswer(t *testing.T) {
	w := newWorld(t, nil)
	number, _ := w.open("a", "x")
	answer := func(r deployments.Request) {
		t.Helper()
		for range 2 { // harmless when repeated
			w.must(w.bot.Answer(t.Context(), r))
		}
	}

	_, taken := w.command(number, "ben", "/deploy")
	answer(taken)
	if got := w.reactions(number, taken); !slices.Equal(got, []string{"eyes"}) {
		t.Errorf("taken: %v", got)
	}
	taken.State = deployments.RequestSucceeded
	answer(taken)
	if got := w.reactions(number, taken); !slices.Equal(got, []string{"eyes", "rocket"}) {
		t.Errorf("succeeded: %v", got)
	}
	_, taken = w.command(number, "ben", "/deploy")
	taken.State = deployments.RequestFailed
	answer(taken)
	if got := w.reactions(number, taken); !slices.Equal(got, []string{"confused"}) {
		t.Errorf("failed: %v", got)
	}
	if said := w.said(number); len(said) != 0 {
		t.Errorf("said %q", said)
	}

	_, refused := w.command(number, "mallory", "/deploy")
	answer(refused)
	if got := w.reactions(number, refused); !slices.Equal(got, []string{"confused"}) {
		t.Errorf("refused: %v", got)
	}
	if said := w.said(number); len(said) != 1 || !strings.Contains(said[0], "mallory") {
		t.Errorf("said %q", said)
	}

	// Two commands of one comment have a reply each.
	for _, r := range w.commanded(number, "ben", "/help\n/status") {
		resolution, err := w.bot.Resolve(t.Context(), r)
		w.must(err)
		r.State, r.Reply = resolution.State, resolution.Reply
		answer(r)
	}
	if said := w.said(number); len(said) != 3 || !strings.Contains(said[1], "/destroy") || !strings.Contains(said[2], "no preview") {
		t.Errorf("said %q", said)
	}
	// Our own words are no commands.
	if d := w.deliveries(); len(d) != 0 {
		t.Errorf("our replies make %+v", d)
	}
}

// Somebody who writes our marker into a comment does not silence us.
func TestMarkerOfAStranger(t *testing.T) {
	w := newWorld(t, nil)
	number, _ := w.open("a", "x")
	_, r := w.command(number, "ben", "/help")
	q, err := questionOf(r)
	w.must(err)
	_, err = w.Comment("acme/shop", number, "mallory", q.Comment.marker())
	w.must(err)
	w.must(w.bot.Answer(t.Context(), r))
	if said := w.said(number); len(said) != 1 {
		t.Errorf("said %q", said)
	}
}

func TestAnswerWithoutPermission(t *testing.T) {
	w := newWorld(t, map[string]string{"contents": "read", "pull_requests": "read", "issues": "read"})
	number, _ := w.open("a", "x")
	_, r := w.command(number, "ben", "/help")
	w.must(w.bot.Answer(t.Context(), r))
	if said := w.said(number); len(said) != 0 {
		t.Errorf("said %q", said)
	}
	w.must(w.bot.Answer(t.Context(), deployments.Request{Origin: deployments.Origin{Repo: "acme/none", PullRequest: 1}, Payload: r.Payload, State: r.State}))
}

func TestAnswerIsRepeated(t *testing.T) {
	w := newWorld(t, nil)
	number, _ := w.open("a", "x")
	_, r := w.command(number, "ben", "/help")
	w.Intercept(func(rw http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/comments") {
			fail(rw, http.StatusBadGateway, "down")
			return true
		}
		return false
	})
	if err := w.bot.Answer(t.Context(), r); err == nil {
		t.Error("no error though the reply was not written")
	}
	w.Intercept(nil)
	w.must(w.bot.Answer(t.Context(), r))
	if said := w.said(number); len(said) != 1 {
		t.Errorf("said %q", said)
	}
}

// A rate limit passes: it is no missing permission.
func TestResolveWaitsForRateLimits(t *testing.T) {
	w := newWorld(t, nil)
	number, _ := w.open("a", "x")
	requests := w.commanded(number, "ben", "/deploy")
	w.Intercept(func(rw http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/permission") {
			rw.Header().Set("X-RateLimit-Remaining", "0")
			rw.Header().Set("X-RateLimit-Limit", "5000")
			fail(rw, http.StatusForbidden, "API rate limit exceeded")
			return true
		}
		return false
	})
	resolution, err := w.bot.Resolve(t.Context(), requests[0])
	if u := unavailable(t, err, waitsForRateLimit); !u.Until.After(w.now()) {
		t.Errorf("resolved to %+v, until %s", resolution, u.Until)
	}
	w.pass(2 * time.Minute)
	w.Intercept(func(rw http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/permission") {
			fail(rw, http.StatusForbidden, "Resource not accessible by integration")
			return true
		}
		return false
	})
	if resolution, err := w.bot.Resolve(t.Context(), requests[0]); err != nil || resolution.State != deployments.RequestRefused || resolution.Wants != nil {
		t.Errorf("without the permission to ask: %+v, %v", resolution, err)
	}
}

func TestPushes(t *testing.T) {
	w := newWorld(t, nil)
	push := func(branch, file, content string) (deployments.Resolution, string) {
		t.Helper()
		sha, err := w.Commit(t.Context(), githubsim.Change{Repository: "acme/shop", Branch: branch, Author: "ana", Files: map[string]string{file: content}})
		w.must(err)
		d := w.deliveries()
		if len(d) != 1 || len(d[0].Requests) != 1 {
			t.Fatalf("a push makes %+v", d)
		}
		resolution, err := w.bot.Resolve(t.Context(), d[0].Requests[0])
		w.must(err)
		w.must(w.bot.Answer(t.Context(), d[0].Requests[0]))
		return resolution, sha
	}
	o := deployments.Origin{Repo: "acme/shop", Branch: "main"}
	if r, _ := push("main", "x", "1"); r.State != deployments.RequestIgnored || r.Event != "" {
		t.Errorf("without a configuration: %+v", r)
	}
	r, sha := push("main", ".vitrine.yml", "branches: [main]\n")
	want := deployments.Resolution{State: deployments.RequestSucceeded, Wants: []deployments.Want{{
		Origin: o, Source: deployments.Source{Repo: "acme/shop", Branch: "main", SHA: sha}, Intent: deployments.Up, By: deployments.ByEvent, Cause: "push " + sha[:7],
	}}}
	if diff := cmp.Diff(want, r); diff != "" {
		t.Errorf("tracked (-want +got)\n%s", diff)
	}
	if r, _ := push("other", "x", "2"); r.State != deployments.RequestIgnored {
		t.Errorf("another branch: %+v", r)
	}
	if r, _ := push("main", ".vitrine.yml", "brunches: [main]\n"); r.State != deployments.RequestIgnored || !strings.Contains(r.Event, ".vitrine.yml:1") {
		t.Errorf("a configuration that cannot be read: %+v", r)
	}
	w.states[o.Key()] = deployments.Environment{Origin: o, Intent: deployments.Up, Generation: 1}
	if r, _ := push("main", ".vitrine.yml", "brunches: [master]\n"); len(r.Wants) != 1 || r.Wants[0].Intent != deployments.Up {
		t.Errorf("a configuration that cannot be read, with an environment: %+v", r)
	}
	r, _ = push("main", ".vitrine.yml", "branches: []\n")
	if len(r.Wants) != 1 || r.Wants[0].Intent != deployments.Gone || r.Wants[0].Cause != `branch "main" is not tracked any more` {
		t.Errorf("not tracked any more: %+v", r)
	}
}

func TestResolveDropsWhatItCannotRead(t *testing.T) {
	w := newWorld(t, nil)
	for _, payload := range []string{`{}`, `{"version":2,"push":{}}`, `{"version":1}`, `{"version":1,"push":{},"comment":{}}`, `x`} {
		r := deployments.Request{Origin: origin(1), Payload: json.RawMessage(payload), State: deployments.RequestPending}
		if resolution, err := w.bot.Resolve(t.Context(), r); err != nil || resolution.State != deployments.RequestIgnored {
			t.Errorf("%s: %+v, %v", payload, resolution, err)
		}
	}
	r := deployments.Request{Origin: deployments.Origin{Repo: "acme/none", Branch: "b"}, Payload: json.RawMessage(`{"version":1,"push":{"sha":"x"}}`)}
	if resolution, err := w.bot.Resolve(t.Context(), r); err != nil || resolution.State != deployments.RequestIgnored {
		t.Errorf("not installed: %+v, %v", resolution, err)
	}
}
