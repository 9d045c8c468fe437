package githubsim

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-github/v60/github"

	"vitrine/deployments/web/browsertest"
)

// report makes a check run on a commit, with two remarks and a button.
func (w *world) report(sha, summary string) int64 {
	w.t.Helper()
	run, _, err := w.installed("acme").Checks.CreateCheckRun(w.t.Context(), "acme", "shop", github.CreateCheckRunOptions{
		Name: "Preview", HeadSHA: sha, Conclusion: github.String("action_required"), DetailsURL: github.String("http://preview.localhost/log"),
		Output: &github.CheckRunOutput{
			Title: github.String("<b>Refused</b> by policy"), Summary: &summary,
			Text: github.String("```\nthe log\n```"),
			Annotations: []*github.CheckRunAnnotation{{
				Path: github.String("compose.yaml"), StartLine: github.Int(3), EndLine: github.Int(3), AnnotationLevel: github.String("failure"),
				Message: github.String("privileged is <i>refused</i>"), Title: github.String("policy"), RawDetails: github.String("why\nso"),
			}, {
				Path: github.String("compose.yaml"), StartLine: github.Int(4), EndLine: github.Int(6), AnnotationLevel: github.String("notice"),
				Message: github.String("cut to 4 GiB"),
			}},
		},
		Actions: []*github.CheckRunAction{{Label: "Deploy", Description: "Build and run this commit", Identifier: "deploy|1"}},
	})
	w.ok(err)
	return run.GetID()
}

func TestChecksOnThePage(t *testing.T) {
	w := newWorld(t, false)
	w.grant("checks", "write")
	w.subscribe("check_run")
	number, sha := w.proposeFromFork("mine")
	id := w.report(sha, "**Two** lines <img src=x onerror=alert(1)>\n<script>alert(2)</script>")
	w.hooked()
	_, page := w.page("/acme/shop/pull/1?as=ben")
	for _, want := range []string{
		"action required</span>", "<b>Preview</b>", "&lt;b&gt;Refused&lt;/b&gt; by policy", "<strong>Two</strong> lines", "the log", "compose.yaml:3</code>",
		"compose.yaml:4-6</code>", "privileged is &lt;i&gt;refused&lt;/i&gt;", "Summary, 2 annotations", `href="http://preview.localhost/log"`,
		`value="deploy|1" title="Build and run this commit">Deploy</button>`, ">Re-run</button>", "from a fork", "why\nso",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not hold %q:\n%s", want, page)
		}
	}
	if strings.Contains(page, "onerror") || strings.Contains(page, "alert(2)") {
		t.Errorf("the page holds what it must not:\n%s", page)
	}
	for _, as := range []string{"", "?as=mallory", "?as=nobody"} {
		if _, page := w.page("/acme/shop/pull/1" + as); strings.Contains(page, "Re-run") || strings.Contains(page, "deploy|1") {
			t.Errorf("%q sees buttons", as)
		}
	}
	press := func(fields url.Values) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), "POST", fmt.Sprintf("%s/acme/shop/pull/%d/checks/%d", w.url, number, id), strings.NewReader(fields.Encode()))
		w.ok(err)
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		res, err := client.Do(req)
		w.ok(err)
		w.ok(res.Body.Close())
		return res.StatusCode, res.Header.Get("Location")
	}
	if status, _ := press(url.Values{"user": {"mallory"}, "rerun": {"1"}}); status != 422 {
		t.Errorf("mallory's press was answered %d", status)
	}
	status, address := press(url.Values{"user": {"ben"}, "identifier": {"deploy|1"}})
	if want := fmt.Sprintf("%s/acme/shop/pull/%d?as=ben#check-%d", w.url, number, id); status != 303 || address != want {
		t.Errorf("ben's press was answered %d to %q, want %q", status, address, want)
	}
	press(url.Values{"user": {"ana"}, "rerun": {"1"}})
	got := w.hooked()
	if diff := cmp.Diff([]string{"check_run requested_action", "check_run rerequested"}, names(got)); diff != "" {
		t.Fatal(diff)
	}
	if dig(got[0].payload, "requested_action", "identifier") != "deploy|1" || dig(got[0].payload, "sender", "login") != "ben" {
		t.Errorf("sent %s", got[0].body)
	}
	for path, want := range map[string]int{
		fmt.Sprintf("/acme/shop/runs/%d", id): 200, fmt.Sprintf("/acme/shop/pull/1/checks/%d", id): 200, "/acme/shop/runs/1": 404, "/acme/none/runs/1": 404,
		"/acme/shop/runs/x": 404,
	} {
		if status := w.get(path); status != want {
			t.Errorf("%s answered %d, want %d", path, status, want)
		}
	}
}

