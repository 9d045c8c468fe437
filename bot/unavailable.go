package bot

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/google/go-github/v60/github"

	"vitrine/bot/internal/line"
	"vitrine/deployments"
)

// Who is waited for, as people read it after "waits for".
const (
	waitsForGitHub       = line.GitHub
	waitsForRateLimit    = line.RateLimit
	waitsForPermission   = "GitHub, which refuses the App"
	waitsForInstallation = "the App to be installed on the repository"
)

// away says of what a request about GitHub ended in who is waited for, and nil of nil. Where ctx has ended it says why that was: a caller that has no
// use for the answer any more waits for nobody.
func away(ctx context.Context, err error) error {
	var known *deployments.Unavailable
	var limit *github.RateLimitError // go-github asks no more after an answer that said that it was the last
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		cause := context.Cause(ctx)
		if errors.Is(cause, context.DeadlineExceeded) {
			return &deployments.Unavailable{Neighbour: waitsForGitHub, Err: cause}
		}
		return cause
	case errors.As(err, &known):
		return err
	case errors.As(err, &limit):
		return &deployments.Unavailable{Neighbour: waitsForRateLimit, Until: limit.Rate.Reset.Time, Err: err}
	case errors.Is(err, errNotInstalled):
		return &deployments.Unavailable{Neighbour: waitsForInstallation, Err: err}
	case refused(err):
		return &deployments.Unavailable{Neighbour: waitsForPermission, Err: err}
	default:
		return &deployments.Unavailable{Neighbour: waitsForGitHub, Err: err}
	}
}

// refused reports whether GitHub answers and does not let the App do this.
func refused(err error) bool {
	var token *tokenRefusal
	switch statusOf(err) {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusUnprocessableEntity:
		return true
	default:
		return errors.As(err, &token)
	}
}

// within bounds what a call does by a time limit.
func within(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, limit, line.Slow(limit))
}

// statusOf returns the status of GitHub's answer where err is one, else 0. Rate limits and answers of 5xx are none: they pass, and are errors like a
// broken line.
func statusOf(err error) int {
	var answer *github.ErrorResponse
	if errors.As(err, &answer) && answer.Response != nil {
		return answer.Response.StatusCode
	}
	return 0
}

// accepted reports whether GitHub has said that it will do what was asked for, which go-github takes for an error.
func accepted(err error) bool {
	var later *github.AcceptedError
	return errors.As(err, &later)
}

// gone reports whether GitHub says that something is not there (any more).
func gone(err error) bool {
	s := statusOf(err)
	return s == http.StatusNotFound || s == http.StatusGone
}

// errUnreadable says that the App may not read what is in a repository.
var errUnreadable error = &deployments.Fault{
	Kind:   deployments.FaultFetch,
	Reason: "The App may not read the files of this repository: its installation lacks the permission `contents: read`. Whoever administers it can grant that.",
}

// unreadable makes errUnreadable of GitHub's answer that the App lacks the permission to read files and commits, and says so in the log.
func (r repository) unreadable(err error) error {
	if !unpermitted(err) {
		return err
	}
	r.bot.lose("the files", r.String(), err)
	return errUnreadable
}

// unpermitted reports whether GitHub answers that the App lacks a permission.
func unpermitted(err error) bool {
	return statusOf(err) == http.StatusForbidden && strings.Contains(err.Error(), "Resource not accessible by integration")
}

// unlessUnreadable lets what is decided without files stand where they cannot be read: the fetch says so.
func unlessUnreadable(err error) error {
	if errors.Is(err, errUnreadable) {
		return nil
	}
	return err
}

// forbidden reports whether trying again is useless: the App lacks the permission, is not installed or suspended, or the place is gone or locked.
// Rate limits, which GitHub also answers with 403, are not meant; see [line.Line].
func forbidden(err error) bool {
	var token *tokenRefusal
	if errors.As(err, &token) {
		return token.status == http.StatusNotFound || token.status == http.StatusForbidden
	}
	return gone(err) || statusOf(err) == http.StatusForbidden || errors.Is(err, errNotInstalled)
}
