package githubsim

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-github/v60/github"
)

func TestPermissionsAreTakenAndGivenBack(t *testing.T) {
	w := newWorld(t, true)
	ctx, client := t.Context(), w.installed("acme")
	number, sha := w.propose("stock")
	comment := func() error {
		_, _, err := client.Issues.CreateComment(ctx, "acme", "shop", number, &github.IssueComment{Body: github.String("x")})
		return err
	}
	w.ok(comment())
	w.ok(w.SetAppPermission("issues", ""))
	w.ok(comment()) // it is a pull request's
	w.ok(w.SetAppPermission("pull_requests", "read"))
	if err := comment(); err == nil || !strings.Contains(err.Error(), "Resource not accessible by integration") {
		t.Errorf("without the permission: %v", err)
	}
	app, _, err := w.app().Apps.Get(ctx, "")
	w.ok(err)
	if p := app.GetPermissions(); p.Issues != nil || p.GetPullRequests() != "read" || p.GetContents() != "read" || len(app.Events) != 4 {
		t.Errorf("the App is %v", app)
	}
	w.hooked()
	w.ok(w.SetAppPermission("pull_requests", "write"))
	w.ok(comment())
	w.ok(w.SetAppPermission("checks", "write"))
	_, _, err = client.Checks.CreateCheckRun(ctx, "acme", "shop", github.CreateCheckRunOptions{Name: "Preview", HeadSHA: sha})
	w.ok(err)
	got := w.hooked()
	if diff := cmp.Diff([]string{"installation new_permissions_accepted", "installation new_permissions_accepted"}, names(got)); diff != "" {
		t.Fatal(diff)
	}
	if dig(got[1].payload, "installation", "permissions", "checks") != "write" {
		t.Errorf("sent %s", got[1].body)
	}
	for name, level := range map[string]string{"metadata": "", "": "read", "checks": "own"} {
		if err := w.SetAppPermission(name, level); err == nil {
			t.Errorf("%q was set to %q", name, level)
		}
	}
}

func TestEventsNeedPermissions(t *testing.T) {
	w := newWorld(t, false)
	w.ok(w.SetAppPermission("contents", ""))
	w.ok(w.SetAppPermission("issues", ""))
	number, _ := w.propose("stock")
	_, err := w.Comment("acme/shop", number, "ana", "hello")
	w.ok(err)
	w.ok(w.DeleteBranch(t.Context(), "acme/shop", "stock", "ana"))
	if diff := cmp.Diff([]string{"pull_request opened", "pull_request closed"}, names(w.hooked())); diff != "" {
		t.Error(diff)
	}
}

