package githubsim

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v4"
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

// ask sends a request as it is and returns the status and the message of the answer.
func (w *world) ask(method, path, authorization, body string) (int, string) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.url+apiPrefix+path, strings.NewReader(body))
	w.ok(err)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	w.t.Cleanup(http.DefaultTransport.(*http.Transport).CloseIdleConnections)
	res, err := http.DefaultClient.Do(req)
	w.ok(err)
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	w.ok(err)
	var message struct{ Message string }
	if err := json.Unmarshal(raw, &message); err != nil && res.StatusCode >= 400 {
		w.t.Errorf("%s %s answered %d with %q", method, path, res.StatusCode, raw)
	}
	if res.Header.Get("X-GitHub-Request-Id") == "" {
		w.t.Errorf("%s %s: the answer has no request id", method, path)
	}
	return res.StatusCode, message.Message
}

func nothing(jwt.MapClaims) {}

func (w *world) jwtAt(now time.Time) string {
	return w.jwt(func(c jwt.MapClaims) { c["iat"], c["exp"] = now.Unix(), now.Add(9*time.Minute).Unix() })
}

func (w *world) jwt(change func(jwt.MapClaims)) string {
	w.t.Helper()
	now := time.Now()
	claims := jwt.MapClaims{"iss": testApp, "iat": now.Add(-time.Minute).Unix(), "exp": now.Add(9 * time.Minute).Unix()}
	change(claims)
	value, err := jwt.NewWithClaims(jwt.SigningMethodRS256, claims).SignedString(w.key)
	w.ok(err)
	return value
}

func TestAppTokensAreChecked(t *testing.T) {
	w := newWorld(t, false)
	foreign, err := GenerateKey()
	w.ok(err)
	forged, err := jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.MapClaims{"iss": testApp, "iat": 1, "exp": time.Now().Add(time.Minute).Unix()}).SignedString(foreign)
	w.ok(err)
	none, err := jwt.NewWithClaims(jwt.SigningMethodNone, jwt.MapClaims{"iss": testApp}).SignedString(jwt.UnsafeAllowNoneSignatureType)
	w.ok(err)
	symmetric, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"iss": testApp}).SignedString([]byte("x"))
	w.ok(err)
	now := time.Now()
	for name, c := range map[string]struct {
		authorization string
		status        int
		message       string
	}{
		"right":           {"Bearer " + w.jwt(nothing), 200, ""},
		"a text as iss":   {"bearer " + w.jwt(func(c jwt.MapClaims) { c["iss"] = "4711" }), 200, ""},
		"nothing":         {"", 401, "Requires authentication"},
		"basic":           {"Basic YTpi", 401, "Bad credentials"},
		"nonsense":        {"Bearer x", 401, "could not be decoded"},
		"another's key":   {"Bearer " + forged, 401, "could not be decoded"},
		"no signature":    {"Bearer " + none, 401, "could not be decoded"},
		"a shared secret": {"Bearer " + symmetric, 401, "could not be decoded"},
		"another App":     {"Bearer " + w.jwt(func(c jwt.MapClaims) { c["iss"] = 1 }), 401, "'Issuer'"},
		"expired":         {"Bearer " + w.jwt(func(c jwt.MapClaims) { c["exp"] = now.Add(-time.Second).Unix() }), 401, "future time"},
		"no expiry":       {"Bearer " + w.jwt(func(c jwt.MapClaims) { delete(c, "exp") }), 401, "future time"},
		"too long":        {"Bearer " + w.jwt(func(c jwt.MapClaims) { c["exp"] = now.Add(11 * time.Minute).Unix() }), 401, "too far"},
		"a fraction":      {"Bearer " + w.jwt(func(c jwt.MapClaims) { c["exp"] = float64(now.Unix()) + 60.5 }), 401, "future time"},
		"from the future": {"Bearer " + w.jwt(func(c jwt.MapClaims) { c["iat"] = now.Add(time.Minute).Unix() }), 401, "'Issued at'"},
	} {
		status, message := w.ask("GET", "/app", c.authorization, "")
		if status != c.status || !strings.Contains(message, c.message) {
			t.Errorf("%s: answered %d %q, want %d %q", name, status, message, c.status, c.message)
		}
	}
}

// newToken asks for an installation token with a body of its own.
func (w *world) newToken(body string) (token string, status int) {
	w.t.Helper()
	return w.tokenFor(w.jwt(nothing), body)
}

func (w *world) newTokenAt(now time.Time) (token string, status int) {
	w.t.Helper()
	return w.tokenFor(w.jwtAt(now), "")
}

func (w *world) tokenFor(jwt, body string) (token string, status int) {
	w.t.Helper()
	path := fmt.Sprintf("%s/app/installations/%d/access_tokens", w.url+apiPrefix, w.InstallationID("acme"))
	req, err := http.NewRequestWithContext(w.t.Context(), "POST", path, strings.NewReader(body))
	w.ok(err)
	req.Header.Set("Authorization", "Bearer "+jwt)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	w.ok(err)
	defer res.Body.Close()
	var answer struct{ Token string }
	w.ok(json.NewDecoder(res.Body).Decode(&answer))
	return answer.Token, res.StatusCode
}

