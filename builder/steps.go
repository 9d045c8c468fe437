package builder

import (
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/moby/buildkit/client"
	"github.com/opencontainers/go-digest"

	"vitrine/deployments"
)

const (
	// excerptLines is how much of a failed step's output a Fault carries.
	excerptLines = 20
	// maxLine is the longest line of output that is kept, in bytes.
	maxLine = 2000
)

// stepName matches what the frontend calls the steps of a Dockerfile: "[3/5] RUN npm ci", "[web 1/2] FROM scratch".
var stepName = regexp.MustCompile(`^\[(?:\S+ +)?\d+/\d+\] (\S+)`)

// controls are what a terminal would act on: escape sequences, and single characters other than the tab.
var controls = regexp.MustCompile(`\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|[\x00-\x08\x0a-\x1f\x7f]`)

// steps follow one build from what BuildKit reports of it. One goroutine at a time uses it.
type steps struct {
	service  string
	mask     *deployments.Mask
	log      io.Writer
	progress func(service, status string)
	vertexes map[digest.Digest]*vertex
	order    []*vertex
	shown    string // the last status
}

// A vertex is one operation of a build's graph.
type vertex struct {
	client.Vertex
	command string // of a step: "RUN"; empty for BuildKit's own operations
	began   bool   // the log says so
	ended   bool
	out     io.WriteCloser // takes the output, and passes it on masked, so that no cut leaves the half of a secret
	partial []byte         // output after the last newline
	tail    []string       // the last lines of output
}

func newSteps(service string, mask *deployments.Mask, log io.Writer, progress func(service, status string)) *steps {
	return &steps{service: service, mask: mask, log: log, progress: progress, vertexes: map[digest.Digest]*vertex{}}
}

// follow takes reports until there are no more.
func (s *steps) follow(reports <-chan *client.SolveStatus) {
	for r := range reports {
		for _, v := range r.Vertexes {
			s.vertex(v)
		}
		for _, l := range r.Logs {
			s.output(l)
		}
		for _, w := range r.Warnings {
			s.say("warning: " + string(w.Short))
		}
		s.show()
	}
	for _, v := range s.order {
		// It passes on to a printer, which takes everything.
		_ = v.out.Close()
		if len(v.partial) > 0 {
			s.line(v, v.partial)
		}
	}
}

func (s *steps) vertex(report *client.Vertex) {
	v := s.known(report.Digest)
	if report.Started == nil && v.Started != nil {
		return
	}
	v.Vertex = *report
	if m := stepName.FindStringSubmatch(v.Name); m != nil {
		v.command = m[1]
	}
	if v.command == "" && v.Error == "" {
		return
	}
	if !v.began && (v.Started != nil || v.Cached) {
		v.began = true
		s.say(v.Name)
	}
	if v.ended || v.Completed == nil {
		return
	}
	v.ended = true
	switch {
	case v.Error != "":
		s.say(fmt.Sprintf("%s failed after %s: %s", brackets(v.Name), v.took(), v.Error))
	case v.Cached:
		s.say(brackets(v.Name) + " cached")
	default:
		s.say(fmt.Sprintf("%s done in %s", brackets(v.Name), v.took()))
	}
}

func (s *steps) known(d digest.Digest) *vertex {
	v := s.vertexes[d]
	if v == nil {
		v = &vertex{}
		v.out = s.mask.Writer(&printer{s, v})
		s.vertexes[d] = v
		s.order = append(s.order, v)
	}
	return v
}

// brackets returns the beginning of a step's name: "[3/5]".
func brackets(name string) string {
	if i := strings.IndexByte(name, ']'); i >= 0 {
		return name[:i+1]
	}
	return name
}

// took returns how long the operation ran, for people: "8.1 s".
func (v *vertex) took() string {
	if v.Started == nil || v.Completed == nil {
		return "0.0 s"
	}
	return fmt.Sprintf("%.1f s", v.Completed.Sub(*v.Started).Round(100*time.Millisecond).Seconds())
}

func (s *steps) output(l *client.VertexLog) {
	// A printer takes everything.
	_, _ = s.known(l.Vertex).out.Write(l.Data)
}

// A printer takes the output of a vertex, masked.
type printer struct {
	*steps
	of *vertex
}

// Write cuts the output into lines. It never fails.
func (p *printer) Write(output []byte) (int, error) {
	s, v := p.steps, p.of
	v.partial = append(v.partial, output...)
	for {
		line, rest, found := strings.Cut(string(v.partial), "\n")
		if !found && len(v.partial) < maxLine {
			return len(output), nil
		}
		if !found {
			line, rest = string(v.partial[:maxLine]), string(v.partial[maxLine:])
		}
		s.line(v, []byte(line))
		v.partial = []byte(rest)
	}
}

func (s *steps) line(v *vertex, raw []byte) {
	text := cleaned(string(raw))
	v.tail = append(v.tail, text)
	if len(v.tail) > excerptLines {
		v.tail = v.tail[1:]
	}
	s.say(text)
}

// cleaned returns a line as a terminal would have left it: what came after the last carriage return, without escape sequences.
func cleaned(line string) string {
	line = strings.TrimRight(line, "\r")
	if i := strings.LastIndexByte(line, '\r'); i >= 0 {
		line = line[i+1:]
	}
	if len(line) > maxLine {
		line = line[:maxLine]
	}
	return controls.ReplaceAllString(strings.ToValidUTF8(line, "?"), "")
}

func (s *steps) say(line string) {
	// The log is written as well as it goes; a full disk must not fail a build.
	_, _ = io.WriteString(s.log, s.service+" | "+line+"\n")
}

// show tells which step is the latest that began.
func (s *steps) show() {
	total, begun := 0, 0
	for _, v := range s.order {
		if v.command == "" {
			continue
		}
		total++
		if v.began {
			begun++
		}
	}
	if total == 0 || s.progress == nil {
		return
	}
	status := fmt.Sprintf("step %d of %d", max(1, begun), total)
	if status != s.shown {
		s.shown = status
		s.progress(s.service, status)
	}
}

// cached reports whether nothing of the Dockerfile had to run.
func (s *steps) cached() bool {
	for _, v := range s.order {
		if v.command != "" && v.command != "FROM" && v.Started != nil && !v.Cached {
			return false
		}
	}
	return true
}

// failed returns the operation that ended the build, or nil.
func (s *steps) failed() *vertex {
	for _, v := range s.order {
		if v.Error != "" && !strings.Contains(v.Error, "context canceled") {
			return v
		}
	}
	return nil
}

// sharedLog lets several builds write whole lines to one writer.
type sharedLog struct {
	mu sync.Mutex
	w  io.Writer
}

// Write implements io.Writer.
func (l *sharedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}