func TestSuspending(t *testing.T) {
	w := newWorld(t, true)
	ctx, client := t.Context(), w.installed("acme")
	_, _, err := client.Repositories.Get(ctx, "acme", "shop")
	w.ok(err)
	w.ok(w.CreateRepository(ctx, "acme/secret", true, nil))
	token, _ := w.newToken("")
	mustGit(t, "", "ls-remote", w.as("x-access-token", token, "acme/secret.git"))
	w.ok(w.Suspend("acme", "ana"))
	_, res, err := client.Repositories.Get(ctx, "acme", "shop")
	if res == nil || res.StatusCode != 403 || !strings.Contains(err.Error(), "This installation has been suspended") {
		t.Errorf("a token of the suspended installation: %v", err)
	}
	if _, status := w.newToken(""); status != 403 {
		t.Errorf("a new token was answered %d", status)
	}
	if out, err := gitClient(t, "", "ls-remote", w.as("x-access-token", token, "acme/secret.git")); err == nil {
		t.Errorf("git went on: %s", out)
	}
	one, _, err := w.app().Apps.GetInstallation(ctx, w.InstallationID("acme"))
	w.ok(err)
	if one.SuspendedAt == nil || one.GetSuspendedBy().GetLogin() != "ana" {
		t.Errorf("the installation is %v", one)
	}
	number, _ := w.propose("stock") // untold
	w.ok(w.Unsuspend("acme", "ana"))
	w.ok(w.ClosePullRequest("acme/shop", number, "ana"))
	if diff := cmp.Diff([]string{"installation suspend", "installation unsuspend", "pull_request closed"}, names(w.hooked())); diff != "" {
		t.Error(diff)
	}
	_, _, err = client.Repositories.Get(ctx, "acme", "shop")
	w.ok(err)
	for name, err := range map[string]error{
		"unsuspending again":    w.Unsuspend("acme", "ana"),
		"where there is none":   w.Suspend("ana", "ana"),
		"where nobody is":       w.Suspend("nobody", "ana"),
		"in nobody's name":      w.Suspend("acme", "nobody"),
		"installing twice":      w.Install("acme", "ana"),
		"taking out what isn't": w.Uninstall("ana", "ana"),
	} {
		if err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

func TestUninstallingAndInstallingAgain(t *testing.T) {
	w := newWorld(t, true)
	ctx, client, old := t.Context(), w.installed("acme"), w.InstallationID("acme")
	_, _, err := client.Repositories.Get(ctx, "acme", "shop")
	w.ok(err)
	w.ok(w.Uninstall("acme", "ana"))
	if _, res, err := client.Repositories.Get(ctx, "acme", "shop"); err == nil || res == nil || res.StatusCode != 401 {
		t.Errorf("a token of what was uninstalled: %v, want 401", err)
	}
	if _, res, err := w.app().Apps.GetInstallation(ctx, old); err == nil || res.StatusCode != 404 {
		t.Errorf("what was uninstalled: %v", err)
	}
	if _, res, err := w.app().Apps.FindRepositoryInstallation(ctx, "acme", "shop"); err == nil || res.StatusCode != 404 {
		t.Errorf("its repository: %v", err)
	}
	w.propose("stock") // untold
	w.ok(w.Install("acme", "ana"))
	if w.InstallationID("acme") == old || w.InstallationID("acme") == 0 {
		t.Errorf("the new installation is %d, the old one was %d", w.InstallationID("acme"), old)
	}
	_, _, err = w.installed("acme").Repositories.Get(ctx, "acme", "shop")
	w.ok(err)
	got := w.hooked()
	if diff := cmp.Diff([]string{"installation deleted", "installation created"}, names(got)); diff != "" {
		t.Fatal(diff)
	}
	repos, isList := got[1].payload["repositories"].([]any)
	if !isList || len(repos) != 1 || dig(repos[0], "full_name") != "acme/shop" || dig(got[0].payload, "installation", "id") != float64(old) {
		t.Errorf("sent %s", got[1].body)
	}
}

func TestRemovingARepositoryFromTheInstallation(t *testing.T) {
	w := newWorld(t, true)
	w.ok(w.CreateRepository(t.Context(), "acme/secret", true, nil))
	ctx, client := t.Context(), w.installed("acme")
	w.ok(w.RemoveFromInstallation("acme/secret", "ana"))
	w.ok(w.RemoveFromInstallation("acme/shop", "ana"))
	for name, want := range map[string]int{"secret": 404, "shop": 403} {
		_, res, err := client.Issues.CreateComment(ctx, "acme", name, 1, &github.IssueComment{Body: github.String("x")})
		if res == nil || res.StatusCode != want {
			t.Errorf("%s: %v, want %d", name, err, want)
		}
		if _, res, err := w.app().Apps.FindRepositoryInstallation(ctx, "acme", name); err == nil || res.StatusCode != 404 {
			t.Errorf("the installation of %s: %v", name, err)
		}
	}
	if _, status := w.newToken(`{"repositories":["shop"]}`); status != 422 {
		t.Errorf("a token for it was answered %d", status)
	}
	w.propose("stock") // untold
	w.ok(w.CreateRepository(ctx, "acme/later", false, nil))
	w.ok(w.AddToInstallation("acme/shop", "ana"))
	list, _, err := client.Apps.ListRepos(ctx, nil)
	w.ok(err)
	one, _, err := w.app().Apps.GetInstallation(ctx, w.InstallationID("acme"))
	w.ok(err)
	if list.GetTotalCount() != 1 || list.Repositories[0].GetName() != "shop" || one.GetRepositorySelection() != "selected" {
		t.Errorf("it is %s, with %v", one.GetRepositorySelection(), list)
	}
	got := w.hooked()
	if diff := cmp.Diff([]string{"installation_repositories removed", "installation_repositories removed", "installation_repositories added"}, names(got)); diff != "" {
		t.Fatal(diff)
	}
	removed, isList := got[1].payload["repositories_removed"].([]any)
	if !isList || len(removed) != 1 || dig(removed[0], "full_name") != "acme/shop" || got[1].payload["repository_selection"] != "selected" {
		t.Errorf("sent %s", got[1].body)
	}
	for name, err := range map[string]error{"again": w.AddToInstallation("acme/shop", "ana"), "what is not": w.RemoveFromInstallation("acme/secret", "ana")} {
		if err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

func TestInstallationsAndRepositoriesArePaged(t *testing.T) {
	w := newWorld(t, true)
	for i := range 4 {
		w.ok(w.CreateRepository(t.Context(), fmt.Sprintf("org%d/site", i), false, nil))
		w.ok(w.CreateRepository(t.Context(), fmt.Sprintf("acme/r%d", i), false, nil))
	}
	var accounts, repos []string
	for opt := (&github.ListOptions{PerPage: 2, Page: 1}); opt.Page != 0; {
		page, res, err := w.app().Apps.ListInstallations(t.Context(), opt)
		w.ok(err)
		for _, i := range page {
			accounts = append(accounts, i.GetAccount().GetLogin())
		}
		opt.Page = res.NextPage
	}
	for opt := (&github.ListOptions{PerPage: 2, Page: 1}); opt.Page != 0; {
		page, res, err := w.installed("acme").Apps.ListRepos(t.Context(), opt)
		w.ok(err)
		for _, r := range page.Repositories {
			repos = append(repos, r.GetName())
		}
		opt.Page = res.NextPage
	}
	if diff := cmp.Diff([]string{"acme", "org0", "org1", "org2", "org3"}, accounts); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"shop", "r0", "r1", "r2", "r3"}, repos); diff != "" {
		t.Error(diff)
	}
}

func TestInstallationPayloadsHaveTheRecordedFields(t *testing.T) {
	w := newWorld(t, false)
	w.ok(w.Suspend("acme", "ana"))
	w.ok(w.Unsuspend("acme", "ana"))
	w.ok(w.SetAppPermission("checks", "write"))
	w.ok(w.RemoveFromInstallation("acme/shop", "ana"))
	w.ok(w.AddToInstallation("acme/shop", "ana"))
	w.ok(w.Uninstall("acme", "ana"))
	w.ok(w.Install("acme", "ana"))
	w.compareWithRecorded(map[string]string{
		"installation suspend": "installation.suspend.json", "installation unsuspend": "installation.unsuspend.json",
		"installation new_permissions_accepted": "installation.new_permissions_accepted.json",
		"installation deleted":                  "installation.deleted.json", "installation created": "installation.created.json",
		"installation_repositories removed": "installation_repositories.removed.json",
		"installation_repositories added":   "installation_repositories.added.json",
	}, "requester")
}
