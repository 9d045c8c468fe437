package world

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// newServe returns a Serve of this very binary, in a role of TestMain's.
func newServe(t *testing.T, role string) *Serve {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	port, err := FreePort()
	if err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", port)
	return &Serve{
		Address: address, LogFile: filepath.Join(t.TempDir(), "serve.log"), binary: self,
		env: []string{"VITRINE_LISTEN=" + address, roleVariable + "=" + role},
	}
}

func TestServe(t *testing.T) {
	s := newServe(t, "answers")
	if err := s.Stop(); err != nil {
		t.Errorf("stop before the start: %v", err)
	}
	for range 2 {
		if err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if pid := s.PID(); pid == os.Getpid() || pid <= 0 {
			t.Errorf("the process is %d", pid)
		}
		if err := s.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := s.Tail(), "stopped\nstopped\n"; got != want {
		t.Errorf("it said %q, want %q", got, want)
	}
}

func TestServeThatEnds(t *testing.T) {
	s := newServe(t, "ends")
	err := s.Start(t.Context())
	if err == nil || !strings.Contains(err.Error(), "no such setting") {
		t.Errorf("the start returns %v, which has to tell what serve said", err)
	}
	if err := s.Stop(); err != nil {
		t.Errorf("stop of one that has ended: %v", err)
	}
}

func TestServeThatIsMissing(t *testing.T) {
	s := newServe(t, "answers")
	s.binary = filepath.Join(t.TempDir(), "vitrine")
	if err := s.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "`make build`") {
		t.Errorf("the start returns %v, which has to tell what makes the binary", err)
	}
}

func TestTailIsShort(t *testing.T) {
	s := newServe(t, "")
	if err := os.WriteFile(s.LogFile, []byte(strings.Repeat("x", 5000)+"end"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := s.Tail(); len(got) != 4096 || !strings.HasSuffix(got, "xend") {
		t.Errorf("the tail has %d bytes and ends in %q", len(got), got[max(0, len(got)-4):])
	}
}

func TestUntil(t *testing.T) {
	asked := 0
	if err := Until(t.Context(), "it is so", func() (bool, error) { asked++; return asked == 3, nil }); err != nil || asked != 3 {
		t.Errorf("Until returns %v after %d questions, want 3", err, asked)
	}
	broken := errors.New("broken")
	if err := Until(t.Context(), "it is so", func() (bool, error) { return false, broken }); !errors.Is(err, broken) {
		t.Errorf("Until returns %v, want what it was told", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(broken)
	if err := Until(ctx, "it is so", func() (bool, error) { return false, nil }); !errors.Is(err, broken) {
		t.Errorf("Until returns %v, want why its context is done", err)
	}
}
