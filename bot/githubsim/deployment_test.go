package githubsim

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-github/v60/github"
)

// request asks for a deployment that nothing stands in the way of.
func request(ref string) *github.DeploymentRequest {
	return &github.DeploymentRequest{
		Ref: github.String(ref), Environment: github.String("preview"), AutoMerge: github.Bool(false), RequiredContexts: &[]string{},
		TransientEnvironment: github.Bool(true), Description: github.String("shop-pr-1"),
	}
}

func TestDeployments(t *testing.T) {
	w := newWorld(t, true)
	w.grant("deployments", "write")
	w.subscribe("deployment", "deployment_status")
	ctx, client := t.Context(), w.installed("acme").Repositories
	_, sha := w.propose("stock")
	made, _, err := client.CreateDeployment(ctx, "acme", "shop", request(sha))
	w.ok(err)
	if made.GetSHA() != sha || made.GetRef() != sha || made.GetEnvironment() != "preview" || made.GetTask() != "deploy" || made.GetCreator().GetLogin() != "vitrine[bot]" {
		t.Errorf("made %v", made)
	}
	plain, _, err := client.CreateDeployment(ctx, "acme", "shop", &github.DeploymentRequest{Ref: github.String("stock"), Payload: "text"})
	w.ok(err)
	if plain.GetEnvironment() != "production" || string(plain.Payload) != `"text"` || plain.GetSHA() != sha {
		t.Errorf("made %v", plain)
	}
	for _, c := range []struct {
		opt  github.DeploymentsListOptions
		want []int64
	}{
		{github.DeploymentsListOptions{}, []int64{plain.GetID(), made.GetID()}},
		{github.DeploymentsListOptions{SHA: sha}, []int64{plain.GetID(), made.GetID()}},
		{github.DeploymentsListOptions{Ref: "stock"}, []int64{plain.GetID()}},
		{github.DeploymentsListOptions{Environment: "preview"}, []int64{made.GetID()}},
		{github.DeploymentsListOptions{Task: "other"}, nil},
		{github.DeploymentsListOptions{ListOptions: github.ListOptions{PerPage: 1, Page: 2}}, []int64{made.GetID()}},
	} {
		list, _, err := client.ListDeployments(ctx, "acme", "shop", &c.opt)
		w.ok(err)
		var got []int64
		for _, d := range list {
			got = append(got, d.GetID())
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", c.opt, diff)
		}
	}
	for _, state := range []string{"in_progress", "success"} {
		_, _, err = client.CreateDeploymentStatus(ctx, "acme", "shop", made.GetID(), &github.DeploymentStatusRequest{
			State: github.String(state), EnvironmentURL: github.String("http://shop-pr-1.preview.localhost"), LogURL: github.String("http://log.localhost/1"),
		})
		w.ok(err)
	}
	statuses, _, err := client.ListDeploymentStatuses(ctx, "acme", "shop", made.GetID(), nil)
	w.ok(err)
	if len(statuses) != 2 || statuses[0].GetState() != "success" || statuses[0].GetEnvironmentURL() != "http://shop-pr-1.preview.localhost" ||
		statuses[0].GetTargetURL() != "http://log.localhost/1" || statuses[0].GetEnvironment() != "preview" {
		t.Errorf("the statuses are %v", statuses)
	}
	read, _, err := client.GetDeployment(ctx, "acme", "shop", made.GetID())
	w.ok(err)
	if read.GetDescription() != "shop-pr-1" {
		t.Errorf("read %v", read)
	}
	all := w.GitHubDeployments("acme/shop")
	if len(all) != 2 || all[0].State() != "success" || !all[0].Transient || all[1].State() != "pending" || !all[1].Production || len(all[0].Statuses) != 2 {
		t.Errorf("the deployments are %+v", all)
	}
	if diff := cmp.Diff([]string{"deployment created", "deployment created", "deployment_status created", "deployment_status created"}, names(w.hooked())); diff != "" {
		t.Error(diff)
	}
}

