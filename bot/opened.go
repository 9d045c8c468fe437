package bot

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/go-github/v60/github"

	"vitrine/deployments"
)

// perPage is how many of a list are asked for at once, GitHub's most.
const perPage = 100

// Opened implements [deployments.Forge]: it asks about every repository that the App is installed on. One that is archived or not served has nothing open.
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

func (b *Bot) openedIn(ctx context.Context, repo *github.Repository) (o deployments.Opened, err error) {
	o.Repo = repo.GetFullName()
	served, err := b.serves(ctx, o.Repo)
	switch {
	case err != nil:
		return o, err
	case !served:
		o.Cause = causeUnserved
		return o, nil
	case repo.GetArchived():
		o.Cause = skipArchived
		return o, nil
	}
	r, err := b.repository(ctx, o.Repo)
	if err != nil {
		return o, err
	}
	pulls, err := r.openPulls(ctx)
	if err != nil {
		return o, err
	}
	branches, err := r.trackedBranches(ctx)
	if deployments.FaultOf(err) != nil {
		o.BranchesUnknown, err = true, nil
	}
	o.Heads = append(pulls, branches...)
	return o, err
}

// openPulls returns the open pull requests.
func (r repository) openPulls(ctx context.Context) (heads []deployments.OpenHead, err error) {
	options := &github.PullRequestListOptions{State: "open", ListOptions: github.ListOptions{PerPage: perPage}}
	for {
		pulls, answer, err := r.gh.PullRequests.List(ctx, r.owner, r.name, options)
		if err != nil {
			return nil, r.wrap(ctx, err, "list the open pull requests")
		}
		for _, pull := range pulls {
			heads = append(heads, deployments.OpenHead{
				Origin: deployments.Origin{Repo: r.String(), PullRequest: pull.GetNumber()},
				Source: r.sourceOf(pull), Title: plain(pull.GetTitle(), maxTitle), SeenAt: pull.GetUpdatedAt().Time,
			})
		}
		if answer.NextPage == 0 {
			return heads, nil
		}
		options.Page = answer.NextPage
	}
}

// trackedBranches returns the branches that have an environment of their own. A configuration that cannot be read is a Fault.
func (r repository) trackedBranches(ctx context.Context) (heads []deployments.OpenHead, err error) {
	config, err := r.config(ctx, "")
	if err != nil || len(config.Branches) == 0 {
		return nil, err
	}
	options := &github.BranchListOptions{ListOptions: github.ListOptions{PerPage: perPage}}
	for {
		branches, answer, err := r.gh.Repositories.ListBranches(ctx, r.owner, r.name, options)
		if err != nil {
			return nil, r.wrap(ctx, err, "list the branches")
		}
		for _, b := range branches {
			if name := b.GetName(); config.Tracks(name) {
				heads = append(heads, deployments.OpenHead{
					Origin: deployments.Origin{Repo: r.String(), Branch: name},
					Source: deployments.Source{Repo: r.String(), Branch: name, SHA: b.GetCommit().GetSHA()},
				})
			}
		}
		if answer.NextPage == 0 {
			return heads, nil
		}
		options.Page = answer.NextPage
	}
}

// repositories returns those that the App is installed on. Where they cannot be found out of one installation, the error says so beside the others'.
func (in *installations) repositories(ctx context.Context) (repos []*github.Repository, err error) {
	options := &github.ListOptions{PerPage: perPage}
	var errs []error
	for {
		found, answer, err := in.app.Apps.ListInstallations(ctx, options)
		if err != nil {
			return repos, errors.Join(append(errs, away(ctx, fmt.Errorf("list the App's installations: %w", err)))...)
		}
		for _, i := range found {
			if i.SuspendedAt != nil {
				continue
			}
			of, err := in.repositoriesOf(ctx, i.GetID())
			repos, errs = slices.Concat(repos, of), append(errs, err, in.tellLacking(i))
		}
		if answer.NextPage == 0 {
			return repos, errors.Join(errs...)
		}
		options.Page = answer.NextPage
	}
}

func (in *installations) repositoriesOf(ctx context.Context, id int64) (repos []*github.Repository, err error) {
	client, err := in.clientOf(id)
	if err != nil {
		return nil, err
	}
	options := &github.ListOptions{PerPage: perPage}
	for {
		found, answer, err := client.Apps.ListRepos(ctx, options)
		if err != nil {
			return repos, away(ctx, fmt.Errorf("list the repositories of installation %d: %w", id, err))
		}
		repos = append(repos, found.Repositories...)
		if answer.NextPage == 0 {
			return repos, nil
		}
		options.Page = answer.NextPage
	}
}
