package sqlite

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"vitrine/deployments"
)

// Accept implements [deployments.Inbox].
func (s *Store) Accept(ctx context.Context, d deployments.Delivery) ([]deployments.Environment, error) {
	var raised raise
	err := s.update(ctx, func(t *tx) error {
		fresh, err := t.claimDelivery(ctx, d)
		if err != nil || !fresh {
			return err
		}
		for _, r := range d.Renames {
			if err := t.rename(ctx, r); err != nil {
				return fmt.Errorf("rename %s to %s: %w", r.From, r.To, err)
			}
		}
		if err := t.applyAll(ctx, d.Wants, &raised); err != nil {
			return err
		}
		if err := t.withdrawAll(ctx, d.Withdrawals, &raised); err != nil {
			return err
		}
		return t.addRequests(ctx, d.Requests)
	})
	if err != nil {
		return nil, fmt.Errorf("accept delivery %q (%s): %w", d.GUID, d.Event, err)
	}
	return raised.environments, nil
}

func (t *tx) claimDelivery(ctx context.Context, d deployments.Delivery) (fresh bool, err error) {
	if d.GUID == "" {
		return true, nil
	}
	n, err := t.change(ctx, `INSERT INTO deliveries (guid, event, at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`, d.GUID, d.Event, at(t.now))
	return n > 0, err
}

// A raise collects the environments whose generation grew in a transaction, each once, as it is in the end.
type raise struct{ environments []deployments.Environment }

func (r *raise) add(e deployments.Environment) {
	same := func(other deployments.Environment) bool { return other.ID == e.ID }
	if i := slices.IndexFunc(r.environments, same); i >= 0 {
		r.environments[i] = e
		return
	}
	r.environments = append(r.environments, e)
}

func (t *tx) applyAll(ctx context.Context, wants []deployments.Want, raised *raise) error {
	for _, w := range wants {
		if err := t.apply(ctx, w, raised); err != nil {
			return fmt.Errorf("apply what is wanted of %s: %w", w.Origin.Key(), err)
		}
	}
	return nil
}

// apply brings what is stored to a want. It makes the environment where one that is to be up is missing.
func (t *tx) apply(ctx context.Context, w deployments.Want, raised *raise) error {
	before, err := t.environmentOf(ctx, w.Origin.Key())
	if errors.Is(err, deployments.ErrNotFound) {
		if w.Intent != deployments.Up && w.Skip == "" {
			return nil
		}
		before, err = t.newEnvironment(ctx, w.Origin)
	}
	if err != nil {
		return err
	}
	after, grew := deployments.Apply(before, w, t.lifetime, t.now)
	if err := t.putEnvironment(ctx, before, after); err != nil {
		return err
	}
	if !grew {
		return nil
	}
	raised.add(after)
	return t.log(ctx, w.Origin.Key(), w.Cause)
}

func (t *tx) withdrawAll(ctx context.Context, withdrawals []deployments.Withdrawal, raised *raise) error {
	const affected = `SELECT ` + environmentColumns + ` FROM environments WHERE CASE ?2
		WHEN '' THEN substr(lower(repo), 1, length(?1) + 1) = lower(?1) || '/'
		ELSE lower(repo) = lower(?1 || '/' || ?2) END ORDER BY id`
	for _, w := range withdrawals {
		environments, err := all(ctx, t, scanEnvironment, affected, w.Owner, w.Name)
		if err != nil {
			return fmt.Errorf("list the environments of %s/%s: %w", w.Owner, w.Name, err)
		}
		for _, e := range environments {
			want := deployments.Want{Origin: e.Origin, Intent: deployments.Gone, By: deployments.ByEvent, Cause: w.Cause}
			if err := t.apply(ctx, want, raised); err != nil {
				return fmt.Errorf("withdraw %s: %w", e.Name, err)
			}
		}
	}
	return nil
}

func (t *tx) addRequests(ctx context.Context, requests []deployments.Request) error {
	const insert = `INSERT INTO requests (origin_key, origin, payload, state) VALUES (?, ?, ?, ?)`
	for _, r := range requests {
		key := r.Origin.Key()
		if err := t.exec(ctx, insert, key, document{r.Origin}, []byte(r.Payload), deployments.RequestPending); err != nil {
			return fmt.Errorf("store a request about %s: %w", key, err)
		}
	}
	return nil
}
