package docker

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/docker/docker/api/types/events"

	"vitrine/deployments"
)

// A follower hands on what the containers of an environment print, also of those that start later.
type follower struct {
	*Runtime
	query   deployments.LogQuery
	heard   <-chan events.Message
	lost    <-chan error
	lines   chan deployments.LogLine
	failed  chan error // gets the first error of a reader
	readers sync.WaitGroup

	mu       sync.Mutex
	known    map[string]*printer
	followed map[string]bool // the containers that are read, and whether they have started again meanwhile
}

// newFollower returns one that hears of every creation and start from now on.
func (r *Runtime) newFollower(ctx context.Context, q deployments.LogQuery) *follower {
	by := r.about(q)
	by.Add("type", string(events.ContainerEventType))
	by.Add("event", string(events.ActionCreate))
	by.Add("event", string(events.ActionStart))
	f := &follower{
		Runtime: r, query: q, lines: make(chan deployments.LogLine), failed: make(chan error, 1),
		known: make(map[string]*printer), followed: make(map[string]bool),
	}
	// What starts while the engine does not listen to itself yet, it tells of because of the time; see [Runtime.Watch].
	f.heard, f.lost = r.client.Events(ctx, events.ListOptions{Filters: by, Since: strconv.FormatInt(time.Now().Unix(), 10)})
	return f
}

// wait ends the readers.
func (f *follower) wait(cancel context.CancelFunc) {
	cancel()
	f.readers.Wait()
}

// follow hands on the lines until ctx is done, the engine is lost or emit fails.
func (f *follower) follow(ctx context.Context, printers []*printer, m *mask, emit func(deployments.LogLine) error) error {
	for _, p := range printers {
		f.read(ctx, p)
	}
	for {
		select {
		case l := <-f.lines:
			if err := emit(l); err != nil {
				return err
			}
		case e := <-f.heard:
			if e.Action == events.ActionStart {
				f.read(ctx, newPrinter(e.Actor.ID, e.Actor.Attributes, m))
				continue
			}
			// It may be of a new version with new secrets, which services that stay may print as well.
			if err := m.refresh(ctx); err != nil {
				return err
			}
		case err := <-f.failed:
			return err
		case err := <-f.lost:
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return fmt.Errorf("follow the engine: %w", err)
		}
	}
}

// read starts to read what the container prints, unless it is read already: then it is read again once its present output has ended.
func (f *follower) read(ctx context.Context, p *printer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, busy := f.followed[p.id]; busy {
		f.followed[p.id] = true
		return
	}
	f.followed[p.id] = false
	if before := f.known[p.id]; before != nil {
		p = before // it knows up to where it was read
	}
	f.known[p.id] = p
	f.readers.Go(func() {
		for f.next(ctx, p) {
			continue
		}
	})
}

// next reads what the container prints until it ends, and reports whether it is to be read again.
func (f *follower) next(ctx context.Context, p *printer) bool {
	err := f.printed(ctx, p, f.query, 0, true, func(l deployments.LogLine) error {
		select {
		case f.lines <- l:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	})
	if err != nil {
		select {
		case f.failed <- err:
		default:
		}
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.followed[p.id] {
		f.followed[p.id] = false
		return true
	}
	delete(f.followed, p.id)
	return false
}
