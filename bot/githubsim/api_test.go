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

func TestAppAndInstallations(t *testing.T) {
	w := newWorld(t, true)
	ctx, client := t.Context(), w.app()
	app, _, err := client.Apps.Get(ctx, "")
	w.ok(err)
	if app.GetSlug() != "vitrine" || app.GetOwner().GetLogin() != "acme" || app.GetID() != testApp || app.GetPermissions().GetIssues() != "write" {
		t.Errorf("the App is %v", app)
	}
	list, _, err := client.Apps.ListInstallations(ctx, nil)
	w.ok(err)
	if len(list) != 1 || list[0].GetAccount().GetLogin() != "acme" {
		t.Fatalf("installations: %v", list)
	}
	one, _, err := client.Apps.GetInstallation(ctx, list[0].GetID())
	w.ok(err)
	of, _, err := client.Apps.FindRepositoryInstallation(ctx, "acme", "shop")
	w.ok(err)
	if one.GetID() != w.InstallationID("acme") || of.GetID() != one.GetID() {
		t.Errorf("installations %d and %d", one.GetID(), of.GetID())
	}
	if _, res, err := client.Apps.FindRepositoryInstallation(ctx, "acme", "missing"); err == nil || res.StatusCode != http.StatusNotFound {
		t.Errorf("a missing repository has an installation: %v", err)
	}
	repos, _, err := w.installed("acme").Apps.ListRepos(ctx, nil)
	w.ok(err)
	if repos.GetTotalCount() != 1 || repos.Repositories[0].GetFullName() != "acme/shop" {
		t.Errorf("repositories: %v", repos)
	}
	limits, _, err := w.installed("acme").RateLimit.Get(ctx)
	w.ok(err)
	if limits.Core.Limit != hourlyLimit || limits.Core.Remaining != hourlyLimit-1 { // the listing has counted
		t.Errorf("limits: %v", limits.Core)
	}
}

