// Package line carries the bot's requests to GitHub, and knows how GitHub wants to be asked. What keeps GitHub from doing its part is an error, a
// [deployments.Unavailable].
package line

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"vitrine/deployments"
)

// Who is waited for, as people read it after "waits for".
const (
	GitHub    = "GitHub"
	RateLimit = "GitHub, whose rate limit is used up"
)

// Config says how a Trunk leads to GitHub. All of it is required.
type Config struct {
	Transport  http.RoundTripper
	AnswerTime time.Duration // until an answer's header is there
	WritePause time.Duration // between two writes of a line when they are many
	Now        func() time.Time
	Log        *slog.Logger
}

// A Trunk leads to one GitHub. Its Lines have a rate limit each.
type Trunk struct {
	Config
	answers *answers
	gate    *gate
}

// New returns a Trunk. It sends nothing and starts no goroutines.
func New(c Config) (*Trunk, error) {
	kept, err := newAnswers()
	if err != nil {
		return nil, fmt.Errorf("keep answers: %w", err)
	}
	return &Trunk{Config: c, answers: kept, gate: &gate{now: c.Now, log: c.Log}}, nil
}

// Line returns a way to GitHub with a rate limit of its own. The name says whose that is, for the log.
func (t *Trunk) Line(name string) *Line {
	return &Line{trunk: t, name: name, writes: newQueue(t.WritePause, t.Now)}
}

// A Line carries requests to GitHub that count against one rate limit, the App's own or an installation's. What keeps GitHub from doing its part is
// an error, a [deployments.Unavailable]: no connection, no answer in time, a 5xx, a rate limit. After a rate limit it carries nothing until the time
// that GitHub named. It is safe for use side by side.
type Line struct {
	trunk  *Trunk
	name   string
	writes *queue

	mu      sync.Mutex
	closed  time.Time // nothing is sent before
	unnamed int       // how many refusals in a row named no time
}

// RoundTrip implements http.RoundTripper.
func (l *Line) RoundTrip(r *http.Request) (*http.Response, error) {
	return l.trunk.answers.ask(l, r, l.carry)
}

// carry sends a request unless the rate limit is used up or GitHub is down.
func (l *Line) carry(r *http.Request) (*http.Response, error) {
	if err := l.limited(); err != nil {
		CloseBody(r)
		return nil, err
	}
	answer, err := l.throughGate(r)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode >= 500 {
		answer.Body.Close()
		until, _ := retryAfter(answer.Header, l.trunk.Now())
		return nil, &deployments.Unavailable{Neighbour: GitHub, Until: until, Err: fmt.Errorf("GitHub answers %s", answer.Status)}
	}
	if err := l.heed(answer); err != nil {
		return nil, err
	}
	return answer, nil
}

// throughGate sends a request unless GitHub is down.
func (l *Line) throughGate(r *http.Request) (*http.Response, error) {
	prober, err := l.trunk.gate.enter()
	if err != nil {
		CloseBody(r)
		return nil, err
	}
	answer, err := l.send(r)
	l.trunk.gate.leave(prober, outcomeOf(r.Context(), answer, err))
	return answer, err
}

// send gives up on a request whose answer does not begin in time. The body of an answer has the caller's bound alone.
func (l *Line) send(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(r.Context())
	timer := time.AfterFunc(l.trunk.AnswerTime, func() { cancel(Slow(l.trunk.AnswerTime)) })
	answer, err := l.trunk.Transport.RoundTrip(r.WithContext(ctx))
	timer.Stop()
	cause := context.Cause(ctx)
	switch {
	case err == nil && cause == nil:
		answer.Body = &releasedBody{answer.Body, func() { cancel(nil) }}
		return answer, nil
	case err == nil:
		answer.Body.Close()
	}
	cancel(nil)
	if cause != nil {
		return nil, cause
	}
	return nil, &deployments.Unavailable{Neighbour: GitHub, Err: err}
}

// A releasedBody ends its request's context when it is closed.
type releasedBody struct {
	io.ReadCloser
	release func()
}

func (b *releasedBody) Close() error {
	defer b.release()
	return b.ReadCloser.Close()
}

// Slow is the cause of giving up on an answer after the time limit.
func Slow(limit time.Duration) error {
	return &deployments.Unavailable{Neighbour: GitHub, Err: fmt.Errorf("GitHub did not answer within %s", limit)}
}

// CloseBody closes the body of a request that is not sent, as a RoundTripper has to.
func CloseBody(r *http.Request) {
	if r.Body != nil {
		r.Body.Close()
	}
}
