package bot

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"vitrine/bot/githubsim"
	"vitrine/deployments"
	"vitrine/deployments/repoconfig"
)

// Each command, by those who may and those who may not.
func TestCommands(t *testing.T) {
	w := newWorld(t, nil)
	number, sha := w.open("feature/login", "Login")
	o := origin(number)
	w.states[o.Key()] = environmentOf(number)
	w.prints = []deployments.LogLine{
		{At: time.Date(2024, 11, 21, 14, 0, 0, 5e6, time.UTC), Service: "web", Text: "GET / 200"},
		{At: time.Date(2024, 11, 21, 14, 0, 1, 0, time.UTC), Service: "db", Text: "ready ``` @ana"},
	}
	up := deployments.Want{
		Origin: o, Source: deployments.Source{Repo: "acme/shop", Branch: "feature/login", SHA: sha}, Title: "Login",
		Intent: deployments.Up, By: deployments.ByHand, Cause: "/deploy by ben", Force: true,
	}
	fresh := up
	fresh.Fresh = true
	extended := func(d time.Duration) []deployments.Want {
		return []deployments.Want{{Origin: o, By: deployments.ByHand, Cause: "/extend by ben", Extend: d}}
	}
	pinned := func(yes bool, cause string) []deployments.Want {
		return []deployments.Want{{Origin: o, By: deployments.ByHand, Cause: cause, Pin: &yes}}
	}
	const day = 24 * time.Hour
	const taken, succeeded, refused = deployments.RequestTaken, deployments.RequestSucceeded, deployments.RequestRefused
	tests := []struct {
		login, body string
		state       deployments.RequestState
		wants       []deployments.Want
		reply       string // a part of it; "" for none
		event       string // the same
	}{
		{"ben", "/deploy", taken, []deployments.Want{up}, "", ""},
		{"ben", "/deploy fresh", taken, []deployments.Want{fresh}, "", ""},
		{"ben", "/deploy " + sha[:7], taken, []deployments.Want{up}, "", ""},
		{"ben", "/deploy " + strings.ToUpper(sha), taken, []deployments.Want{up}, "", ""},
		{"ben", "/deploy 1234567", refused, nil, "`1234567` is not the head; that is `" + sha[:7] + "` now. `/deploy` deploys it.", "refused /deploy of ben: 1234567 is not the head"},
		{"ben", "/deploy soon", refused, nil, "`soon` is no commit. The right forms are `/deploy`, `/deploy fresh`", "refused"},
		{"ben", "/extend 3d", succeeded, extended(3 * day), "", "extended by 3 days (ben)"},
		{"ben", "/EXTEND", succeeded, extended(7 * day), "", "extended by 7 days (ben)"},
		{"ben", "/extend 99w", succeeded, extended(30 * day), "", "extended by 30 days (ben)"},
		{"ben", "/extend tomorrow", refused, nil, "`tomorrow` is no duration. The right form is `/extend 3d`", "refused"},
		{"ben", "/reset", taken, []deployments.Want{{Origin: o, Intent: deployments.Up, By: deployments.ByHand, Cause: "/reset by ben", Force: true, Reset: true}}, "", ""},
		{"ben", "/destroy", taken, []deployments.Want{{Origin: o, Intent: deployments.Gone, By: deployments.ByHand, Cause: "/destroy by ben"}}, "", ""},
		{"ben", "/pin", succeeded, pinned(true, "/pin by ben"), "", "pinned by ben"},
		{"ben", "/unpin", succeeded, pinned(false, "/unpin by ben"), "", "unpinned by ben"},
		{"ben", "/pin me", refused, nil, "`/pin` stands alone in its line, without `me`.", "refused"},
		{"ben", "/logs", succeeded, nil, "````\n14:00:00.005 web  GET / 200\n14:00:01.000 db  ready ``` @ana\n````", ""},
		{"ben", "/logs web", succeeded, nil, "The last 1 line of web, in UTC</summary>\n\n```\n14:00:00.005 GET / 200\n```\n", ""},
		{"ben", "/logs worker", refused, nil, "No service `worker` has printed anything here. There are `db`, `web`.", "refused /logs of ben: No service worker"},
		{"ben", "/status", succeeded, nil, "building (fetching). Newest commit: `3f2a91c`. Until 28 Nov 2024, 14:00 UTC.", ""},
		{"carl", "/status", succeeded, nil, "building", ""},
		{"carl", "/help", succeeded, nil, "| `/extend [duration]` |", ""},
		{"carl", "/help", succeeded, nil, "| `/deploy [fresh \\| <sha>]` |", ""},
		{"mallory", "/help", refused, nil, "`/help` needs access", "refused"},
		{"mallory", "/status", refused, nil, "`/status` needs access", "refused"},
		{"carl", "/extend tomorrow", refused, nil, "needs write access", "refused"},
	}
	for _, v := range []verb{deploy, extend, reset, destroy, pin, unpin, logs} {
		for login, needs := range map[string]string{"carl": "write access", "mallory": "access"} {
			reply := fmt.Sprintf("`/%s` needs %s to `acme/shop`, which `%s` does not have.", v, needs, login)
			tests = append(tests, struct {
				login, body string
				state       deployments.RequestState
				wants       []deployments.Want
				reply       string
				event       string
			}{login, "/" + string(v), refused, nil, reply, "refused /" + string(v) + " of " + login})
		}
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
			if !strings.Contains(resolution.Event, test.event) || (test.event == "") != (resolution.Event == "") {
				t.Errorf("event %q, want %q", resolution.Event, test.event)
			}
		})
	}
}

