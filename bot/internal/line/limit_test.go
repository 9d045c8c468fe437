package line

import (
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestLimitIn(t *testing.T) {
	now := time.Date(2026, 11, 21, 14, 0, 0, 0, time.UTC)
	in := func(d time.Duration) string { return strconv.FormatInt(now.Add(d).Unix(), 10) }
	type header map[string]string
	tests := map[string]struct {
		status  int
		header  header
		body    string
		until   time.Duration // from now; 0: no time is named
		refused bool
	}{
		"an answer":                        {200, header{"X-RateLimit-Remaining": "17", "X-RateLimit-Reset": in(time.Minute)}, "", 0, false},
		"the last answer":                  {200, header{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": in(30 * time.Minute)}, "", 30 * time.Minute, false},
		"the last answer before now":       {200, header{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": in(-time.Minute)}, "", 0, false},
		"the last answer, of nothing":      {404, header{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": in(time.Minute)}, "", time.Minute, false},
		"the limit of an hour":             {403, header{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": in(30 * time.Minute)}, "", 30 * time.Minute, true},
		"the same, as 429":                 {429, header{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": in(30 * time.Minute)}, "", 30 * time.Minute, true},
		"a reset that was":                 {403, header{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": in(-time.Minute)}, "", 0, true},
		"no reset":                         {403, header{"X-RateLimit-Remaining": "0"}, "", 0, true},
		"a reset in words":                 {403, header{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "soon"}, "", 0, true},
		"the second limit":                 {403, header{"Retry-After": "120"}, "", 2 * time.Minute, true},
		"the second limit, by date":        {429, header{"Retry-After": now.Add(5 * time.Minute).Format(http.TimeFormat)}, "", 5 * time.Minute, true},
		"the second limit before the hour": {403, header{"Retry-After": "60", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": in(30 * time.Minute)}, "", time.Minute, true},
		"the second limit in words":        {403, nil, `{"message":"You have exceeded a secondary rate limit. Please wait a few minutes."}`, 0, true},
		"by its documentation":             {403, nil, `{"documentation_url":"https://docs.github.com/rest/overview/rate-limits-for-the-rest-api#about-secondary-rate-limits"}`, 0, true},
		"by its older name":                {403, nil, `{"message":"You have triggered an abuse detection mechanism."}`, 0, true},
		"429 alone":                        {429, nil, "", 0, true},
		"a wait below zero":                {429, header{"Retry-After": "-7"}, "", 0, true},
		"a wait of years":                  {429, header{"Retry-After": "2000000000"}, "", time.Hour, true},
		"a wait in words":                  {429, header{"Retry-After": "soon"}, "", 0, true},
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

// A limit that names no time is left alone for a minute, and longer each time that it is still there.
func TestLimitWithoutATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, limits := time.Now(), 0
		var at []time.Duration
		l := trunkOver(t, func(*http.Request) (*http.Response, error) {
			at = append(at, time.Since(began))
			if len(at) > limits {
				return answering(http.StatusOK, nil, strings.NewReader("{}")), nil
			}
			return answering(http.StatusForbidden, nil, strings.NewReader("You have exceeded a secondary rate limit.")), nil
		}).Line("installation 1")
		until := func(refusals int) {
			t.Helper()
			for limits = len(at) + refusals; ; {
				answer, err := l.RoundTrip(requestOf(t, t.Context()))
				if err == nil {
					answer.Body.Close()
					return
				}
				time.Sleep(time.Until(unavailable(t, err, RateLimit).Until))
			}
		}
		until(9)
		want := []time.Duration{0}
		for _, minutes := range []int{1, 2, 4, 8, 16, 32, 60, 60, 60} {
			want = append(want, want[len(want)-1]+time.Duration(minutes)*time.Minute)
		}
		if !slices.Equal(at, want) {
			t.Errorf("asked at %s, want %s", at, want)
		}
		began, at = time.Now(), nil
		until(1)
		if want := []time.Duration{0, time.Minute}; !slices.Equal(at, want) {
			t.Errorf("after a success asked at %s, want %s", at, want)
		}
	})
}

// Those who are refused together count as one refusal.
func TestLimitOfSeveralAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := trunkOver(t, func(*http.Request) (*http.Response, error) {
			time.Sleep(time.Second)
			return answering(http.StatusTooManyRequests, nil, strings.NewReader("{}")), nil
		}).Line("installation 1")
		var asked sync.WaitGroup
		for range 10 {
			asked.Go(func() {
				_, err := l.RoundTrip(requestOf(t, t.Context()))
				unavailable(t, err, RateLimit)
			})
		}
		asked.Wait()
		if left := time.Until(l.closed); left != time.Minute {
			t.Errorf("closed for %s", left)
		}
	})
}
