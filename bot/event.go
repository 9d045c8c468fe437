package bot

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"vitrine/deployments"
)

// maxTitle is how much of a pull request's title is kept; GitHub's own limit is 256 characters.
const maxTitle = 256

// Why an environment is taken down, where the reason decides what the comment says of its return.
const (
	causeClosed = "pull request closed"
	causeMerged = "pull request merged"
)

// The parts of GitHub's payloads that count here (docs.github.com, "Webhook events and payloads"). A null or a missing field is zero.
type (
	payload struct {
		Action     string          `json:"action"`
		Repository repositoryField `json:"repository"`

		Number      int               `json:"number"`
		PullRequest *pullRequestField `json:"pull_request"`
		Changes     changesField      `json:"changes"`

		Ref     string `json:"ref"`
		RefType string `json:"ref_type"`
		Deleted bool   `json:"deleted"`
		After   string `json:"after"`

		Issue struct {
			Number      int       `json:"number"`
			PullRequest *struct{} `json:"pull_request"`
		} `json:"issue"`
		Comment commentField `json:"comment"`

		CheckRun        *checkRunField `json:"check_run"`
		RequestedAction struct {
			Identifier string `json:"identifier"`
		} `json:"requested_action"`
		Sender userField `json:"sender"`

		Installation struct {
			Account userField `json:"account"`
		} `json:"installation"`
		RepositoriesRemoved []repositoryField `json:"repositories_removed"`
	}
	repositoryField struct {
		ID       int64  `json:"id"`
		FullName string `json:"full_name"`
	}
	userField struct {
		Login string `json:"login"`
		Type  string `json:"type"`
	}
	changesField struct {
		Base  *struct{} `json:"base"` // of a pull request
		Title *struct {
			From string `json:"from"`
		} `json:"title"`
		Repository struct { // renamed
			Name struct {
				From string `json:"from"`
			} `json:"name"`
		} `json:"repository"`
		Owner struct { // transferred
			From struct {
				User         userField `json:"user"`
				Organization userField `json:"organization"`
			} `json:"from"`
		} `json:"owner"`
	}
	pullRequestField struct {
		State     string    `json:"state"`
		Title     string    `json:"title"`
		Merged    bool      `json:"merged"`
		UpdatedAt time.Time `json:"updated_at"`
		Head      struct {
			Ref  string           `json:"ref"`
			SHA  string           `json:"sha"`
			Repo *repositoryField `json:"repo"` // null where the fork was deleted
		} `json:"head"`
	}
	commentField struct {
		ID        int64     `json:"id"`
		Body      string    `json:"body"`
		CreatedAt time.Time `json:"created_at"`
		User      userField `json:"user"`
		App       struct {
			ID int64 `json:"id"`
		} `json:"performed_via_github_app"`
	}
)

// deliveryOf returns what a webhook asks for; an empty delivery asks for nothing. app is the App's own id. It is pure. An error says what is wrong with the
// payload.
func deliveryOf(event, guid string, body []byte, app int64) (deployments.Delivery, error) {
	d := deployments.Delivery{GUID: guid, Event: event}
	read, ofRepository := readerOf(event, app)
	if read == nil {
		return d, nil
	}
	var p payload
	if err := json.Unmarshal(body, &p); err != nil {
		return d, fmt.Errorf("the payload of %s has another shape: %w", event, err)
	}
	if _, _, err := split(p.Repository.FullName); ofRepository && err != nil {
		return d, fmt.Errorf("the payload of %s names no repository: %w", event, err)
	}
	if p.Action != "" {
		d.Event += " " + plain(p.Action, 40)
	}
	return d, read(&d, p)
}

// readerOf returns what reads an event's payload, nil where the event is none of ours, and whether the payload has to name a repository.
func readerOf(event string, app int64) (read func(*deployments.Delivery, payload) error, ofRepository bool) {
	switch event {
	case "pull_request":
		return readPullRequest, true
	case "push":
		return readPush, true
	case "delete":
		return readDelete, true
	case "issue_comment":
		return func(d *deployments.Delivery, p payload) error { return readComment(d, p, app) }, true
	case "check_run":
		return func(d *deployments.Delivery, p payload) error { return readCheckRun(d, p, app) }, true
	case "repository":
		return readRepository, true
	case "installation":
		return readInstallation, false
	case "installation_repositories":
		return readRepositories, false
	default:
		return nil, false
	}
}

func readPush(d *deployments.Delivery, p payload) error {
	branch, ok := strings.CutPrefix(p.Ref, "refs/heads/")
	if !ok || branch == "" { // a tag
		return nil
	}
	if p.Deleted {
		d.Wants = append(d.Wants, branchDeleted(p.Repository.FullName, branch))
		return nil
	}
	if !commitSHA.MatchString(p.After) {
		return fmt.Errorf("the payload of push has no commit in after: %q", plain(p.After, 80))
	}
	return ask(d, deployments.Origin{Repo: p.Repository.FullName, Branch: branch}, question{Push: &push{SHA: p.After}})
}

func readDelete(d *deployments.Delivery, p payload) error {
	if p.RefType == "branch" && p.Ref != "" {
		d.Wants = append(d.Wants, branchDeleted(p.Repository.FullName, p.Ref))
	}
	return nil
}

func branchDeleted(repo, branch string) deployments.Want {
	return deployments.Want{
		Origin: deployments.Origin{Repo: repo, Branch: branch},
		Intent: deployments.Gone,
		By:     deployments.ByEvent,
		Cause:  "branch deleted",
	}
}

func readComment(d *deployments.Delivery, p payload, app int64) error {
	c := p.Comment
	if p.Action != "created" || p.Issue.PullRequest == nil || c.User.Type == "Bot" || c.App.ID == app {
		return nil
	}
	commands := commandsIn(c.Body)
	if len(commands) == 0 {
		return nil
	}
	if p.Issue.Number <= 0 || c.ID <= 0 || !loginName.MatchString(c.User.Login) {
		return fmt.Errorf("the payload of issue_comment lacks the issue's number, the comment's id or its user")
	}
	for i, command := range commands {
		err := ask(d, deployments.Origin{Repo: p.Repository.FullName, PullRequest: p.Issue.Number}, question{Comment: &comment{
			ID: c.ID, At: c.CreatedAt, User: c.User.Login, Line: i, Command: command,
		}})
		if err != nil {
			return err
		}
	}
	return nil
}
