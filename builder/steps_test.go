package builder

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/buildkit/client"
	"github.com/opencontainers/go-digest"

	"vitrine/deployments"
)

// reported runs steps over reports and returns their log and statuses.
func reported(reports ...*client.SolveStatus) (s *steps, log string, statuses []string) {
	out := &strings.Builder{}
	s = newSteps("web", nil, out, func(service, status string) { statuses = append(statuses, service+": "+status) })
	channel := make(chan *client.SolveStatus, len(reports))
	for _, r := range reports {
		channel <- r
	}
	close(channel)
	s.follow(channel)
	return s, out.String(), statuses
}

var (
	begun = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	ended = begun.Add(8140 * time.Millisecond)
)

// operation makes a report; state is one of "known", "running", "done", "cached" or an error.
func operation(name, state string) *client.Vertex {
	v := &client.Vertex{Name: name, Digest: digest.FromString(name)}
	switch state {
	case "known":
		return v
	case "running":
		v.Started = &begun
		return v
	case "cached":
		v.Cached = true
	case "done":
	default:
		v.Error = state
	}
	v.Started, v.Completed = &begun, &ended
	return v
}

func printed(name, text string) *client.VertexLog {
	return &client.VertexLog{Vertex: digest.FromString(name), Data: []byte(text)}
}

const (
	internal  = "[internal] load build context"
	stepFrom  = "[1/3] FROM base:1"
	stepCopy  = "[2/3] COPY a b"
	stepRun   = "[web 3/3] RUN npm ci"
	exporting = "exporting to image"
)

func TestSteps(t *testing.T) {
	s, log, statuses := reported(
		&client.SolveStatus{Vertexes: []*client.Vertex{operation(internal, "done")}},
		&client.SolveStatus{Vertexes: []*client.Vertex{operation(stepFrom, "running"), operation(stepCopy, "known"), operation(stepRun, "known")}},
		&client.SolveStatus{Vertexes: []*client.Vertex{operation(stepFrom, "done"), operation(stepCopy, "cached"), operation(stepRun, "running")}},
		&client.SolveStatus{Logs: []*client.VertexLog{printed(stepRun, "one\ntw"), printed(stepRun, "o\r\n10%\r20%\n\x1b[31mred\x1b[0m\x07\nla")}},
		&client.SolveStatus{Logs: []*client.VertexLog{printed(stepRun, "st")}, Vertexes: []*client.Vertex{operation(stepRun, "exit code: 1")}},
		&client.SolveStatus{Vertexes: []*client.Vertex{operation(exporting, "running")}},
	)
	want := []string{
		"web | [1/3] FROM base:1", "web | [1/3] done in 8.1 s", "web | [2/3] COPY a b", "web | [2/3] cached", "web | [web 3/3] RUN npm ci",
		"web | one", "web | two", "web | 20%", "web | red", "web | [web 3/3] failed after 8.1 s: exit code: 1", "web | last", "",
	}
	if diff := cmp.Diff(want, strings.Split(log, "\n")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"web: step 1 of 3", "web: step 3 of 3"}, statuses); diff != "" {
		t.Error(diff)
	}
	if f := s.failed(); f == nil || f.Name != stepRun || cmp.Diff([]string{"one", "two", "20%", "red", "last"}, f.tail) != "" {
		t.Errorf("the failed step is %+v", f)
	}
}

func TestStepsKeepTheEnd(t *testing.T) {
	var text strings.Builder
	for i := range 100 {
		fmt.Fprintf(&text, "line %d\n", i)
	}
	text.WriteString(strings.Repeat("x", 3*maxLine))
	s, _, _ := reported(&client.SolveStatus{
		Logs: []*client.VertexLog{printed(stepRun, text.String())}, Vertexes: []*client.Vertex{operation(stepRun, "exit code: 1")},
	})
	tail := s.failed().tail
	if len(tail) != excerptLines || len(tail[excerptLines-1]) > maxLine || tail[0] != "line 83" {
		t.Errorf("got %d lines from %q", len(tail), tail[0])
	}
}

// However a line is cut, into reports by BuildKit or to its greatest length by us, no part of a secret is left at the cut.
func TestStepsMaskBeforeTheyCut(t *testing.T) {
	var out strings.Builder
	s := newSteps("web", deployments.NewMask([]string{"hunter2-first"}), &out, nil)
	reports := make(chan *client.SolveStatus, 1)
	reports <- &client.SolveStatus{
		Logs: []*client.VertexLog{
			printed(stepRun, strings.Repeat("x", maxLine-4)+"hunter2-first and more\nhun"), printed(stepRun, "ter2-first\nthe end is hunter2-first"),
		},
		Vertexes: []*client.Vertex{operation(stepRun, "exit code: 1")},
	}
	close(reports)
	s.follow(reports)
	tail := s.failed().tail
	if len(tail) != 3 || tail[1] != "***" || tail[2] != "the end is ***" {
		t.Errorf("the end is %q", tail)
	}
	for _, part := range []string{"hun", "ter2", "first"} {
		if strings.Contains(out.String(), part) {
			t.Errorf("the log shows %q", part)
		}
	}
}

func TestStepsCached(t *testing.T) {
	for name, test := range map[string]struct {
		vertexes []*client.Vertex
		want     bool
	}{
		"all":           {[]*client.Vertex{operation(internal, "done"), operation(stepFrom, "done"), operation(stepCopy, "cached"), operation(exporting, "done")}, true},
		"one ran":       {[]*client.Vertex{operation(stepFrom, "cached"), operation(stepCopy, "cached"), operation(stepRun, "done")}, false},
		"one never did": {[]*client.Vertex{operation(stepCopy, "known"), operation(stepRun, "cached")}, true},
		"only FROM":     {[]*client.Vertex{operation(stepFrom, "done")}, true},
	} {
		if s, _, _ := reported(&client.SolveStatus{Vertexes: test.vertexes}); s.cached() != test.want {
			t.Errorf("%s: got %v", name, s.cached())
		}
	}
}

func FuzzCleaned(f *testing.F) {
	for _, s := range []string{"a", "\x1b[31mred", "a\rb", "\xff", "\x1b]0;title\x07x", strings.Repeat("é", maxLine)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		got := cleaned(line)
		if strings.ContainsAny(got, "\x00\x07\n\r\x1b") || len(got) > maxLine || strings.ToValidUTF8(got, "") != got {
			t.Errorf("%q is left as %q", line, got)
		}
	})
}
