package githubsim

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-github/v60/github"
)

func annotate(from, to int) []*github.CheckRunAnnotation {
	var all []*github.CheckRunAnnotation
	for line := from; line <= to; line++ {
		all = append(all, &github.CheckRunAnnotation{
			Path: github.String("compose.yaml"), StartLine: github.Int(line), EndLine: github.Int(line), AnnotationLevel: github.String("failure"),
			Message: github.String(fmt.Sprintf("line %d is not allowed", line)), Title: github.String("policy"),
		})
	}
	return all
}

func TestCheckRuns(t *testing.T) {
	w := newWorld(t, true)
	w.grant("checks", "write")
	w.subscribe("check_run")
	ctx, client := t.Context(), w.installed("acme").Checks
	number, sha := w.propose("stock")
	made, _, err := client.CreateCheckRun(ctx, "acme", "shop", github.CreateCheckRunOptions{Name: "Preview", HeadSHA: sha, ExternalID: github.String("e1")})
	w.ok(err)
	if made.GetStatus() != "queued" || made.GetExternalID() != "e1" || made.GetDetailsURL() != w.url || made.GetApp().GetID() != testApp ||
		len(made.PullRequests) != 1 || made.PullRequests[0].GetNumber() != number {
		t.Errorf("made %v", made)
	}
	output := &github.CheckRunOutput{
		Title: github.String("Refused"), Summary: github.String("*55* lines"), Text: github.String("the log"), Annotations: annotate(1, 50),
	}
	change := github.UpdateCheckRunOptions{Name: "Preview", Status: github.String("in_progress"), Output: output}
	_, _, err = client.UpdateCheckRun(ctx, "acme", "shop", made.GetID(), change)
	w.ok(err)
	change.Status, change.Conclusion = nil, github.String("failure")
	change.Output = &github.CheckRunOutput{Title: github.String("Refused"), Summary: github.String("*55* lines"), Annotations: annotate(51, 55)}
	change.Actions = []*github.CheckRunAction{{Label: "Deploy again", Description: "Build and start it once more", Identifier: "deploy"}}
	done, _, err := client.UpdateCheckRun(ctx, "acme", "shop", made.GetID(), change)
	w.ok(err)
	if done.GetStatus() != "completed" || done.GetConclusion() != "failure" || done.GetCompletedAt().IsZero() || done.GetOutput().GetAnnotationsCount() != 55 ||
		done.GetOutput().GetText() != "the log" {
		t.Errorf("changed to %v", done)
	}
	read, _, err := client.GetCheckRun(ctx, "acme", "shop", made.GetID())
	w.ok(err)
	if diff := cmp.Diff(done.GetOutput(), read.GetOutput()); diff != "" {
		t.Error(diff)
	}
	lines, res, err := client.ListCheckRunAnnotations(ctx, "acme", "shop", made.GetID(), &github.ListOptions{PerPage: 50, Page: 2})
	w.ok(err)
	if len(lines) != 5 || lines[4].GetStartLine() != 55 || lines[0].GetMessage() != "line 51 is not allowed" || res.PrevPage != 1 {
		t.Errorf("the second page of annotations is %v", lines)
	}
	again, _, err := client.UpdateCheckRun(ctx, "acme", "shop", made.GetID(), github.UpdateCheckRunOptions{Name: "Preview", Status: github.String("in_progress")})
	w.ok(err)
	if again.GetConclusion() != "" || again.CompletedAt != nil {
		t.Errorf("begun again it is %v", again)
	}
	runs := w.CheckRuns("acme/shop", sha)
	if len(runs) != 1 || len(runs[0].Annotations) != 55 || runs[0].Summary != "*55* lines" || runs[0].Actions[0].Identifier != "deploy" {
		t.Errorf("the check runs are %+v", runs)
	}
	if diff := cmp.Diff([]string{"check_run created", "check_run completed"}, names(w.hooked())); diff != "" {
		t.Error(diff)
	}
}

