package bot

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"vitrine/bot/githubsim"
	"vitrine/bot/internal/show/showtest"
	"vitrine/deployments"
)

// report brings a state to the pull request, with the comment that the one before left.
func (w *world) report(r deployments.PendingReport) int64 {
	w.t.Helper()
	text, err := w.bot.Report(w.t.Context(), r)
	w.must(err)
	n, err := notesOf(deployments.Environment{Notes: text})
	w.must(err)
	if text == nil {
		n, err = notesOf(r.Environment)
		w.must(err)
	}
	return n.Comment
}

// reportOf is one of the golden reports, of another pull request.
func reportOf(name string, number int, comment int64) deployments.PendingReport {
	r := showtest.Reports()[name]
	e := environmentOf(number)
	r.Environment.Name, r.Environment.Origin, r.Environment.Notes = e.Name, e.Origin, notes{Version: notesVersion, Comment: comment}.encode()
	return r
}

func (w *world) writes() int {
	return w.requests.count(http.MethodPost, "/comments") + w.requests.count(http.MethodPatch, "/comments")
}

func TestReport(t *testing.T) {
	w := newWorld(t, nil)
	w.clock = showtest.Now
	number, _ := w.open("a", "x")
	if id := w.report(reportOf("fetching", number, 0)); id != 0 || len(w.said(number)) != 0 {
		t.Fatalf("commented %d before the checkout was read", id)
	}
	id := w.report(reportOf("building", number, 0))
	if said := w.said(number); id == 0 || len(said) != 1 || !strings.Contains(said[0], "Preview: building") {
		t.Fatalf("comment %d, said %q", id, said)
	}
	// Whatever comes, it is the same comment.
	for name, want := range map[string]string{
		"ready": "Preview: ready in 41 s", "failed-build": "failed while building api", "gone-closed": "Preview removed: pull request closed, 21 Nov", "nothing": "nothing to deploy",
	} {
		if again := w.report(reportOf(name, number, id)); again != id {
			t.Errorf("%s: comment %d, want %d", name, again, id)
		}
		if said := w.said(number); len(said) != 1 || !strings.Contains(said[0], want) {
			t.Errorf("%s: said %q", name, said)
		}
	}
	w.report(reportOf("ready", number, id))
	before := w.writes()
	w.report(reportOf("ready", number, id))
	if w.writes() != before {
		t.Error("a text that is there is written again")
	}
	// Another process knows the number, or nothing, and writes nothing either.
	for _, known := range []int64{id, 0} {
		w.bot.shown = map[int64][32]byte{}
		if again := w.report(reportOf("ready", number, known)); again != id {
			t.Errorf("comment %d, want %d", again, id)
		}
	}
	if w.writes() != before {
		t.Error("a text that is there is written again by another process")
	}
	if d := w.deliveries(); len(d) != 0 {
		t.Errorf("our comment makes %+v", d)
	}
}

func TestReportAfterTheCommentWasDeleted(t *testing.T) {
	w := newWorld(t, nil)
	number, _ := w.open("a", "x")
	first := w.report(reportOf("building", number, 0))
	for _, forgotten := range []bool{false, true} {
		w.must(w.DeleteComment("acme/shop", first, "ana"))
		if forgotten {
			w.bot.shown = map[int64][32]byte{}
		}
		name := map[bool]string{false: "ready", true: "building"}[forgotten]
		second := w.report(reportOf(name, number, first))
		if said := w.said(number); second == first || len(said) != 1 {
			t.Fatalf("comment %d after %d, said %q", second, first, said)
		}
		first = second
	}
}

func TestReportFindsItsComment(t *testing.T) {
	w := newWorld(t, nil)
	number, _ := w.open("a", "x")
	id := w.report(reportOf("building", number, 0))
	if again := w.report(reportOf("ready", number, 0)); again != id {
		t.Errorf("comment %d, want %d", again, id)
	}
	other, _ := w.open("b", "x")
	for range 101 { // more than a page of a stranger's, with our marker in them
		_, err := w.Comment("acme/shop", other, "mallory", marker(environmentOf(other)))
		w.must(err)
	}
	id = w.report(reportOf("building", other, 0))
	if again := w.report(reportOf("ready", other, 0)); again != id || len(w.said(other)) != 1 {
		t.Errorf("comment %d, want %d", again, id)
	}
}

