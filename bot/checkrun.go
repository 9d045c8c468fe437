package bot

import (
	"fmt"
	"strconv"
	"strings"

	"vitrine/deployments"
)

// deployAction is the identifier of the check's button that does what /deploy does.
const deployAction = "deploy"

// The parts of a check run that count here.
type (
	checkRunField struct {
		App struct {
			ID int64 `json:"id"`
		} `json:"app"`
		HeadSHA      string        `json:"head_sha"`
		ExternalID   string        `json:"external_id"` // our own: the key of what it is about
		PullRequests []checkedPull `json:"pull_requests"`
	}
	checkedPull struct {
		Number int         `json:"number"`
		Head   checkedSide `json:"head"`
		Base   checkedSide `json:"base"`
	}
	checkedSide struct {
		Repo repositoryField `json:"repo"` // without its full name
	}
)

// readCheckRun reads that somebody wants a check of ours to run again, or has pressed its button: what the check is about is to be deployed again, at the
// check's commit. Whether they may is asked.
func readCheckRun(d *deployments.Delivery, p payload, app int64) error {
	if p.Action != "rerequested" && p.Action != "requested_action" {
		return nil
	}
	if p.CheckRun == nil || p.CheckRun.App.ID <= 0 || p.Repository.ID <= 0 {
		return fmt.Errorf("the payload of check_run lacks the check run, its App's id or the repository's")
	}
	if p.CheckRun.App.ID != app || p.Action == "requested_action" && p.RequestedAction.Identifier != deployAction {
		return nil
	}
	if !commitSHA.MatchString(p.CheckRun.HeadSHA) || !loginName.MatchString(p.Sender.Login) {
		return fmt.Errorf("the payload of check_run lacks the commit of the check run, or its sender")
	}
	for _, o := range p.CheckRun.origins(p.Repository) {
		if err := ask(d, o, question{Button: &button{Action: p.Action, SHA: p.CheckRun.HeadSHA, User: p.Sender.Login}}); err != nil {
			return err
		}
	}
	return nil
}

// origins returns what a check is about: what its own name for it says, or else the pull requests of the repository that GitHub names. It names none of a
// fork's. The repository may have had another name when the check was made.
func (c checkRunField) origins(in repositoryField) []deployments.Origin {
	if at := strings.IndexAny(c.ExternalID, "#@"); at > 0 {
		o := deployments.Origin{Repo: in.FullName}
		if c.ExternalID[at] == '@' {
			o.Branch = c.ExternalID[at+1:]
		} else if n, err := strconv.Atoi(c.ExternalID[at+1:]); err == nil && n > 0 {
			o.PullRequest = n
		}
		if o.Branch == "" && o.PullRequest == 0 {
			return nil
		}
		return []deployments.Origin{o}
	}
	var origins []deployments.Origin
	for _, pull := range c.PullRequests {
		if pull.Number > 0 && pull.Head.Repo.ID == in.ID && pull.Base.Repo.ID == in.ID {
			origins = append(origins, deployments.Origin{Repo: in.FullName, PullRequest: pull.Number})
		}
	}
	return origins
}
