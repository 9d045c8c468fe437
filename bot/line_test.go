package bot

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"vitrine/deployments"
)

func TestLimitIn(t *testing.T) {
	now := time.Date(2026, 11, 21, 14, 0, 0, 0, time.UTC)
	in := func(d time.Duration) string { return strconv.FormatInt(now.Add(d).Unix(), 10) }
	type header map[string]string
	tests := map[string]struct {
		status  int
		header  header
		body    string
		until   time.Duration // from now
		refused bool
	}{
		"an answer":                        {200, header{"X-RateLimit-Remaining": "17", "X-RateLimit-Reset": in(time.Minute)}, "", 0, false},
		"the last answer":                  {200, header{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": in(30 * time.Minute)}, "", 30 * time.Minute, false},
		"the last answer before now":       {200, header{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": in(-time.Minute)}, "", 0, false},
		"the last answer, of nothing":      {404, header{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": in(time.Minute)}, "", time.Minute, false},
		"the limit of an hour":             {403, header{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": in(30 * time.Minute)}, "", 30 * time.Minute, true},
		"the same, as 429":                 {429, header{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": in(30 * time.Minute)}, "", 30 * time.Minute, true},
		"a reset that was":                 {403, header{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": in(-time.Minute)}, "", time.Minute, true},
		"no reset":                         {403, header{"X-RateLimit-Remaining": "0"}, "", time.Minute, true},
		"a reset in words":                 {403, header{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "soon"}, "", time.Minute, true},
		"the second limit":                 {403, header{"Retry-After": "120"}, "", 2 * time.Minute, true},
		"the second limit, by date":        {429, header{"Retry-After": now.Add(5 * time.Minute).Format(http.TimeFormat)}, "", 5 * time.Minute, true},
		"the second limit before the hour": {403, header{"Retry-After": "60", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": in(30 * time.Minute)}, "", time.Minute, true},
		"the second limit in words":        {403, nil, `{"message":"You have exceeded a secondary rate limit. Please wait a few minutes."}`, time.Minute, true},
		"by its documentation":             {403, nil, `{"documentation_url":"https://docs.github.com/rest/overview/rate-limits-for-the-rest-api#about-secondary-rate-limits"}`, time.Minute, true},
		"by its older name":                {403, nil, `{"message":"You have triggered an abuse detection mechanism."}`, time.Minute, true},
		"429 alone":                        {429, nil, "", time.Minute, true},
		"a wait below zero":                {429, header{"Retry-After": "-7"}, "", time.Minute, true},
		"a wait of years":                  {429, header{"Retry-After": "2000000000"}, "", time.Hour, true},
		"a wait in words":                  {429, header{"Retry-After": "soon"}, "", time.Minute, true},
		"a reset in years":                 {403, header{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": in(10000 * time.Hour)}, "", time.Hour, true},
		"a permission":                     {403, header{"X-RateLimit-Remaining": "17"}, `{"message":"Resource not accessible by integration"}`, 0, false},
		"a suspended installation":         {403, nil, `{"message":"This installation has been suspended"}`, 0, false},
		"a missing thing":                  {404, nil, `{"message":"secondary rate limit"}`, 0, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			answer := &http.Response{StatusCode: test.status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(test.body))}
			for k, v := range test.header {
				answer.Header.Set(k, v)
			}
			until, refused := limitIn(answer, now)
			var want time.Time
			if test.until > 0 {
				want = now.Add(test.until)
			}
			if !until.Equal(want) || refused != test.refused {
				t.Errorf("until %s, refused: %t", until, refused)
			}
			if body, err := io.ReadAll(answer.Body); err != nil || string(body) != test.body {
				t.Errorf("%q is left of the body, %v", body, err)
			}
		})
	}
}

// roundTrip is a RoundTripper.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func answering(status int, header http.Header, body io.Reader) *http.Response {
	return &http.Response{Status: http.StatusText(status), StatusCode: status, Header: header, Body: io.NopCloser(body)}
}

// overLine sends a request over a line to f, in the time of a bubble.
func overLine(t *testing.T, ctx context.Context, f roundTrip) (*http.Response, error) {
	t.Helper()
	l := &line{next: f, name: "the App", answerTime: answerTime, now: time.Now, log: discard}
	return l.RoundTrip(requestOf(t, ctx))
}

func requestOf(t *testing.T, ctx context.Context) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://github.test/app", nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func hang(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

func TestLineGivesUpOnASlowAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		_, err := overLine(t, t.Context(), hang)
		unavailable(t, err, waitsForGitHub)
		if took := time.Since(began); took != answerTime || !strings.Contains(err.Error(), "did not answer within 10s") {
			t.Errorf("gave up after %s: %v", took, err)
		}
	})
}

// The bound is on the beginning of an answer: a long body may take longer.
func TestLineReadsASlowBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer, err := overLine(t, t.Context(), func(r *http.Request) (*http.Response, error) {
			body, w := io.Pipe()
			go func() {
				time.Sleep(2 * answerTime)
				if r.Context().Err() == nil {
					_, _ = io.WriteString(w, "late")
				}
				w.CloseWithError(io.EOF)
			}()
			return answering(200, nil, body), nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(answer.Body); err != nil || string(body) != "late" {
			t.Errorf("%q, %v", body, err)
		}
		if err := answer.Body.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestLineSaysWhyTheCallerEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(deployments.ErrSuperseded) })
		_, err := overLine(t, ctx, hang)
		var u *deployments.Unavailable
		if !errors.Is(err, deployments.ErrSuperseded) || errors.As(err, &u) {
			t.Errorf("%v", err)
		}
	})
}

func TestLineAway(t *testing.T) {
	for name, f := range map[string]roundTrip{
		"no connection": func(*http.Request) (*http.Response, error) { return nil, errors.New("connection refused") },
		"500":           func(*http.Request) (*http.Response, error) { return answering(500, nil, strings.NewReader("x")), nil },
		"502, in HTML": func(*http.Request) (*http.Response, error) {
			return answering(502, nil, strings.NewReader("<html>")), nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := overLine(t, t.Context(), f)
			if u := unavailable(t, err, waitsForGitHub); !u.Until.IsZero() {
				t.Errorf("until %s", u.Until)
			}
		})
	}
	_, err := overLine(t, t.Context(), func(*http.Request) (*http.Response, error) {
		return answering(503, http.Header{"Retry-After": {"600"}}, strings.NewReader("")), nil
	})
	if u := unavailable(t, err, waitsForGitHub); time.Until(u.Until) < 9*time.Minute {
		t.Errorf("GitHub asks for ten minutes, until %s", u.Until)
	}
}

// After a rate limit nothing is sent until the time that was named, whoever asks.
func TestLineIsClosedAfterARateLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sent := 0
		header := http.Header{"Retry-After": {"90"}}
		l := &line{name: "the App", answerTime: answerTime, now: time.Now, log: discard, next: roundTrip(func(*http.Request) (*http.Response, error) {
			sent++
			return answering(http.StatusForbidden, header, strings.NewReader("{}")), nil
		})}
		until := time.Now().Add(90 * time.Second)
		for range 5 {
			_, err := l.RoundTrip(requestOf(t, t.Context()))
			if u := unavailable(t, err, waitsForRateLimit); !u.Until.Equal(until) {
				t.Errorf("until %s, want %s", u.Until, until)
			}
			time.Sleep(10 * time.Second)
		}
		if sent != 1 {
			t.Errorf("sent %d requests", sent)
		}
		time.Sleep(time.Until(until))
		header = nil
		answer, err := l.RoundTrip(requestOf(t, t.Context()))
		if err != nil || sent != 2 {
			t.Fatalf("after the pause: %v, %d sent", err, sent)
		}
		if err := answer.Body.Close(); err != nil {
			t.Error(err)
		}
	})
}