func TestInstallationTokensAreChecked(t *testing.T) {
	w := newWorld(t, false)
	w.ok(w.CreateRepository(t.Context(), "acme/secret", true, nil))
	w.ok(w.CreateRepository(t.Context(), "globex/vault", true, nil))
	w.ok(w.CreateRepository(t.Context(), "globex/site", false, nil))
	number, _ := w.propose("stock")
	id, err := w.Comment("acme/shop", number, "ana", "hello")
	w.ok(err)
	all, _ := w.newToken("")
	few, _ := w.newToken(`{"repositories":["shop"],"permissions":{"pull_requests":"read"}}`)
	if all == "" || few == "" || all == few {
		t.Fatalf("tokens %q and %q", all, few)
	}
	comments := fmt.Sprintf("/repos/acme/shop/issues/%d/comments", number)
	reactions := fmt.Sprintf("/repos/acme/shop/issues/comments/%d/reactions", id)
	for _, c := range []struct {
		method, path, token, body string
		status                    int
	}{
		{"GET", "/repos/acme/shop", "", "", 401},
		{"GET", "/repos/acme/shop", "ghs_wrong", "", 401},
		{"GET", "/repos/acme/shop", w.jwt(nothing), "", 403},
		{"GET", "/app", all, "", 401},
		{"GET", "/repos/acme/shop", all, "", 200},
		{"GET", "/repos/ACME/Shop", all, "", 200},
		{"GET", "/repos/acme/secret", all, "", 200},
		{"GET", "/repos/acme/secret", few, "", 404},
		{"GET", "/repos/globex/vault", all, "", 404},
		{"GET", "/repos/globex/site", all, "", 200},
		{"GET", "/repos/globex/site/collaborators/ana/permission", all, "", 403},
		{"GET", "/repos/acme/shop/branches/main", few, "", 403},
		{"GET", comments, few, "", 200},
		{"POST", comments, few, `{"body":"x"}`, 403},
		{"POST", comments, all, `{"body":"x"}`, 201},
		{"POST", comments, all, `{"body":""}`, 422},
		{"POST", comments, all, `{}`, 422},
		{"POST", comments, all, `{`, 400},
		{"POST", comments, all, `{"body":"` + strings.Repeat("x", commentLimit+1) + `"}`, 422},
		{"POST", comments, all, `{"body":"` + strings.Repeat("x", bodyLimit) + `"}`, 413},
		{"POST", "/repos/acme/shop/issues/99/comments", all, `{"body":"x"}`, 404},
		{"POST", reactions, all, `{"content":"applause"}`, 422},
		{"DELETE", reactions + "/1", all, "", 404},
		{"GET", "/repos/acme/shop/pulls?state=wrong", all, "", 422},
		{"GET", "/repos/acme/shop/nothing", all, "", 404},
		{"PUT", "/repos/acme/shop", all, "", 404},
		{"GET", "/", "", "", 404},
	} {
		authorization := ""
		if c.token != "" {
			authorization = "token " + c.token
		}
		if status, message := w.ask(c.method, c.path, authorization, c.body); status != c.status || status >= 400 && message == "" {
			t.Errorf("%s %s answered %d %q, want %d", c.method, c.path, status, message, c.status)
		}
	}
	for _, body := range []string{`{"permissions":{"administration":"read"}}`, `{"permissions":{"contents":"write"}}`, `{"repositories":["vault"]}`} {
		if _, status := w.newToken(body); status != 422 {
			t.Errorf("a token for %s: answered %d, want 422", body, status)
		}
	}
	w.mu.Lock()
	w.clock = func() time.Time { return time.Now().Add(tokenLifetime) }
	w.mu.Unlock()
	if status, _ := w.ask("GET", "/repos/acme/shop", "token "+all, ""); status != 401 {
		t.Errorf("an expired token: answered %d, want 401", status)
	}
}

func TestRateLimit(t *testing.T) {
	w := newWorld(t, false)
	start := time.Now()
	at := func(passed time.Duration) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.clock = func() time.Time { return start.Add(passed) }
	}
	at(0)
	value, _ := w.newToken("")
	w.Server.mu.Lock()
	quota := &w.tokens[value].installation.quota
	w.refill(quota)
	quota.used = hourlyLimit - 1
	w.Server.mu.Unlock()
	for i, want := range []int{200, 403} {
		if status, message := w.ask("GET", "/repos/acme/shop", "token "+value, ""); status != want {
			t.Errorf("request %d: answered %d %q, want %d", i+1, status, message, want)
		}
	}
	if status, _ := w.ask("GET", "/rate_limit", "token "+value, ""); status != 200 {
		t.Errorf("asking for the limit answered %d", status)
	}
	at(time.Hour - time.Second)
	if status, _ := w.ask("GET", "/repos/acme/shop", "token "+value, ""); status != 403 {
		t.Errorf("before the hour is over: answered %d", status)
	}
}

func TestCovers(t *testing.T) {
	levels := map[string]int{"": 0, "none": 0, "read": 1, "write": 2, "admin": 3}
	for held := range maps.Keys(levels) {
		for _, wanted := range []string{"read", "write", "admin"} {
			if got, want := covers(held, wanted), levels[held] >= levels[wanted]; got != want {
				t.Errorf("covers(%q, %q) is %v", held, wanted, got)
			}
		}
		if covers(held, "everything") {
			t.Errorf("%q covers what is no level", held)
		}
	}
}