func TestReportWritesNoFirstComment(t *testing.T) {
	w := newWorld(t, nil)
	number, _ := w.open("a", "x")
	for _, name := range []string{"queued", "fetching", "nothing", "removing", "gone-closed", "gone-expired", "gone-destroy"} {
		if id := w.report(reportOf(name, number, 0)); id != 0 {
			t.Errorf("%s: comment %d", name, id)
		}
	}
	if n := w.writes(); n != 0 {
		t.Errorf("%d writes", n)
	}
	branch := showtest.Reports()["ready"]
	branch.Environment.Origin = deployments.Origin{Repo: "acme/shop", Branch: "main"}
	if id := w.report(branch); id != 0 {
		t.Errorf("a branch: comment %d", id)
	}
	byHand := reportOf("nothing", number, 0)
	byHand.Environment.By = deployments.ByHand
	if id := w.report(byHand); id == 0 || !strings.Contains(w.said(number)[0], "neither a compose file nor a Dockerfile") {
		t.Errorf("by hand: comment %d, said %q", id, w.said(number))
	}
}

func TestReportWithoutPermission(t *testing.T) {
	w := newWorld(t, map[string]string{"contents": "read", "pull_requests": "read", "issues": "read"})
	number, _ := w.open("a", "x")
	if id := w.report(reportOf("building", number, 0)); id != 0 {
		t.Errorf("comment %d", id)
	}
	if id := w.report(reportOf("ready", number, 0)); id != 0 {
		t.Errorf("comment %d", id)
	}
	if id := w.report(reportOf("ready", 99, 0)); id != 0 { // the pull request is gone
		t.Errorf("comment %d", id)
	}
	gone := reportOf("ready", 1, 17)
	gone.Environment.Origin.Repo = "acme/none"
	if id := w.report(gone); id != 17 { // the App is not installed any more
		t.Errorf("comment %d", id)
	}
}

// While GitHub fails, in one way after another, the report waits; what it could not write is not taken for written.
func TestReportWaitsForGitHub(t *testing.T) {
	w := newWorld(t, nil)
	number, _ := w.open("a", "x")
	id := w.report(reportOf("building", number, 0))
	for _, outage := range []struct {
		begin     func()
		neighbour string
	}{
		{func() { w.refuse("", http.StatusInternalServerError, nil) }, waitsForGitHub},
		{func() { w.refuse("", http.StatusForbidden, map[string]string{"Retry-After": "60"}) }, waitsForRateLimit},
		{func() { w.pass(2 * time.Minute); w.hang() }, waitsForGitHub},
	} {
		outage.begin()
		text, err := w.bot.Report(t.Context(), reportOf("ready", number, id))
		u := unavailable(t, err, outage.neighbour)
		n, err := notesOf(deployments.Environment{Notes: text})
		w.must(err)
		again := n.Comment
		if again != id || u.Until.IsZero() != (outage.neighbour == waitsForGitHub) {
			t.Errorf("comment %d until %s", again, u.Until)
		}
	}
	w.refresh()
	if again := w.report(reportOf("ready", number, id)); again != id {
		t.Errorf("comment %d, want %d", again, id)
	}
	if said := w.said(number); len(said) != 1 || !strings.Contains(said[0], "ready") {
		t.Errorf("said %q", said)
	}
}

// lose has GitHub do what it is asked with the method at paths with a part, and loses its answers.
func (w *world) lose(method, part string) {
	w.intercept(func(_ http.ResponseWriter, r *http.Request, simulated func() *httptest.ResponseRecorder) bool {
		if r.Method != method || !strings.Contains(r.URL.Path, part) || strings.HasSuffix(r.URL.Path, "/access_tokens") {
			return false
		}
		if answer := simulated(); answer.Code >= 300 {
			w.t.Errorf("%s %s is answered %d", method, r.URL, answer.Code)
		}
		panic(http.ErrAbortHandler)
	})
}