func TestRepositoryEndpoints(t *testing.T) {
	w := newWorld(t, true)
	ctx, client := t.Context(), w.installed("acme")
	number, sha := w.propose("feature/stock")
	repo, _, err := client.Repositories.Get(ctx, "acme", "shop")
	w.ok(err)
	if repo.GetCloneURL() != w.url+"/acme/shop.git" || repo.GetDefaultBranch() != "main" || repo.GetPrivate() {
		t.Errorf("the repository is %v", repo)
	}
	branch, _, err := client.Repositories.GetBranch(ctx, "acme", "shop", "feature/stock", 0)
	w.ok(err)
	branches, page, err := client.Repositories.ListBranches(ctx, "acme", "shop", &github.BranchListOptions{ListOptions: github.ListOptions{PerPage: 1}})
	w.ok(err)
	if len(branches) != 1 || branches[0].GetName() != "feature/stock" || branches[0].GetCommit().GetSHA() != sha || page.NextPage != 2 {
		t.Errorf("the first branch is %v, and page %d comes next", branches, page.NextPage)
	}
	ref, _, err := client.Git.GetRef(ctx, "acme", "shop", "heads/feature/stock")
	w.ok(err)
	commit, _, err := client.Repositories.GetCommit(ctx, "acme", "shop", "feature/stock", nil)
	w.ok(err)
	short, _, err := client.Repositories.GetCommitSHA1(ctx, "acme", "shop", sha[:10], "")
	w.ok(err)
	if got := []string{branch.GetCommit().GetSHA(), ref.GetObject().GetSHA(), commit.GetSHA(), short}; !cmp.Equal(got, []string{sha, sha, sha, sha}) {
		t.Errorf("branch, ref and commits are %v, want %s", got, sha)
	}
	if commit.GetCommit().GetMessage() != "Show stock" || commit.GetAuthor().GetLogin() != "ana" {
		t.Errorf("the commit is %v", commit)
	}
	file, _, _, err := client.Repositories.GetContents(ctx, "acme", "shop", ".vitrine.yml", &github.RepositoryContentGetOptions{Ref: "main"})
	w.ok(err)
	if content, err := file.GetContent(); err != nil || content != "branches: [main]\n" {
		t.Errorf("the file holds %q, %v", content, err)
	}
	_, dir, _, err := client.Repositories.GetContents(ctx, "acme", "shop", "web", &github.RepositoryContentGetOptions{Ref: sha})
	w.ok(err)
	if len(dir) != 1 || dir[0].GetPath() != "web/index.html" || dir[0].GetType() != "file" {
		t.Errorf("the folder holds %v", dir)
	}
	for login, want := range map[string]string{"ana": "admin", "ben": "write", "mallory": "read"} {
		level, _, err := client.Repositories.GetPermissionLevel(ctx, "acme", "shop", login)
		w.ok(err)
		if level.GetPermission() != want {
			t.Errorf("%s has %s, want %s", login, level.GetPermission(), want)
		}
	}
	pr, _, err := client.PullRequests.Get(ctx, "acme", "shop", number)
	w.ok(err)
	if pr.GetHead().GetSHA() != sha || pr.GetState() != "open" || pr.GetUser().GetLogin() != "ana" || pr.GetChangedFiles() != 1 || pr.GetCommits() != 1 {
		t.Errorf("the pull request is %v", pr)
	}
	for name, call := range map[string]func() (*github.Response, error){
		"branch": func() (*github.Response, error) {
			_, r, err := client.Repositories.GetBranch(ctx, "acme", "shop", "x", 0)
			return r, err
		},
		"ref": func() (*github.Response, error) {
			_, r, err := client.Git.GetRef(ctx, "acme", "shop", "heads/x")
			return r, err
		},
		"pull": func() (*github.Response, error) {
			_, r, err := client.PullRequests.Get(ctx, "acme", "shop", 99)
			return r, err
		},
		"repo": func() (*github.Response, error) {
			_, r, err := client.Repositories.Get(ctx, "acme", "x")
			return r, err
		},
		"comment": func() (*github.Response, error) {
			_, r, err := client.Issues.GetComment(ctx, "acme", "shop", 99)
			return r, err
		},
		"contents": func() (*github.Response, error) {
			_, _, r, err := client.Repositories.GetContents(ctx, "acme", "shop", "none", nil)
			return r, err
		},
		"user": func() (*github.Response, error) {
			_, r, err := client.Repositories.GetPermissionLevel(ctx, "acme", "shop", "nobody")
			return r, err
		},
	} {
		if res, err := call(); err == nil || res.StatusCode != http.StatusNotFound {
			t.Errorf("a missing %s: %v, want 404", name, err)
		}
	}
	for _, ref := range []string{"main~1", "main^{tree}", "--help", "HEAD", "@{-1}", strings.Repeat("0", 40)} {
		if _, res, err := client.Repositories.GetCommit(ctx, "acme", "shop", ref, nil); err == nil || res.StatusCode != 422 {
			t.Errorf("the commit %q: %v, want 422", ref, err)
		}
	}
}

func TestListPulls(t *testing.T) {
	w := newWorld(t, true)
	ctx, client := t.Context(), w.installed("acme")
	for i := range 5 {
		w.propose(fmt.Sprintf("b%d", i+1))
	}
	w.ok(w.ClosePullRequest("acme/shop", 3, "ana"))
	for _, c := range []struct {
		opt  github.PullRequestListOptions
		want []int
	}{
		{github.PullRequestListOptions{}, []int{5, 4, 2, 1}},
		{github.PullRequestListOptions{State: "closed"}, []int{3}},
		{github.PullRequestListOptions{State: "all", Sort: "created", Direction: "asc"}, []int{1, 2, 3, 4, 5}},
		{github.PullRequestListOptions{Head: "acme:b2"}, []int{2}},
		{github.PullRequestListOptions{Base: "elsewhere"}, nil},
		{github.PullRequestListOptions{State: "all", ListOptions: github.ListOptions{PerPage: 2, Page: 2}}, []int{3, 2}},
		{github.PullRequestListOptions{ListOptions: github.ListOptions{Page: 9}}, nil},
	} {
		pulls, _, err := client.PullRequests.List(ctx, "acme", "shop", &c.opt)
		w.ok(err)
		var got []int
		for _, p := range pulls {
			got = append(got, p.GetNumber())
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", c.opt, diff)
		}
	}
}