// Without a duration an /extend is by the repository's own ttl, and by the server's where it has none.
func TestExtendByTheRepositorysTTL(t *testing.T) {
	w := newWorld(t, nil)
	number, _ := w.open("a", "x")
	e := environmentOf(number)
	e.TTL = 36 * time.Hour
	w.states[origin(number).Key()] = e
	if r, _ := w.command(number, "ben", "/extend"); len(r.Wants) != 1 || r.Wants[0].Extend != 36*time.Hour || r.Event != "extended by 36 hours (ben)" {
		t.Errorf("%+v", r)
	}
}

func TestLogs(t *testing.T) {
	w := newWorld(t, nil)
	number, _ := w.open("a", "x")
	e := environmentOf(number)
	e.Intent, e.Cause = deployments.Gone, "pull request closed"
	w.states[origin(number).Key()] = e
	if r, _ := w.command(number, "ben", "/logs"); r.State != deployments.RequestSucceeded || r.Reply != "Nothing was printed yet." {
		t.Errorf("of what has printed nothing: %+v", r)
	}
	w.bot.config.Logs = nil
	if r, _ := w.command(number, "ben", "/logs"); r.State != deployments.RequestRefused || !strings.Contains(r.Reply, "keeps nothing") {
		t.Errorf("where nothing is kept: %+v", r)
	}
	w.bot.config.Logs = w.Logs
	for i := range 1000 {
		w.prints = append(w.prints, deployments.LogLine{Service: "web", Text: fmt.Sprintf("%d\t\u202e%s", i, strings.Repeat("é`", 1000))})
	}
	r, _ := w.command(number, "ben", "/logs")
	if size := len(r.Reply); size > 64<<10 || size < 40<<10 {
		t.Errorf("the reply has %d bytes", size)
	}
	if !strings.Contains(r.Reply, "web  999 é`") || strings.Contains(r.Reply, "web  1 é`") || strings.ContainsAny(r.Reply, "\u202e\t") {
		t.Errorf("the reply is %.200q", r.Reply)
	}
	if _, err := w.Comment("acme/shop", number, "ben", r.Reply); err != nil {
		t.Errorf("GitHub does not take it: %v", err)
	}
}

