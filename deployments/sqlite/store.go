// Package sqlite keeps the truth in one SQLite database: what previews are wanted, what is there, and each attempt. It implements
// [deployments.Store].
//
// Exported methods open the transaction, helpers take it. There is one connection that writes, so writes come one after the other and each
// reads what it decides upon. Those that wait for it share a transaction, and so one write to the disk, each in a savepoint of its own. Readers have a
// snapshot and never wait for it.
package sqlite

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
	driver "modernc.org/sqlite" // also registers itself as "sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"vitrine/deployments"
)

// databaseFile is the database's name in the data folder.
const databaseFile = "vitrine.db"

// readers is how many connections read side by side.
const readers = 4

// Options are what a Store needs to know.
type Options struct {
	// Now is the clock. nil is time.Now.
	Now func() time.Time
	// Lifetime says when environments expire.
	Lifetime deployments.Lifetime
	// Domain is the base domain, without a port: the host of the label "shop-pr-42" is "shop-pr-42.<Domain>".
	Domain string
}

// A Store is the database of one data folder, which it holds locked until Close. Its methods may be called side by side.
type Store struct {
	writer   *sql.DB // one connection
	commits  *committer
	reader   *sql.DB
	lock     *flock.Flock
	seal     *seal
	now      func() time.Time
	lifetime deployments.Lifetime
	domain   string
	instance string
}

var _ deployments.Store = (*Store)(nil)

// Open opens the database in the data folder dir, makes both where they are missing (for their owner's eyes alone), with a key for what is secret, and
// brings the schema up to date. A folder that another process has open, a database of a newer Vitrine, and a key that is not the database's are errors
// that say what to do.
func Open(ctx context.Context, dir string, o Options) (_ *Store, err error) {
	dir, err = filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("find data folder %s: %w", dir, err)
	}
	lock, err := lockFolder(dir)
	if err != nil {
		return nil, err
	}
	s := &Store{lock: lock, now: o.Now, lifetime: o.Lifetime, domain: o.Domain}
	if s.now == nil {
		s.now = time.Now
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if s.seal, err = openSeal(dir); err != nil {
		return nil, err
	}
	file := filepath.Join(dir, databaseFile)
	if err := s.connect(file); err != nil {
		return nil, fmt.Errorf("open database %s: %w", file, err)
	}
	if err := migrate(ctx, s.writer, file); err != nil {
		return nil, err
	}
	if s.instance, err = identify(ctx, s.writer); err != nil {
		return nil, fmt.Errorf("name this instance in %s: %w", file, err)
	}
	if err := s.update(ctx, func(t *tx) error { return t.seal.check(ctx, t, file) }); err != nil {
		return nil, err
	}
	return s, nil
}

// Instance returns the name that everything outside carries which belongs to this data folder: 12 hexadecimal digits, drawn at the first Open.
func (s *Store) Instance() string { return s.instance }

// Close closes the database and gives the data folder back. It may be called twice.
func (s *Store) Close() error {
	var errs []error
	for _, db := range []*sql.DB{s.reader, s.writer} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(append(errs, s.lock.Unlock())...)
}

func (s *Store) connect(file string) (err error) {
	// SQLite gives its other files the mode that this one has.
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if s.writer, err = sql.Open("sqlite", source(file, "immediate", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)")); err != nil {
		return err
	}
	s.writer.SetMaxOpenConns(1)
	s.commits = newCommitter(s.writer)
	if s.reader, err = sql.Open("sqlite", source(file, "deferred", "query_only(1)")); err != nil {
		return err
	}
	s.reader.SetMaxOpenConns(readers)
	return nil
}

// source returns the driver's name for the file, with how its transactions begin and what is set on each connection.
func source(file, begin string, pragmas ...string) string {
	q := url.Values{"_txlock": {begin}, "_pragma": append([]string{"busy_timeout(10000)"}, pragmas...)}
	return (&url.URL{Scheme: "file", Path: file, RawQuery: q.Encode()}).String()
}

func identify(ctx context.Context, db *sql.DB) (instance string, err error) {
	var random [6]byte
	if _, err := rand.Read(random[:]); err != nil {
		return "", err
	}
	const insert = `INSERT INTO store (only_row, instance) VALUES (1, ?) ON CONFLICT DO NOTHING`
	if _, err := db.ExecContext(ctx, insert, hex.EncodeToString(random[:])); err != nil {
		return "", err
	}
	err = db.QueryRowContext(ctx, `SELECT instance FROM store`).Scan(&instance)
	return instance, err
}

// A tx is one transaction, at one moment.
type tx struct {
	statements
	now      time.Time
	lifetime deployments.Lifetime
	domain   string
	seal     *seal
}

// update runs f in a transaction that writes, which it may share with other updates. Nothing is written where f returns an error. f may run on another
// goroutine.
func (s *Store) update(ctx context.Context, f func(*tx) error) error {
	err := s.commits.update(ctx, func(q statements) error { return f(s.within(q)) })
	var failed *driver.Error
	if errors.As(err, &failed) && failed.Code()&0xff == sqlite3.SQLITE_FULL {
		return &deployments.Unavailable{Neighbour: deployments.DiskSpace, Err: err}
	}
	return err
}

// view runs f on a snapshot.
func (s *Store) view(ctx context.Context, f func(*tx) error) error {
	t, err := s.reader.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin transaction: %w", err)
	}
	defer t.Rollback() // nothing was written
	return f(s.within(t))
}

// within returns a transaction that has begun. The clock is read now, so that no later one is older. Round drops the monotonic part, which is not stored.
func (s *Store) within(q statements) *tx {
	return &tx{statements: q, now: s.now().UTC().Round(0), lifetime: s.lifetime, domain: s.domain, seal: s.seal}
}
