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

func TestAway(t *testing.T) {
	refused := errors.New("connection refused")
	fault := &Fault{Kind: FaultBuild, Reason: "the command ended with 2"}
	for name, test := range map[string]struct {
		err     error
		waiting string
	}{
		"a neighbour":          {away("GitHub", refused), "waits for GitHub"},
		"inside other words":   {fmt.Errorf("plan: %w", away("GitHub", refused)), "waits for GitHub"},
		"beside another error": {errors.Join(refused, away("GitHub", refused)), "waits for GitHub"},
		"nobody in particular": {refused, "waits for the next try, after a fault of the server's"},
		"the user":             {away("GitHub", fault), "waits for the next try, after a fault of the server's"},
		"nobody any more":      {away("GitHub", ErrSuperseded), "waits for the next try, after a fault of the server's"},
	} {
		if got := waitingFor(test.err); got != test.waiting {
			t.Errorf("%s: got %q, want %q", name, got, test.waiting)
		}
	}
	if err := away("GitHub", nil); err != nil {
		t.Errorf("of no error it makes %v", err)
	}
	if err := away("GitHub", refused); err.Error() != refused.Error() || !errors.Is(err, refused) {
		t.Errorf("it hides what went wrong: %v", err)
	}
	if FaultOf(away("GitHub", fmt.Errorf("fetch: %w", fault))) != fault {
		t.Error("it hides the user's fault")
	}
}
