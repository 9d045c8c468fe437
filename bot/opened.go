package bot

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/go-github/v60/github"

	"vitrine/deployments"
)

// perPage is how many of a list are asked for at once, GitHub's most.
const perPage = 100

// Opened implements [deployments.Forge]: it asks about every repository that the App is installed on.
func (b *Bot) Opened(ctx context.Context) ([]deployments.Opened, error) {
	repos, err := b.apps.repositories(ctx)
	errs := []error{err}
	var opened []deployments.Opened
	for _, repo := range repos {
		o, err := b.openedIn(ctx, repo)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		opened = append(opened, o)
	}
	return opened, errors.Join(errs...)
}

func (b *Bot) openedIn(ctx context.Context, repo string) (o deployments.Opened, err error) {
	o.Repo = repo
	r, err := b.repository(ctx, repo)
	if err != nil {
		return o, err
	}
	options := &github.PullRequestListOptions{State: "open", ListOptions: github.ListOptions{PerPage: perPage}}
	for {
		pulls, answer, err := r.gh.PullRequests.List(ctx, r.owner, r.name, options)
		if err != nil {
			return o, r.wrap(ctx, err, "list the open pull requests")
		}
		for _, pull := range pulls {
			o.Heads = append(o.Heads, r.openHead(pull))
		}
		if answer.NextPage == 0 {
			return o, nil
		}
		options.Page = answer.NextPage
	}
}

func (r repository) openHead(pull *github.PullRequest) deployments.OpenHead {
	into, from := pull.GetBase().GetRepo().GetFullName(), pull.GetHead().GetRepo().GetFullName()
	return deployments.OpenHead{
		Origin: deployments.Origin{Repo: r.String(), PullRequest: pull.GetNumber()},
		Source: deployments.Source{Repo: r.String(), Branch: pull.GetHead().GetRef(), SHA: pull.GetHead().GetSHA(), Fork: isFork(into, from)},
		Title:  plain(pull.GetTitle(), maxTitle),
		SeenAt: pull.GetUpdatedAt().Time,
	}
}

// repositories returns those that the App is installed on.
func (in *installations) repositories(ctx context.Context) (repos []string, err error) {
	options := &github.ListOptions{PerPage: perPage}
	for {
		found, answer, err := in.app.Apps.ListInstallations(ctx, options)
		if err != nil {
			return repos, away(ctx, fmt.Errorf("list the App's installations: %w", err))
		}
		for _, i := range found {
			if i.SuspendedAt != nil {
				continue
			}
			of, err := in.repositoriesOf(ctx, i.GetID())
			if err != nil {
				return repos, err
			}
			repos = append(repos, of...)
		}
		if answer.NextPage == 0 {
			return repos, nil
		}
		options.Page = answer.NextPage
	}
}

func (in *installations) repositoriesOf(ctx context.Context, id int64) (repos []string, err error) {
	client, err := in.clientOf(id)
	if err != nil {
		return nil, err
	}
	options := &github.ListOptions{PerPage: perPage}
	for {
		found, answer, err := client.Apps.ListRepos(ctx, options)
		if err != nil {
			return nil, away(ctx, fmt.Errorf("list the repositories of installation %d: %w", id, err))
		}
		for _, r := range found.Repositories {
			if !r.GetArchived() {
				repos = append(repos, r.GetFullName())
			}
		}
		if answer.NextPage == 0 {
			return repos, nil
		}
		options.Page = answer.NextPage
	}
}
