package bot

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"vitrine/bot/githubsim"
	"vitrine/bot/internal/show/showtest"
	"vitrine/deployments"
)

// A life is an environment of a pull request with two commits, whose states are reported one after the other.
type life struct {
	*world
	number   int
	old, new string // its commits, in the place of showtest's
	notes    json.RawMessage
}

func newLife(t *testing.T) *life {
	w := newWorld(t, nil)
	w.clock = showtest.Now
	l := &life{world: w}
	l.number, l.old = w.open("a", "x")
	var err error
	l.new, err = w.Commit(t.Context(), githubsim.Change{Repository: "acme/shop", Branch: "a", Author: "ana", Files: map[string]string{"x": "new"}})
	w.must(err)
	return l
}

// state returns one of the golden reports as one of this environment's.
func (l *life) state(name string) deployments.PendingReport {
	l.t.Helper()
	r, ok := showtest.Reports()[name]
	if !ok {
		l.t.Fatalf("there is no report %q", name)
	}
	e := environmentOf(l.number)
	r.Environment.Name, r.Environment.Origin = e.Name, e.Origin
	shas := []*string{&r.Environment.Held, &r.Environment.Approved}
	for i := range r.Environment.Sources {
		shas = append(shas, &r.Environment.Sources[i].SHA)
	}
	for _, d := range []*deployments.Deployment{r.Latest, r.Live} {
		if d != nil {
			shas = append(shas, &d.Source.SHA)
		}
	}
	for _, sha := range shas {
		*sha = strings.NewReplacer(showtest.OldSHA, l.old, showtest.NewSHA, l.new).Replace(*sha)
	}
	return r
}

// first makes a state that of the first commit's attempt.
func (l *life) first(r deployments.PendingReport) deployments.PendingReport {
	r.Environment.Sources[0].SHA = l.old
	if r.Latest != nil {
		r.Latest.ID, r.Latest.Source.SHA = 6, l.old
	}
	if r.Live != nil {
		r.Live.ID, r.Live.Source.SHA = 6, l.old
	}
	return r
}

// tell reports a state and keeps what the Bot has to know.
func (l *life) tell(r deployments.PendingReport) error {
	l.t.Helper()
	r.Environment.Notes = l.notes
	told, err := l.bot.Report(l.t.Context(), r)
	if told != nil {
		l.notes = told
	}
	return err
}

// check returns what the newest check of a commit says, "" where there is none.
func (l *life) check(sha string) string {
	l.t.Helper()
	runs := l.CheckRuns("acme/shop", sha)
	if len(runs) == 0 {
		return ""
	}
	return strings.TrimSpace(runs[0].Status+" "+runs[0].Conclusion) + ": " + runs[0].Title
}

// states returns how GitHub's deployments fared, each from its first state to its last.
func (l *life) states() string {
	var all []string
	for _, d := range l.GitHubDeployments("acme/shop") {
		sha := map[string]string{l.old: "old", l.new: "new"}[d.SHA]
		var states []string
		for _, s := range d.Statuses {
			states = append(states, s.State)
		}
		all = append(all, sha+" "+strings.Join(states, " "))
	}
	return strings.Join(all, "; ")
}

// The check and GitHub's deployments follow an environment through its life, and nothing is said twice.
func TestLife(t *testing.T) {
	l := newLife(t)
	first := func(name string) deployments.PendingReport { return l.first(l.state(name)) }
	for _, step := range []struct {
		name     string
		state    deployments.PendingReport
		old, new string
		deployed string
	}{
		{"nothing is known of it", first("fetching"), "", "", ""},
		{"built", first("building"), "in_progress: Building", "", "old in_progress"},
		{"started", first("starting"), "in_progress: Starting", "", "old in_progress"},
		{"ready", first("ready"), "completed success: Ready in 41 s", "", "old in_progress success"},
		{"pushed", l.state("building-again"), "completed success: Ready in 41 s", "in_progress: Building", "old in_progress success; new in_progress"},
		{"failed", l.state("failed-build"), "completed success: Ready in 41 s", "completed failure: Failed while building api",
			"old in_progress success; new in_progress failure"},
		{"tried again", l.state("building-again"), "completed success: Ready in 41 s", "in_progress: Building",
			"old in_progress success; new in_progress failure in_progress"},
		{"ready again", l.state("ready"), "completed success: Ready in 41 s", "completed success: Ready in 41 s",
			"old in_progress success inactive; new in_progress failure in_progress success"},
		{"being removed", l.state("removing-waiting"), "completed success: Ready in 41 s", "completed success: Ready in 41 s",
			"old in_progress success inactive; new in_progress failure in_progress success"},
		{"closed", l.state("gone-closed"), "completed success: Ready in 41 s", "completed success: Removed: pull request closed", ""},
	} {
		l.must(l.tell(step.state))
		before := len(l.Requests())
		l.must(l.tell(step.state))
		for _, r := range l.Requests()[before:] {
			if r.Method != http.MethodGet {
				t.Errorf("%s: told again it makes a %s %s", step.name, r.Method, r.Path)
			}
		}
		if old, new := l.check(l.old), l.check(l.new); old != step.old || new != step.new {
			t.Errorf("%s: the checks say %q and %q, want %q and %q", step.name, old, new, step.old, step.new)
		}
		if got := l.states(); got != step.deployed {
			t.Errorf("%s: the deployments are %q, want %q", step.name, got, step.deployed)
		}
	}
}

