package bot

import (
	"errors"
	"strings"

	"vitrine/deployments"
)

// readPullRequest reads what became of a pull request. What is opened, pushed or closed is wanted at once, so that nobody waits for GitHub; the rules are
// held against it by [Bot.Head]. What can only change a rule's answer becomes a question, as it may well change nothing.
func readPullRequest(d *deployments.Delivery, p payload) error {
	pr := p.PullRequest
	if pr == nil || p.Number <= 0 || !commitSHA.MatchString(pr.Head.SHA) {
		return errors.New("the payload of pull_request has no pull_request with a number and a head")
	}
	want := deployments.Want{
		Origin: deployments.Origin{Repo: p.Repository.FullName, PullRequest: p.Number},
		Title:  plain(pr.Title, maxTitle),
		By:     deployments.ByEvent,
	}
	switch {
	case p.Action == "closed":
		want.Intent, want.Cause = deployments.Gone, causeClosed
		if pr.Merged {
			want.Cause = causeMerged
		}
		d.Wants = append(d.Wants, want)
	case pr.State != "open": // closed ones can be labelled
	case p.Action == "opened" || p.Action == "reopened" || p.Action == "synchronize":
		want.Intent, want.Source, want.SeenAt = deployments.Up, pr.source(p.Repository.FullName), pr.UpdatedAt
		want.Cause = p.Action + " " + want.Source.ShortSHA()
		if p.Action == "synchronize" {
			want.Cause = "push " + want.Source.ShortSHA()
		}
		d.Wants = append(d.Wants, want)
	case p.changesRules():
		return ask(d, want.Origin, question{Change: &change{Action: p.Action}})
	}
	return nil
}

// changesRules reports whether an action on a pull request is about something that a rule looks at.
func (p payload) changesRules() bool {
	switch p.Action {
	case "labeled", "unlabeled", "ready_for_review", "converted_to_draft":
		return true
	case "edited":
		title := p.Changes.Title
		return p.Changes.Base != nil || title != nil && saysSkip(title.From) != saysSkip(p.PullRequest.Title)
	default:
		return false
	}
}

// source returns the head of a pull request in a repository.
func (pr pullRequestField) source(repo string) deployments.Source {
	head := ""
	if pr.Head.Repo != nil {
		head = pr.Head.Repo.FullName
	}
	return deployments.Source{Repo: repo, Branch: pr.Head.Ref, SHA: pr.Head.SHA, Fork: isFork(repo, head)}
}

// isFork reports whether a head's repository is another one than the base's. One that is gone counts as a fork.
func isFork(base, head string) bool { return !strings.EqualFold(base, head) }
