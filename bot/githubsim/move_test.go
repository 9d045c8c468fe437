package githubsim

import (
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-github/v60/github"
)

func TestRenamedRepositories(t *testing.T) {
	w := newWorld(t, true)
	w.subscribe("repository", "pull_request", "push")
	w.ok(w.SetAppPermission("issues", "write"))
	ctx, client := t.Context(), w.installed("acme")
	number, sha := w.propose("stock")
	forked, _ := w.proposeFromFork("mine")
	w.hooked()
	before, _, err := client.Repositories.Get(ctx, "acme", "shop")
	w.ok(err)
	w.ok(w.RenameRepository("acme/shop", "Store", "ana"))
	got := w.hooked()
	if diff := cmp.Diff([]string{"repository renamed"}, names(got)); diff != "" {
		t.Fatal(diff)
	}
	if dig(got[0].payload, "changes", "repository", "name", "from") != "shop" || dig(got[0].payload, "repository", "full_name") != "acme/Store" {
		t.Errorf("sent %s", got[0].body)
	}
	// The old name leads to the new one, for reading and for writing.
	after, res, err := client.Repositories.Get(ctx, "acme", "shop")
	w.ok(err)
	byID, _, err := client.Repositories.GetByID(ctx, before.GetID())
	w.ok(err)
	if after.GetID() != before.GetID() || after.GetFullName() != "acme/Store" || byID.GetFullName() != "acme/Store" || !strings.HasSuffix(res.Request.URL.Path, "/api/v3/repositories/"+strconv.FormatInt(before.GetID(), 10)) {
		t.Errorf("the old name led to %s: %v", res.Request.URL, after)
	}
	pulls, _, err := client.PullRequests.List(ctx, "acme", "shop", &github.PullRequestListOptions{State: "all", Direction: "asc", ListOptions: github.ListOptions{PerPage: 1}})
	w.ok(err)
	if len(pulls) != 1 || pulls[0].GetNumber() != number || pulls[0].GetBase().GetRepo().GetName() != "Store" {
		t.Errorf("the old name lists %v", pulls)
	}
	ref, _, err := client.Git.GetRef(ctx, "acme", "shop", "heads/stock")
	w.ok(err)
	if ref.GetObject().GetSHA() != sha {
		t.Errorf("the old name's branch is at %s, want %s", ref.GetObject().GetSHA(), sha)
	}
	comment, _, err := client.Issues.CreateComment(ctx, "acme", "shop", number, &github.IssueComment{Body: github.String("still here")})
	w.ok(err)
	if comments, err := w.Comments("acme/Store", number); err != nil || len(comments) != 1 || comments[0].ID != comment.GetID() {
		t.Errorf("the comment went to %v, %v", comments, err)
	}
	of, _, err := w.app().Apps.FindRepositoryInstallation(ctx, "acme", "shop")
	w.ok(err)
	if of.GetID() != w.InstallationID("acme") {
		t.Errorf("the old name's installation is %v", of)
	}
	// So it is in git and on the pages.
	dir := filepath.Join(t.TempDir(), "clone")
	mustGit(t, "", "clone", "--quiet", w.url+"/acme/shop.git", dir)
	mustGit(t, dir, "commit", "--quiet", "--allow-empty", "--message", "More")
	mustGit(t, dir, "push", "--quiet", w.as("ana", "demo", "acme/shop.git"), "main:more")
	if w.Branch("acme/Store", "more") == "" {
		t.Error("a push to the old name did not arrive")
	}
	for _, path := range []string{"/acme/shop", "/acme/shop.git", "/acme/shop/pull/1?as=ana"} {
		if status, body := w.page(path); status != 200 || !strings.Contains(body, "acme/Store") {
			t.Errorf("%s answered %d", path, status)
		}
	}
	// A fork is followed still.
	w.hooked()
	_, err = w.Commit(ctx, Change{Repository: "mallory/shop", Branch: "mine", Author: "mallory", Files: map[string]string{"y": "1"}})
	w.ok(err)
	if diff := cmp.Diff([]string{"pull_request synchronize"}, names(w.hooked())); diff != "" {
		t.Errorf("#%d: %s", forked, diff)
	}
	// Another repository may take the old name.
	w.ok(w.CreateRepository(ctx, "acme/shop", false, nil))
	other, _, err := client.Repositories.Get(ctx, "acme", "shop")
	w.ok(err)
	if other.GetID() == before.GetID() {
		t.Error("the old name still leads to the renamed repository")
	}
	for name, err := range map[string]error{
		"a writer's renaming": w.RenameRepository("acme/Store", "x", "ben"),
		"a taken name":        w.RenameRepository("acme/Store", "SHOP", "ana"),
		"a bad name":          w.RenameRepository("acme/Store", "a/b", "ana"),
	} {
		if err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	w.ok(w.RenameRepository("acme/Store", "store", "ana")) // in another case only
	if again, _, err := client.Repositories.Get(ctx, "acme", "store"); err != nil || again.GetName() != "store" {
		t.Errorf("renamed in case: %v, %v", again, err)
	}
}

func TestRedirectsByMethod(t *testing.T) {
	w := newWorld(t, false)
	w.ok(w.CreateRepository(t.Context(), "globex/vault", true, nil))
	w.ok(w.RenameRepository("globex/vault", "safe", "globex"))
	w.ok(w.RenameRepository("acme/shop", "store", "ana"))
	id := strconv.FormatInt(w.repositories["acme/store"].id, 10)
	token, _ := w.newToken("")
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for _, c := range []struct {
		method, path string
		status       int
		location     string
	}{
		{"GET", "/repos/acme/shop/commits/a%2Fb?x=1", 301, "/repositories/" + id + "/commits/a%2Fb?x=1"},
		{"GET", "/repos/Acme/Shop", 301, "/repositories/" + id},
		{"POST", "/repos/acme/shop/issues/1/comments", 307, "/repositories/" + id + "/issues/1/comments"},
		{"DELETE", "/repos/acme/shop/issues/comments/1", 307, "/repositories/" + id + "/issues/comments/1"},
		{"GET", "/repos/globex/vault", 404, ""},
		{"GET", "/repositories/99999", 404, ""},
	} {
		req, err := http.NewRequestWithContext(t.Context(), c.method, w.url+apiPrefix+c.path, nil)
		w.ok(err)
		req.Header.Set("Authorization", "token "+token)
		res, err := client.Do(req)
		w.ok(err)
		w.ok(res.Body.Close())
		want := c.location
		if want != "" {
			want = w.url + apiPrefix + want
		}
		if res.StatusCode != c.status || res.Header.Get("Location") != want {
			t.Errorf("%s %s: %d to %q, want %d to %q", c.method, c.path, res.StatusCode, res.Header.Get("Location"), c.status, want)
		}
	}
	if out, err := gitClient(t, "", "ls-remote", w.url+"/globex/vault.git"); err == nil || strings.Contains(out, "safe") {
		t.Errorf("a stranger learned the private repository's new name: %s", out)
	}
}

func TestTransferredRepositories(t *testing.T) {
	w := newWorld(t, false)
	w.subscribe("repository")
	ctx := t.Context()
	w.ok(w.CreateUser("globex", "demo"))
	if err := w.TransferRepository("acme/shop", "globex", "ben"); err == nil {
		t.Error("a writer gave the repository away")
	}
	w.ok(w.TransferRepository("acme/shop", "globex", "ana"))
	if got := names(w.hooked()); got != nil {
		t.Errorf("without an installation in the new account there came %v", got)
	}
	if _, res, err := w.app().Apps.FindRepositoryInstallation(ctx, "globex", "shop"); err == nil || res.StatusCode != 404 {
		t.Errorf("the installation of what was given away: %v", err)
	}
	if list, _, err := w.installed("acme").Apps.ListRepos(ctx, nil); err != nil || list.GetTotalCount() != 0 {
		t.Errorf("the old account's installation holds %v, %v", list, err)
	}
}

func TestTransferIsToldToTheNewAccount(t *testing.T) {
	w := newWorld(t, true)
	w.subscribe("repository")
	w.ok(w.CreateRepository(t.Context(), "globex/site", false, nil))
	w.ok(w.TransferRepository("acme/shop", "globex", "ana"))
	got := w.hooked()
	if diff := cmp.Diff([]string{"repository transferred"}, names(got)); diff != "" {
		t.Fatal(diff)
	}
	p := got[0].payload
	if dig(p, "changes", "owner", "from", "organization", "login") != "acme" || dig(p, "repository", "full_name") != "globex/shop" ||
		dig(p, "installation", "id") != float64(w.InstallationID("globex")) {
		t.Errorf("sent %s", got[0].body)
	}
	repo, _, err := w.installed("globex").Repositories.Get(t.Context(), "acme", "shop")
	w.ok(err)
	if repo.GetOwner().GetLogin() != "globex" {
		t.Errorf("the old name leads to %v", repo)
	}
	if err := w.TransferRepository("globex/shop", "globex", "ana"); err == nil {
		t.Error("a repository was given to its owner")
	}
}

func TestArchivedRepositoriesAreReadOnly(t *testing.T) {
	w := newWorld(t, true)
	w.subscribe("repository")
	ctx, client := t.Context(), w.installed("acme")
	number, _ := w.propose("stock")
	w.ok(w.ArchiveRepository("acme/shop", "ana"))
	_, err := w.Comment("acme/shop", number, "ana", "too late")
	for name, err := range map[string]error{
		"again":     w.ArchiveRepository("acme/shop", "ana"),
		"a writer":  w.UnarchiveRepository("acme/shop", "ben"),
		"a comment": err,
		"a commit":  second(w.Commit(ctx, Change{Repository: "acme/shop", Branch: "stock", Files: map[string]string{"a": "b"}})),
		"a title":   w.Retitle("acme/shop", number, "x", "ana"),
		"a pull request": second(w.OpenPullRequest(ctx, PullRequest{
			Repository: "acme/shop", Head: "stock", Base: "main", Author: "ana",
		})),
	} {
		if err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	_, res, err := client.Issues.CreateComment(ctx, "acme", "shop", number, &github.IssueComment{Body: github.String("too late")})
	if res == nil || res.StatusCode != 403 || !strings.Contains(err.Error(), "Repository was archived so is read-only.") {
		t.Errorf("the App's comment: %v", err)
	}
	repo, _, err := client.Repositories.Get(ctx, "acme", "shop")
	w.ok(err)
	if !repo.GetArchived() {
		t.Error("it does not say that it is archived")
	}
	dir := filepath.Join(t.TempDir(), "clone")
	mustGit(t, "", "clone", "--quiet", w.url+"/acme/shop.git", dir)
	if out, err := gitClient(t, dir, "push", w.as("ana", "demo", "acme/shop.git"), "main:more"); err == nil || !strings.Contains(out, "archived") {
		t.Errorf("pushed: %s", out)
	}
	w.ok(w.UnarchiveRepository("acme/shop", "ana"))
	if diff := cmp.Diff([]string{"repository archived", "repository unarchived"}, names(w.hooked())); diff != "" {
		t.Error(diff)
	}
	_, err = w.Comment("acme/shop", number, "ana", "back again")
	w.ok(err)
}

func TestMovePayloadsHaveTheRecordedFields(t *testing.T) {
	w := newWorld(t, false)
	w.subscribe("repository")
	w.ok(w.CreateUser("octo", "demo"))
	w.ok(w.CreateRepository(t.Context(), "octo/mine", false, nil))
	w.ok(w.TransferRepository("octo/mine", "acme", "octo"))
	w.ok(w.RenameRepository("acme/shop", "store", "ana"))
	w.compareWithRecorded(map[string]string{
		"repository renamed": "repository.renamed.json", "repository transferred": "repository.transferred.with-installation.json",
	})
}
