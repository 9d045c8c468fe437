package line

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"time"

	"vitrine/deployments"
)

const (
	// shortestPause is how long GitHub is left alone after a rate limit that names no time, doubled each time that it is no longer
	// (docs.github.com, "Rate limits for the REST API").
	shortestPause = time.Minute
	// longestPause bounds how long a time that an answer names is believed; GitHub's own limits count by the hour.
	longestPause = time.Hour
	// refusalRead is how much of a refusal's body is looked at, in bytes.
	refusalRead = 16 << 10
)

// limitWords is how a refusal with 403 says that it is about a rate limit where no header does.
var limitWords = regexp.MustCompile(`(?i)secondary[ -]rate[ -]limit|rate limit exceeded|abuse[ -](rate[ -]limit|detection)`)

// limited returns an Unavailable while the rate limit is used up.
func (l *Line) limited() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.trunk.Now().Before(l.closed) {
		return nil
	}
	return &deployments.Unavailable{Neighbour: RateLimit, Until: l.closed, Err: errors.New("not asked, as the rate limit is used up")}
}

// heed takes in what an answer says of the rate limit. Where it is a refusal for that, it is closed, and the error is an Unavailable.
func (l *Line) heed(answer *http.Response) error {
	now := l.trunk.Now()
	until, refused := limitIn(answer, now)
	l.mu.Lock()
	wasOpen := !now.Before(l.closed)
	switch {
	case !refused && wasOpen:
		l.unnamed = 0
	case refused && until.IsZero():
		if wasOpen { // else another request of the same time was refused, too
			l.unnamed++
		}
		until = now.Add(min(longestPause, shortestPause<<min(max(0, l.unnamed-1), 10)))
	}
	if until.After(l.closed) {
		l.closed = until
	}
	closes := wasOpen && now.Before(l.closed)
	l.mu.Unlock()
	if closes {
		l.trunk.Log.Warn("GitHub's rate limit is used up; nothing is asked until it is over", "of", l.name, "until", until.UTC().Format(time.RFC3339))
	}
	if !refused {
		return nil
	}
	answer.Body.Close()
	return &deployments.Unavailable{Neighbour: RateLimit, Until: until, Err: fmt.Errorf("GitHub answers %s for a rate limit", answer.Status)}
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
		refused = used || waits || speaksOfLimit(answer)
	}
	switch {
	case refused && waits:
		until = after
	case used:
		until = reset
	}
	if !until.After(now) {
		return time.Time{}, refused
	}
	if longest := now.Add(longestPause); until.After(longest) {
		until = longest
	}
	return until, refused
}

// speaksOfLimit reports whether a refusal's text says that it is about a rate limit.
func speaksOfLimit(answer *http.Response) bool {
	begin, _ := peek(answer, refusalRead)
	return limitWords.Match(begin)
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

// peek returns the beginning of a body that can still be read as a whole, at most so many bytes, and whether that is all of it. What cannot be read ends
// the body for the next reader, too.
func peek(answer *http.Response, most int) (begin []byte, whole bool) {
	begin, err := io.ReadAll(io.LimitReader(answer.Body, int64(most)+1))
	rest := io.Reader(answer.Body)
	if err != nil {
		rest = failingReader{err}
	}
	answer.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(begin), rest), answer.Body}
	return begin[:min(most, len(begin))], err == nil && len(begin) <= most
}

type failingReader struct{ err error }

func (r failingReader) Read([]byte) (int, error) { return 0, r.err }