func TestASuccessEndsEarlierDeployments(t *testing.T) {
	w := newWorld(t, true)
	w.grant("deployments", "write")
	ctx, client := t.Context(), w.installed("acme").Repositories
	deploy := func(environment string, transient, production bool, states ...string) int64 {
		t.Helper()
		in := request("main")
		in.Environment, in.TransientEnvironment, in.ProductionEnvironment = &environment, &transient, &production
		d, _, err := client.CreateDeployment(ctx, "acme", "shop", in)
		w.ok(err)
		for _, state := range states {
			_, _, err := client.CreateDeploymentStatus(ctx, "acme", "shop", d.GetID(), &github.DeploymentStatusRequest{State: &state, AutoInactive: github.Bool(false)})
			w.ok(err)
		}
		return d.GetID()
	}
	plain := deploy("qa", false, false, "success")
	transient := deploy("qa", true, false, "success")
	production := deploy("qa", false, true, "success")
	failed := deploy("qa", false, false, "failure")
	elsewhere := deploy("other", false, false, "success")
	newest := deploy("qa", false, false)
	later := deploy("qa", false, false, "success")
	state := func(id int64) string {
		t.Helper()
		all := w.GitHubDeployments("acme/shop")
		return all[slices.IndexFunc(all, func(d GitHubDeployment) bool { return d.ID == id })].State()
	}
	finish := func(name string, autoInactive *bool) {
		t.Helper()
		_, _, err := client.CreateDeploymentStatus(ctx, "acme", "shop", newest, &github.DeploymentStatusRequest{State: &name, AutoInactive: autoInactive})
		w.ok(err)
	}
	finish("success", github.Bool(false))
	finish("in_progress", nil)
	if got := state(plain); got != "success" {
		t.Errorf("without auto_inactive, or a success, the earlier one is %s", got)
	}
	finish("success", nil)
	for id, want := range map[int64]string{plain: "inactive", transient: "success", production: "success", failed: "failure", elsewhere: "success", newest: "success", later: "success"} {
		if got := state(id); got != want {
			t.Errorf("deployment %d is %s, want %s", id, got, want)
		}
	}
}

func TestDeletingDeployments(t *testing.T) {
	w := newWorld(t, true)
	w.grant("deployments", "write")
	ctx, client := t.Context(), w.installed("acme").Repositories
	deploy := func(states ...string) int64 {
		t.Helper()
		d, _, err := client.CreateDeployment(ctx, "acme", "shop", request("main"))
		w.ok(err)
		for _, state := range states {
			_, _, err := client.CreateDeploymentStatus(ctx, "acme", "shop", d.GetID(), &github.DeploymentStatusRequest{State: &state})
			w.ok(err)
		}
		return d.GetID()
	}
	remove := func(id int64) int {
		t.Helper()
		res, err := client.DeleteDeployment(ctx, "acme", "shop", id)
		if res == nil {
			t.Fatal(err)
		}
		return res.StatusCode
	}
	active, waiting, ended := deploy("success"), deploy(), deploy("success", "inactive")
	for _, c := range []struct {
		id   int64
		want int
	}{{active, 422}, {waiting, 422}, {ended, 204}, {ended, 404}, {1, 404}} {
		if got := remove(c.id); got != c.want {
			t.Errorf("deleting %d was answered %d, want %d", c.id, got, c.want)
		}
	}
	if got := remove(waiting); got != 422 {
		t.Errorf("deleting one of two that have not ended was answered %d", got)
	}
	_, _, err := client.CreateDeploymentStatus(ctx, "acme", "shop", waiting, &github.DeploymentStatusRequest{State: github.String("error")})
	w.ok(err)
	if got := []int{remove(waiting), remove(active)}; !slices.Equal(got, []int{204, 204}) {
		t.Errorf("deleting the ended one and then the only one was answered %v", got)
	}
}