func TestLaterCheckRunsHideEarlierOnes(t *testing.T) {
	w := newWorld(t, true)
	w.grant("checks", "write")
	ctx, client := t.Context(), w.installed("acme").Checks
	_, sha := w.propose("feature/stock")
	var ids []int64
	for _, name := range []string{"Preview", "Lint", "Preview"} {
		run, _, err := client.CreateCheckRun(ctx, "acme", "shop", github.CreateCheckRunOptions{Name: name, HeadSHA: sha})
		w.ok(err)
		ids = append(ids, run.GetID())
	}
	for _, c := range []struct {
		ref  string
		opt  github.ListCheckRunsOptions
		want []int64
	}{
		{sha, github.ListCheckRunsOptions{}, []int64{ids[2], ids[1]}},
		{"feature/stock", github.ListCheckRunsOptions{}, []int64{ids[2], ids[1]}},
		{"heads/feature/stock", github.ListCheckRunsOptions{Filter: github.String("all")}, []int64{ids[2], ids[1], ids[0]}},
		{sha, github.ListCheckRunsOptions{CheckName: github.String("Preview")}, []int64{ids[2]}},
		{sha, github.ListCheckRunsOptions{AppID: github.Int64(testApp + 1)}, nil},
		{sha, github.ListCheckRunsOptions{Status: github.String("completed")}, nil},
		{sha, github.ListCheckRunsOptions{Filter: github.String("all"), ListOptions: github.ListOptions{PerPage: 1, Page: 2}}, []int64{ids[1]}},
		{"main", github.ListCheckRunsOptions{}, nil},
	} {
		list, _, err := client.ListCheckRunsForRef(ctx, "acme", "shop", c.ref, &c.opt)
		w.ok(err)
		var got []int64
		for _, run := range list.CheckRuns {
			got = append(got, run.GetID())
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s %+v (-want +got):\n%s", c.ref, c.opt, diff)
		}
	}
	if _, res, err := client.ListCheckRunsForRef(ctx, "acme", "shop", "nowhere", nil); err == nil || res.StatusCode != 422 {
		t.Errorf("the checks of a missing branch: %v", err)
	}
	if runs := w.CheckRuns("acme/shop", sha); len(runs) != 2 || runs[0].Name != "Lint" {
		t.Errorf("shown are %+v", runs)
	}
}

