package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"path/filepath"
	"time"

	"vitrine/deployments"
	// It registers the driver "sqlite". The Store itself cannot be opened beside serve, which holds the data folder locked.
	_ "vitrine/deployments/sqlite"
)

// A record is what serve noted of one deployment.
type record struct {
	created time.Time // when the attempt was claimed
	live    time.Time // when its route was decided
	timings []deployments.Timing
}

// read runs f on serve's database, which serve itself may have open.
func (s *serve) read(f func(db *sql.DB) error) error {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(s.data, "vitrine.db")+"?mode=ro&_pragma=busy_timeout(5000)")
	if err != nil {
		return err
	}
	defer db.Close()
	return f(db)
}

// number returns the one number that a query answers with.
func (s *serve) number(ctx context.Context, query string, args ...any) (n int64, err error) {
	err = s.read(func(db *sql.DB) error { return db.QueryRowContext(ctx, query, args...).Scan(&n) })
	return n, err
}

// instance returns serve's name for itself on the engine.
func (s *serve) instance(ctx context.Context) (name string, err error) {
	err = s.read(func(db *sql.DB) error { return db.QueryRowContext(ctx, `SELECT instance FROM store`).Scan(&name) })
	return name, err
}

// deploymentOf returns what is noted of the deployment of a commit that went live.
func (s *serve) deploymentOf(ctx context.Context, sha string) (r record, err error) {
	const query = `SELECT created_at, live_at, timings FROM deployments WHERE json_extract(source, '$.sha') = ? AND live_at > 0`
	var created, live int64
	var timings []byte
	err = s.read(func(db *sql.DB) error { return db.QueryRowContext(ctx, query, sha).Scan(&created, &live, &timings) })
	if err != nil {
		return r, fmt.Errorf("read the deployment of %s: %w", sha, err)
	}
	r.created, r.live = time.Unix(0, created), time.Unix(0, live)
	return r, json.Unmarshal(timings, &r.timings)
}

// idle waits until serve has nothing to do any more: everything settled, pushed, told, and what was replaced removed.
func (s *serve) idle(ctx context.Context) error {
	const work = `SELECT (SELECT count(*) FROM environments WHERE generation > observed OR change > reported)
		+ (SELECT count(*) FROM requests WHERE state = 'pending')
		+ (SELECT count(*) FROM deployments WHERE removed_at = 0 AND (phase <> 'ready' OR pushed_at = 0))`
	return until(ctx, "serve is idle", func() (bool, error) {
		n, err := s.number(ctx, work)
		return n == 0, err
	})
}
