package bot

import (
	"context"
	"errors"
	"fmt"

	"vitrine/deployments"
	"vitrine/deployments/repoconfig"
)

// Head implements [deployments.Forge]. A repository that the App is not installed on (any more) has nothing that is open. An answer that the pull
// request or the branch is not there is confirmed before it is believed: an environment would be taken down for it.
func (b *Bot) Head(ctx context.Context, o deployments.Origin) (deployments.Head, error) {
	ctx, cancel := within(ctx, b.config.headTime)
	defer cancel()
	head, err := b.headOf(ctx, o)
	if gone(err) || err == nil && !head.Open && o.PullRequest == 0 {
		head, err = deployments.Head{}, b.confirm(ctx, o.Repo)
	}
	if errors.Is(err, errNotInstalled) {
		return deployments.Head{}, nil
	}
	if err != nil {
		return deployments.Head{}, fmt.Errorf("ask for the head of %s: %w", o.Key(), err)
	}
	return head, nil
}

func (b *Bot) headOf(ctx context.Context, o deployments.Origin) (deployments.Head, error) {
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

func (r repository) pullHead(ctx context.Context, number int) (deployments.Head, error) {
	pull, err := r.pull(ctx, number)
	if err != nil {
		return deployments.Head{}, err
	}
	into, from := pull.GetBase().GetRepo().GetFullName(), pull.GetHead().GetRepo().GetFullName()
	head := deployments.Head{
		Open:   pull.GetState() == "open",
		Source: deployments.Source{Repo: r.String(), Branch: pull.GetHead().GetRef(), SHA: pull.GetHead().GetSHA(), Fork: isFork(into, from)},
		Title:  plain(pull.GetTitle(), maxTitle),
		Skip:   skipReason(into, from, pull.GetTitle()),
	}
	if pull.GetBase().GetRepo().GetArchived() {
		head.Skip = skipArchived
	}
	head.Binding = head.Skip == skipArchived || head.Skip == skipFork
	if !commitSHA.MatchString(head.Source.SHA) {
		return deployments.Head{}, away(ctx, fmt.Errorf("pull request #%d of %s has no commit at its head", number, r))
	}
	return head, nil
}

func (r repository) branchHead(ctx context.Context, branch string) (deployments.Head, error) {
	tracked, err := r.tracks(ctx, branch)
	if deployments.FaultOf(err) != nil {
		// A configuration that cannot be read must not take down what it asked for before.
		tracked, err = true, nil
	}
	if err != nil || !tracked {
		return deployments.Head{}, err
	}
	sha, err := r.branch(ctx, branch)
	if err != nil || sha == "" {
		return deployments.Head{}, err
	}
	head := deployments.Head{Open: true, Source: deployments.Source{Repo: r.String(), Branch: branch, SHA: sha}}
	archived, err := r.archived(ctx)
	if archived {
		head.Skip = skipArchived
	}
	return head, err
}

// tracks reports whether the configuration at the default branch gives the branch an environment of its own. A configuration that cannot be read
// is a Fault.
func (r repository) tracks(ctx context.Context, branch string) (bool, error) {
	content, there, err := r.file(ctx, repoconfig.FileName)
	if err != nil || !there {
		return false, err
	}
	config, err := repoconfig.Parse(repoconfig.FileName, content)
	if err != nil {
		return false, fmt.Errorf("read %s at the default branch of %s: %w", repoconfig.FileName, r, err)
	}
	return config.Tracks(branch), nil
}

// Remote implements [deployments.Forge]. The token reads the contents of this one repository, for ten minutes at least. While one is at hand, GitHub's
// API need not answer.
func (b *Bot) Remote(ctx context.Context, repo string) (deployments.Remote, error) {
	ctx, cancel := within(ctx, b.config.callTime)
	defer cancel()
	token, err := b.apps.gitToken(ctx, repo)
	if err != nil {
		return deployments.Remote{}, fmt.Errorf("prepare to fetch %s: %w", repo, err)
	}
	return deployments.Remote{URL: b.config.URL + "/" + repo + ".git", Token: token}, nil
}
