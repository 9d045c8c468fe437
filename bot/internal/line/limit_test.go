package line

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
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