// The check of a commit that another one came after does not stay open, nor that of a pull request that is closed while it is built.
func TestSupersededCheckIsCancelled(t *testing.T) {
	l := newLife(t)
	l.must(l.tell(l.first(l.state("building"))))
	l.must(l.tell(l.state("building")))
	if want := "completed cancelled: Superseded by " + l.new[:7]; l.check(l.old) != want {
		t.Errorf("the check says %q, want %q", l.check(l.old), want)
	}
	l.must(l.tell(l.state("gone-closed")))
	if want := "completed cancelled: Cancelled: pull request closed"; l.check(l.new) != want {
		t.Errorf("the check says %q, want %q", l.check(l.new), want)
	}
}

// What the check says of a fork's commit, and the button that it has until somebody approves.
func TestCheckOfAFork(t *testing.T) {
	l := newLife(t)
	l.must(l.tell(l.state("fork-held")))
	runs := l.CheckRuns("acme/shop", l.new)
	if len(runs) != 1 || runs[0].Conclusion != "action_required" || len(runs[0].Actions) != 1 || runs[0].ExternalID != origin(l.number).Key() {
		t.Fatalf("the checks are %+v", runs)
	}
	l.must(l.tell(l.state("fork-approved")))
	if runs = l.CheckRuns("acme/shop", l.new); len(runs) != 1 || runs[0].Status != "queued" || len(runs[0].Actions) != 0 {
		t.Errorf("the checks are %+v", runs)
	}
	if got := l.states(); got != "" {
		t.Errorf("the deployments are %q though nothing was built", got)
	}
}

// violating is a failure with n violations, each on a line of its own.
func (l *life) violating(n int) deployments.PendingReport {
	r := l.state("failed-config")
	one := r.Latest.Fault.Violations[0]
	r.Latest.Fault.Violations = nil
	for i := range n {
		one.Line = i + 1
		r.Latest.Fault.Violations = append(r.Latest.Fault.Violations, one)
	}
	return r
}

// wantAnnotated checks that the newest check has an annotation for each of the first n lines, once.
func (l *life) wantAnnotated(n int) {
	l.t.Helper()
	seen := map[int]int{}
	for _, a := range l.CheckRuns("acme/shop", l.new)[0].Annotations {
		seen[a.StartLine]++
	}
	for line := range n {
		if seen[line+1] != 1 {
			l.t.Errorf("line %d has %d annotations, want 1", line+1, seen[line+1])
		}
	}
	if len(seen) != n {
		l.t.Errorf("%d lines have annotations, want %d", len(seen), n)
	}
}

// GitHub takes fifty annotations at once, and adds those of a later request to them: each is sent once, whatever changes, fails or is forgotten on the way.
func TestManyAnnotations(t *testing.T) {
	l := newLife(t)
	l.must(l.tell(l.violating(120)))
	l.wantAnnotated(120)
	served := l.violating(120)
	served.Live = l.state("building-again").Live
	l.must(l.tell(served))
	if l.wantAnnotated(120); !strings.Contains(l.CheckRuns("acme/shop", l.new)[0].Summary, l.old[:7]) {
		t.Errorf("the check does not say that %s is served", l.old[:7])
	}
	l.must(l.tell(l.violating(3))) // what is there already cannot be taken back
	l.wantAnnotated(120)

	l.must(l.tell(l.state("building"))) // another attempt has another check run
	for _, forgets := range []bool{false, true} {
		for taken := range 3 {
			l.must(l.tell(l.state("building")))
			l.failAfter(taken)
			unavailable(t, l.tell(l.violating(120)), waitsForGitHub)
			l.Intercept(nil)
			if forgets {
				l.notes = nil
			}
			l.must(l.tell(l.violating(120)))
			l.wantAnnotated(120)
		}
	}
}

// failAfter has GitHub take some changes of check runs, and none after them.
func (l *life) failAfter(taken int) {
	l.intercept(func(w http.ResponseWriter, r *http.Request, _ func() *httptest.ResponseRecorder) bool {
		if r.Method != http.MethodPatch || !strings.Contains(r.URL.Path, "/check-runs/") {
			return false
		}
		taken--
		if taken >= 0 {
			return false
		}
		fail(w, http.StatusBadGateway, "Server Error")
		return true
	})
}

// GitHub takes a check, a deployment or its state, and the answer is lost: the next report finds what is there, also where no note of it is left.
func TestLostChecksAndDeployments(t *testing.T) {
	for _, path := range []string{"/check-runs", "/deployments", "/statuses"} {
		t.Run(path, func(t *testing.T) {
			l := newLife(t)
			l.lose(http.MethodPost, path)
			unavailable(t, l.tell(l.state("building")), waitsForGitHub)
			l.Intercept(nil)
			l.notes = nil
			l.must(l.tell(l.state("building")))
			l.must(l.tell(l.state("ready")))
			if runs := l.CheckRuns("acme/shop", l.new); len(runs) != 1 || runs[0].Conclusion != "success" {
				t.Errorf("the checks are %+v", runs)
			}
			if made := l.requests.count(http.MethodPost, "/check-runs"); made != 1 {
				t.Errorf("%d check runs were made, want one", made)
			}
			all := l.GitHubDeployments("acme/shop")
			if len(all) != 1 || all[0].State() != "success" {
				t.Fatalf("the deployments are %+v", all)
			}
			if want := fmt.Sprintf("shop-pr-%d, attempt 7", l.number); all[0].Description != want || !all[0].Transient || all[0].Production {
				t.Errorf("the deployment is %+v, want %q, transient and not of production", all[0], want)
			}
		})
	}
}
