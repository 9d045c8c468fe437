package sqlite

import (
	"context"
	"fmt"
	"slices"

	"vitrine/deployments"
)

// TakeDown implements [deployments.Attempts]. It may be called again, and then returns the same records. An attempt that still runs by its record
// ends as superseded.
func (s *Store) TakeDown(ctx context.Context, environment, generation int64) (routes []deployments.Route, err error) {
	err = s.update(ctx, func(t *tx) error {
		before, err := t.leaving(ctx, environment, generation)
		if err != nil {
			return err
		}
		if err := t.supersede(ctx, environment, before.Cause); err != nil {
			return err
		}
		if err := t.retire(ctx, before.Live, t.now); err != nil {
			return err
		}
		after := before
		after.Live = 0
		if err := t.putEnvironment(ctx, before, after); err != nil {
			return err
		}
		routes, err = t.closeHosts(ctx, after)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("take environment %d down: %w", environment, err)
	}
	return routes, nil
}

// TakenDown implements [deployments.Attempts].
func (s *Store) TakenDown(ctx context.Context, environment, generation int64) error {
	err := s.update(ctx, func(t *tx) error {
		before, err := t.leaving(ctx, environment, generation)
		if err != nil {
			return err
		}
		if err := t.forgetGenerated(ctx, environment); err != nil {
			return err
		}
		after := before
		after.Failed, after.Force, after.Reset, after.Fresh = false, false, false, false
		if err := t.failOvertaken(ctx, after); err != nil {
			return err
		}
		return t.observe(ctx, before, after)
	})
	if err != nil {
		return fmt.Errorf("record that environment %d is down: %w", environment, err)
	}
	return nil
}

// failOvertaken ends the requests that waited for something that the environment's end has overtaken: a deploy came to nothing.
func (t *tx) failOvertaken(ctx context.Context, e deployments.Environment) error {
	_, err := t.change(ctx, `UPDATE requests SET state = 'failed', failures = 0, not_before = 0
		WHERE environment_id = ? AND generation < ? AND state = 'taken'`, e.ID, e.Generation)
	return err
}

// leaving returns an environment that is to be gone at this generation.
func (t *tx) leaving(ctx context.Context, environment, generation int64) (deployments.Environment, error) {
	e, err := t.present(ctx, environment, generation)
	if err == nil && e.Intent != deployments.Gone {
		err = fmt.Errorf("%s is wanted %s", e.Name, e.Intent)
	}
	return e, err
}

// Owned implements [deployments.Attempts].
func (s *Store) Owned(ctx context.Context) (list []deployments.Deployment, err error) {
	err = s.view(ctx, func(t *tx) error {
		list, err = t.owned(ctx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list what deployments own: %w", err)
	}
	return list, nil
}

func (t *tx) owned(ctx context.Context) ([]deployments.Deployment, error) {
	return all(ctx, t, t.scanDeployment, `SELECT `+deploymentColumns+` FROM deployments WHERE removed_at = 0 ORDER BY id`)
}

// Removed implements [deployments.Attempts]. A deployment that is live or still works towards it cannot be removed. It may be called again.
func (s *Store) Removed(ctx context.Context, id int64) error {
	const update = `UPDATE deployments SET removed_at = ?, phase = CASE phase WHEN 'removing' THEN 'gone' ELSE phase END
		WHERE id = ? AND removed_at = 0`
	err := s.update(ctx, func(t *tx) error {
		d, err := t.deployment(ctx, id)
		if err != nil {
			return err
		}
		if d.Phase.Running() || d.Phase == deployments.Ready {
			return fmt.Errorf("it is %s: end it first", d.Phase)
		}
		_, err = t.change(ctx, update, at(t.now), id)
		return err
	})
	if err != nil {
		return fmt.Errorf("record that deployment %d is removed: %w", id, err)
	}
	return nil
}

// Unreferenced implements [deployments.Attempts].
func (s *Store) Unreferenced(ctx context.Context, id int64, references []string) ([]string, error) {
	used := make(map[string]bool)
	err := s.view(ctx, func(t *tx) error {
		owned, err := t.owned(ctx)
		for _, d := range owned {
			if d.ID == id {
				continue
			}
			for _, image := range d.Images {
				for _, reference := range image.References {
					used[reference] = true
				}
			}
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look for references that deployment %d owns alone: %w", id, err)
	}
	return slices.DeleteFunc(slices.Clone(references), func(r string) bool { return used[r] }), nil
}
