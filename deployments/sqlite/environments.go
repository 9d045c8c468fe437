package sqlite

import (
	"context"
	"fmt"
	"time"

	"vitrine/deployments"
)

const environmentColumns = `id, name, repo, pull_request, branch, given_name, sources, title, intent, decided_by, cause, force, reset, fresh,
	skipped, approved, held, seen, seen_at, generation, observed, coalesce(live, 0), failed, expires_at, ttl, pinned, failures, not_before, waiting,
	notes, created_at`

func scanEnvironment(row row) (e deployments.Environment, err error) {
	err = row.Scan(&e.ID, &e.Name, &e.Origin.Repo, &e.Origin.PullRequest, &e.Origin.Branch, &e.Origin.Name, document{&e.Sources}, &e.Title,
		&e.Intent, &e.By, &e.Cause, &e.Force, &e.Reset, &e.Fresh, &e.Skipped, &e.Approved, &e.Held, &e.Seen, instant{&e.SeenAt},
		&e.Generation, &e.Observed, &e.Live, &e.Failed, instant{&e.Expires}, &e.TTL, &e.Pinned, &e.Failures, instant{&e.NotBefore}, &e.Waiting,
		notes{&e.Notes}, instant{&e.CreatedAt})
	return e, err
}

// Environment implements [deployments.Environments].
func (s *Store) Environment(ctx context.Context, id int64) (e deployments.Environment, err error) {
	err = s.view(ctx, func(t *tx) error {
		e, err = t.environment(ctx, id)
		return err
	})
	if err != nil {
		return e, fmt.Errorf("read environment %d: %w", id, err)
	}
	return e, nil
}

// EnvironmentOf implements [deployments.Environments].
func (s *Store) EnvironmentOf(ctx context.Context, origin string) (e deployments.Environment, err error) {
	err = s.view(ctx, func(t *tx) error {
		e, err = t.environmentOf(ctx, origin)
		return err
	})
	if err != nil {
		return e, fmt.Errorf("read the environment of %s: %w", origin, err)
	}
	return e, nil
}

// EnvironmentNamed implements [deployments.Environments].
func (s *Store) EnvironmentNamed(ctx context.Context, name string) (e deployments.Environment, err error) {
	err = s.view(ctx, func(t *tx) error {
		e, err = one(ctx, t, scanEnvironment, `SELECT `+environmentColumns+` FROM environments WHERE name = ?`, name)
		return err
	})
	if err != nil {
		return e, fmt.Errorf("read environment %s: %w", name, err)
	}
	return e, nil
}

// Due implements [deployments.Environments].
func (s *Store) Due(ctx context.Context, now time.Time, limit int) (due []deployments.Environment, next time.Time, err error) {
	const query = `SELECT ` + environmentColumns + ` FROM environments WHERE generation > observed AND not_before <= ? ORDER BY raised_at, id LIMIT ?`
	const first = `SELECT coalesce(min(not_before), 0) FROM environments WHERE generation > observed AND not_before > ?`
	scan := func(row row) (t time.Time, err error) {
		err = row.Scan(instant{&t})
		return t, err
	}
	err = s.view(ctx, func(t *tx) error {
		if due, err = all(ctx, t, scanEnvironment, query, at(now), limit); err != nil {
			return err
		}
		next, err = one(ctx, t, scan, first, at(now))
		return err
	})
	if err != nil {
		return nil, next, fmt.Errorf("list due environments: %w", err)
	}
	return due, next, nil
}

