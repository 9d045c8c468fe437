package sqlite

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
)

// A crowd are updates that wait for the writer, and share a transaction once it is let go.
type crowd struct {
	*fixture
	outcomes []chan error
}

// inCrowd runs f while the writer is taken.
func inCrowd(t *testing.T, f func(c *crowd)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := &crowd{fixture: newFixture(t)}
		c.commits.turn <- struct{}{}
		f(c)
	})
}

// join has one more update wait. One that panics has the panic for an outcome.
func (c *crowd) join(ctx context.Context, f func(t *tx) error) {
	outcome := make(chan error, 1)
	c.outcomes = append(c.outcomes, outcome)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				outcome <- fmt.Errorf("panic: %v", p)
			}
		}()
		outcome <- c.update(ctx, f)
	}()
	synctest.Wait()
}

// release lets the writer go and returns what became of each update.
func (c *crowd) release() (errs []error) {
	<-c.commits.turn
	for _, o := range c.outcomes {
		errs = append(errs, <-o)
	}
	c.outcomes = nil
	return errs
}

// writes returns an update that writes a line.
func writes(text string) func(*tx) error {
	return func(t *tx) error { return t.log(context.Background(), pull(1).Key(), text) }
}

// holds checks which lines are there, on disk and for others to read.
func (c *crowd) holds(want ...string) {
	c.Helper()
	if diff := cmp.Diff(want, c.texts(pull(1))); diff != "" {
		c.Errorf("lines (-want +got):\n%s", diff)
	}
}

func TestUpdatesShareATransaction(t *testing.T) {
	inCrowd(t, func(c *crowd) {
		var seen []int
		for i := range largestGroup + 1 {
			c.join(c.Context(), func(t *tx) error {
				if err := writes(fmt.Sprint("line ", i))(t); err != nil {
					return err
				}
				// What is not committed is seen from within only.
				seen = append(seen, len(c.texts(pull(1))))
				return nil
			})
		}
		for _, err := range c.release() {
			c.ok(err)
		}
		want := make([]int, largestGroup+1)
		want[largestGroup] = largestGroup // the last one found no place in the first transaction
		if diff := cmp.Diff(want, seen); diff != "" {
			t.Errorf("lines that were committed before each update's end (-want +got):\n%s", diff)
		}
		if n := len(c.texts(pull(1))); n != largestGroup+1 {
			t.Errorf("%d lines, want %d", n, largestGroup+1)
		}
	})
}

func TestAFailedUpdateIsAlone(t *testing.T) {
	wrong := errors.New("wrong")
	run := func(statement string) func(*tx) error {
		return func(t *tx) error { return t.exec(context.Background(), statement) }
	}
	tests := map[string]struct {
		fails func(*tx) error
		want  string
	}{
		"by what it decides":   {func(*tx) error { return wrong }, "wrong"},
		"by a rule of a table": {run(`INSERT INTO store (only_row, instance) VALUES (2, '')`), "CHECK constraint"},
		"by its syntax":        {run(`INSERT`), "incomplete input"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			inCrowd(t, func(c *crowd) {
				c.join(c.Context(), writes("before"))
				c.join(c.Context(), func(t *tx) error { return errors.Join(writes("gone")(t), test.fails(t)) })
				c.join(c.Context(), writes("after"))
				errs := c.release()
				c.ok(errors.Join(errs[0], errs[2]))
				if errs[1] == nil || !strings.Contains(errs[1].Error(), test.want) {
					t.Errorf("the update in the middle: %v, want %q", errs[1], test.want)
				}
				c.holds("before", "after")
			})
		})
	}
}

// Where the transaction cannot go on, nobody in it was successful, and the next one is.
func TestAnUpdateThatEndsTheTransaction(t *testing.T) {
	tests := map[string]struct {
		before int // how many joined before it; the first one leads, and so would have its panic
		run    func(*tx) error
		want   string // its outcome
	}{
		// SQLite does this itself where the disk is full or cannot be read.
		"SQLite rolls back": {1, func(t *tx) error {
			_, err := t.ExecContext(context.Background(), `ROLLBACK`)
			return errors.Join(err, errors.New("disk I/O error"))
		}, "disk I/O error"},
		"it panics": {0, func(*tx) error { panic("a mistake") }, "panic: a mistake"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			inCrowd(t, func(c *crowd) {
				for range test.before {
					c.join(c.Context(), writes("gone"))
				}
				c.join(c.Context(), test.run)
				c.join(c.Context(), writes("gone"))
				for i, err := range c.release() {
					if i == test.before && (err == nil || !strings.Contains(err.Error(), test.want)) {
						t.Errorf("the update: %v, want %q", err, test.want)
					}
					if i != test.before && !errors.Is(err, errTorn) {
						t.Errorf("one beside it: %v, want %v", err, errTorn)
					}
				}
				c.holds()
				c.ok(c.update(c.Context(), writes("next")))
				c.holds("next")
			})
		})
	}
}

// Who goes away while the update waits gets no update; who goes away later gets its outcome.
func TestAnUpdateOfSomebodyWhoGoesAway(t *testing.T) {
	inCrowd(t, func(c *crowd) {
		early, leave := context.WithCancel(c.Context())
		c.join(early, writes("early"))
		leave()
		synctest.Wait()
		late, leave := context.WithCancel(c.Context())
		c.join(late, func(t *tx) error {
			leave()
			return t.log(late, pull(1).Key(), "late")
		})
		c.join(c.Context(), writes("stays"))
		errs := c.release()
		if !errors.Is(errs[0], context.Canceled) {
			t.Errorf("the one that left early: %v", errs[0])
		}
		c.ok(errors.Join(errs[1:]...))
		c.holds("late", "stays")
		if err := c.update(early, writes("never")); !errors.Is(err, context.Canceled) {
			t.Errorf("an update of somebody who was away before: %v", err)
		}
		c.holds("late", "stays")
	})
}