func TestCommandsWithoutAPreview(t *testing.T) {
	w := newWorld(t, nil)
	number, _ := w.open("a", "x")
	for _, body := range []string{"/extend 3d", "/reset", "/destroy", "/pin", "/unpin", "/logs"} {
		if resolution, _ := w.command(number, "ben", body); resolution.State != deployments.RequestRefused || !strings.Contains(resolution.Reply, "no preview") {
			t.Errorf("%s: %+v", body, resolution)
		}
	}
	status := func(e deployments.Environment, want string) {
		t.Helper()
		w.states[origin(number).Key()] = e
		if resolution, _ := w.command(number, "ben", "/status"); !strings.Contains(resolution.Reply, want) {
			t.Errorf("/status: %q, want %q", resolution.Reply, want)
		}
	}
	status(deployments.Environment{}, "There is no preview here")
	e := environmentOf(number)
	e.Intent, e.Cause, e.Skipped = deployments.Gone, "skipped: drafts are off", "drafts are off in `x`"
	status(e, "There is no preview here, as `3f2a91c` is skipped: drafts are off in \\`x\\`.")
	e.Cause, e.Skipped = "/destroy by @ana", ""
	status(e, "removed (/destroy by @\u200bana)")
	if resolution, _ := w.command(number, "ben", "/destroy"); resolution.State != deployments.RequestRefused {
		t.Errorf("/destroy of what is gone: %+v", resolution)
	}
	if resolution, _ := w.command(number, "ben", "/deploy"); resolution.State != deployments.RequestTaken {
		t.Errorf("/deploy of what is gone: %+v", resolution)
	}
	e = environmentOf(number)
	e.Pinned = true
	status(e, "It is pinned, and does not expire.")
	e.Held, e.Live = strings.Repeat("d", 40), 0
	w.states[origin(number).Key()] = e
	if resolution, _ := w.command(number, "ben", "/reset"); resolution.State != deployments.RequestRefused || !strings.Contains(resolution.Reply, "`ddddddd` waits for approval") {
		t.Errorf("/reset of what waits for approval: %+v", resolution)
	}
}

func TestDeployIsRefused(t *testing.T) {
	w := newWorld(t, nil)
	number, _ := w.open("closed", "x")
	refused := func(reason string) {
		t.Helper()
		resolution, _ := w.command(number, "ben", "/deploy")
		if resolution.State != deployments.RequestRefused || !strings.Contains(resolution.Reply, reason) || resolution.Event == "" || resolution.Wants != nil {
			t.Errorf("%+v, want a refusal with %q", resolution, reason)
		}
	}
	w.rewrite("/pulls/1", `"archived":false`, `"archived":true`)
	refused("archived")
	w.Intercept(nil)
	w.must(w.ClosePullRequest("acme/shop", number, "ana"))
	w.deliveries()
	refused("is closed")

	w.must(w.CreateRepository(t.Context(), "acme/docs", true, map[string]string{"README.md": "Read me.\n"}))
	w.must(w.SetPermission("acme/docs", "ben", "write"))
	_, err := w.Commit(t.Context(), githubsim.Change{Repository: "acme/docs", Branch: "b", Author: "ben", Files: map[string]string{"a/Dockerfile": "FROM scratch\n"}})
	w.must(err)
	number, err = w.OpenPullRequest(t.Context(), githubsim.PullRequest{Repository: "acme/docs", Head: "b", Title: "x", Author: "ben"})
	w.must(err)
	_, err = w.Comment("acme/docs", number, "ben", "/deploy")
	w.must(err)
	for _, d := range w.deliveries() {
		for _, r := range d.Requests {
			if r.Origin.PullRequest == 0 {
				continue
			}
			resolution, err := w.bot.Resolve(t.Context(), r)
			w.must(err)
			if resolution.State != deployments.RequestRefused || !strings.Contains(resolution.Reply, "nothing to deploy at `") || !strings.Contains(resolution.Reply, lookedFor()) {
				t.Errorf("%+v", resolution)
			}
		}
	}
	for _, name := range strings.FieldsFunc(lookedFor(), func(c rune) bool { return strings.ContainsRune("`, ", c) }) {
		if name != "and" && !repoconfig.Deployable([]string{name}) {
			t.Errorf("nobody looks for %s", name)
		}
	}
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
	for _, payload := range []string{`{}`, `{"version":2,"push":{}}`, `{"version":1}`, `{"version":1,"push":{},"comment":{}}`, `{"version":1,"change":{},"button":{}}`, `x`} {
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
