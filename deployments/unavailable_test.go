package deployments

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"
)

func TestAway(t *testing.T) {
	refused := errors.New("connection refused")
	fault := &Fault{Kind: FaultBuild, Reason: "the command ended with 2"}
	for name, test := range map[string]struct {
		err     error
		waiting string
	}{
		"a neighbour":           {away("GitHub", refused), "waits for GitHub"},
		"inside other words":    {fmt.Errorf("plan: %w", away("GitHub", refused)), "waits for GitHub"},
		"beside another error":  {errors.Join(refused, away("GitHub", refused)), "waits for GitHub"},
		"a full disk":           {fmt.Errorf("make the log: %w", &os.PathError{Op: "open", Path: "log", Err: syscall.ENOSPC}), "waits for free disk space on the server"},
		"a full disk elsewhere": {away("GitHub", fmt.Errorf("fetch: %w", syscall.ENOSPC)), "waits for free disk space on the server"},
		"nobody in particular":  {refused, "waits for the next try, after a fault of the server's"},
		"who knows better":      {away("the Docker engine", away("free disk space", refused)), "waits for free disk space"},
		"the user":              {away("GitHub", fault), "waits for the next try, after a fault of the server's"},
		"nobody any more":       {away("GitHub", ErrSuperseded), "waits for the next try, after a fault of the server's"},
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