func TestCheckRunsAreRefused(t *testing.T) {
	w := newWorld(t, false)
	w.grant("checks", "write")
	_, sha := w.propose("stock")
	token, _ := w.newToken("")
	read, _ := w.newToken(`{"permissions":{"checks":"read"}}`)
	none, _ := w.newToken(`{"permissions":{"contents":"read"}}`)
	body := func(rest string) string { return fmt.Sprintf(`{"name":"Preview","head_sha":%q%s}`, sha, rest) }
	path := "/repos/acme/shop/check-runs"
	status, _ := w.ask("POST", path, "token "+token, body(""))
	if status != 201 {
		t.Fatalf("made with %d", status)
	}
	one := fmt.Sprintf("%s/%d", path, w.CheckRuns("acme/shop", sha)[0].ID)
	line := `{"path":"a","start_line":%d,"end_line":%d,"annotation_level":"notice","message":"m"%s}`
	lines := func(start, end int, more string) string {
		return `,"output":{"title":"t","summary":"s","annotations":[` + fmt.Sprintf(line, start, end, more) + `]}`
	}
	many := strings.TrimSuffix(strings.Repeat(fmt.Sprintf(line, 1, 1, "")+",", 51), ",")
	for name, c := range map[string]struct {
		method, path, token, body string
		status                    int
		says                      string
	}{
		"no permission":           {"POST", path, none, body(""), 403, "Resource not accessible by integration"},
		"reading only":            {"POST", path, read, body(""), 403, "Resource not accessible by integration"},
		"reading only, a change":  {"PATCH", one, read, "{}", 403, "Resource not accessible by integration"},
		"may not read":            {"GET", one, none, "", 403, "Resource not accessible by integration"},
		"no such run":             {"PATCH", path + "/1", token, "{}", 404, "Not Found"},
		"no such run's lines":     {"GET", path + "/1/annotations", token, "", 404, "Not Found"},
		"another repository":      {"GET", strings.Replace(one, "shop", "none", 1), token, "", 404, "Not Found"},
		"no name":                 {"POST", path, token, `{"head_sha":"x"}`, 422, `"name" wasn't supplied.`},
		"no commit":               {"POST", path, token, `{"name":"x"}`, 422, `"head_sha" wasn't supplied.`},
		"no such commit":          {"POST", path, token, `{"name":"x","head_sha":"` + noCommit + `"}`, 422, "No commit found for SHA: " + noCommit},
		"a branch for a commit":   {"POST", path, token, `{"name":"x","head_sha":"main"}`, 422, "No commit found for SHA: main"},
		"a status":                {"POST", path, token, body(`,"status":"waiting"`), 422, `For 'properties/status', "waiting" is not a member of ["queued", "in_progress", "completed"].`},
		"no conclusion":           {"POST", path, token, body(`,"status":"completed"`), 422, `"conclusion" wasn't supplied.`},
		"an end, no conclusion":   {"PATCH", one, token, `{"completed_at":"2026-01-02T03:04:05Z"}`, 422, `"conclusion" wasn't supplied.`},
		"a stale one":             {"PATCH", one, token, `{"conclusion":"stale"}`, 422, `"stale" is not a member`},
		"a time":                  {"PATCH", one, token, `{"started_at":"yesterday"}`, 422, "date-time"},
		"a details link":          {"PATCH", one, token, `{"details_url":"javascript:alert(1)"}`, 422, "http or https"},
		"a number for text":       {"PATCH", one, token, `{"output":{"title":1,"summary":"s"}}`, 422, "properties/output/title"},
		"another commit":          {"PATCH", one, token, `{"head_sha":"` + sha + `"}`, 422, `"head_sha" is not a permitted key.`},
		"no JSON":                 {"PATCH", one, token, `{`, 400, "Problems parsing JSON"},
		"no title":                {"PATCH", one, token, `{"output":{"summary":"s"}}`, 422, `"title" wasn't supplied.`},
		"no summary":              {"PATCH", one, token, `{"output":{"title":"t"}}`, 422, `"summary" wasn't supplied.`},
		"a long summary":          {"PATCH", one, token, `{"output":{"title":"t","summary":"` + strings.Repeat("é", 65536) + `"}}`, 422, "Only 65535 characters are allowed; 65536 were supplied."},
		"a long text":             {"PATCH", one, token, `{"output":{"title":"t","summary":"s","text":"` + strings.Repeat("x", 65536) + `"}}`, 422, "Only 65535"},
		"too many annotations":    {"PATCH", one, token, `{"output":{"title":"t","summary":"s","annotations":[` + many + `]}}`, 422, "No more than 50 items are allowed; 51 were supplied."},
		"line 0":                  {"POST", path, token, body(lines(0, 1, "")), 422, "Validation Failed"},
		"lines backwards":         {"POST", path, token, body(lines(3, 2, "")), 422, "Validation Failed"},
		"columns of two lines":    {"POST", path, token, body(lines(1, 2, `,"start_column":1`)), 422, "Validation Failed"},
		"a level":                 {"POST", path, token, body(strings.Replace(lines(1, 2, ""), "notice", "error", 1)), 422, `"error" is not a member`},
		"an annotation's message": {"POST", path, token, body(strings.Replace(lines(1, 2, ""), `,"message":"m"`, "", 1)), 422, `"message" wasn't supplied.`},
		"a long label":            {"PATCH", one, token, `{"actions":[{"label":"123456789012345678901","description":"d","identifier":"i"}]}`, 422, "Only 20 characters"},
		"a long description":      {"PATCH", one, token, `{"actions":[{"label":"l","description":"` + strings.Repeat("d", 41) + `","identifier":"i"}]}`, 422, "Only 40"},
		"a long identifier":       {"PATCH", one, token, `{"actions":[{"label":"l","description":"d","identifier":"123456789012345678901"}]}`, 422, "Only 20"},
		"an action without label": {"PATCH", one, token, `{"actions":[{"description":"d","identifier":"i"}]}`, 422, `"label" wasn't supplied.`},
		"four actions":            {"PATCH", one, token, `{"actions":[` + strings.TrimSuffix(strings.Repeat(`{"label":"l","description":"d","identifier":"i"},`, 4), ",") + `]}`, 422, "No more than 3 items are allowed; 4 were supplied."},
	} {
		status, message := w.ask(c.method, c.path, "token "+c.token, c.body)
		if status != c.status || !strings.Contains(message, c.says) {
			t.Errorf("%s: answered %d %q, want %d %q", name, status, message, c.status, c.says)
		}
	}
	runs := w.CheckRuns("acme/shop", sha)
	if len(runs) != 1 || runs[0].Status != "queued" || runs[0].Annotations != nil {
		t.Errorf("what was refused has changed something: %+v", runs)
	}
}

