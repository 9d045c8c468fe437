package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// largestGroup is how many updates share a transaction at most, so that nobody waits long for the others.
const largestGroup = 128

// errTorn is what became of an update whose transaction was ended by another one in it.
var errTorn = errors.New("another update ended the transaction that this one shared")

// A committer has updates that wait for the writer share one transaction, and so one write to the disk: whoever gets the turn carries out what
// waits by then. It starts no goroutine. Its methods may be called side by side.
type committer struct {
	db       *sql.DB       // one connection
	turn     chan struct{} // holds a value while somebody uses db
	prepared *prepared     // belongs to who has the turn

	mu      sync.Mutex
	waiting []*update // in the order in which they came
}

// An update is what one caller wants written.
type update struct {
	run  func(statements) error
	err  error
	done chan struct{} // closed once err is known and, where it is nil, what run wrote is on disk
}

func newCommitter(db *sql.DB) *committer {
	return &committer{db: db, turn: make(chan struct{}, 1), prepared: newPrepared(db)}
}

// update runs f in a transaction and returns once that was committed, or with why it was not. Nothing is written where f returns an error; the others that
// share the transaction do not notice. f runs once at most, maybe on another goroutine. A ctx that is done keeps f from beginning; once it has begun
// its outcome is waited for.
func (c *committer) update(ctx context.Context, f func(statements) error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	u := &update{run: f, done: make(chan struct{})}
	c.mu.Lock()
	c.waiting = append(c.waiting, u)
	c.mu.Unlock()
	for {
		select {
		case <-u.done:
			return u.err
		case c.turn <- struct{}{}:
			c.lead(u)
		case <-ctx.Done():
			if c.withdraw(u) {
				return ctx.Err()
			}
			<-u.done
			return u.err
		}
	}
}

// lead carries out those that wait longest, as who has the turn, and gives the turn back. Where u is done already that is left to the others.
func (c *committer) lead(u *update) {
	defer func() { <-c.turn }()
	select {
	case <-u.done:
		return
	default:
	}
	c.mu.Lock()
	n := min(len(c.waiting), largestGroup)
	group := slices.Clone(c.waiting[:n])
	c.waiting = slices.Delete(c.waiting, 0, n)
	c.mu.Unlock()
	c.carryOut(group)
	c.prepared.learn()
}

// withdraw takes the update out of those that wait and reports whether it was one of them.
func (c *committer) withdraw(u *update) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.Index(c.waiting, u)
	if i < 0 {
		return false
	}
	c.waiting = slices.Delete(c.waiting, i, i+1)
	return true
}

// carryOut runs the updates in one transaction and tells each what became of it.
func (c *committer) carryOut(group []*update) {
	err := errTorn // stays where an update panics
	defer func() {
		for _, u := range group {
			if u.err == nil {
				u.err = err
			}
			close(u.done)
		}
	}()
	err = c.commit(group)
}

// commit runs the updates and commits what those wrote that went well. Its error is the transaction's; an update's own is its err.
func (c *committer) commit(group []*update) (err error) {
	t, err := c.db.BeginTx(context.Background(), nil)
	if err != nil {
		return fmt.Errorf("begin transaction: %w", err)
	}
	committed := false
	defer func() {
		if committed {
			return
		}
		if undo := t.Rollback(); undo != nil && !errors.Is(undo, sql.ErrTxDone) {
			err = errors.Join(err, fmt.Errorf("roll back: %w", undo))
		}
	}()
	q := c.prepared.within(t)
	for _, u := range group {
		if err := runAlone(q, u); err != nil {
			return err
		}
	}
	if err := t.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	committed = true
	return nil
}

// runAlone runs an update in a savepoint of its own. An error of runAlone's is the end of the transaction, which SQLite may have rolled back after the
// update's: with a full disk, for one (sqlite.org/lang_transaction.html, "Response To Errors Within A Transaction").
func runAlone(q statements, u *update) error {
	ctx := context.Background()
	if _, err := q.ExecContext(ctx, `SAVEPOINT alone`); err != nil {
		return fmt.Errorf("set a savepoint: %w", err)
	}
	if u.err = u.run(q); u.err != nil {
		if _, err := q.ExecContext(ctx, `ROLLBACK TO alone`); err != nil {
			return fmt.Errorf("%w: %w", errTorn, u.err)
		}
	}
	if _, err := q.ExecContext(ctx, `RELEASE alone`); err != nil {
		return fmt.Errorf("release a savepoint: %w", err)
	}
	return nil
}
