package world

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

// A Record is what serve noted of one deployment.
type Record struct {
	Created time.Time // when the attempt was claimed
	Live    time.Time // when its route was decided
	Timings []deployments.Timing
}

// read runs f on serve's database, which serve itself may have open.
func (s *Serve) read(f func(db *sql.DB) error) error {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(s.data, "vitrine.db")+"?mode=ro&_pragma=busy_timeout(5000)")
	if err != nil {
		return err
	}
	defer db.Close()
	return f(db)
}

// Number returns the one number that a query of serve's database answers with.
func (s *Serve) Number(ctx context.Context, query string, args ...any) (n int64, err error) {
	err = s.read(func(db *sql.DB) error { return db.QueryRowContext(ctx, query, args...).Scan(&n) })
	return n, err
}

// instance returns serve's name for itself on the engine.
func (s *Serve) instance(ctx context.Context) (name string, err error) {
	err = s.read(func(db *sql.DB) error { return db.QueryRowContext(ctx, `SELECT instance FROM store`).Scan(&name) })
	return name, err
}

// Deployment returns what is noted of the deployment of a commit that went live. It is an error where there is none, or not yet.
func (s *Serve) Deployment(ctx context.Context, sha string) (r Record, err error) {
	const query = `SELECT created_at, live_at, timings FROM deployments WHERE json_extract(source, '$.sha') = ? AND live_at > 0`
	var created, live int64
	var timings []byte
	err = s.read(func(db *sql.DB) error { return db.QueryRowContext(ctx, query, sha).Scan(&created, &live, &timings) })
	if err != nil {
		return r, fmt.Errorf("read the deployment of %s: %w", sha, err)
	}
	r.Created, r.Live = time.Unix(0, created), time.Unix(0, live)
	return r, json.Unmarshal(timings, &r.Timings)
}

// First returns what is noted, without timings, of the first deployment of each environment that went live, in the order in which they were begun.
func (s *Serve) First(ctx context.Context) (records []Record, err error) {
	const query = `SELECT created_at, live_at FROM deployments
		WHERE id IN (SELECT min(id) FROM deployments GROUP BY environment_id) AND live_at > 0 ORDER BY created_at`
	err = s.read(func(db *sql.DB) error {
		rows, err := db.QueryContext(ctx, query)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var created, live int64
			if err := rows.Scan(&created, &live); err != nil {
				return err
			}
			records = append(records, Record{Created: time.Unix(0, created), Live: time.Unix(0, live)})
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("read the first deployments: %w", err)
	}
	return records, nil
}

// Backend returns where the container behind a host's label answers, an URL. A route with none, or with several, is an error.
func (s *Serve) Backend(ctx context.Context, label string) (string, error) {
	var text []byte
	err := s.read(func(db *sql.DB) error {
		return db.QueryRowContext(ctx, `SELECT backends FROM routes WHERE label = ?`, label).Scan(&text)
	})
	if err != nil {
		return "", fmt.Errorf("read the route of %s: %w", label, err)
	}
	var backends []string
	if err := json.Unmarshal(text, &backends); err != nil || len(backends) != 1 {
		return "", fmt.Errorf("the route of %s has no single backend: %s", label, text)
	}
	return backends[0], nil
}

// Idle waits until serve has nothing to do any more: everything settled, pushed, told, and what was replaced removed.
func (s *Serve) Idle(ctx context.Context) error {
	const work = `SELECT (SELECT count(*) FROM environments WHERE generation > observed OR change > reported)
		+ (SELECT count(*) FROM requests WHERE state = 'pending')
		+ (SELECT count(*) FROM deployments WHERE removed_at = 0 AND (phase <> 'ready' OR pushed_at = 0))`
	return Until(ctx, "serve is idle", func() (bool, error) {
		n, err := s.Number(ctx, work)
		return n == 0, err
	})
}
