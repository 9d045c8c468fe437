package docker

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"vitrine/deploy"
	"vitrine/deployments"
)

// says has a service print a line.
func (b *bench) says(backend deployments.Backend, text, to string) {
	b.t.Helper()
	b.get(backend, "/print", url.Values{"text": {text + "\n"}, "to": {to}})
}

// logs returns what is known of what services printed.
func (b *bench) logs(q deployments.LogQuery) (lines []deployments.LogLine) {
	b.t.Helper()
	q.Environment = testEnvironment.Name
	if err := b.Logs(b.t.Context(), q, func(l deployments.LogLine) error {
		lines = append(lines, l)
		return nil
	}); err != nil {
		b.t.Fatal(err)
	}
	return lines
}

// texts puts lines as "web: text", with "!" for the standard error.
func texts(lines []deployments.LogLine) (texts []string) {
	for _, l := range lines {
		sign := ": "
		if l.Err {
			sign = "! "
		}
		texts = append(texts, l.Service+sign+l.Text)
	}
	return texts
}

// wantLogs waits until the logs are those. An engine writes down what was printed a moment later.
func (b *bench) wantLogs(what string, q deployments.LogQuery, want ...string) {
	b.t.Helper()
	var diff string
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if diff = cmp.Diff(want, texts(b.logs(q))); diff == "" {
			return
		}
	}
	b.t.Errorf("%s (-want +got):\n%s", what, diff)
}

// What services print is read while they run, and after they are gone.
func TestLogs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := newBench(t, func(c *Config) { c.LogDir = dir })
	began := time.Now().Add(-time.Second)
	_, of := b.live(1, deploy.Stack{Services: []deploy.Service{web("web", "-say", "hello"), web("api")}})
	b.wantLogs("at first", deployments.LogQuery{}, "web: hello")
	b.says(of["api"], "\x1b[31mred\x1b[0m", "out")
	b.wantLogs("with colours", deployments.LogQuery{}, "web: hello", "api: red")
	b.says(of["web"], "oops", "err")
	everything := []string{"web: hello", "api: red", "web! oops"}
	b.wantLogs("of both", deployments.LogQuery{}, everything...)
	b.wantLogs("of one", deployments.LogQuery{Service: "web"}, "web: hello", "web! oops")
	b.wantLogs("the last", deployments.LogQuery{Tail: 1}, "web! oops")
	lines := b.logs(deployments.LogQuery{})
	for _, l := range lines {
		if l.At.Before(began) || l.At.After(time.Now().Add(time.Second)) || l.Deployment != 1 {
			t.Errorf("the line %+v", l)
		}
	}
	b.wantLogs("from one on", deployments.LogQuery{Since: lines[1].At}, "api: red", "web! oops")
	b.get(of["api"], "/long", url.Values{"bytes": {"2000000"}})
	b.until("the long line is there", func() bool {
		lines := b.logs(deployments.LogQuery{Service: "api", Since: lines[2].At})
		return len(lines) == 1 && len(lines[0].Text) < longestLine+100 && strings.HasSuffix(lines[0].Text, "bytes more)")
	})

	before := b.logs(deployments.LogQuery{})
	if err := b.Down(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, b.logs(deployments.LogQuery{})); diff != "" {
		t.Errorf("after it is gone (-before +after):\n%s", diff)
	}
	b.wantLogs("of one that is gone", deployments.LogQuery{Service: "web", Tail: 1}, "web! oops")
	if size, err := b.archive.size(testEnvironment.Name); err != nil || size == 0 {
		t.Errorf("%d bytes are kept, %v", size, err)
	}
	b.live(2, deploy.Stack{Services: []deploy.Service{web("web", "-say", "hello again")}})
	b.wantLogs("of both versions", deployments.LogQuery{Service: "web"}, "web: hello", "web! oops", "web: hello again")
	if got := texts(b.otherLogs("shop-pr-43")); len(got) > 0 {
		t.Errorf("another environment has %q", got)
	}
}

func (b *bench) otherLogs(environment string) (lines []deployments.LogLine) {
	b.t.Helper()
	if err := b.Logs(b.t.Context(), deployments.LogQuery{Environment: environment}, func(l deployments.LogLine) error {
		lines = append(lines, l)
		return nil
	}); err != nil {
		b.t.Fatal(err)
	}
	return lines
}

