package sqlite

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"vitrine/deployments"
)

// Reports implements [deployments.Outbox].
func (s *Store) Reports(ctx context.Context, now time.Time, limit int) (list []deployments.PendingReport, err error) {
	const query = `SELECT id, change, report_failures FROM environments
		WHERE change > reported AND report_not_before <= ? ORDER BY report_not_before, id LIMIT ?`
	scan := func(row row) (r deployments.PendingReport, err error) {
		err = row.Scan(&r.Environment.ID, &r.Change, &r.Failures)
		return r, err
	}
	err = s.view(ctx, func(t *tx) error {
		if list, err = all(ctx, t, scan, query, at(now), limit); err != nil {
			return err
		}
		for i := range list {
			if err := t.complete(ctx, &list[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list what is to be reported: %w", err)
	}
	return list, nil
}

// complete reads what belongs to a report whose environment's ID is known.
func (t *tx) complete(ctx context.Context, r *deployments.PendingReport) (err error) {
	const bookmark = `SELECT coalesce(max(r.label), '') FROM routes r JOIN hosts h ON h.label = r.label
		WHERE r.environment_id = ? AND NOT r.removed AND h.repo = ? AND h.branch = ?`
	if r.Environment, err = t.environment(ctx, r.Environment.ID); err != nil {
		return err
	}
	if r.Latest, err = t.latest(ctx, r.Environment.ID); err != nil {
		return err
	}
	if r.Environment.Live != 0 {
		live, err := t.deployment(ctx, r.Environment.Live)
		if err != nil {
			return err
		}
		r.Live = &live
	}
	if hasBookmark(r.Environment) {
		e := r.Environment
		r.Bookmark, err = one(ctx, t, value[string], bookmark, e.ID, e.Origin.Repo, e.Source().Branch)
	}
	return err
}

// Reported implements [deployments.Outbox].
func (s *Store) Reported(ctx context.Context, environment, change int64, notes json.RawMessage) error {
	const update = `UPDATE environments SET reported = max(reported, ?1), report_failures = 0, report_not_before = 0,
		notes = CASE ?2 WHEN '' THEN notes ELSE ?2 END WHERE id = ?3`
	err := s.update(ctx, func(t *tx) error {
		return t.exec(ctx, update, change, string(notes), environment)
	})
	if err != nil {
		return fmt.Errorf("record the report of environment %d: %w", environment, err)
	}
	return nil
}

// PostponeReport implements [deployments.Outbox].
func (s *Store) PostponeReport(ctx context.Context, environment int64, until time.Time, notes json.RawMessage) error {
	const update = `UPDATE environments SET report_failures = report_failures + 1, report_not_before = ?1,
		notes = CASE ?2 WHEN '' THEN notes ELSE ?2 END WHERE id = ?3`
	err := s.update(ctx, func(t *tx) error {
		return t.exec(ctx, update, at(until), string(notes), environment)
	})
	if err != nil {
		return fmt.Errorf("postpone the report of environment %d: %w", environment, err)
	}
	return nil
}

// Unpushed implements [deployments.Outbox]. A deployment without images of its own is not among them.
func (s *Store) Unpushed(ctx context.Context) (list []deployments.Deployment, err error) {
	const query = `SELECT ` + deploymentColumns + ` FROM deployments
		WHERE phase = 'ready' AND pushed_at = 0 AND json_array_length(images) > 0 ORDER BY id`
	err = s.view(ctx, func(t *tx) error {
		list, err = all(ctx, t, t.scanDeployment, query)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list deployments to be pushed: %w", err)
	}
	return list, nil
}

// Pushed implements [deployments.Outbox].
func (s *Store) Pushed(ctx context.Context, id int64, images []deployments.Image, when time.Time) error {
	err := s.update(ctx, func(t *tx) error {
		return t.exec(ctx, `UPDATE deployments SET images = ?, pushed_at = ? WHERE id = ?`, document{images}, at(when), id)
	})
	if err != nil {
		return fmt.Errorf("record the push of deployment %d: %w", id, err)
	}
	return nil
}

// Record implements [deployments.Outbox].
func (s *Store) Record(ctx context.Context, origin, text string) error {
	err := s.update(ctx, func(t *tx) error { return t.log(ctx, origin, text) })
	if err != nil {
		return fmt.Errorf("write to the history of %s: %w", origin, err)
	}
	return nil
}
