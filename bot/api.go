package bot

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/google/go-github/v60/github"

	"vitrine/deployments"
)

var (
	// repoName is "owner/name" as GitHub spells both. Anything else never becomes a part of an address.
	repoName  = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,100}/[A-Za-z0-9_.-]{1,100}$`)
	loginName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,100}(\[bot\])?$`)
	commitSHA = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)
)

// split returns the two parts of "owner/name".
func split(repo string) (owner, name string, err error) {
	owner, name, _ = strings.Cut(repo, "/")
	if !repoName.MatchString(repo) || dots(owner) || dots(name) {
		return "", "", fmt.Errorf("%q is no repository's owner/name", repo)
	}
	return owner, name, nil
}

// dots reports whether s would be taken for a step within a path.
func dots(s string) bool { return s == "." || s == ".." }

// A repository is one at GitHub, as the App's installation on it sees it.
type repository struct {
	bot         *Bot
	gh          *github.Client
	owner, name string
}

func (r repository) String() string { return r.owner + "/" + r.name }

func (b *Bot) repository(ctx context.Context, repo string) (repository, error) {
	owner, name, err := split(repo)
	if err != nil {
		return repository{}, err
	}
	gh, err := b.apps.client(ctx, repo)
	return repository{bot: b, gh: gh, owner: owner, name: name}, err
}

// wrap adds what was being done to an error of a request, and who is waited for. It returns nil for nil.
func (r repository) wrap(ctx context.Context, err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s of %s: %w", fmt.Sprintf(format, args...), r, r.bot.apps.failed(ctx, r.String(), err))
}

// archived reports whether the repository can only be read.
func (r repository) archived(ctx context.Context) (bool, error) {
	found, _, err := r.gh.Repositories.Get(ctx, r.owner, r.name)
	return found.GetArchived(), r.wrap(ctx, err, "read the state")
}

func (r repository) pull(ctx context.Context, number int) (*github.PullRequest, error) {
	pull, _, err := r.gh.PullRequests.Get(ctx, r.owner, r.name, number)
	return pull, r.wrap(ctx, err, "read pull request #%d", number)
}

// branch returns the commit of a branch, "" where there is none of that name.
func (r repository) branch(ctx context.Context, branch string) (sha string, err error) {
	if branch == "" || dots(branch) {
		return "", nil
	}
	// go-github's GetBranch hides the status of a failure.
	req, err := r.gh.NewRequest(http.MethodGet, fmt.Sprintf("repos/%s/%s/branches/%s", r.owner, r.name, url.PathEscape(branch)), nil)
	if err != nil {
		return "", r.wrap(ctx, err, "read branch %q", branch)
	}
	var found github.Branch
	if _, err = r.gh.Do(ctx, req, &found); statusOf(err) == http.StatusNotFound {
		return "", nil
	}
	return found.GetCommit().GetSHA(), r.wrap(ctx, err, "read branch %q", branch)
}

// file returns a file's content at a branch or a commit, at the head of the default branch for "", and whether it is there. What is no file, or a very large
// one, is a Fault.
func (r repository) file(ctx context.Context, path, ref string) (content []byte, there bool, err error) {
	file, _, _, err := r.gh.Repositories.GetContents(ctx, r.owner, r.name, path, &github.RepositoryContentGetOptions{Ref: ref})
	if ref != "" && absentCommit(err) {
		return nil, false, r.wrap(ctx, absent(err), "read %s at %s", path, ref)
	}
	if statusOf(err) == http.StatusNotFound {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, r.unreadable(r.wrap(ctx, err, "read %s", path))
	}
	if file.GetType() != "file" || file.GetEncoding() != "base64" { // GitHub leaves out what is larger than 1 MiB
		return nil, true, &deployments.Fault{Kind: deployments.FaultConfig, Where: path, Reason: "This is no file, or too large to be read."}
	}
	text, err := file.GetContent()
	return []byte(text), true, r.wrap(ctx, err, "read %s", path)
}

// permission returns what a user may do: "admin", "write", "read" or "none".
func (r repository) permission(ctx context.Context, user string) (string, error) {
	level, _, err := r.gh.Repositories.GetPermissionLevel(ctx, r.owner, r.name, user)
	if statusOf(err) == http.StatusNotFound {
		return "none", nil
	}
	return level.GetPermission(), r.wrap(ctx, err, "ask for the permission of %s", user)
}

func (r repository) react(ctx context.Context, comment int64, content string) error {
	_, _, err := r.gh.Reactions.CreateIssueCommentReaction(ctx, r.owner, r.name, comment, content)
	return r.wrap(ctx, err, "react to comment %d", comment)
}

func (r repository) comment(ctx context.Context, id int64) (body string, err error) {
	c, _, err := r.gh.Issues.GetComment(ctx, r.owner, r.name, id)
	return c.GetBody(), r.wrap(ctx, err, "read comment %d", id)
}

func (r repository) createComment(ctx context.Context, number int, body string) (id int64, err error) {
	c, _, err := r.gh.Issues.CreateComment(ctx, r.owner, r.name, number, &github.IssueComment{Body: &body})
	return c.GetID(), r.wrap(ctx, err, "comment on #%d", number)
}

func (r repository) editComment(ctx context.Context, id int64, body string) error {
	_, _, err := r.gh.Issues.EditComment(ctx, r.owner, r.name, id, &github.IssueComment{Body: &body})
	return r.wrap(ctx, err, "edit comment %d", id)
}

// ownComment returns the first comment on an issue, written since a time (the zero time: ever), that the App itself wrote and that holds the
// marker; or nil. Other people's do not count: anybody can write a marker.
func (r repository) ownComment(ctx context.Context, number int, marker string, since time.Time) (*github.IssueComment, error) {
	login, err := r.bot.Login(ctx)
	if err != nil {
		return nil, err
	}
	options := &github.IssueListCommentsOptions{ListOptions: github.ListOptions{PerPage: 100}}
	if !since.IsZero() {
		options.Since = &since
	}
	for {
		comments, answer, err := r.gh.Issues.ListComments(ctx, r.owner, r.name, number, options)
		if err != nil {
			return nil, r.wrap(ctx, err, "list the comments on #%d", number)
		}
		for _, c := range comments {
			if c.GetUser().GetLogin() == login && strings.Contains(c.GetBody(), marker) {
				return c, nil
			}
		}
		if answer.NextPage == 0 {
			return nil, nil
		}
		options.Page = answer.NextPage
	}
}

// Login returns the name that the App writes under, "vitrine[bot]". An error says that GitHub does not answer, or does not take the App's number and key.
func (b *Bot) Login(ctx context.Context) (string, error) {
	b.mu.Lock()
	login := b.botted
	b.mu.Unlock()
	if login != "" {
		return login, nil
	}
	ctx, cancel := within(ctx, b.config.callTime)
	defer cancel()
	app, _, err := b.apps.app.Apps.Get(ctx, "")
	if err != nil {
		return "", fmt.Errorf("ask for the App's name: %w", away(ctx, err))
	}
	login = app.GetSlug() + "[bot]"
	b.mu.Lock()
	b.botted = login
	b.mu.Unlock()
	return login, nil
}
