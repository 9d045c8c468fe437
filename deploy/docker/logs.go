package docker

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"golang.org/x/sync/errgroup"

	"vitrine/deploy"
	"vitrine/deployments"
)

const (
	// mostLines is how many lines of what was printed before are handed out at most, whatever is asked for.
	mostLines = 10_000
	// readersAtOnce bounds how many containers' logs are read side by side.
	readersAtOnce = 8
)

// A printer is a container whose output is read.
type printer struct {
	id         string
	service    string
	deployment int64
	since      time.Time // the last line that was read of it
	mask       *mask     // of its environment
	pieces     int       // that were read: lines, and parts of long ones
}

// Logs implements [deployments.Runtime]. First come the lines of containers that were removed, as far as they are kept, and of those that are there, in the
// order of their times, 10,000 at most; then, in the order in which they are printed, those of containers that run, or start later, until ctx is done. What
// is secret of any deployment of the environment is masked.
func (r *Runtime) Logs(ctx context.Context, q deployments.LogQuery, emit func(deployments.LogLine) error) error {
	err := r.attended(ctx, func(ctx context.Context) error { return r.logs(ctx, q, emit) })
	if err != nil {
		return fmt.Errorf("read the logs of %s: %w", q.Environment, err)
	}
	return nil
}

func (r *Runtime) logs(ctx context.Context, q deployments.LogQuery, emit func(deployments.LogLine) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var f *follower
	if q.Follow {
		// What starts from here on is heard of, so that nothing is missed between the list and what follows.
		f = r.newFollower(ctx, q)
		defer f.wait(cancel)
	}
	mask, err := r.maskOf(ctx, q.Environment)
	if err != nil {
		return err
	}
	printers, err := r.printers(ctx, q, mask)
	if err != nil {
		return err
	}
	lines, err := r.past(ctx, q, printers, mask)
	if err != nil {
		return err
	}
	for _, l := range lines {
		if err := emit(l); err != nil {
			return err
		}
	}
	if f == nil {
		return nil
	}
	return f.follow(ctx, printers, mask, emit)
}

// printers returns the containers that the query is about.
func (r *Runtime) printers(ctx context.Context, q deployments.LogQuery, m *mask) ([]*printer, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	found, err := r.client.ContainerList(ctx, container.ListOptions{All: true, Filters: r.about(q)})
	if err != nil {
		return nil, fmt.Errorf("list containers: %w", err)
	}
	printers := make([]*printer, len(found))
	for i, c := range found {
		printers[i] = newPrinter(c.ID, c.Labels, m)
	}
	return printers, nil
}

func newPrinter(id string, labels map[string]string, m *mask) *printer {
	// A container that outlives deployments has no such label.
	deployment, _ := strconv.ParseInt(labels[deploy.LabelDeployment], 10, 64)
	return &printer{id: id, service: labels[deploy.LabelService], deployment: deployment, mask: m}
}

// about returns the filter for what the query is about.
func (r *Runtime) about(q deployments.LogQuery) filters.Args {
	by := filters.NewArgs(r.ours(), filters.Arg("label", deploy.LabelEnvironment+"="+q.Environment))
	if q.Service != "" {
		by.Add("label", deploy.LabelService+"="+q.Service)
	}
	return by
}

// past returns what was printed before now.
func (r *Runtime) past(ctx context.Context, q deployments.LogQuery, printers []*printer, m *mask) ([]deployments.LogLine, error) {
	tail := q.Tail
	if tail <= 0 || tail > mostLines {
		tail = mostLines
	}
	there := func(id string) bool {
		return slices.ContainsFunc(printers, func(p *printer) bool { return p.id[:shortID] == id })
	}
	lines, err := r.archive.read(q, tail, there)
	if err != nil {
		return nil, err
	}
	of := make([][]deployments.LogLine, len(printers))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(readersAtOnce)
	for i, p := range printers {
		g.Go(func() error {
			var err error
			of[i], err = r.last(ctx, p, q, tail)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	lines = append(lines, slices.Concat(of...)...)
	slices.SortStableFunc(lines, func(a, b deployments.LogLine) int { return a.At.Compare(b.At) })
	lines = lines[max(0, len(lines)-tail):]
	hide := m.now() // also what was not known yet when a line was kept
	for i := range lines {
		lines[i].Text = hide.String(lines[i].Text)
	}
	return lines, nil
}

// last returns the last lines that a container printed, for n at most of the pieces that the engine counts. It asks for one more, by which to know whether
// the first line lacks its beginning, and with it that of a secret.
func (r *Runtime) last(ctx context.Context, p *printer, q deployments.LogQuery, n int) (lines []deployments.LogLine, err error) {
	first := 0 // how many pieces the first line has
	err = r.printed(ctx, p, q, n+1, false, func(l deployments.LogLine) error {
		if len(lines) == 0 {
			first = p.pieces
		}
		lines = append(lines, l)
		return nil
	})
	switch {
	case err != nil || p.pieces <= n:
		return lines, err
	case first == 1:
		return lines[1:], nil
	default:
		lines[0].Text = p.mask.now().Rest(lines[0].Text)
		return lines, nil
	}
}

// printed hands on what a container printed, or with follow what it prints until it ends. A container that is gone has printed nothing.
func (r *Runtime) printed(
	ctx context.Context, p *printer, q deployments.LogQuery, tail int, follow bool, emit func(deployments.LogLine) error,
) error {
	options := container.LogsOptions{ShowStdout: true, ShowStderr: true, Timestamps: true, Follow: follow, Tail: "all"}
	since := q.Since
	if !p.since.IsZero() {
		since = p.since.Add(1)
	} else if tail > 0 {
		options.Tail = strconv.Itoa(tail)
	}
	if !since.IsZero() {
		options.Since = fmt.Sprintf("%d.%09d", since.Unix(), since.Nanosecond())
	}
	stream, err := r.client.ContainerLogs(ctx, p.id, options)
	if errdefs.IsNotFound(err) || errdefs.IsConflict(err) { // it is gone, or being removed
		return nil
	}
	if err != nil {
		return fmt.Errorf("read what container %s prints: %w", p.id, err)
	}
	defer stream.Close()
	return readLines(stream, p.mask.now, func(l line) error {
		p.since = l.last
		p.pieces += l.pieces
		// A secret may have been hidden from the mask by what is cleared away, such as a colour.
		text := p.mask.now().String(l.clean())
		return emit(deployments.LogLine{At: l.at, Service: p.service, Deployment: p.deployment, Err: l.err, Text: text})
	})
}
