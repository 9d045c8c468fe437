package line

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"vitrine/deployments"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// unavailable fails the test unless err waits for the neighbour.
func unavailable(t *testing.T, err error, neighbour string) *deployments.Unavailable {
	t.Helper()
	var u *deployments.Unavailable
	if !errors.As(err, &u) || u.Neighbour != neighbour {
		t.Fatalf("got %v, %+v; want to wait for %q", err, u, neighbour)
	}
	return u
}

// roundTrip is a RoundTripper.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func answering(status int, header http.Header, body io.Reader) *http.Response {
	return &http.Response{Status: http.StatusText(status), StatusCode: status, Header: header, Body: io.NopCloser(body)}
}

// answerTime is how long the tests' lines wait.
const answerTime = 10 * time.Second

func trunkOver(t *testing.T, f roundTrip) *Trunk {
	t.Helper()
	trunk, err := New(Config{Transport: f, AnswerTime: answerTime, WritePause: WritePause, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return trunk
}

// overLine sends a request over a line to f, in the time of a bubble.
func overLine(t *testing.T, ctx context.Context, f roundTrip) (*http.Response, error) {
	t.Helper()
	return trunkOver(t, f).Line("the App").RoundTrip(requestOf(t, ctx))
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
		unavailable(t, err, GitHub)
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
			if u := unavailable(t, err, GitHub); !u.Until.IsZero() {
				t.Errorf("until %s", u.Until)
			}
		})
	}
	_, err := overLine(t, t.Context(), func(*http.Request) (*http.Response, error) {
		return answering(503, http.Header{"Retry-After": {"600"}}, strings.NewReader("")), nil
	})
	if u := unavailable(t, err, GitHub); time.Until(u.Until) < 9*time.Minute {
		t.Errorf("GitHub asks for ten minutes, until %s", u.Until)
	}
}

// After a rate limit nothing is sent until the time that was named, whoever asks.
func TestLineIsClosedAfterARateLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sent := 0
		header := http.Header{"Retry-After": {"90"}}
		l := trunkOver(t, func(*http.Request) (*http.Response, error) {
			sent++
			return answering(http.StatusForbidden, header, strings.NewReader("{}")), nil
		}).Line("the App")
		until := time.Now().Add(90 * time.Second)
		for range 5 {
			_, err := l.RoundTrip(requestOf(t, t.Context()))
			if u := unavailable(t, err, RateLimit); !u.Until.Equal(until) {
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
