package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"vitrine/bot/githubsim"
	"vitrine/cmd/internal/sample"
)

// rulesOf is a configuration under which changes of the documentation deploy nothing.
const rulesOf = "pull_requests: {paths: [\"src/**\", Dockerfile]}\n"

// A pull request that changes only what no path names: a neutral check that says why, a line of the history, no comment and no build; by hand it is deployed
// all the same.
func TestOnlyDocumentationChanged(t *testing.T) {
	t.Parallel() // it waits for most of its time
	w := openInputs(t)
	w.commit("main", map[string]string{
		".vitrine.yml": rulesOf, "Dockerfile": sampleDockerfile(w.base), "docs/index.md": "# One\n",
	})
	number := w.propose("docs", map[string]string{"docs/index.md": "# Two\n"})
	sha := w.headOf(number)
	check := w.checkedIn(inputs, sha, "neutral")
	if text := check.Title + check.Summary; !strings.Contains(text, "pull_requests.paths") {
		t.Errorf("the check says %q", text)
	}
	if !w.told(fmt.Sprintf("%s#%d", inputs, number), "skipped: ") {
		t.Error("the history does not say why")
	}
	w.settled()
	if said := w.said(number); said != "" || query[int](w, `SELECT COUNT(*) FROM deployments WHERE images <> 'null'`) > 0 {
		t.Errorf("it was built, or said %q", said)
	}
	_, err := w.github.Comment(inputs, number, sample.Developer, "/deploy")
	w.must(err)
	w.checkedIn(inputs, sha, "success")
}

// In a repository with nothing to deploy there is nothing to see, whatever happens, until somebody asks.
func TestNothingToDeploy(t *testing.T) {
	t.Parallel() // it waits for most of its time
	w := openInputs(t)
	number := w.propose("words", map[string]string{"README.md": "# Other words\n"})
	sha := w.headOf(number)
	w.eventually("the history says why", func() bool { return w.told(fmt.Sprintf("%s#%d", inputs, number), "nothing to deploy") })
	w.settled()
	if said, checks := w.said(number), w.github.CheckRuns(inputs, sha); said != "" || len(checks) > 0 {
		t.Errorf("said %q, checks %+v", said, checks)
	}
	_, err := w.github.Comment(inputs, number, sample.Developer, "/deploy")
	w.must(err)
	w.eventually("/deploy is answered", func() bool { return strings.Contains(w.said(number), "nothing to deploy") })
	text := w.said(number)
	for _, file := range []string{"compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml", "Dockerfile", "index.html", ".vitrine.yml"} {
		if !strings.Contains(text, file) {
			t.Errorf("the answer does not say that %s was looked for:\n%s", file, text)
		}
	}
}

// Whatever strangers write into a pull request, what we write under it stays as it is meant.
func TestHostilePullRequest(t *testing.T) {
	t.Parallel() // it waits for most of its time
	w := openInputs(t)
	const branch = `"><img/src=x/onerror=alert(1)>` // git allows no space
	shout := "say ``` \x1b[31mred\x1b[0m @org/team closes #1 <img src=x> " + strings.Repeat("x", 2000)
	_, err := w.github.Commit(t.Context(), githubsim.Change{Repository: inputs, Branch: branch, Author: sample.Developer, Files: map[string]string{
		"compose.yaml": "services:\n  web:\n    image: " + w.base + "\n    ports: [\"8080\"]\n    command: [\"/vitrine\", \"" + quotedYAML(shout) + "\"]\n",
	}})
	w.must(err)
	number, err := w.github.OpenPullRequest(t.Context(), githubsim.PullRequest{
		Repository: inputs, Head: branch, Title: `@org/team closes #1 <script>alert(1)</script>`, Author: sample.Developer,
	})
	w.must(err)
	sha := w.headOf(number)
	check := w.checkedIn(inputs, sha, "failure")
	w.eventually("the comment says so", func() bool { return strings.Contains(w.said(number), "### Preview: failed") })
	page := w.page(fmt.Sprintf("/%s/pull/%d", inputs, number))
	for where, text := range map[string]string{"the comment": w.said(number), "the check": check.Title + check.Summary + check.Text} {
		if strings.Contains(text, "\x1b") || len(text) > 65535 {
			t.Errorf("%s has control characters, or %d bytes:\n%q", where, len(text), text)
		}
	}
	for _, bad := range []string{"<img src=x", "<img/src=x", "<script>alert", `class="user-mention"`} {
		if strings.Contains(page, bad) {
			t.Errorf("the page has %q", bad)
		}
	}
}