func TestDeployingWhatIsBehindMergesTheDefaultBranch(t *testing.T) {
	w := newWorld(t, false)
	w.grant("deployments", "write")
	ctx, client := t.Context(), w.installed("acme").Repositories
	_, sha := w.propose("stock")
	_, err := w.Commit(ctx, Change{Repository: "acme/shop", Branch: "clash", Author: "ana", Files: map[string]string{"compose.yaml": "mine\n"}})
	w.ok(err)
	ahead, err := w.Commit(ctx, Change{Repository: "acme/shop", Branch: "main", Files: map[string]string{"compose.yaml": "services: {a: {}}\n"}})
	w.ok(err)
	w.hooked()
	for name, c := range map[string]struct {
		ref  string
		says string
	}{
		"a commit":   {sha, "Conflict merging main into " + sha + "."},
		"a conflict": {"clash", "Conflict merging main into clash."},
	} {
		_, res, err := client.CreateDeployment(ctx, "acme", "shop", &github.DeploymentRequest{Ref: &c.ref})
		if res == nil || res.StatusCode != 409 || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want 409 %q", name, err, c.says)
		}
	}
	var accepted *github.AcceptedError
	if _, _, err := client.CreateDeployment(ctx, "acme", "shop", &github.DeploymentRequest{Ref: github.String("stock")}); !errors.As(err, &accepted) || !strings.Contains(string(accepted.Raw), "Auto-merged main into stock on deployment.") {
		t.Fatalf("a branch that is behind: %v", err)
	}
	if diff := cmp.Diff([]string{"push", "pull_request synchronize"}, names(w.hooked())); diff != "" {
		t.Error(diff)
	}
	merged, _, err := client.GetCommit(ctx, "acme", "shop", "stock", nil)
	w.ok(err)
	if len(merged.Parents) != 2 || merged.Parents[0].GetSHA() != sha || merged.Parents[1].GetSHA() != ahead || merged.GetCommit().GetMessage() != "Merge branch 'main' into stock" {
		t.Errorf("merged as %v", merged)
	}
	file, _, _, err := client.GetContents(ctx, "acme", "shop", "compose.yaml", &github.RepositoryContentGetOptions{Ref: "stock"})
	w.ok(err)
	if content, err := file.GetContent(); err != nil || content != "services: {a: {}}\n" {
		t.Errorf("the merge holds %q, %v", content, err)
	}
	again, _, err := client.CreateDeployment(ctx, "acme", "shop", &github.DeploymentRequest{Ref: github.String("stock")})
	w.ok(err)
	if again.GetSHA() != merged.GetSHA() || len(w.GitHubDeployments("acme/shop")) != 1 {
		t.Errorf("then made %v of %v", again, w.GitHubDeployments("acme/shop"))
	}
}

func TestDeploymentsWaitForTheChecks(t *testing.T) {
	w := newWorld(t, true)
	w.grant("deployments", "write")
	w.grant("checks", "write")
	ctx, client := t.Context(), w.installed("acme")
	_, sha := w.propose("stock")
	check, _, err := client.Checks.CreateCheckRun(ctx, "acme", "shop", github.CreateCheckRunOptions{Name: "Preview", HeadSHA: sha})
	w.ok(err)
	deploy := func(contexts *[]string) error {
		in := request(sha)
		in.RequiredContexts = contexts
		_, _, err := client.Repositories.CreateDeployment(ctx, "acme", "shop", in)
		return err
	}
	refused := func(name string, err error) {
		t.Helper()
		var answer *github.ErrorResponse
		if !errors.As(err, &answer) || answer.Response.StatusCode != 409 || answer.Errors[0].Field != "required_contexts" ||
			answer.Message != "Conflict: Commit status checks failed for "+sha+"." {
			t.Errorf("%s: %v, want 409", name, err)
		}
	}
	refused("a check that is not done", deploy(nil))
	refused("the same, by name", deploy(&[]string{"Preview"}))
	refused("a check that is missing", deploy(&[]string{"Lint"}))
	w.ok(deploy(&[]string{}))
	end := func(conclusion string) {
		t.Helper()
		_, _, err := client.Checks.UpdateCheckRun(ctx, "acme", "shop", check.GetID(), github.UpdateCheckRunOptions{Name: "Preview", Conclusion: &conclusion})
		w.ok(err)
	}
	end("skipped")
	refused("a check that was skipped", deploy(nil))
	end("success")
	w.ok(deploy(nil))
	w.ok(deploy(&[]string{"Preview"}))
	refused("one of two", deploy(&[]string{"Preview", "Lint"}))
}