// Whoever follows gets each line once: what was printed before, what is printed now, after a restart, and by a version that comes later.
func TestFollowLogs(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	d, of := b.live(1, deploy.Stack{Services: []deploy.Service{web("web", "-say", "up")}})
	if err := b.Restore(t.Context(), d); err != nil { // from now on the engine starts it again
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	lines, ended := make(chan deployments.LogLine, 100), make(chan error, 1)
	go func() {
		ended <- b.Logs(ctx, deployments.LogQuery{Environment: testEnvironment.Name, Follow: true}, func(l deployments.LogLine) error {
			lines <- l
			return nil
		})
	}()
	next := func(want string) {
		t.Helper()
		select {
		case l := <-lines:
			if got := texts([]deployments.LogLine{l})[0]; got != want || time.Since(l.At) > time.Minute {
				t.Fatalf("got %q of %s, want %q", got, l.At, want)
			}
		case err := <-ended:
			t.Fatal(err)
		case <-time.After(30 * time.Second):
			t.Fatalf("never came: %q", want)
		}
	}
	next("web: up")
	b.says(of["web"], "one", "out")
	next("web: one")
	for range 3 {
		b.asks(of["web"], "/exit", "status", "1")
		next("web: up")
		b.until("it takes a connection", func() bool { return answersAt(t.Context(), of["web"].URL) })
		b.says(of["web"], "two", "err")
		next("web! two")
	}
	_, later := b.live(2, deploy.Stack{Services: []deploy.Service{web("web", "-say", "new")}})
	next("web: new")
	if err := b.Down(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	b.says(later["web"], "three", "out")
	next("web: three")
	cause := errors.New("enough")
	cancel(cause)
	if err := <-ended; !errors.Is(err, cause) {
		t.Errorf("got %v, want the cause of the end", err)
	}
}

// What is secret is shown by nobody who reads the logs, and stands in no file: not what was secret of a version before, not what becomes secret while
// somebody follows, and not what became so after it was kept.
func TestLogsMaskSecrets(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var known atomic.Pointer[[]string]
	learn := func(secrets ...string) { known.Store(&secrets) }
	learn("hunter2-first")
	b := newBench(t, func(c *Config) {
		c.LogDir = dir
		c.Secrets = func(_ context.Context, environment string) ([]string, error) {
			if environment != testEnvironment.Name {
				return nil, fmt.Errorf("asked for %s", environment)
			}
			if known.Load() == nil {
				return nil, errors.New("the store is closed")
			}
			return *known.Load(), nil
		}
	})
	_, of := b.live(1, deploy.Stack{Services: []deploy.Service{web("web", "-say", "it is hunter2-first")}})
	b.says(of["web"], "hunt\x1b[31mer2-first in colour", "out")
	b.wantLogs("of one that runs", deployments.LogQuery{}, "web: it is ***", "web: *** in colour")

	ctx, cancel := context.WithCancel(t.Context())
	lines, ended := make(chan string, 100), make(chan error, 1)
	go func() {
		ended <- b.Logs(ctx, deployments.LogQuery{Environment: testEnvironment.Name, Follow: true, Tail: 1}, func(l deployments.LogLine) error {
			lines <- l.Text
			return nil
		})
	}()
	next := func(want string) {
		t.Helper()
		select {
		case got := <-lines:
			if got != want {
				t.Fatalf("whoever follows gets %q, want %q", got, want)
			}
		case err := <-ended:
			t.Fatal(err)
		case <-time.After(30 * time.Second):
			t.Fatalf("never came: %q", want)
		}
	}
	next("*** in colour")
	learn("hunter2-first", "hunter2-second")
	_, later := b.live(2, deploy.Stack{Services: []deploy.Service{web("web", "-say", "it is hunter2-second")}})
	next("it is ***")
	b.says(of["web"], "the old one knows hunter2-second", "out")
	next("the old one knows ***")
	b.says(later["web"], "hunter2-third", "out")
	next("hunter2-third")
	cancel()
	<-ended

	if err := b.Down(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if err := b.Down(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	if kept := b.keptText(dir); !strings.Contains(kept, "hunter2-third") || strings.Contains(kept, "first") || strings.Contains(kept, "second") {
		t.Errorf("kept is\n%s", kept)
	}
	learn("hunter2-first", "hunter2-second", "hunter2-third")
	b.wantLogs("of both when they are gone", deployments.LogQuery{},
		"web: it is ***", "web: *** in colour", "web: it is ***", "web: the old one knows ***", "web: ***")

	known.Store(nil)
	if err := b.Logs(t.Context(), deployments.LogQuery{Environment: testEnvironment.Name}, func(l deployments.LogLine) error {
		t.Errorf("told: %+v", l)
		return nil
	}); err == nil || !strings.Contains(err.Error(), "the store is closed") {
		t.Errorf("without knowing what is secret: %v", err)
	}
}

// keptText returns everything that is kept of what removed containers printed.
func (b *bench) keptText(dir string) string {
	b.t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*", "*"+logSuffix))
	if err != nil {
		b.t.Fatal(err)
	}
	var all strings.Builder
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			b.t.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
}