// GitHub takes a comment, and its answer is lost: the next report finds it.
func TestReportAfterALostAnswer(t *testing.T) {
	w := newWorld(t, nil)
	number, _ := w.open("a", "x")
	w.lose(http.MethodPost, "/comments")
	_, err := w.bot.Report(t.Context(), reportOf("building", number, 0))
	unavailable(t, err, waitsForGitHub)
	if said := w.said(number); len(said) != 1 {
		t.Fatalf("said %q", said)
	}
	w.Intercept(nil)
	id := w.report(reportOf("building", number, 0))

	w.lose(http.MethodPatch, "/comments")
	_, err = w.bot.Report(t.Context(), reportOf("ready", number, id))
	unavailable(t, err, waitsForGitHub)
	w.Intercept(nil)
	w.report(reportOf("ready", number, id))
	if said := w.said(number); len(said) != 1 || !strings.Contains(said[0], "ready") {
		t.Errorf("said %q", said)
	}

	// One that somebody deleted is written anew once, too.
	w.must(w.DeleteComment("acme/shop", id, "ana"))
	w.lose(http.MethodPost, "/comments")
	_, err = w.bot.Report(t.Context(), reportOf("building", number, id))
	unavailable(t, err, waitsForGitHub)
	w.Intercept(nil)
	w.report(reportOf("building", number, id))
	if said := w.said(number); len(said) != 1 || !strings.Contains(said[0], "building") {
		t.Errorf("said %q", said)
	}
}

// The same of a reply to a command.
func TestAnswerAfterALostAnswer(t *testing.T) {
	w := newWorld(t, nil)
	number, _ := w.open("a", "x")
	_, r := w.command(number, "carl", "/destroy")
	for range 2 {
		w.lose(http.MethodPost, "")
		unavailable(t, w.bot.Answer(t.Context(), r), waitsForGitHub)
		w.Intercept(nil)
		w.must(w.bot.Answer(t.Context(), r))
	}
	if said := w.said(number); len(said) != 1 {
		t.Errorf("said %q", said)
	}
	if reactions := w.reactions(number, r); len(reactions) != 1 {
		t.Errorf("reacted %q", reactions)
	}
}

// One pull request from its opening to its end, through the real endpoint: signed webhooks in, comments and reactions out.
func TestStory(t *testing.T) {
	w := newWorld(t, nil)
	_, err := w.Commit(t.Context(), githubsim.Change{Repository: "acme/shop", Branch: "витрина/a;b", Author: "ana", Files: map[string]string{"x": "1"}})
	w.must(err)
	number, err := w.OpenPullRequest(t.Context(), githubsim.PullRequest{Repository: "acme/shop", Head: "витрина/a;b", Title: "Vitrine", Author: "ana"})
	w.must(err)
	var wants []deployments.Want
	for _, d := range w.deliveries() {
		wants = append(wants, d.Wants...)
	}
	head := w.head(origin(number))
	if len(wants) != 1 || wants[0].Intent != deployments.Up || wants[0].Source != head.Source || head.Source.Branch != "витрина/a;b" {
		t.Fatalf("wants %+v, head %+v", wants, head)
	}
	id := w.report(reportOf("building", number, 0))
	w.report(reportOf("ready", number, id))

	w.must(w.ClosePullRequest("acme/shop", number, "ana"))
	wants = nil
	for _, d := range w.deliveries() {
		wants = append(wants, d.Wants...)
	}
	if len(wants) != 1 || wants[0].Intent != deployments.Gone || wants[0].Cause != causeClosed {
		t.Fatalf("wants %+v", wants)
	}
	w.report(reportOf("gone-closed", number, id))
	if said := w.said(number); len(said) != 1 || !strings.HasPrefix(said[0], "Preview removed: pull request closed") {
		t.Errorf("said %q", said)
	}
}
