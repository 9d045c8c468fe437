package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"vitrine/bot/githubsim"
	"vitrine/cmd/internal/sample"
)

// stepTime bounds each step of the story.
const stepTime = 2 * time.Minute

// A story plays the life of pull requests between a Vitrine and a simulated GitHub, from outside, and checks what people see.
type story struct {
	github *githubsim.Server
	web    string                    // where the simulated GitHub answers
	link   func(label string) string // opens a preview
	client *http.Client              // reaches previews
	say    func(format string, args ...any)
	base   string // the image that the sample repository builds on
	fenced bool   // the firewall is up, without which no fork runs
	// left lists what there is of the previews on the engine: "container NAME", "network NAME", "image REFERENCE".
	left func(ctx context.Context) ([]string, error)
}

// A step is one part of the story.
type step struct {
	name string
	run  func(context.Context) error
}

func (s *story) steps() []step {
	steps := []step{
		{"a pull request is opened and its preview answers", s.open},
		{"a push brings the new version without a failed request", s.push},
		{"a broken commit is shown, and the old version stays", s.breakIt},
		{"/extend 3d moves the end", s.extend},
		{"Re-run of the check deploys the commit again", s.rerun},
		{"a second pull request stands beside the first", s.second},
		{"a stranger's command is refused", s.refuse},
	}
	if s.fenced {
		steps = append(steps, step{"a fork's commit waits for a maintainer's /deploy", s.fork})
	}
	return append(steps, step{"all are closed and nothing is left", s.close})
}

// play goes through the steps and names the one that goes wrong.
func (s *story) play(ctx context.Context) error {
	for i, step := range s.steps() {
		began := time.Now()
		bounded, cancel := context.WithTimeoutCause(ctx, stepTime, fmt.Errorf("not done after %s", stepTime))
		err := step.run(bounded)
		cancel()
		if err != nil {
			return fmt.Errorf("step %d, %s: %w", i+1, step.name, err)
		}
		s.say("  ok  %d  %-55s %6.1f s\n", i+1, step.name, time.Since(began).Seconds())
	}
	return nil
}

func (s *story) open(ctx context.Context) error {
	if _, err := s.openStock(ctx); err != nil {
		return err
	}
	if err := s.answers(ctx, "shop-pr-1", "Stock: 12"); err != nil {
		return err
	}
	if err := s.answers(ctx, "shop-stock", "Stock: 12"); err != nil {
		return fmt.Errorf("the branch's own address: %w", err)
	}
	if err := s.comment(ctx, 1, "### Preview: ready"); err != nil {
		return err
	}
	_, err := s.check(ctx, 1, "success")
	if err != nil {
		return err
	}
	return s.until(ctx, "the pull request has its View deployment button", func() (bool, error) { return s.deployments() == 1, nil })
}

// deployments returns how many of GitHub's deployments lead to something that is live.
func (s *story) deployments() (live int) {
	for _, d := range s.github.GitHubDeployments(sample.Repository) {
		if d.State() == "success" {
			live++
		}
	}
	return live
}

// openStock commits to the branch stock and opens the first pull request.
func (s *story) openStock(ctx context.Context) (string, error) {
	sha, err := s.github.Commit(ctx, githubsim.Change{
		Repository: sample.Repository, Branch: "stock", Author: sample.Developer, Message: "Show stock on product page",
		Files: map[string]string{"web/index.html": sample.Page("Stock")},
	})
	if err != nil {
		return "", err
	}
	_, err = s.github.OpenPullRequest(ctx, githubsim.PullRequest{
		Repository: sample.Repository, Head: "stock", Title: "Show stock on product page", Author: sample.Developer,
	})
	return sha, err
}

// push changes a file with a real git while the preview is being visited.
func (s *story) push(ctx context.Context) error {
	visit, stop := context.WithCancel(ctx)
	defer stop()
	failed := make(chan error, 1)
	go func() { failed <- s.visit(visit, "shop-pr-1") }()

	err := s.gitPush(ctx, "stock", "web/index.html", sample.Page("Bestand"), "German label")
	if err == nil {
		err = s.answers(ctx, "shop-pr-1", "Bestand: 12")
	}
	if err == nil {
		err = s.until(ctx, "only the new version's containers are left", func() (bool, error) {
			left, err := s.left(ctx)
			return len(slices.DeleteFunc(left, func(o string) bool { return !strings.HasPrefix(o, "container ") })) == sample.Services, err
		})
	}
	stop()
	return errors.Join(err, <-failed)
}

// visit asks for the page fifty times a second until ctx is done, and returns the first request that failed.
func (s *story) visit(ctx context.Context, label string) error {
	ticks := time.NewTicker(20 * time.Millisecond)
	defer ticks.Stop()
	for ; ctx.Err() == nil; <-ticks.C {
		status, body, err := s.get(ctx, label)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return fmt.Errorf("a request failed during the push: %w", err)
		case status != http.StatusOK:
			return fmt.Errorf("a request during the push was answered %d: %s", status, firstLine(body))
		}
	}
	return nil
}

func (s *story) breakIt(ctx context.Context) error {
	_, err := s.github.Commit(ctx, githubsim.Change{
		Repository: sample.Repository, Branch: "stock", Author: sample.Developer, Message: "Break the build",
		Files: map[string]string{"web/Dockerfile": "FROM scratch\nCOPY missing.html /srv/\n"},
	})
	if err != nil {
		return err
	}
	if err := s.comment(ctx, 1, "### Preview: failed", "web/Dockerfile:2", "is still served"); err != nil {
		return err
	}
	if _, err := s.check(ctx, 1, "failure"); err != nil {
		return err
	}
	return s.answers(ctx, "shop-pr-1", "Bestand: 12")
}

