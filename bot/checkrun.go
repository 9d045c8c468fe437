package bot

import (
	"fmt"

	"vitrine/deployments"
)

// The parts of a check run that count here.
type (
	checkRunField struct {
		App struct {
			ID int64 `json:"id"`
		} `json:"app"`
		PullRequests []checkedPull `json:"pull_requests"`
	}
	checkedPull struct {
		Number int         `json:"number"`
		Head   checkedSide `json:"head"`
		Base   checkedSide `json:"base"`
	}
	checkedSide struct {
		Ref  string          `json:"ref"`
		SHA  string          `json:"sha"`
		Repo repositoryField `json:"repo"` // without its full name
	}
)

// readCheckRun reads that somebody wants a check of ours to run again, which GitHub offers to those who may write: the pull requests of this
// repository that it belongs to are deployed again, at their heads. A fork's check names no pull request.
func readCheckRun(d *deployments.Delivery, p payload, app int64) error {
	if p.Action != "rerequested" && p.Action != "requested_action" {
		return nil
	}
	if p.CheckRun == nil || p.CheckRun.App.ID <= 0 || p.Repository.ID <= 0 {
		return fmt.Errorf("the payload of check_run lacks the check run, its App's id or the repository's")
	}
	if p.CheckRun.App.ID != app {
		return nil
	}
	for _, pull := range p.CheckRun.PullRequests {
		if pull.Head.Repo.ID != p.Repository.ID || pull.Base.Repo.ID != p.Repository.ID {
			continue
		}
		if pull.Number <= 0 || !commitSHA.MatchString(pull.Head.SHA) || !loginName.MatchString(p.Sender.Login) {
			return fmt.Errorf("the payload of check_run lacks the number or the head of a pull request, or its sender")
		}
		repo := p.Repository.FullName
		d.Wants = append(d.Wants, deployments.Want{
			Origin: deployments.Origin{Repo: repo, PullRequest: pull.Number},
			Source: deployments.Source{Repo: repo, Branch: pull.Head.Ref, SHA: pull.Head.SHA},
			Intent: deployments.Up, By: deployments.ByHand, Cause: "check run again by " + p.Sender.Login, Force: true,
		})
	}
	return nil
}