func TestDeploymentsAreRefused(t *testing.T) {
	w := newWorld(t, false)
	w.grant("deployments", "write")
	all, _ := w.newToken("")
	read, _ := w.newToken(`{"permissions":{"deployments":"read"}}`)
	none, _ := w.newToken(`{"permissions":{"checks":"read"}}`)
	if none != "" {
		t.Fatal("a permission that the App does not have was granted")
	}
	none, _ = w.newToken(`{"permissions":{"contents":"read"}}`)
	made, _, err := w.installed("acme").Repositories.CreateDeployment(t.Context(), "acme", "shop", request("main"))
	w.ok(err)
	path := "/repos/acme/shop/deployments"
	one := fmt.Sprintf("%s/%d", path, made.GetID())
	for name, c := range map[string]struct {
		method, path, token, body string
		status                    int
		says                      string
	}{
		"no permission":         {"POST", path, none, `{"ref":"main"}`, 403, "Resource not accessible by integration"},
		"reading only":          {"POST", path, read, `{"ref":"main"}`, 403, "Resource not accessible by integration"},
		"reading, a status":     {"POST", one + "/statuses", read, `{"state":"success"}`, 403, "Resource not accessible by integration"},
		"reading, deleting":     {"DELETE", one, read, "", 403, "Resource not accessible by integration"},
		"may not read":          {"GET", path, none, "", 403, "Resource not accessible by integration"},
		"no such deployment":    {"GET", path + "/1", all, "", 404, "Not Found"},
		"no such one's status":  {"POST", path + "/1/statuses", all, `{"state":"success"}`, 404, "Not Found"},
		"no such one's listing": {"GET", path + "/1/statuses", all, "", 404, "Not Found"},
		"no ref":                {"POST", path, all, `{}`, 422, `"ref" wasn't supplied.`},
		"no such ref":           {"POST", path, all, `{"ref":"nowhere"}`, 422, "No ref found for: nowhere"},
		"a payload":             {"POST", path, all, `{"ref":"main","payload":[1]}`, 422, "payload"},
		"no state":              {"POST", one + "/statuses", all, `{}`, 422, `"state" wasn't supplied.`},
		"a state":               {"POST", one + "/statuses", all, `{"state":"done"}`, 422, `"done" is not a member of`},
		"a long description":    {"POST", one + "/statuses", all, `{"state":"success","description":"` + strings.Repeat("é", 141) + `"}`, 422, "Validation Failed"},
		"an environment's link": {"POST", one + "/statuses", all, `{"state":"success","environment_url":"javascript:x"}`, 422, "Validation Failed"},
		"a log's link":          {"POST", one + "/statuses", all, `{"state":"success","log_url":"/log"}`, 422, "Validation Failed"},
	} {
		status, message := w.ask(c.method, c.path, "token "+c.token, c.body)
		if status != c.status || !strings.Contains(message, c.says) {
			t.Errorf("%s: answered %d %q, want %d %q", name, status, message, c.status, c.says)
		}
	}
	if d := w.GitHubDeployments("acme/shop"); len(d) != 1 || len(d[0].Statuses) != 0 {
		t.Errorf("what was refused has changed something: %+v", d)
	}
	if status, _ := w.ask("POST", one+"/statuses", "token "+all, `{"state":"success","description":"`+strings.Repeat("é", 140)+`"}`); status != 201 {
		t.Errorf("140 characters were answered %d", status)
	}
}

func TestDeploymentPayloadsHaveTheRecordedFields(t *testing.T) {
	w := newWorld(t, false)
	w.grant("deployments", "write")
	w.subscribe("deployment_status")
	client := w.installed("acme").Repositories
	d, _, err := client.CreateDeployment(t.Context(), "acme", "shop", request("main"))
	w.ok(err)
	_, _, err = client.CreateDeploymentStatus(t.Context(), "acme", "shop", d.GetID(), &github.DeploymentStatusRequest{State: github.String("success")})
	w.ok(err)
	w.compareWithRecorded(map[string]string{"deployment_status created": "deployment_status.with-installation.json"})
}
