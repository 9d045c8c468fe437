package bot

import (
	"context"
	"errors"
	"fmt"

	"vitrine/deployments"
	"vitrine/deployments/repoconfig"
)

// Head implements [deployments.Forge]. A repository that the App is not installed on (any more) has nothing that is open.
func (b *Bot) Head(ctx context.Context, o deployments.Origin) (deployments.Head, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	r, err := b.repository(ctx, o.Repo)
	if err == nil {
		var head deployments.Head
		if o.PullRequest != 0 {
			head, err = r.pullHead(ctx, o.PullRequest)
		} else {
			head, err = r.branchHead(ctx, o.Branch)
		}
		if err == nil {
			return head, nil
		}
	}
	if gone(err) || errors.Is(err, errNotInstalled) {
		return deployments.Head{}, nil
	}
	return deployments.Head{}, fmt.Errorf("ask for the head of %s: %w", o.Key(), err)
}

func (r repository) pullHead(ctx context.Context, number int) (deployments.Head, error) {
	pull, err := r.pull(ctx, number)
	if err != nil {
		return deployments.Head{}, err
	}
	head := deployments.Head{
		Open:   pull.GetState() == "open",
		Source: deployments.Source{Repo: r.String(), Branch: pull.GetHead().GetRef(), SHA: pull.GetHead().GetSHA()},
		Title:  plain(pull.GetTitle(), maxTitle),
		Skip:   skipReason(pull.GetBase().GetRepo().GetFullName(), pull.GetHead().GetRepo().GetFullName(), pull.GetTitle()),
	}
	if !commitSHA.MatchString(head.Source.SHA) {
		return deployments.Head{}, fmt.Errorf("pull request #%d of %s has no commit at its head", number, r)
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
	return deployments.Head{Open: true, Source: deployments.Source{Repo: r.String(), Branch: branch, SHA: sha}}, nil
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

// Remote implements [deployments.Forge]. The token reads the contents of this one repository, for ten minutes at least.
func (b *Bot) Remote(ctx context.Context, repo string) (deployments.Remote, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	token, err := b.apps.gitToken(ctx, repo)
	if err != nil {
		return deployments.Remote{}, fmt.Errorf("prepare to fetch %s: %w", repo, err)
	}
	return deployments.Remote{URL: b.config.URL + "/" + repo + ".git", Token: token}, nil
}