// Unsettled implements [deployments.Environments].
func (s *Store) Unsettled(ctx context.Context) (list []deployments.Environment, err error) {
	const query = `SELECT ` + environmentColumns + ` FROM environments WHERE generation > observed ORDER BY raised_at, id`
	err = s.view(ctx, func(t *tx) error {
		list, err = all(ctx, t, scanEnvironment, query)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list unsettled environments: %w", err)
	}
	return list, nil
}

// EnvironmentsOf implements [deployments.Environments].
func (s *Store) EnvironmentsOf(ctx context.Context, repo string) (list []deployments.Environment, err error) {
	err = s.view(ctx, func(t *tx) error {
		list, err = all(ctx, t, scanEnvironment, `SELECT `+environmentColumns+` FROM environments WHERE repo = ? ORDER BY id`, repo)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list the environments of %s: %w", repo, err)
	}
	return list, nil
}

// Expired implements [deployments.Environments].
func (s *Store) Expired(ctx context.Context, now time.Time) (list []deployments.Environment, err error) {
	const query = `SELECT ` + environmentColumns + ` FROM environments
		WHERE intent = 'up' AND NOT pinned AND expires_at <> 0 AND expires_at < ? ORDER BY expires_at, id`
	err = s.view(ctx, func(t *tx) error {
		list, err = all(ctx, t, scanEnvironment, query, at(now))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list expired environments: %w", err)
	}
	return list, nil
}

// Warn implements [deployments.Attempts].
func (s *Store) Warn(ctx context.Context, now time.Time) (warned int64, err error) {
	const update = `UPDATE environments SET change = change + 1, warned = expires_at
		WHERE intent = 'up' AND live IS NOT NULL AND NOT pinned AND expires_at > ? AND expires_at <= ? AND warned <> expires_at`
	err = s.update(ctx, func(t *tx) error {
		warned, err = t.change(ctx, update, at(now), at(now.Add(deployments.WarningTime)))
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("note whose end is near: %w", err)
	}
	return warned, nil
}

// Events implements [deployments.Environments].
func (s *Store) Events(ctx context.Context, origin string) (list []deployments.Event, err error) {
	scan := func(row row) (e deployments.Event, err error) {
		err = row.Scan(&e.ID, &e.Origin, instant{&e.At}, &e.Text)
		return e, err
	}
	err = s.view(ctx, func(t *tx) error {
		list, err = all(ctx, t, scan, `SELECT id, origin, at, text FROM events WHERE origin = ? ORDER BY id`, origin)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the history of %s: %w", origin, err)
	}
	return list, nil
}

func (t *tx) log(ctx context.Context, origin, text string) error {
	return t.exec(ctx, `INSERT INTO events (origin, at, text) VALUES (?, ?, ?)`, origin, at(t.now), text)
}

// logOnce logs what is not the last line of the history already.
func (t *tx) logOnce(ctx context.Context, origin, text string) error {
	_, err := t.change(ctx, `INSERT INTO events (origin, at, text) SELECT ?1, ?2, ?3
		WHERE ?3 IS NOT (SELECT text FROM events WHERE origin = ?1 ORDER BY id DESC LIMIT 1)`, origin, at(t.now), text)
	return err
}

func (t *tx) environment(ctx context.Context, id int64) (deployments.Environment, error) {
	return one(ctx, t, scanEnvironment, `SELECT `+environmentColumns+` FROM environments WHERE id = ?`, id)
}

func (t *tx) environmentOf(ctx context.Context, origin string) (deployments.Environment, error) {
	return one(ctx, t, scanEnvironment, `SELECT `+environmentColumns+` FROM environments WHERE origin = ?`, origin)
}

// newEnvironment makes the row of an environment that nothing is wanted of yet, with a name that it has for good.
func (t *tx) newEnvironment(ctx context.Context, o deployments.Origin) (deployments.Environment, error) {
	const insert = `INSERT INTO environments (name, origin, repo, pull_request, branch, given_name, intent, decided_by, cause, created_at)
		VALUES (?, ?, ?, ?, ?, ?, 'gone', '', '', ?) RETURNING id`
	name, err := t.reserveName(ctx, o)
	if err != nil {
		return deployments.Environment{}, err
	}
	e := deployments.Environment{Name: name, Origin: o, CreatedAt: t.now}
	e.ID, err = one(ctx, t, value[int64], insert, name, o.Key(), o.Repo, o.PullRequest, o.Branch, o.Name, at(t.now))
	if err != nil {
		return e, err
	}
	return e, t.exec(ctx, `UPDATE hosts SET environment_id = ? WHERE label = ?`, e.ID, name)
}

// putEnvironment writes what changed between two states of an environment. Its change number grows where people can see the difference.
func (t *tx) putEnvironment(ctx context.Context, before, after deployments.Environment) error {
	const update = `UPDATE environments SET sources = ?, title = ?, intent = ?, decided_by = ?, cause = ?, force = ?, reset = ?, fresh = ?,
		skipped = ?, approved = ?, held = ?, seen = ?, seen_at = ?, generation = ?, observed = ?, live = nullif(?, 0), failed = ?, expires_at = ?,
		ttl = ?, pinned = ?, failures = ?, not_before = ?, waiting = ?, change = change + ?,
		raised_at = CASE WHEN generation = observed THEN ? ELSE raised_at END
		WHERE id = ?`
	e := after
	return t.exec(ctx, update, document{e.Sources}, e.Title, e.Intent, e.By, e.Cause, e.Force, e.Reset, e.Fresh, e.Skipped, e.Approved, e.Held,
		e.Seen, at(e.SeenAt), e.Generation, e.Observed, e.Live, e.Failed, at(e.Expires), e.TTL, e.Pinned, e.Failures, at(e.NotBefore), e.Waiting,
		shownOf(before) != shownOf(after), at(t.now), e.ID)
}

// touch grows the change number of an environment: something that people can see of it is different.
func (t *tx) touch(ctx context.Context, environment int64) error {
	return t.exec(ctx, `UPDATE environments SET change = change + 1 WHERE id = ?`, environment)
}

// shown is what people can see of an environment's own row.
type shown struct {
	generation, observed, live int64
	failed                     bool
	expires                    int64
	waiting, held              string
	pinned                     bool
	source                     deployments.Source
}

func shownOf(e deployments.Environment) shown {
	return shown{e.Generation, e.Observed, e.Live, e.Failed, e.Expires.UnixNano(), e.Waiting, e.Held, e.Pinned, e.Source()}
}

// observe settles the present generation: it writes e, which was before, and ends the requests that waited for it.
func (t *tx) observe(ctx context.Context, before, e deployments.Environment) error {
	if e.Failed {
		return t.observeAs(ctx, before, e, deployments.RequestFailed)
	}
	return t.observeAs(ctx, before, e, deployments.RequestSucceeded)
}

// observeAs is observe, with what the requests that waited for the generation have come to.
func (t *tx) observeAs(ctx context.Context, before, e deployments.Environment, requests deployments.RequestState) error {
	e.Observed = e.Generation
	e.Failures, e.NotBefore, e.Waiting = 0, time.Time{}, ""
	if err := t.putEnvironment(ctx, before, e); err != nil {
		return err
	}
	return t.settleRequests(ctx, e, requests)
}