func TestLabelsDraftsAndLostForksOnThePage(t *testing.T) {
	w := newWorld(t, false)
	number, _ := w.proposeFromFork("mine")
	w.ok(w.AddLabel("acme/shop", number, "<preview>", "ana"))
	w.ok(w.SetDraft("acme/shop", number, true, "mallory"))
	_, page := w.page("/acme/shop/pull/1")
	for _, want := range []string{`<span class="label">&lt;preview&gt;</span>`, `<span class="state draft">draft</span>`, "mallory:mine", "from a fork"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not hold %q:\n%s", want, page)
		}
	}
	w.ok(w.DeleteRepository("mallory/shop", "mallory"))
	if status, page := w.page("/acme/shop/pull/1"); status != 200 || !strings.Contains(page, "unknown repository") {
		t.Errorf("without its fork it answered %d:\n%s", status, page)
	}
	w.ok(w.ArchiveRepository("acme/shop", "ana"))
	if _, page := w.page("/acme/shop"); !strings.Contains(page, `<span class="label">archived</span>`) {
		t.Errorf("the archived repository's page:\n%s", page)
	}
}

func TestViewDeployments(t *testing.T) {
	made := func(id int64, environment string, transient bool, states ...string) GitHubDeployment {
		d := GitHubDeployment{ID: id, Environment: environment, Transient: transient}
		for _, state := range states {
			d.Statuses = append(d.Statuses, DeploymentStatus{State: state, EnvironmentURL: fmt.Sprintf("http://%d", id)})
		}
		return d
	}
	for name, c := range map[string]struct {
		all  []GitHubDeployment
		want []string
	}{
		"none":               {nil, nil},
		"waiting":            {[]GitHubDeployment{made(1, "preview", true)}, []string{"preview: This branch is being deployed"}},
		"there":              {[]GitHubDeployment{made(1, "preview", true, "in_progress", "success")}, []string{"preview: This branch was successfully deployed http://1"}},
		"the newest counts":  {[]GitHubDeployment{made(1, "preview", true, "success"), made(2, "preview", true, "success")}, []string{"preview: This branch was successfully deployed http://2"}},
		"a newer one comes":  {[]GitHubDeployment{made(1, "preview", true, "success"), made(2, "preview", true, "in_progress")}, []string{"preview: This branch is being deployed", "preview: This branch was successfully deployed http://1"}},
		"a newer one failed": {[]GitHubDeployment{made(1, "preview", true, "success"), made(2, "preview", true, "failure")}, []string{"preview: This branch could not be deployed", "preview: This branch was successfully deployed http://1"}},
		"gone":               {[]GitHubDeployment{made(1, "preview", true, "success", "inactive")}, []string{"preview: This branch's deployment was destroyed"}},
		"gone, but lasting":  {[]GitHubDeployment{made(1, "qa", false, "success", "inactive")}, []string{"qa: This branch's deployment is inactive"}},
		"old ones say nothing": {
			[]GitHubDeployment{made(1, "preview", true, "failure"), made(2, "preview", true, "inactive"), made(3, "preview", true, "success")},
			[]string{"preview: This branch was successfully deployed http://3"},
		},
		"two environments": {
			[]GitHubDeployment{made(1, "qa", false, "error"), made(2, "preview", true, "success")},
			[]string{"preview: This branch was successfully deployed http://2", "qa: This branch could not be deployed"},
		},
	} {
		var got []string
		for _, v := range viewDeployments(c.all) {
			got = append(got, strings.TrimSpace(v.Environment+": "+v.Says+" "+v.URL))
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestDeploymentsOnThePage(t *testing.T) {
	w := newWorld(t, false)
	w.grant("deployments", "write")
	client := w.installed("acme").Repositories
	_, sha := w.propose("stock")
	_, err := w.Commit(t.Context(), Change{Repository: "acme/shop", Branch: "other", Author: "ana", Files: map[string]string{"other": "1"}})
	w.ok(err)
	_, err = w.OpenPullRequest(t.Context(), PullRequest{Repository: "acme/shop", Head: "other", Title: "Other", Author: "ana"})
	w.ok(err)
	deploy := func(ref, address string) {
		t.Helper()
		d, _, err := client.CreateDeployment(t.Context(), "acme", "shop", request(ref))
		w.ok(err)
		_, _, err = client.CreateDeploymentStatus(t.Context(), "acme", "shop", d.GetID(), &github.DeploymentStatusRequest{State: github.String("success"), EnvironmentURL: &address})
		w.ok(err)
	}
	deploy(sha, "http://shop-pr-1.preview.localhost:8090")
	_, err = w.Commit(t.Context(), Change{Repository: "acme/shop", Branch: "stock", Author: "ana", Files: map[string]string{"a": "b"}})
	w.ok(err)
	_, page := w.page("/acme/shop/pull/1")
	for _, want := range []string{"This branch was successfully deployed", `href="http://shop-pr-1.preview.localhost:8090"`, "View deployment"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not hold %q:\n%s", want, page)
		}
	}
	if _, page := w.page("/acme/shop/pull/2"); strings.Contains(page, "View deployment") {
		t.Error("another pull request shows the deployment")
	}
	deploy("other", "http://shop-pr-2.preview.localhost:8090")
	if _, page := w.page("/acme/shop/pull/2"); !strings.Contains(page, "shop-pr-2.preview.localhost") {
		t.Error("a branch's deployment is not shown")
	}
}

func TestChecksInABrowser(t *testing.T) {
	w := newWorld(t, false)
	w.grant("checks", "write")
	w.grant("deployments", "write")
	w.subscribe("check_run")
	number, sha := w.proposeFromFork("mine")
	w.ok(w.AddLabel("acme/shop", number, "needs a very careful look of the whole team before it is merged", "ana"))
	v := browse(t)
	v.Visit(w.url + "/acme/shop/pull/1")
	v.comes("textarea")
	v.Do("write", chromedp.SendKeys(chromedp.CSS("textarea"), "half a thought"))
	// The checks come by themselves; the author of the fork gets no buttons.
	id := w.report(sha, "**Two** lines are not allowed <script>alert(2)</script>")
	d, _, err := w.installed("acme").Repositories.CreateDeployment(t.Context(), "acme", "shop", request(sha))
	w.ok(err)
	_, _, err = w.installed("acme").Repositories.CreateDeploymentStatus(t.Context(), "acme", "shop", d.GetID(), &github.DeploymentStatusRequest{
		State: github.String("success"), EnvironmentURL: github.String("http://a-very-long-name-of-a-shop-pr-1.preview.localhost:8090/"),
	})
	w.ok(err)
	v.comes(fmt.Sprintf("#check-%d summary", id))
	v.press(fmt.Sprintf("#check-%d summary", id))
	text := v.shows("Mine")
	for _, want := range []string{"action required", "Preview", "compose.yaml:4-6", "from a fork", "This branch was successfully deployed", "View deployment"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page does not say %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, "Re-run") {
		t.Error("mallory sees the button")
	}
	// Whoever may write gets them as soon as they are chosen, and what is typed and unfolded stays.
	v.Do("choose", chromedp.SetValue(chromedp.CSS("#user"), "ben"))
	v.Do("tell of it", chromedp.Evaluate[chromedp.Void](`document.getElementById("user").dispatchEvent(new Event("change"))`))
	v.comes("button[name=identifier]")
	if !browsertest.Eval[bool](v.Tab, fmt.Sprintf(`document.querySelector("#check-%d details").open && document.querySelector("textarea").value == "half a thought"`, id)) {
		t.Error("what was unfolded, or typed, has gone")
	}
	v.shows("Mine")
	w.hooked()
	v.press("button[name=identifier]")
	w.waitFor(func() bool {
		got := w.hooked()
		return len(got) == 1 && names(got)[0] == "check_run requested_action"
	})
	v.comes("button[name=rerun]")
	if as := browsertest.Run(v.Tab, "read whose page it is", chromedp.Value(chromedp.CSS("#user"))); as != "ben" {
		t.Errorf("afterwards the page is %s's", as)
	}
	v.noComplaints()
}
