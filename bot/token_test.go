package bot

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-github/v60/github"

	"vitrine/bot/internal/line"
	"vitrine/deployments"
)

// roundTrip is a RoundTripper.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func answering(status int, header http.Header, body io.Reader) *http.Response {
	return &http.Response{Status: http.StatusText(status), StatusCode: status, Header: header, Body: io.NopCloser(body)}
}

func hang(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// A mint answers for tokens as it is told: with a token of an hour, or with f.
type mint struct {
	asked atomic.Int32
	f     roundTrip
}

func (m *mint) RoundTrip(r *http.Request) (*http.Response, error) {
	n := m.asked.Add(1)
	if m.f != nil {
		return m.f(r)
	}
	at := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	body := `{"token":"token ` + string('0'+rune(n)) + `","expires_at":"` + at + `"}`
	return answering(http.StatusCreated, nil, strings.NewReader(body)), nil
}

func (m *mint) source() *tokenSource {
	trunk, err := line.New(line.Config{Transport: m, AnswerTime: answerTime, Now: time.Now, Log: discard})
	if err != nil {
		panic(err)
	}
	return newTokenSource(github.NewClient(&http.Client{Transport: trunk.Line("the App")}), 17, &github.InstallationTokenOptions{}, time.Now)
}

func TestTokenIsRenewedEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &mint{}
		s := m.source()
		want := func(value string, asked int32) {
			t.Helper()
			if got, err := s.token(t.Context()); err != nil || got != value || m.asked.Load() != asked {
				t.Errorf("%q, %v after %d requests; want %q after %d", got, err, m.asked.Load(), value, asked)
			}
		}
		want("token 1", 1)
		time.Sleep(29 * time.Minute)
		want("token 1", 1)
		time.Sleep(2 * time.Minute) // 29 are left
		want("token 2", 2)

		// GitHub goes away. The token serves until ten minutes are left, and GitHub is tried once a minute.
		for _, away := range []roundTrip{
			func(*http.Request) (*http.Response, error) { return answering(500, nil, strings.NewReader("")), nil },
			func(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF },
		} {
			m.f = away
			asked := m.asked.Load()
			time.Sleep(31 * time.Minute)
			want("token 2", asked+1)
			want("token 2", asked+1)
			m.f, s.expires = nil, time.Now().Add(time.Hour)
		}
		m.f = hang
		time.Sleep(45 * time.Minute)
		began := time.Now()
		want("token 2", 5)
		if took := time.Since(began); took != renewTime {
			t.Errorf("an early renewal took %s", took)
		}
		time.Sleep(6 * time.Minute) // nine are left
		_, err := s.token(t.Context())
		unavailable(t, err, waitsForGitHub)
		m.f = nil
		want("token 7", 7)
	})
}

// Whoever waits for another's renewal gives up by its own bound.
func TestTokenIsNotWaitedForTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &mint{f: hang}
		s := m.source()
		began := time.Now()
		done := make(chan error, 20)
		for range cap(done) {
			go func() {
				ctx, cancel := within(t.Context(), headTime)
				defer cancel()
				_, err := s.token(ctx)
				done <- err
			}()
		}
		for range cap(done) {
			unavailable(t, <-done, waitsForGitHub)
		}
		if took := time.Since(began); took != headTime {
			t.Errorf("gave up after %s", took)
		}
	})
}

// A refusal of a token says nothing about what the token was for.
func TestTokenRefused(t *testing.T) {
	for status, lost := range map[int]bool{401: false, 403: true, 404: true, 422: false} {
		m := &mint{f: func(*http.Request) (*http.Response, error) {
			return answering(status, nil, strings.NewReader(`{"message":"no"}`)), nil
		}}
		_, err := m.source().token(t.Context())
		unavailable(t, err, waitsForPermission)
		if gone(err) || statusOf(err) != 0 || forbidden(err) != lost {
			t.Errorf("%d: gone %t, status %d, forbidden %t", status, gone(err), statusOf(err), forbidden(err))
		}
	}
}

func TestTokenMissingInTheAnswer(t *testing.T) {
	m := &mint{f: func(*http.Request) (*http.Response, error) { return answering(201, nil, strings.NewReader(`{}`)), nil }}
	_, err := m.source().token(t.Context())
	unavailable(t, err, waitsForGitHub)
}

func TestTokenOfACallerThatEnded(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(deployments.ErrSuperseded)
	s := (&mint{f: hang}).source()
	s.busy <- struct{}{}
	if _, err := s.token(ctx); err != deployments.ErrSuperseded {
		t.Errorf("%v", err)
	}
}
