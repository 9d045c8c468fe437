package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"vitrine/bot/githubsim"
	"vitrine/cmd/internal/sample"
)

// pollPause is the time between two looks at what a step of the story waits for.
const pollPause = 50 * time.Millisecond

// answers waits until the preview answers 200 with the text in its page.
func (s *story) answers(ctx context.Context, label, text string) error {
	var last string
	err := s.until(ctx, fmt.Sprintf("%s answers %q", s.link(label), text), func() (bool, error) {
		status, body, err := s.get(ctx, label)
		if err != nil {
			last = err.Error()
			return false, nil
		}
		last = fmt.Sprintf("%d %s", status, firstLine(body))
		return status == http.StatusOK && strings.Contains(body, text), nil
	})
	if err != nil {
		return fmt.Errorf("%w; the last answer was: %s", err, last)
	}
	return nil
}

// comment waits until the pull request has one comment of the App with every text in it.
func (s *story) comment(ctx context.Context, number int, texts ...string) error {
	err := s.until(ctx, fmt.Sprintf("the comment on #%d says %q", number, texts), func() (bool, error) {
		body := s.sticky(number)
		return !slices.ContainsFunc(texts, func(t string) bool { return !strings.Contains(body, t) }), nil
	})
	if err != nil {
		return fmt.Errorf("%w; it says:\n%s", err, s.sticky(number))
	}
	return nil
}

// check waits until the check on the pull request's head has ended as told, and returns it.
func (s *story) check(ctx context.Context, number int, conclusion string) (found githubsim.CheckRun, err error) {
	err = s.until(ctx, fmt.Sprintf("the check of #%d is %s", number, conclusion), func() (bool, error) {
		pull, err := s.github.PullRequest(sample.Repository, number)
		if err != nil {
			return false, err
		}
		for _, c := range s.github.CheckRuns(sample.Repository, pull.HeadSHA) {
			if c.Conclusion == conclusion {
				found = c
				return true, nil
			}
		}
		return false, nil
	})
	return found, err
}

// sticky returns the App's comment with the preview's state; empty where there is none.
func (s *story) sticky(number int) string {
	comments, err := s.github.Comments(sample.Repository, number)
	if err != nil {
		return ""
	}
	for _, c := range comments {
		if strings.HasSuffix(c.Author, "[bot]") && strings.Contains(c.Body, "Preview") {
			return c.Body
		}
	}
	return ""
}

// reaction waits until the App reacted to a comment.
func (s *story) reaction(ctx context.Context, number int, comment int64, content string) error {
	return s.until(ctx, fmt.Sprintf("the command gets the reaction %q", content), func() (bool, error) {
		comments, err := s.github.Comments(sample.Repository, number)
		for _, c := range comments {
			if c.ID == comment {
				return slices.ContainsFunc(c.Reactions, func(r githubsim.Reaction) bool { return r.Content == content }), nil
			}
		}
		return false, err
	})
}

// until waits until done says so.
func (s *story) until(ctx context.Context, what string, done func() (bool, error)) error {
	for {
		ok, err := done()
		if err != nil || ok {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait until %s: %w", what, context.Cause(ctx))
		case <-time.After(pollPause):
		}
	}
}

// get asks a preview for its first page.
func (s *story) get(ctx context.Context, label string) (status int, body string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.link(label), nil)
	if err != nil {
		return 0, "", err
	}
	response, err := s.client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, string(text), err
}

// gitPush clones, changes a file, commits and pushes, as a developer does.
func (s *story) gitPush(ctx context.Context, branch, file, text, message string) (err error) {
	dir, err := os.MkdirTemp("", "vitrine-clone-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	remote, err := url.Parse(s.web + "/" + sample.Repository + ".git")
	if err != nil {
		return err
	}
	remote.User = url.UserPassword(sample.Developer, sample.Password)
	if err := s.git(ctx, dir, "clone", "--quiet", "--branch", branch, "--end-of-options", remote.String(), "."); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
		return err
	}
	if err := s.git(ctx, dir, "commit", "--quiet", "--all", "--message", message); err != nil {
		return err
	}
	return s.git(ctx, dir, "push", "--quiet")
}

func (s *story) git(ctx context.Context, dir string, args ...string) error {
	command := exec.CommandContext(ctx, "git", args...)
	command.Dir = dir
	command.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=Ana", "GIT_AUTHOR_EMAIL=ana@example.test", "GIT_COMMITTER_NAME=Ana", "GIT_COMMITTER_EMAIL=ana@example.test")
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("git %s: %w: %s", args[0], err, strings.TrimSpace(string(out)))
	}
	return nil
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return line
}