func TestCheckRunButtons(t *testing.T) {
	w := newWorld(t, true)
	w.grant("checks", "write")
	w.subscribe("check_run")
	ctx, client := t.Context(), w.installed("acme").Checks
	number, sha := w.proposeFromFork("mine")
	run, _, err := client.CreateCheckRun(ctx, "acme", "shop", github.CreateCheckRunOptions{
		Name: "Preview", HeadSHA: sha, ExternalID: github.String("shop-pr-1"), Conclusion: github.String("action_required"),
		Output:  &github.CheckRunOutput{Title: github.String("Waits"), Summary: github.String("for a maintainer")},
		Actions: []*github.CheckRunAction{{Label: "Deploy", Description: "Build and run this commit", Identifier: "deploy"}},
	})
	w.ok(err)
	w.hooked()
	id := run.GetID()
	for name, err := range map[string]error{
		"a stranger's click":      w.RequestAction("acme/shop", id, "deploy", "mallory"),
		"a stranger's re-run":     w.RerequestCheckRun("acme/shop", id, "mallory"),
		"nobody's re-run":         w.RerequestCheckRun("acme/shop", id, "nobody"),
		"an action that is none":  w.RequestAction("acme/shop", id, "destroy", "ben"),
		"a run that is none":      w.RerequestCheckRun("acme/shop", 1, "ben"),
		"a repository that is no": w.RerequestCheckRun("acme/none", id, "ben"),
	} {
		if err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	w.ok(w.RequestAction("acme/shop", id, "deploy", "ben"))
	w.ok(w.RerequestCheckRun("acme/shop", id, "ben"))
	got := w.hooked()
	if diff := cmp.Diff([]string{"check_run requested_action", "check_run rerequested"}, names(got)); diff != "" {
		t.Fatal(diff)
	}
	for _, a := range got {
		p := a.payload
		if dig(p, "check_run", "id") != float64(id) || dig(p, "check_run", "external_id") != "shop-pr-1" || dig(p, "check_run", "head_sha") != sha ||
			dig(p, "check_run", "app", "id") != float64(testApp) || dig(p, "sender", "login") != "ben" || dig(p, "check_run", "conclusion") != "action_required" {
			t.Errorf("sent %s", a.body)
		}
		if pulls, isList := dig(p, "check_run", "pull_requests").([]any); !isList || len(pulls) != 0 {
			t.Errorf("#%d from a fork is among the pull requests: %v", number, pulls)
		}
	}
	if dig(got[0].payload, "requested_action", "identifier") != "deploy" {
		t.Errorf("requested %v", got[0].payload["requested_action"])
	}
}

func TestCheckPayloadsHaveTheRecordedFields(t *testing.T) {
	w := newWorld(t, false)
	w.grant("checks", "write")
	w.subscribe("check_run")
	_, sha := w.propose("stock")
	run, _, err := w.installed("acme").Checks.CreateCheckRun(t.Context(), "acme", "shop", github.CreateCheckRunOptions{
		Name: "Preview", HeadSHA: sha, Conclusion: github.String("success"), CompletedAt: &github.Timestamp{Time: time.Now()},
		Actions: []*github.CheckRunAction{{Label: "Again", Description: "Build it again", Identifier: "again"}},
	})
	w.ok(err)
	w.ok(w.RequestAction("acme/shop", run.GetID(), "again", "ana"))
	w.ok(w.RerequestCheckRun("acme/shop", run.GetID(), "ana"))
	w.compareWithRecorded(map[string]string{
		"check_run created": "check_run.created.json", "check_run completed": "check_run.completed.json",
		"check_run rerequested": "check_run.rerequested.json", "check_run requested_action": "check_run.requested_action.json",
	}, "deployment")
}

// grant gives the App a permission, as if it had had it from the beginning.
func (w *world) grant(name, level string) {
	w.Server.mu.Lock()
	defer w.Server.mu.Unlock()
	permissions := maps.Clone(w.Server.app.Permissions)
	permissions[name] = level
	w.Server.app.Permissions = permissions
}

// proposeFromFork has mallory fork acme/shop, change a branch of the copy and open a pull request from it.
func (w *world) proposeFromFork(branch string) (number int, sha string) {
	w.t.Helper()
	fork, err := w.Fork(w.t.Context(), "acme/shop", "mallory")
	w.ok(err)
	sha, err = w.Commit(w.t.Context(), Change{Repository: fork, Branch: branch, Author: "mallory", Files: map[string]string{"x": "1"}})
	w.ok(err)
	number, err = w.OpenPullRequest(w.t.Context(), PullRequest{Repository: "acme/shop", Head: "mallory:" + branch, Title: "Mine", Author: "mallory"})
	w.ok(err)
	return number, sha
}

func TestSuiteIsAsFarAsItsRuns(t *testing.T) {
	w := newWorld(t, false)
	r, err := w.repository("acme/shop")
	w.ok(err)
	w.Server.mu.Lock()
	defer w.Server.mu.Unlock()
	suite := w.suite(r, "s")
	for _, c := range []struct {
		runs       []checkRun
		status     string
		conclusion any
	}{
		{[]checkRun{{name: "a", status: "completed", conclusion: "success"}}, "completed", "success"},
		{[]checkRun{{name: "a", status: "completed", conclusion: "success"}, {name: "b", status: "completed", conclusion: "failure"}}, "completed", "failure"},
		{[]checkRun{{name: "a", status: "completed", conclusion: "failure"}, {name: "a", status: "completed", conclusion: "neutral"}}, "completed", "neutral"},
		{[]checkRun{{name: "a", status: "in_progress"}, {name: "b", status: "completed", conclusion: "failure"}}, "in_progress", nil},
	} {
		r.checks = nil
		for _, run := range c.runs {
			run.repo, run.suite, run.headSHA = r, suite, "s"
			r.checks = append(r.checks, &run)
		}
		got := w.suiteObject(r.checks[0])
		if got["status"] != c.status || got["conclusion"] != c.conclusion {
			t.Errorf("%+v: %v %v, want %v %v", c.runs, got["status"], got["conclusion"], c.status, c.conclusion)
		}
	}
}
