package line

import (
	"context"
	"net/http"
	"time"

	"golang.org/x/sync/semaphore"
)

const (
	// writesAtOnce is how many writes may follow each other without a pause.
	writesAtOnce = 40
	// WritePause lies between two writes when they are many. With writesAtOnce it makes 80 in any minute, which is what GitHub takes
	// (docs.github.com, "Rate limits for the REST API", about secondary rate limits).
	WritePause = 1500 * time.Millisecond
)

// A queue gives turns to write, in the order in which they were asked for. It is safe for use side by side.
type queue struct {
	pause time.Duration
	now   func() time.Time
	turn  *semaphore.Weighted
	spent time.Time // when the writes that were sent are forgotten, a pause for each; who has the turn reads and writes it
}

func newQueue(pause time.Duration, now func() time.Time) *queue {
	return &queue{pause: pause, now: now, turn: semaphore.NewWeighted(1)}
}

// InTurn returns a way that leads through next, and next through l. What changes something is sent one after the other, in the order in which it was asked
// for, so that the later of two edits is the one that stays and GitHub is not written to from several sides at once (docs.github.com, "Best practices for
// using the REST API"). Reads pass by. A write that waits gives up with its context.
func (l *Line) InTurn(next http.RoundTripper) http.RoundTripper { return &queued{l.writes, next} }

type queued struct {
	*queue
	next http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (q *queued) RoundTrip(r *http.Request) (*http.Response, error) {
	if reads(r) {
		return q.next.RoundTrip(r)
	}
	if err := q.wait(r.Context()); err != nil {
		CloseBody(r)
		return nil, err
	}
	// It is done when the answer begins. Its body is the caller's, who may be slow.
	defer q.turn.Release(1)
	return q.next.RoundTrip(r)
}

// reads reports whether a request changes nothing.
func reads(r *http.Request) bool { return r.Method == http.MethodGet || r.Method == http.MethodHead }

// wait returns nil when it is the caller's turn, who gives it back.
func (q *queue) wait(ctx context.Context) error {
	if q.turn.Acquire(ctx, 1) != nil {
		return context.Cause(ctx)
	}
	now := q.now()
	if q.spent.Before(now) {
		q.spent = now
	}
	if early := q.spent.Sub(now) - (writesAtOnce-1)*q.pause; early > 0 {
		timer := time.NewTimer(early)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			q.turn.Release(1)
			return context.Cause(ctx)
		}
	}
	q.spent = q.spent.Add(q.pause)
	return nil
}
