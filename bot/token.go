package bot

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/google/go-github/v60/github"

	"vitrine/bot/internal/line"
)

const (
	// tokenLeft is how long a token is valid at least when it is given out.
	tokenLeft = 10 * time.Minute
	// renewLeft is how long a token is valid at most when the next one is asked for, so that one is at hand when GitHub goes away.
	renewLeft = 30 * time.Minute
	// renewTime bounds an early renewal: whoever waits for it could have the old token.
	renewTime = 3 * time.Second
	// renewPause is how long after a renewal that failed the old token is given out without another try.
	renewPause = time.Minute
)

// A tokenSource keeps one token of an installation. It is safe for use side by side.
type tokenSource struct {
	app          *github.Client // authenticated as the App
	installation int64
	options      *github.InstallationTokenOptions
	now          func() time.Time

	busy    chan struct{} // holds an element while somebody uses what follows
	value   string
	expires time.Time
	pause   time.Time // no early renewal before
}

func newTokenSource(app *github.Client, installation int64, options *github.InstallationTokenOptions, now func() time.Time) *tokenSource {
	return &tokenSource{app: app, installation: installation, options: options, now: now, busy: make(chan struct{}, 1)}
}

// token returns one that is valid for tokenLeft at least. One that is to end soon is renewed where GitHub gives a new one, and given out where not.
func (s *tokenSource) token(ctx context.Context) (string, error) {
	select {
	case s.busy <- struct{}{}:
		defer func() { <-s.busy }()
	case <-ctx.Done():
		return "", away(ctx, ctx.Err())
	}
	now := s.now()
	left := s.expires.Sub(now)
	if left >= renewLeft || left >= tokenLeft && now.Before(s.pause) {
		return s.value, nil
	}
	if left < tokenLeft {
		return s.value, s.renew(ctx)
	}
	early, cancel := within(ctx, renewTime)
	defer cancel()
	if s.renew(early) != nil { // it is said when the token is needed
		s.pause = now.Add(renewPause)
	}
	return s.value, nil
}

func (s *tokenSource) renew(ctx context.Context) error {
	fresh, _, err := s.app.Apps.CreateInstallationToken(ctx, s.installation, s.options)
	if status := statusOf(err); status != 0 {
		err = &tokenRefusal{status: status, reason: err.Error()}
	}
	if err == nil && fresh.GetToken() == "" {
		err = errors.New("the answer holds none")
	}
	if err != nil {
		return away(ctx, fmt.Errorf("get a token of installation %d: %w", s.installation, err))
	}
	s.value, s.expires, s.pause = fresh.GetToken(), fresh.GetExpiresAt().Time, time.Time{}
	return nil
}

// A tokenRefusal is GitHub's answer that it gives no token. It hides that answer's status from statusOf, which tells of what the token was for.
type tokenRefusal struct {
	status int
	reason string
}

func (r *tokenRefusal) Error() string { return r.reason }

// authorized sends requests with a token.
type authorized struct {
	tokens *tokenSource
	next   http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (a *authorized) RoundTrip(r *http.Request) (*http.Response, error) {
	token, err := a.tokens.token(r.Context())
	if err != nil {
		line.CloseBody(r)
		return nil, err
	}
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "token "+token)
	return a.next.RoundTrip(r)
}
