package bot

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/google/go-github/v60/github"

	"vitrine/deployments"
)

// Why something is not open that is not simply closed.
const (
	causeNotInstalled = "the App is not installed on the repository any more"
	causeUntracked    = "the branch is not tracked any more"
	causeNoBranch     = "the branch is not there any more"
)

// Head implements [deployments.Forge]. A repository that is not served, or that the App is not installed on (any more), has nothing that is open. An answer
// that the pull request or the branch is not there is confirmed before it is believed: an environment would be taken down for it.
func (b *Bot) Head(ctx context.Context, o deployments.Origin) (deployments.Head, error) {
	ctx, cancel := within(ctx, b.config.headTime)
	defer cancel()
	return b.presentHead(ctx, o)
}

// presentHead is Head within the caller's time.
func (b *Bot) presentHead(ctx context.Context, o deployments.Origin) (deployments.Head, error) {
	head, err := b.headOf(ctx, o)
	if gone(err) || err == nil && !head.Open && o.PullRequest == 0 && head.Cause != causeUnserved {
		head, err = deployments.Head{Cause: head.Cause}, b.confirm(ctx, o.Repo)
	}
	if errors.Is(err, errNotInstalled) {
		return deployments.Head{Cause: causeNotInstalled}, nil
	}
	if err != nil {
		return deployments.Head{}, fmt.Errorf("ask for the head of %s: %w", o.Key(), err)
	}
	return head, nil
}

func (b *Bot) headOf(ctx context.Context, o deployments.Origin) (deployments.Head, error) {
	served, err := b.serves(ctx, o.Repo)
	if err != nil {
		return deployments.Head{}, err
	}
	if !served {
		return deployments.Head{Cause: causeUnserved}, nil
	}
	r, err := b.repository(ctx, o.Repo)
	switch {
	case err != nil:
		return deployments.Head{}, err
	case o.PullRequest != 0:
		return r.pullHead(ctx, o.PullRequest)
	default:
		return r.branchHead(ctx, o.Branch)
	}
}

// confirm returns nil where GitHub knows the repository and the App's installation on it, so that its word on what lies in there counts. Where it
// has the installation and not the repository, it contradicts itself, as it does in an incident.
func (b *Bot) confirm(ctx context.Context, repo string) error {
	b.apps.doubt(repo)
	r, err := b.repository(ctx, repo)
	if err != nil {
		return err
	}
	_, err = r.archived(ctx)
	if gone(err) {
		return &deployments.Unavailable{Neighbour: waitsForGitHub, Err: fmt.Errorf("GitHub says that %s is there, and that it is not", r)}
	}
	return err
}

// pullHead returns the head of a pull request, and the rule that keeps it from being deployed.
func (r repository) pullHead(ctx context.Context, number int) (deployments.Head, error) {
	pull, err := r.pull(ctx, number)
	if err != nil {
		return deployments.Head{}, err
	}
	head := deployments.Head{Open: pull.GetState() == "open", Source: r.sourceOf(pull), Title: plain(pull.GetTitle(), maxTitle)}
	if !commitSHA.MatchString(head.Source.SHA) {
		return deployments.Head{}, away(ctx, fmt.Errorf("pull request #%d of %s has no commit at its head", number, r))
	}
	if !head.Open {
		return head, nil
	}
	found, err := r.skipped(ctx, pull, head.Source)
	head.Skip, head.Binding = found.text, found.binding
	return head, err
}

// sourceOf returns the head of a pull request.
func (r repository) sourceOf(pull *github.PullRequest) deployments.Source {
	into, from := pull.GetBase().GetRepo().GetFullName(), pull.GetHead().GetRepo().GetFullName()
	return deployments.Source{Repo: r.String(), Branch: pull.GetHead().GetRef(), SHA: pull.GetHead().GetSHA(), Fork: isFork(into, from)}
}

func (r repository) branchHead(ctx context.Context, branch string) (deployments.Head, error) {
	tracked, err := r.tracks(ctx, branch)
	if deployments.FaultOf(err) != nil {
		// A configuration that cannot be read must not take down what it asked for before.
		tracked, err = true, nil
	}
	if err != nil {
		return deployments.Head{}, err
	}
	if !tracked {
		return deployments.Head{Cause: causeUntracked}, nil
	}
	sha, err := r.branch(ctx, branch)
	if err != nil || sha == "" {
		return deployments.Head{Cause: causeNoBranch}, err
	}
	head := deployments.Head{Open: true, Source: deployments.Source{Repo: r.String(), Branch: branch, SHA: sha}}
	archived, err := r.archived(ctx)
	if archived {
		head.Skip, head.Binding = skipArchived, true
	}
	return head, err
}

// tracks reports whether the configuration at the default branch gives the branch an environment of its own. A configuration that cannot be read
// is a Fault.
func (r repository) tracks(ctx context.Context, branch string) (bool, error) {
	config, err := r.config(ctx, "")
	return config.Tracks(branch), err
}

// Remote implements [deployments.Forge]. The token reads the contents of this one repository, for ten minutes at least. While one is at hand, GitHub's
// API need not answer.
func (b *Bot) Remote(ctx context.Context, repo string) (deployments.Remote, error) {
	ctx, cancel := within(ctx, b.config.callTime)
	defer cancel()
	token, err := b.apps.gitToken(ctx, repo)
	if refusal := (*tokenRefusal)(nil); errors.As(err, &refusal) && strings.Contains(refusal.reason, "permissions requested are not granted") {
		return deployments.Remote{}, errUnreadable
	}
	if err != nil {
		return deployments.Remote{}, fmt.Errorf("prepare to fetch %s: %w", repo, err)
	}
	return deployments.Remote{URL: b.config.URL + "/" + repo + ".git", Token: token}, nil
}
