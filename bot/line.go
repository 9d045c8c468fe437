package bot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"regexp"
	"strconv"
	"sync"
	"time"

	"vitrine/deployments"
)

const (
	// shortestPause is how long GitHub is left alone after a rate limit that names no time (docs.github.com, "Rate limits for the REST API").
	shortestPause = time.Minute
	// longestPause bounds how long a time that an answer names is believed; GitHub's own limits count by the hour.
	longestPause = time.Hour
	// refusalRead is how much of a refusal's body is looked at, in bytes.
	refusalRead = 16 << 10
)

// limitWords is how a refusal with 403 says that it is about a rate limit where no header does.
var limitWords = regexp.MustCompile(`(?i)secondary[ -]rate[ -]limit|rate limit exceeded|abuse[ -](rate[ -]limit|detection)`)

// A line carries requests to GitHub that count against one rate limit, the App's own or an installation's. What keeps GitHub from doing its part is
// an error, a [deployments.Unavailable]: no connection, no answer in time, a 5xx, a rate limit. After a rate limit it carries nothing until the time
// that GitHub named. It is safe for use side by side.
type line struct {
	next       http.RoundTripper
	name       string        // whose rate limit it is, for the log
	answerTime time.Duration // until an answer's header is there
	now        func() time.Time
	log        *slog.Logger

	mu     sync.Mutex
	closed time.Time // nothing is sent before
}

// RoundTrip implements http.RoundTripper.
func (l *line) RoundTrip(r *http.Request) (*http.Response, error) {
	if until := l.closedUntil(); l.now().Before(until) {
		closeBody(r)
		return nil, limited(until, errors.New("not asked, as the rate limit is used up"))
	}
	answer, err := l.send(r)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode >= 500 {
		answer.Body.Close()
		until, _ := retryAfter(answer.Header, l.now())
		return nil, &deployments.Unavailable{Neighbour: waitsForGitHub, Until: until, Err: fmt.Errorf("GitHub answers %s", answer.Status)}
	}
	until, refused := limitIn(answer, l.now())
	if !until.IsZero() {
		l.close(until)
	}
	if refused {
		answer.Body.Close()
		return nil, limited(until, fmt.Errorf("GitHub answers %s for a rate limit", answer.Status))
	}
	return answer, nil
}

// send gives up on a request whose answer does not begin in time. The body of an answer has the caller's bound alone.
func (l *line) send(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(r.Context())
	timer := time.AfterFunc(l.answerTime, func() { cancel(slow(l.answerTime)) })
	answer, err := l.next.RoundTrip(r.WithContext(ctx))
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
	return nil, &deployments.Unavailable{Neighbour: waitsForGitHub, Err: err}
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

func (l *line) closedUntil() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

func (l *line) close(until time.Time) {
	l.mu.Lock()
	wasOpen := !l.now().Before(l.closed)
	if until.After(l.closed) {
		l.closed = until
	}
	l.mu.Unlock()
	if wasOpen {
		l.log.Warn("GitHub's rate limit is used up; nothing is asked until it is over", "of", l.name, "until", until.UTC().Format(time.RFC3339))
	}
}

func limited(until time.Time, err error) error {
	return &deployments.Unavailable{Neighbour: waitsForRateLimit, Until: until, Err: err}
}

// limitIn returns until when an answer wants nothing more to be asked, the zero time where it does not say so, and whether it is a refusal for that
// reason. GitHub refuses with 403 or 429 (docs.github.com, "Rate limits for the REST API").
func limitIn(answer *http.Response, now time.Time) (until time.Time, refused bool) {
	after, waits := retryAfter(answer.Header, now)
	used := answer.Header.Get("X-RateLimit-Remaining") == "0"
	reset := resetIn(answer.Header)
	switch answer.StatusCode {
	case http.StatusTooManyRequests:
		refused = true
	case http.StatusForbidden:
		refused = used || waits || limitWords.Match(peek(answer))
	}
	switch {
	case !refused && (!used || !reset.After(now)):
		return time.Time{}, false
	case refused && waits:
		until = after
	case used:
		until = reset
	}
	if !until.After(now) {
		until = now.Add(shortestPause)
	}
	if longest := now.Add(longestPause); until.After(longest) {
		until = longest
	}
	return until, refused
}

// retryAfter reads the header of that name, which has seconds or a date (RFC 9110 §10.2.3), and reports whether it is there.
func retryAfter(h http.Header, now time.Time) (time.Time, bool) {
	value := h.Get("Retry-After")
	if value == "" {
		return time.Time{}, false
	}
	if seconds, err := strconv.ParseInt(value, 10, 32); err == nil {
		return now.Add(time.Duration(seconds) * time.Second), true
	}
	at, err := http.ParseTime(value)
	return at, err == nil
}

// resetIn returns when the rate limit begins anew, the zero time where the header does not say.
func resetIn(h http.Header) time.Time {
	seconds, err := strconv.ParseInt(h.Get("X-RateLimit-Reset"), 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.Unix(seconds, 0)
}

// peek returns the beginning of a body that can still be read as a whole. What cannot be read ends the body for the next reader, too.
func peek(answer *http.Response) []byte {
	begin, err := io.ReadAll(io.LimitReader(answer.Body, refusalRead))
	rest := io.Reader(answer.Body)
	if err != nil {
		rest = failingReader{err}
	}
	answer.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(begin), rest), answer.Body}
	return begin
}

type failingReader struct{ err error }

func (r failingReader) Read([]byte) (int, error) { return 0, r.err }

// closeBody closes the body of a request that is not sent, as a RoundTripper has to.
func closeBody(r *http.Request) {
	if r.Body != nil {
		r.Body.Close()
	}
}
