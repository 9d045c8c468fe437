package githubsim

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-github/v60/github"
)

func TestPullRequestsAreEdited(t *testing.T) {
	w := newWorld(t, true)
	ctx, client := t.Context(), w.installed("acme").PullRequests
	number, _ := w.propose("stock")
	w.hooked()
	_, err := w.Commit(ctx, Change{Repository: "acme/shop", Branch: "release", Author: "ana", Files: map[string]string{"r": "1"}})
	w.ok(err)
	w.hooked()
	start := time.Now()
	tick := 0
	step := func(name string, err error) map[string]any {
		t.Helper()
		w.ok(err)
		got := w.hooked()
		if diff := cmp.Diff([]string{"pull_request " + name}, names(got)); diff != "" {
			t.Fatal(diff)
		}
		pr, _, err := client.Get(ctx, "acme", "shop", number)
		w.ok(err)
		if at := dig(got[0].payload, "pull_request", "updated_at"); at != pr.GetUpdatedAt().UTC().Format(time.RFC3339) || at != stamp(w.now()) {
			t.Errorf("%s: updated at %v, now is %s", name, at, stamp(w.now()))
		}
		tick++
		w.mu.Lock()
		w.clock = func() time.Time { return start.Add(time.Duration(tick) * time.Minute) }
		w.mu.Unlock()
		return got[0].payload
	}
	w.mu.Lock()
	w.clock = func() time.Time { return start }
	w.mu.Unlock()
	p := step("labeled", w.AddLabel("acme/shop", number, "preview", "ben"))
	if dig(p, "label", "name") != "preview" || len(dig(p, "pull_request", "labels").([]any)) != 1 {
		t.Errorf("labeled: %v", p["label"])
	}
	step("labeled", w.AddLabel("acme/shop", number, "a / b", "ana"))
	pr, _, err := client.Get(ctx, "acme", "shop", number)
	w.ok(err)
	if len(pr.Labels) != 2 || pr.Labels[0].GetName() != "preview" || pr.GetUser().GetType() != "User" || pr.GetBase().GetRepo().GetDefaultBranch() != "main" {
		t.Errorf("the pull request is %v", pr)
	}
	p = step("unlabeled", w.RemoveLabel("acme/shop", number, "Preview", "ana"))
	if dig(p, "label", "name") != "preview" || len(dig(p, "pull_request", "labels").([]any)) != 1 {
		t.Errorf("unlabeled: %v", p["label"])
	}
	p = step("converted_to_draft", w.SetDraft("acme/shop", number, true, "ana"))
	if dig(p, "pull_request", "draft") != true {
		t.Error("it is no draft")
	}
	step("ready_for_review", w.SetDraft("acme/shop", number, false, "ben"))
	p = step("edited", w.Retitle("acme/shop", number, "[skip preview] Stock", "ana"))
	if dig(p, "changes", "title", "from") != "Show stock on product page" || dig(p, "pull_request", "title") != "[skip preview] Stock" {
		t.Errorf("edited: %v", p["changes"])
	}
	p = step("edited", w.ChangeBase(ctx, "acme/shop", number, "release", "ana"))
	if dig(p, "changes", "base", "ref", "from") != "main" || dig(p, "changes", "base", "sha", "from") != w.Branch("acme/shop", "main") ||
		dig(p, "pull_request", "base", "ref") != "release" || dig(p, "pull_request", "base", "sha") != w.Branch("acme/shop", "release") {
		t.Errorf("edited: %v", p["changes"])
	}
	if now, err := w.PullRequest("acme/shop", number); err != nil || now.Base != "release" || now.Title != "[skip preview] Stock" || !cmp.Equal(now.Labels, []string{"a / b"}) {
		t.Errorf("it is %+v, %v", now, err)
	}
	for name, err := range map[string]error{
		"a stranger's label":        w.AddLabel("acme/shop", number, "x", "mallory"),
		"a label again":             w.AddLabel("acme/shop", number, "A / B", "ana"),
		"an empty label":            w.AddLabel("acme/shop", number, " ", "ana"),
		"taking away what is not":   w.RemoveLabel("acme/shop", number, "preview", "ana"),
		"a stranger's draft":        w.SetDraft("acme/shop", number, true, "mallory"),
		"ready again":               w.SetDraft("acme/shop", number, false, "ana"),
		"an empty title":            w.Retitle("acme/shop", number, "", "ana"),
		"the same base":             w.ChangeBase(ctx, "acme/shop", number, "release", "ana"),
		"a missing base":            w.ChangeBase(ctx, "acme/shop", number, "nowhere", "ana"),
		"a base that has it all":    w.ChangeBase(ctx, "acme/shop", number, "stock", "ana"),
		"a base of no pull request": w.ChangeBase(ctx, "acme/shop", 99, "main", "ana"),
	} {
		if err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	if got := names(w.hooked()); got != nil {
		t.Errorf("what was refused sent %v", got)
	}
}

func TestTheAuthorMayEditWithoutWriteAccess(t *testing.T) {
	w := newWorld(t, false)
	number, _ := w.proposeFromFork("mine")
	w.ok(w.Retitle("acme/shop", number, "Mine, really", "mallory"))
	w.ok(w.SetDraft("acme/shop", number, true, "mallory"))
	if err := w.AddLabel("acme/shop", number, "preview", "mallory"); err == nil {
		t.Error("an author without write access set a label")
	}
}

func TestDeletingAForkLeavesItsPullRequests(t *testing.T) {
	w := newWorld(t, true)
	ctx, client := t.Context(), w.installed("acme").PullRequests
	number, sha := w.proposeFromFork("mine")
	if err := w.DeleteRepository("mallory/shop", "ben"); err == nil {
		t.Error("ben deleted somebody else's repository")
	}
	w.ok(w.DeleteRepository("mallory/shop", "mallory"))
	w.hooked()
	pr, _, err := client.Get(ctx, "acme", "shop", number)
	w.ok(err)
	list, _, err := client.List(ctx, "acme", "shop", &github.PullRequestListOptions{Head: "mallory:mine"})
	w.ok(err)
	if pr.GetState() != "open" || pr.Head.Repo != nil || pr.GetHead().GetSHA() != sha || pr.GetHead().GetUser().GetLogin() != "mallory" || len(list) != 1 {
		t.Errorf("the pull request is %v; listed %v", pr, list)
	}
	if base, err := w.repository("acme/shop"); err != nil || w.commitOf(base, "pull/1/head") != sha {
		t.Errorf("refs/pull/1/head has gone: %v", err)
	}
	if status := w.get("/mallory/shop"); status != 404 {
		t.Errorf("the fork's page answered %d", status)
	}
	w.ok(w.Retitle("acme/shop", number, "Orphan", "mallory"))
	got := w.hooked()
	if head, isObject := dig(got[0].payload, "pull_request", "head").(map[string]any); !isObject || head["repo"] != nil || head["label"] != "mallory:mine" {
		t.Errorf("sent the head %v", head)
	}
	w.ok(w.ClosePullRequest("acme/shop", number, "ana"))
	if err := w.ReopenPullRequest(ctx, "acme/shop", number, "ana"); err == nil {
		t.Error("a pull request without its fork was reopened")
	}
	fork, err := w.Fork(ctx, "acme/shop", "mallory")
	w.ok(err)
	if w.Branch(fork, "mine") != "" {
		t.Error("a new fork has the old one's branch")
	}
}

func TestDeletingARepositoryIsTold(t *testing.T) {
	w := newWorld(t, false)
	w.subscribe("repository")
	_, err := w.Fork(t.Context(), "acme/shop", "mallory")
	w.ok(err)
	w.ok(w.DeleteRepository("acme/shop", "ana"))
	got := w.hooked()
	if diff := cmp.Diff([]string{"repository deleted"}, names(got)); diff != "" {
		t.Fatal(diff)
	}
	if dig(got[0].payload, "repository", "full_name") != "acme/shop" {
		t.Errorf("sent %s", got[0].body)
	}
	token, _ := w.newToken("")
	if status, _ := w.ask("GET", "/repos/acme/shop", "token "+token, ""); status != 404 {
		t.Errorf("what was deleted answered %d", status)
	}
	if status, body := w.page("/mallory/shop"); status != 200 || strings.Contains(body, "Forked from") {
		t.Errorf("its fork answered %d %s", status, body)
	}
}

func TestOtherAppsOpenPullRequests(t *testing.T) {
	w := newWorld(t, true)
	ctx, client := t.Context(), w.installed("acme")
	login, err := w.CreateBot("dependabot")
	w.ok(err)
	_, err = w.Commit(ctx, Change{Repository: "acme/shop", Branch: "bump", Author: login, Files: map[string]string{"v": "2"}})
	w.ok(err)
	number, err := w.OpenPullRequest(ctx, PullRequest{Repository: "acme/shop", Head: "bump", Title: "Bump", Author: login})
	w.ok(err)
	pr, _, err := client.PullRequests.Get(ctx, "acme", "shop", number)
	w.ok(err)
	if pr.GetUser().GetType() != "Bot" || pr.GetUser().GetLogin() != "dependabot[bot]" {
		t.Errorf("the author is %v", pr.GetUser())
	}
	if _, res, err := client.Repositories.GetPermissionLevel(ctx, "acme", "shop", login); err == nil || res.StatusCode != http.StatusNotFound {
		t.Errorf("the permission of a bot: %v, want 404", err)
	}
	for name, slug := range map[string]string{"again": "dependabot", "our own": "vitrine", "a slug": "a b"} {
		if _, err := w.CreateBot(slug); err == nil {
			t.Errorf("%s: made the bot %s", name, slug)
		}
	}
}

func TestFilesOfAPullRequest(t *testing.T) {
	w := newWorld(t, true)
	ctx, client := t.Context(), w.installed("acme").PullRequests
	long := strings.Repeat("a line that stays\n", 40)
	_, err := w.Commit(ctx, Change{Repository: "acme/shop", Branch: "main", Files: map[string]string{"docs/guide.md": long, "z/old": "gone\n"}})
	w.ok(err)
	w.propose("stock")
	r, err := w.repository("acme/shop")
	w.ok(err)
	w.ok(w.receive(ctx, r, w.users["ana"], func() error {
		in := "feature done\ncommit refs/heads/stock\ncommitter a <a@b> 1700000000 +0000\ndata 1\nx\nfrom " + r.refs["refs/heads/stock"] +
			"\nR docs/guide.md \"docs/b\\303\\274ro guide.md\"\nD z/old\nM 100644 inline new\ndata 2\n1\n\nM 120000 inline compose.yaml\ndata 3\nnew\ndone\n"
		_, err := w.git.run(ctx, r.dir, strings.NewReader(in), "fast-import", "--quiet")
		return err
	}))
	_, err = w.Commit(ctx, Change{Repository: "acme/shop", Branch: "main", Files: map[string]string{"elsewhere": "x"}})
	w.ok(err)
	files, _, err := client.ListFiles(ctx, "acme", "shop", 1, nil)
	w.ok(err)
	var got []string
	for _, f := range files {
		got = append(got, fmt.Sprintf("%s %s<%s +%d -%d", f.GetStatus(), f.GetFilename(), f.GetPreviousFilename(), f.GetAdditions(), f.GetDeletions()))
	}
	if diff := cmp.Diff([]string{
		"changed compose.yaml< +1 -1", "renamed docs/büro guide.md<docs/guide.md +0 -0", "added new< +1 -0", "modified web/index.html< +1 -1", "removed z/old< +0 -1",
	}, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	page, res, err := client.ListFiles(ctx, "acme", "shop", 1, &github.ListOptions{PerPage: 2, Page: 2})
	w.ok(err)
	if len(page) != 2 || page[0].GetFilename() != "new" || res.NextPage != 3 || res.LastPage != 3 {
		t.Errorf("the second page is %v, then %d of %d", page, res.NextPage, res.LastPage)
	}
	if _, res, err := client.ListFiles(ctx, "acme", "shop", 9, nil); err == nil || res.StatusCode != http.StatusNotFound {
		t.Errorf("the files of a missing pull request: %v", err)
	}
}

func TestAtMost3000FilesAreListed(t *testing.T) {
	w := newWorld(t, true)
	ctx, client := t.Context(), w.installed("acme").PullRequests
	files := map[string]string{}
	for i := range filesOfPull + 5 {
		files[fmt.Sprintf("many/%05d", i)] = fmt.Sprint(i)
	}
	_, err := w.Commit(ctx, Change{Repository: "acme/shop", Branch: "many", Author: "ana", Files: files})
	w.ok(err)
	number, err := w.OpenPullRequest(ctx, PullRequest{Repository: "acme/shop", Head: "many", Title: "Many", Author: "ana"})
	w.ok(err)
	page, res, err := client.ListFiles(ctx, "acme", "shop", number, &github.ListOptions{PerPage: 100, Page: 30})
	w.ok(err)
	if len(page) != 100 || res.NextPage != 0 || page[99].GetFilename() != "many/02999" {
		t.Errorf("page 30 has %d files and leads to %d", len(page), res.NextPage)
	}
	_, dir, _, err := w.installed("acme").Repositories.GetContents(ctx, "acme", "shop", "many", &github.RepositoryContentGetOptions{Ref: "many"})
	w.ok(err)
	if len(dir) != contentsInFolder {
		t.Errorf("the folder lists %d files, want %d", len(dir), contentsInFolder)
	}
}

func TestContentsOfTheRoot(t *testing.T) {
	w := newWorld(t, true)
	client := w.installed("acme").Repositories
	_, err := w.Commit(t.Context(), Change{Repository: "acme/shop", Branch: "stock", Author: "ana", Files: map[string]string{"x": "1"}})
	w.ok(err)
	for ref, want := range map[string][]string{
		"":      {"file .vitrine.yml", "file compose.yaml", "dir web"},
		"stock": {"file .vitrine.yml", "file compose.yaml", "dir web", "file x"},
	} {
		_, dir, _, err := client.GetContents(t.Context(), "acme", "shop", "", &github.RepositoryContentGetOptions{Ref: ref})
		w.ok(err)
		var got []string
		for _, entry := range dir {
			got = append(got, entry.GetType()+" "+entry.GetPath())
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", ref, diff)
		}
	}
	token, _ := w.newToken("")
	for path, want := range map[string]int{"/contents": 200, "/contents/": 200, "/contents/?ref=nowhere": 404, "/contents/none": 404} {
		if status, _ := w.ask("GET", "/repos/acme/shop"+path, "token "+token, ""); status != want {
			t.Errorf("%s answered %d, want %d", path, status, want)
		}
	}
}

func TestEditPayloadsHaveTheRecordedFields(t *testing.T) {
	w := newWorld(t, false)
	number, _ := w.propose("stock")
	w.ok(w.AddLabel("acme/shop", number, "preview", "ana"))
	w.ok(w.RemoveLabel("acme/shop", number, "preview", "ana"))
	w.ok(w.SetDraft("acme/shop", number, true, "ana"))
	w.ok(w.SetDraft("acme/shop", number, false, "ana"))
	w.compareWithRecorded(map[string]string{
		"pull_request labeled": "pull_request.labeled.json", "pull_request unlabeled": "pull_request.unlabeled.json",
		"pull_request converted_to_draft": "pull_request.converted_to_draft.with-installation.json",
		"pull_request ready_for_review":   "pull_request.ready_for_review.with-installation.json",
	})
}