func TestCommentsAndReactions(t *testing.T) {
	w := newWorld(t, true)
	ctx, client := t.Context(), w.installed("acme")
	number, _ := w.propose("stock")
	made, _, err := client.Issues.CreateComment(ctx, "acme", "shop", number, &github.IssueComment{Body: github.String("### Preview")})
	w.ok(err)
	if made.GetUser().GetLogin() != "vitrine[bot]" || made.GetUser().GetType() != "Bot" {
		t.Errorf("the comment is by %v", made.GetUser())
	}
	edited, _, err := client.Issues.EditComment(ctx, "acme", "shop", made.GetID(), &github.IssueComment{Body: github.String("### Ready")})
	w.ok(err)
	read, _, err := client.Issues.GetComment(ctx, "acme", "shop", made.GetID())
	w.ok(err)
	if edited.GetBody() != "### Ready" || read.GetBody() != "### Ready" {
		t.Errorf("the comment holds %q", read.GetBody())
	}
	id, err := w.Comment("acme/shop", number, "ben", "/extend")
	w.ok(err)

	first, res, err := client.Reactions.CreateIssueCommentReaction(ctx, "acme", "shop", id, "eyes")
	w.ok(err)
	again, resAgain, err := client.Reactions.CreateIssueCommentReaction(ctx, "acme", "shop", id, "eyes")
	w.ok(err)
	if res.StatusCode != 201 || resAgain.StatusCode != 200 || first.GetID() != again.GetID() {
		t.Errorf("reacted with %d, again with %d", res.StatusCode, resAgain.StatusCode)
	}
	_, _, err = client.Reactions.CreateIssueCommentReaction(ctx, "acme", "shop", id, "rocket")
	w.ok(err)
	_, err = client.Reactions.DeleteIssueCommentReaction(ctx, "acme", "shop", id, first.GetID())
	w.ok(err)
	left, _, err := client.Reactions.ListIssueCommentReactions(ctx, "acme", "shop", id, nil)
	w.ok(err)
	if len(left) != 1 || left[0].GetContent() != "rocket" {
		t.Errorf("reactions: %v", left)
	}

	_, err = client.Issues.DeleteComment(ctx, "acme", "shop", made.GetID())
	w.ok(err)
	comments, err := w.Comments("acme/shop", number)
	w.ok(err)
	want := []Comment{{ID: id, Author: "ben", Body: "/extend", Reactions: []Reaction{{ID: left[0].GetID(), Author: "vitrine[bot]", Content: "rocket"}}}}
	for i := range comments {
		comments[i].CreatedAt, comments[i].UpdatedAt = time.Time{}, time.Time{}
		for j := range comments[i].Reactions {
			comments[i].Reactions[j].CreatedAt = time.Time{}
		}
	}
	if diff := cmp.Diff(want, comments); diff != "" {
		t.Error(diff)
	}
	got := names(w.hooked())
	if diff := cmp.Diff([]string{
		"push", "pull_request opened", "issue_comment created", "issue_comment edited", "issue_comment created", "issue_comment deleted",
	}, got); diff != "" {
		t.Error(diff)
	}
}

func TestCommentsArePaged(t *testing.T) {
	w := newWorld(t, true)
	client := w.installed("acme")
	number, _ := w.propose("stock")
	for range 35 {
		_, err := w.Comment("acme/shop", number, "ana", "again")
		w.ok(err)
	}
	opt := &github.IssueListCommentsOptions{}
	var pages []int
	for {
		comments, res, err := client.Issues.ListComments(t.Context(), "acme", "shop", number, opt)
		w.ok(err)
		pages = append(pages, len(comments))
		if res.NextPage == 0 {
			break
		}
		opt.Page = res.NextPage
	}
	if diff := cmp.Diff([]int{30, 5}, pages); diff != "" {
		t.Error(diff)
	}
}
