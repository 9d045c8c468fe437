package sqlite

import (
	"context"
	"fmt"
	"time"

	"vitrine/deployments"
)

const requestColumns = `id, origin, payload, state, answered, reply, failures, not_before`

func scanRequest(row row) (r deployments.Request, err error) {
	err = row.Scan(&r.ID, document{&r.Origin}, (*[]byte)(&r.Payload), &r.State, &r.Answered, &r.Reply, &r.Failures, instant{&r.NotBefore})
	return r, err
}

// Requests implements [deployments.Inbox]. While an origin's oldest pending request is held back, its later ones wait too. A request that is
// taken is also one to be answered: the forge may be told that it was heard.
func (s *Store) Requests(ctx context.Context, now time.Time, limit int) (due []deployments.Request, err error) {
	const query = `SELECT ` + requestColumns + ` FROM requests
		WHERE not_before <= ?
		AND (id IN (SELECT min(id) FROM requests WHERE state = 'pending' GROUP BY origin_key)
			OR state <> answered AND state NOT IN ('pending', 'ignored'))
		ORDER BY id LIMIT ?`
	err = s.view(ctx, func(t *tx) error {
		due, err = all(ctx, t, scanRequest, query, at(now), limit)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list requests: %w", err)
	}
	return due, nil
}

// Resolve implements [deployments.Inbox]. A request that was resolved before changes nothing and is no error. A request that is taken waits
// for the first environment whose generation its wants raise; where they raise none it has succeeded already.
func (s *Store) Resolve(ctx context.Context, id int64, r deployments.Resolution) ([]deployments.Environment, error) {
	var raised raise
	err := s.update(ctx, func(t *tx) error {
		request, err := one(ctx, t, scanRequest, `SELECT `+requestColumns+` FROM requests WHERE id = ?`, id)
		if err != nil || request.State != deployments.RequestPending {
			return err
		}
		if r.Event != "" {
			if err := t.log(ctx, request.Origin.Key(), r.Event); err != nil {
				return err
			}
		}
		if err := t.applyAll(ctx, r.Wants, &raised); err != nil {
			return err
		}
		return t.resolve(ctx, id, r, raised.environments)
	})
	if err != nil {
		return nil, fmt.Errorf("resolve request %d: %w", id, err)
	}
	return raised.environments, nil
}

func (t *tx) resolve(ctx context.Context, id int64, r deployments.Resolution, raised []deployments.Environment) error {
	const update = `UPDATE requests SET state = ?, reply = ?, failures = 0, not_before = 0, environment_id = nullif(?, 0), generation = ? WHERE id = ?`
	var awaited deployments.Environment
	switch {
	case r.State == deployments.RequestPending:
		return fmt.Errorf("a resolution cannot be %q", r.State)
	case r.State != deployments.RequestTaken:
	case len(raised) == 0:
		r.State = deployments.RequestSucceeded
	default:
		awaited = raised[0]
	}
	return t.exec(ctx, update, r.State, r.Reply, awaited.ID, awaited.Generation, id)
}

// settleRequests ends, in the state given, the requests that waited for what e has observed now. They are to be answered anew.
func (t *tx) settleRequests(ctx context.Context, e deployments.Environment, state deployments.RequestState) error {
	const update = `UPDATE requests SET state = ?, failures = 0, not_before = 0
		WHERE environment_id = ? AND generation <= ? AND state = 'taken'`
	_, err := t.change(ctx, update, state, e.ID, e.Observed)
	return err
}

// Answered implements [deployments.Inbox]. A request whose state moved on since then stays to be answered.
func (s *Store) Answered(ctx context.Context, id int64, state deployments.RequestState) error {
	err := s.update(ctx, func(t *tx) error {
		return t.exec(ctx, `UPDATE requests SET answered = ?, failures = 0, not_before = 0 WHERE id = ?`, state, id)
	})
	if err != nil {
		return fmt.Errorf("record the answer to request %d: %w", id, err)
	}
	return nil
}

// PostponeRequest implements [deployments.Inbox].
func (s *Store) PostponeRequest(ctx context.Context, id int64, until time.Time) error {
	err := s.update(ctx, func(t *tx) error {
		return t.exec(ctx, `UPDATE requests SET failures = failures + 1, not_before = ? WHERE id = ?`, at(until), id)
	})
	if err != nil {
		return fmt.Errorf("postpone request %d: %w", id, err)
	}
	return nil
}