// endPattern finds the day that the comment names as the preview's end.
var endPattern = regexp.MustCompile(`Until (\d+ [A-Z][a-z]+)`)

func (s *story) extend(ctx context.Context) error {
	// The comment of a failure does not name the end: mend the build first.
	fixed, err := s.github.Commit(ctx, githubsim.Change{
		Repository: sample.Repository, Branch: "stock", Author: sample.Developer, Message: "Mend the build",
		Files: map[string]string{"web/Dockerfile": sample.Files(s.base)["web/Dockerfile"]},
	})
	if err != nil {
		return err
	}
	if err := s.comment(ctx, 1, "### Preview: ready", fixed[:7]); err != nil {
		return err
	}
	before := endPattern.FindString(s.sticky(1))
	id, err := s.github.Comment(sample.Repository, 1, sample.Developer, "/extend 3d")
	if err != nil {
		return err
	}
	if err := s.reaction(ctx, 1, id, "rocket"); err != nil {
		return err
	}
	return s.until(ctx, "the comment names a later end than "+before, func() (bool, error) {
		after := endPattern.FindString(s.sticky(1))
		return after != "" && after != before, nil
	})
}

// rerun has the check run again, as GitHub's button does.
func (s *story) rerun(ctx context.Context) error {
	check, err := s.check(ctx, 1, "success")
	if err != nil {
		return err
	}
	before := len(s.github.GitHubDeployments(sample.Repository))
	if err := s.github.RerequestCheckRun(sample.Repository, check.ID, sample.Developer); err != nil {
		return err
	}
	if err := s.until(ctx, "the commit is deployed again", func() (bool, error) {
		return len(s.github.GitHubDeployments(sample.Repository)) > before && s.deployments() == 1, nil
	}); err != nil {
		return err
	}
	_, err = s.check(ctx, 1, "success")
	return err
}

// fork opens a pull request from a stranger's fork, and has a maintainer approve its commit.
func (s *story) fork(ctx context.Context) error {
	fork, err := s.github.Fork(ctx, sample.Repository, sample.Stranger)
	if err != nil {
		return err
	}
	sha, err := s.github.Commit(ctx, githubsim.Change{
		Repository: fork, Branch: "main", Author: sample.Stranger, Message: "A gift", Files: map[string]string{"web/index.html": sample.Page("Gift")},
	})
	if err != nil {
		return err
	}
	number, err := s.github.OpenPullRequest(ctx, githubsim.PullRequest{
		Repository: sample.Repository, Head: sample.Stranger + ":main", Title: "A gift", Author: sample.Stranger,
	})
	if err != nil {
		return err
	}
	if _, err := s.check(ctx, number, "action_required"); err != nil {
		return err
	}
	if err := s.comment(ctx, number, "### Preview: waits for a maintainer"); err != nil {
		return err
	}
	// By its number, as the head is not yet a second old, and GitHub tells times in seconds.
	id, err := s.github.Comment(sample.Repository, number, sample.Developer, "/deploy "+sha[:12])
	if err != nil {
		return err
	}
	if err := s.reaction(ctx, number, id, "rocket"); err != nil {
		return err
	}
	if _, err := s.check(ctx, number, "success"); err != nil {
		return err
	}
	return s.answers(ctx, fmt.Sprintf("shop-pr-%d", number), "Gift: 12")
}

func (s *story) second(ctx context.Context) error {
	_, err := s.github.Commit(ctx, githubsim.Change{
		Repository: sample.Repository, Branch: "more-stock", Author: sample.Developer, Message: "Order more",
		Files: map[string]string{"api/stock.json": "{\"pieces\": 99}\n"},
	})
	if err != nil {
		return err
	}
	if _, err := s.github.OpenPullRequest(ctx, githubsim.PullRequest{
		Repository: sample.Repository, Head: "more-stock", Title: "Order more", Author: sample.Developer,
	}); err != nil {
		return err
	}
	if err := s.answers(ctx, "shop-pr-2", "99"); err != nil {
		return err
	}
	// A pull request that is closed before it has a comment gets none.
	if err := s.comment(ctx, 2, "### Preview: ready"); err != nil {
		return err
	}
	return s.answers(ctx, "shop-pr-1", "Bestand: 12")
}

func (s *story) refuse(ctx context.Context) error {
	id, err := s.github.Comment(sample.Repository, 1, sample.Stranger, "/destroy")
	if err != nil {
		return err
	}
	if err := s.reaction(ctx, 1, id, "confused"); err != nil {
		return err
	}
	return s.answers(ctx, "shop-pr-1", "Bestand: 12")
}

func (s *story) close(ctx context.Context) error {
	numbers := []int{1, 2}
	labels := []string{"shop-pr-1", "shop-pr-2", "shop-stock"}
	if s.fenced {
		numbers, labels = append(numbers, 3), append(labels, "shop-pr-3")
	}
	for _, number := range numbers {
		if err := s.github.ClosePullRequest(sample.Repository, number, sample.Developer); err != nil {
			return err
		}
	}
	for _, number := range numbers {
		if err := s.comment(ctx, number, "Preview removed"); err != nil {
			return err
		}
	}
	if err := s.until(ctx, "no deployment is left at GitHub", func() (bool, error) {
		return len(s.github.GitHubDeployments(sample.Repository)) == 0, nil
	}); err != nil {
		return err
	}
	if err := s.until(ctx, "nothing is left on the engine", func() (bool, error) {
		left, err := s.left(ctx)
		return len(left) == 0, err
	}); err != nil {
		return err
	}
	for _, label := range labels {
		if status, _, err := s.get(ctx, label); err != nil || status != http.StatusGone {
			return fmt.Errorf("%s answered %d (%v), want 410", s.link(label), status, err)
		}
	}
	return nil
}
