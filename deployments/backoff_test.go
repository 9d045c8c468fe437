package deployments

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

func TestBackoff(t *testing.T) {
	for failures, want := range map[int]time.Duration{
		-1: time.Second, 0: time.Second, 1: 2 * time.Second, 2: 4 * time.Second, 5: 32 * time.Second, 6: time.Minute, 7: time.Minute,
		1 << 40: time.Minute,
	} {
		for range 100 {
			if d := backoff(failures); d < want*4/5 || d > want*6/5 {
				t.Errorf("after %d failures: %s, want %s, give or take a fifth", failures, d, want)
			}
		}
	}
}

func TestRetryAt(t *testing.T) {
	now := time.Date(2024, 11, 21, 14, 0, 0, 0, time.UTC)
	until := func(d time.Duration) error {
		return fmt.Errorf("edit a comment: %w", &Unavailable{Neighbour: "GitHub", Until: now.Add(d), Err: errors.New("403")})
	}
	for name, test := range map[string]struct {
		err         error
		failures    int
		least, most time.Duration
	}{
		"nobody said when":            {errors.New("refused"), 3, 8 * time.Second * 4 / 5, 8 * time.Second * 6 / 5},
		"not before a time":           {until(10 * time.Minute), 0, 10 * time.Minute, 10*time.Minute + time.Second},
		"a time that comes earlier":   {until(time.Second), 4, 16 * time.Second * 4 / 5, 16 * time.Second * 6 / 5},
		"a time long past":            {until(-time.Hour), 0, time.Second * 4 / 5, time.Second * 6 / 5},
		"a time that nobody waits to": {until(1000 * time.Hour), 0, time.Hour, time.Hour + time.Second},
	} {
		for range 100 {
			if d := retryAt(now, test.failures, test.err).Sub(now); d < test.least || d > test.most {
				t.Fatalf("%s: %s, want %s to %s", name, d, test.least, test.most)
			}
		}
	}
}