// quotedYAML writes a text for between double quotes in YAML.
func quotedYAML(s string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\x1b", `\e`).Replace(s)
}

// Sixty changes within ten seconds make at most five edits of the comment, which ends as it should.
func TestFewEdits(t *testing.T) {
	t.Parallel() // it waits for most of its time
	w := openInputs(t, "VITRINE_TTL_MAX=2400h")
	var edits atomic.Int32
	w.github.Intercept(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPatch && strings.Contains(r.URL.Path, "/issues/comments/") {
			edits.Add(1)
		}
		return false
	})
	number := w.propose("busy", map[string]string{"Dockerfile": sampleDockerfile(w.base), "web/index.html": "<h1>1</h1>"})
	w.eventually("it is ready", func() bool { return strings.Contains(w.said(number), "### Preview: ready") })
	w.settled()
	expires := func() time.Time { return time.Unix(0, query[int64](w, `SELECT expires_at FROM environments`)).UTC() }
	end := expires().AddDate(0, 0, 60)
	before, began := edits.Load(), time.Now()
	commands := time.NewTicker(time.Second / 6)
	defer commands.Stop()
	for range 60 {
		<-commands.C
		_, err := w.github.Comment(inputs, number, sample.Developer, "/extend 1d")
		w.must(err)
	}
	within, took := edits.Load()-before, time.Since(began)
	t.Logf("%d edits within %s, in which the end moved to %s", within, took.Round(time.Second/10), expires())
	// However slow the machine is, the bound is one in three seconds and one at the beginning.
	if most := int32(took/(3*time.Second)) + 2; within > most || within < 2 {
		t.Errorf("%d edits within %s, at most %d are meant", within, took, most)
	}
	w.eventually("all were done", func() bool { return expires().Equal(end) })
	w.eventually("the comment ends with the last end", func() bool { return strings.Contains(w.said(number), "Until "+end.Format("2 Jan")) })
}

// The comment that somebody deletes is written anew at the next change, once.
func TestDeletedComment(t *testing.T) {
	t.Parallel() // it waits for most of its time
	w := openInputs(t)
	number := w.propose("x", map[string]string{"Dockerfile": sampleDockerfile(w.base), "web/index.html": "<h1>1</h1>"})
	w.eventually("it is ready", func() bool { return strings.Contains(w.said(number), "### Preview: ready") })
	comments, err := w.github.Comments(inputs, number)
	w.must(err)
	w.must(w.github.DeleteComment(inputs, comments[0].ID, sample.Developer))
	w.commit("x", map[string]string{"web/index.html": "<h1>2</h1>"})
	sha := w.headOf(number)
	w.checkedIn(inputs, sha, "success")
	w.settled()
	w.eventually("there is one comment, of the last commit", func() bool {
		comments, err := w.github.Comments(inputs, number)
		w.must(err)
		return len(comments) == 1 && strings.Contains(comments[0].Body, sha[:7]) && strings.Contains(comments[0].Body, "ready")
	})
}

// Without one of its permissions the App does everything else, and says once what is missing.
func TestPermissionMissing(t *testing.T) {
	for _, missing := range []string{"checks", "deployments", "pull_requests"} {
		t.Run(missing, func(t *testing.T) {
			t.Parallel()
			w := openInputs(t)
			level := "" // none at all
			if missing == "pull_requests" {
				level = "read" // heads have to be read
			}
			w.must(w.github.SetAppPermission(missing, level))
			number := w.propose("x", map[string]string{"Dockerfile": sampleDockerfile(w.base), "web/index.html": "<h1>1</h1>"})
			sha := w.headOf(number)
			w.eventually("it is live", func() bool {
				return query[int](w, `SELECT COUNT(*) FROM environments WHERE live IS NOT NULL AND change = reported`) == 1
			})
			comment := strings.Contains(w.said(number), "### Preview: ready")
			check := slices.ContainsFunc(w.github.CheckRuns(inputs, sha), func(c githubsim.CheckRun) bool { return c.Conclusion == "success" })
			deployment := len(w.github.GitHubDeployments(inputs)) > 0
			if comment == (missing == "pull_requests") || check == (missing == "checks") || deployment == (missing == "deployments") {
				t.Errorf("comment %v, check %v, deployment %v", comment, check, deployment)
			}
			if n := w.toldOfPermissions(); n != 1 {
				t.Errorf("the log says %d times that something is missing", n)
			}
			if out := w.doctor(); !strings.Contains(out, "the installation on acme lacks "+missing+": write") {
				t.Errorf("doctor does not name it:\n%s", out)
			}
		})
	}
}

// Without the permission to read files nothing can be deployed, and people are told so; once it is granted, /deploy does.
func TestFilesCannotBeRead(t *testing.T) {
	t.Parallel() // it waits for most of its time
	w := openInputs(t)
	w.must(w.github.SetAppPermission("contents", ""))
	number := w.propose("x", map[string]string{"Dockerfile": sampleDockerfile(w.base), "web/index.html": "<h1>1</h1>"})
	sha := w.headOf(number)
	check := w.checkedIn(inputs, sha, "failure")
	if want := "contents: read"; !strings.Contains(check.Summary, want) {
		t.Errorf("the check does not say that the App lacks %s:\n%s", want, check.Summary)
	}
	w.eventually("the comment says so", func() bool { return strings.Contains(w.said(number), "contents: read") })
	if n := w.toldOfPermissions(); n != 1 {
		t.Errorf("the log says %d times that something is missing", n)
	}
	if out := w.doctor(); !strings.Contains(out, "the installation on acme lacks contents: read") {
		t.Errorf("doctor does not name it:\n%s", out)
	}
	w.must(w.github.SetAppPermission("contents", "read"))
	_, err := w.github.Comment(inputs, number, sample.Developer, "/deploy")
	w.must(err)
	w.checkedIn(inputs, sha, "success")
}

// What an installation lacks is logged at the start, where nothing else would tell: without issues no comment arrives.
func TestCommentsCannotBeRead(t *testing.T) {
	t.Parallel() // it waits for most of its time
	w := newInputs(t)
	w.must(w.github.SetAppPermission("issues", ""))
	w.start()
	const lacks = "the installation on acme lacks issues: read"
	w.eventually("the log says so", func() bool { return strings.Contains(w.log(), lacks) })
	number := w.propose("x", map[string]string{"Dockerfile": sampleDockerfile(w.base), "web/index.html": "<h1>1</h1>"})
	w.checkedIn(inputs, w.headOf(number), "success")
	w.eventually("the comment is there", func() bool { return strings.Contains(w.said(number), "### Preview: ready") })
	if n := strings.Count(w.log(), lacks); n != 1 {
		t.Errorf("the log says it %d times", n)
	}
	if out := w.doctor(); !strings.Contains(out, lacks) {
		t.Errorf("doctor does not name it:\n%s", out)
	}
}

// commit commits files to a branch of the inputs.
func (w *world) commit(branch string, files map[string]string) string {
	w.Helper()
	sha, err := w.github.Commit(w.Context(), githubsim.Change{Repository: inputs, Branch: branch, Author: sample.Developer, Files: files})
	w.must(err)
	return sha
}

// headOf returns the head of a pull request of the inputs.
func (w *world) headOf(number int) string {
	w.Helper()
	pull, err := w.github.PullRequest(inputs, number)
	w.must(err)
	return pull.HeadSHA
}

// checkedIn waits until the one check of a commit has ended as told, and returns it.
func (w *world) checkedIn(repository, sha, conclusion string) githubsim.CheckRun {
	w.Helper()
	var last []githubsim.CheckRun
	w.eventually("the check of "+sha[:7]+" is "+conclusion, func() bool {
		last = w.github.CheckRuns(repository, sha)
		return slices.ContainsFunc(last, func(c githubsim.CheckRun) bool { return c.Conclusion == conclusion })
	})
	if len(last) != 1 || last[0].Name != "Preview" {
		w.Fatalf("the checks of %s are %+v", sha[:7], last)
	}
	return last[0]
}

// page returns a page of the simulated GitHub.
func (w *world) page(path string) string {
	w.Helper()
	response, err := http.Get(w.web + path)
	w.must(err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	w.must(err)
	if response.StatusCode != http.StatusOK {
		w.Fatalf("%s answers %s", path, response.Status)
	}
	return string(text)
}

// log returns what serve has logged.
func (w *world) log() string {
	w.Helper()
	text, err := os.ReadFile(w.logs)
	w.must(err)
	return string(text)
}

// toldOfPermissions returns how many lines of the log say that the App may not do something: at a comparison, or when it was refused.
func (w *world) toldOfPermissions() int {
	text := w.log()
	return strings.Count(text, "the App may not do all that it should") + strings.Count(text, "GitHub refuses the App this")
}

// doctor returns what vitrine doctor prints, whatever it finds.
func (w *world) doctor() string {
	w.Helper()
	path, err := binary()
	w.must(err)
	command := exec.CommandContext(w.Context(), path, "doctor")
	command.Env = append(os.Environ(), w.env...)
	out, err := command.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		w.Fatal(err)
	}
	return string(out)
}
