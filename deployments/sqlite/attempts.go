package sqlite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"time"

	"vitrine/deployments"
)

const deploymentColumns = `id, environment_id, generation, source, phase, reason, fault, subnet, images, plan, secrets, services, timings,
	backends, condition, created_at, ended_at, live_at, pushed_at, remove_at, state, ran`

// running is the condition of an attempt that is Phase.Running.
const running = `phase IN ('queued', 'fetching', 'building', 'starting')`

func (t *tx) scanDeployment(row row) (d deployments.Deployment, err error) {
	var plan, secrets []byte
	err = row.Scan(&d.ID, &d.Environment, &d.Generation, document{&d.Source}, &d.Phase, &d.Reason, document{&d.Fault}, network{&d.Subnet},
		document{&d.Images}, &plan, &secrets, document{&d.Services}, document{&d.Timings},
		document{&d.Backends}, document{&d.Condition}, instant{&d.CreatedAt}, instant{&d.EndedAt}, instant{&d.LiveAt}, instant{&d.PushedAt}, instant{&d.RemoveAt}, &d.State, document{&d.Ran})
	if err != nil {
		return d, err
	}
	if d.Plan.JSON, err = t.seal.open(plan, planName(d.ID)); err != nil {
		return d, err
	}
	d.Secrets, err = t.openSecrets(d.ID, secrets)
	return d, err
}

func (t *tx) deployment(ctx context.Context, id int64) (deployments.Deployment, error) {
	return one(ctx, t, t.scanDeployment, `SELECT `+deploymentColumns+` FROM deployments WHERE id = ?`, id)
}

// latest returns an environment's newest attempt, nil for none.
func (t *tx) latest(ctx context.Context, environment int64) (*deployments.Deployment, error) {
	const query = `SELECT ` + deploymentColumns + ` FROM deployments WHERE environment_id = ? ORDER BY id DESC LIMIT 1`
	d, err := one(ctx, t, t.scanDeployment, query, environment)
	if errors.Is(err, deployments.ErrNotFound) {
		return nil, nil
	}
	return &d, err
}

// putDeployment writes what an attempt may change. Images keep the digests that a push has recorded.
func (t *tx) putDeployment(ctx context.Context, d deployments.Deployment) error {
	const update = `UPDATE deployments SET source = ?, phase = ?, reason = ?, fault = ?, plan = ?, secrets = ?, services = ?, timings = ?, backends = ?,
		ended_at = ?, live_at = ?, ran = ?, images = CASE WHEN pushed_at = 0 THEN ? ELSE images END WHERE id = ?`
	var plan, secrets []byte
	if d.Plan.JSON != nil {
		plan = t.seal.close(d.Plan.JSON, planName(d.ID))
	}
	if len(d.Secrets) > 0 {
		text, err := json.Marshal(d.Secrets)
		if err != nil {
			return err
		}
		secrets = t.seal.close(text, secretsName(d.ID))
	}
	return t.exec(ctx, update, document{d.Source}, d.Phase, d.Reason, document{d.Fault}, plan, secrets, document{d.Services},
		document{d.Timings}, document{d.Backends}, at(d.EndedAt), at(d.LiveAt), document{d.Ran}, document{d.Images}, d.ID)
}

// fence returns the environment and the stored state of an attempt, or deployments.ErrSuperseded where the attempt may not write any more: its
// generation is not the environment's, or it has ended.
func (t *tx) fence(ctx context.Context, id int64) (e deployments.Environment, stored deployments.Deployment, err error) {
	if stored, err = t.deployment(ctx, id); err != nil {
		return e, stored, err
	}
	if e, err = t.environment(ctx, stored.Environment); err != nil {
		return e, stored, err
	}
	if stored.Generation != e.Generation || !stored.Phase.Running() {
		err = deployments.ErrSuperseded
	}
	return e, stored, err
}

// Deployment implements [deployments.Attempts].
func (s *Store) Deployment(ctx context.Context, id int64) (d deployments.Deployment, err error) {
	err = s.view(ctx, func(t *tx) error {
		d, err = t.deployment(ctx, id)
		return err
	})
	if err != nil {
		return d, fmt.Errorf("read deployment %d: %w", id, err)
	}
	return d, nil
}

// Claim implements [deployments.Attempts]. An attempt of the environment that still runs ends as superseded, so that there is never more than
// one. A pool without a free network is deployments.ErrNoSubnet.
func (s *Store) Claim(ctx context.Context, environment int64, pool netip.Prefix, occupied []netip.Prefix) (d deployments.Deployment, err error) {
	err = s.update(ctx, func(t *tx) error {
		d, err = t.claim(ctx, environment, pool, occupied)
		return err
	})
	if err != nil {
		return deployments.Deployment{}, fmt.Errorf("claim environment %d: %w", environment, err)
	}
	return d, nil
}

func (t *tx) claim(ctx context.Context, environment int64, pool netip.Prefix, occupied []netip.Prefix) (d deployments.Deployment, err error) {
	const insert = `INSERT INTO deployments (environment_id, generation, source, phase, subnet, created_at) VALUES (?, ?, ?, ?, ?, ?) RETURNING id`
	before, err := t.environment(ctx, environment)
	if err != nil {
		return d, err
	}
	if err := t.supersede(ctx, environment, "another attempt began"); err != nil {
		return d, err
	}
	scanNetwork := func(row row) (p netip.Prefix, err error) {
		err = row.Scan(network{&p})
		return p, err
	}
	used, err := all(ctx, t, scanNetwork, `SELECT subnet FROM deployments WHERE removed_at = 0`)
	if err != nil {
		return d, err
	}
	d = deployments.Deployment{
		Environment: environment, Generation: before.Generation, Source: before.Source(), Phase: deployments.Queued, CreatedAt: t.now,
	}
	if d.Subnet, err = deployments.FreeSubnet(pool, append(used, occupied...)); err != nil {
		return d, err
	}
	d.ID, err = one(ctx, t, value[int64], insert, environment, d.Generation, document{d.Source}, d.Phase, network{&d.Subnet}, at(d.CreatedAt))
	if err != nil {
		return d, err
	}
	if err := t.inherit(ctx, &d, before); err != nil {
		return d, err
	}
	return d, t.touch(ctx, environment)
}

// inherit gives the attempt the state of what is live, with the init jobs that the state has behind it, also by attempts that failed. Where nothing is
// live, or the environment is to begin anew, the attempt begins a state.
func (t *tx) inherit(ctx context.Context, d *deployments.Deployment, e deployments.Environment) error {
	const newest = `SELECT ` + deploymentColumns + ` FROM deployments WHERE environment_id = ? AND state = ? ORDER BY id DESC LIMIT 1`
	d.State = d.ID
	if e.Live != 0 && !e.Reset {
		live, err := t.deployment(ctx, e.Live)
		if err != nil {
			return err
		}
		last, err := one(ctx, t, t.scanDeployment, newest, e.ID, live.State)
		if err != nil {
			return err
		}
		d.State, d.Ran = last.State, last.Ran
	}
	return t.exec(ctx, `UPDATE deployments SET state = ?, ran = ? WHERE id = ?`, d.State, document{d.Ran}, d.ID)
}

// supersede ends an attempt of the environment that still runs by its record, if there is one. There is none but where a Settle was lost.
func (t *tx) supersede(ctx context.Context, environment int64, reason string) error {
	_, err := t.change(ctx, `UPDATE deployments SET phase = 'superseded', reason = ?, ended_at = ? WHERE environment_id = ? AND `+running,
		reason, at(t.now), environment)
	return err
}

// Adopt implements [deployments.Attempts]. It also reserves the host of a pull request's branch. A head without a commit leaves the source, one
// without a title the title.
func (s *Store) Adopt(ctx context.Context, d deployments.Deployment, head deployments.Head) error {
	err := s.update(ctx, func(t *tx) error {
		before, stored, err := t.fence(ctx, d.ID)
		if err != nil {
			return err
		}
		after := before
		if head.Title != "" {
			after.Title = head.Title
		}
		if head.Source.SHA != "" {
			if before.Origin.Repo != "" {
				head.Source.Repo = before.Origin.Repo // the repository may have another name by now than when the attempt began
			}
			after.Sources = append([]deployments.Source{head.Source}, before.Sources[min(1, len(before.Sources)):]...)
			stored.Source = head.Source
			after = after.Adopted(head.Source, t.now)
		}
		if err := t.putEnvironment(ctx, before, after); err != nil {
			return err
		}
		if err := t.putDeployment(ctx, stored); err != nil {
			return err
		}
		return t.reserveBookmark(ctx, after)
	})
	if err != nil {
		return fmt.Errorf("adopt %s for deployment %d: %w", head.Source.ShortSHA(), d.ID, err)
	}
	return nil
}

// Save implements [deployments.Attempts]. Only an attempt that is running can be saved, in a phase that runs: Switch and Settle end it.
func (s *Store) Save(ctx context.Context, d deployments.Deployment) error {
	err := s.update(ctx, func(t *tx) error {
		before, stored, err := t.fence(ctx, d.ID)
		if err != nil {
			return err
		}
		if !d.Phase.Running() {
			return fmt.Errorf("phase %q ends an attempt and is not for Save", d.Phase)
		}
		if err := t.putDeployment(ctx, d); err != nil {
			return err
		}
		if d.Phase == stored.Phase && d.Source == stored.Source && reflect.DeepEqual(d.Services, stored.Services) {
			return nil
		}
		if d.Phase == deployments.Building || d.Phase == deployments.Starting {
			// From here on it does something that people can see; what it had waited for is over.
			after := before
			after.Waiting = ""
			if err := t.putEnvironment(ctx, before, after); err != nil {
				return err
			}
		}
		return t.touch(ctx, stored.Environment)
	})
	if err != nil {
		return fmt.Errorf("save deployment %d: %w", d.ID, err)
	}
	return nil
}

// Switch implements [deployments.Attempts]. Each backend's service must have been given a host by Reserve. Hosts of the environment that no
// backend is for are Removed, but the one of its name, which goes to the lobby.
func (s *Store) Switch(
	ctx context.Context, d deployments.Deployment, backends []deployments.Backend, removeOldAt time.Time,
) (routes []deployments.Route, err error) {
	err = s.update(ctx, func(t *tx) error {
		before, _, err := t.fence(ctx, d.ID)
		if err != nil {
			return err
		}
		if before.Intent != deployments.Up {
			return deployments.ErrSuperseded
		}
		if err := t.retire(ctx, before.Live, removeOldAt); err != nil {
			return err
		}
		d.Phase, d.Reason, d.Fault, d.EndedAt, d.LiveAt = deployments.Ready, "", nil, t.now, t.now
		d.Backends = backends
		if err := t.putDeployment(ctx, d); err != nil {
			return err
		}
		after := before
		after.Live, after.Failed, after.Force, after.Reset, after.Fresh = d.ID, false, false, false, false
		if err := t.conclude(ctx, d, before, after); err != nil {
			return err
		}
		if routes, err = t.openHosts(ctx, after, backends); err != nil {
			return err
		}
		return t.log(ctx, after.Origin.Key(), "live: "+d.Source.ShortSHA())
	})
	if err != nil {
		return nil, fmt.Errorf("switch to deployment %d: %w", d.ID, err)
	}
	return routes, nil
}

// retire lets the live deployment, if there is one, be removed from the time given on.
func (t *tx) retire(ctx context.Context, live int64, from time.Time) error {
	if live == 0 {
		return nil
	}
	return t.exec(ctx, `UPDATE deployments SET phase = 'removing', remove_at = ? WHERE id = ?`, at(from), live)
}

// Settle implements [deployments.Attempts]. With Superseded or Cancelled it is always allowed, and changes nothing where the attempt has ended
// already. With Ready the attempt's record ends as cancelled: the deployment that is live stays so.
func (s *Store) Settle(ctx context.Context, d deployments.Deployment) error {
	err := s.update(ctx, func(t *tx) error {
		switch d.Phase {
		case deployments.Superseded, deployments.Cancelled:
			return t.abandon(ctx, d)
		case deployments.Failed, deployments.Ready:
			return t.settle(ctx, d)
		default:
			return fmt.Errorf("phase %q does not end an attempt", d.Phase)
		}
	})
	if err != nil {
		return fmt.Errorf("settle deployment %d as %s: %w", d.ID, d.Phase, err)
	}
	return nil
}

func (t *tx) abandon(ctx context.Context, d deployments.Deployment) error {
	stored, err := t.deployment(ctx, d.ID)
	if err != nil || !stored.Phase.Running() {
		return err
	}
	d.EndedAt, d.LiveAt, d.Fault = t.now, time.Time{}, nil
	if err := t.putDeployment(ctx, d); err != nil {
		return err
	}
	return t.touch(ctx, stored.Environment)
}

func (t *tx) settle(ctx context.Context, d deployments.Deployment) error {
	before, _, err := t.fence(ctx, d.ID)
	if err != nil {
		return err
	}
	if before.Intent != deployments.Up {
		return deployments.ErrSuperseded
	}
	after := before
	after.Failed = d.Phase == deployments.Failed
	if d.Phase == deployments.Ready {
		if before.Live == 0 {
			return errors.New("nothing is live")
		}
		d.Phase, d.Fault = deployments.Cancelled, nil
		if d.Reason == "" {
			d.Reason = d.Source.ShortSHA() + " is live already"
		}
	}
	d.EndedAt, d.LiveAt = t.now, time.Time{}
	if err := t.putDeployment(ctx, d); err != nil {
		return err
	}
	if err := t.conclude(ctx, d, before, after); err != nil {
		return err
	}
	return t.log(ctx, after.Origin.Key(), outcome(d))
}

// Hold implements [deployments.Attempts].
func (s *Store) Hold(ctx context.Context, d deployments.Deployment) error {
	err := s.update(ctx, func(t *tx) error {
		before, stored, err := t.fence(ctx, d.ID)
		if err != nil {
			return err
		}
		if before.Intent != deployments.Up {
			return deployments.ErrSuperseded
		}
		stored.Phase, stored.Reason, stored.Timings, stored.EndedAt = deployments.Cancelled, d.Reason, d.Timings, t.now
		if err := t.putDeployment(ctx, stored); err != nil {
			return err
		}
		after := before
		after.Held, after.Failed, after.Force, after.Reset, after.Fresh = stored.Source.SHA, false, false, false, false
		if err := t.observeAs(ctx, before, after, deployments.RequestFailed); err != nil {
			return err
		}
		return t.log(ctx, after.Origin.Key(), d.Reason)
	})
	if err != nil {
		return fmt.Errorf("hold deployment %d: %w", d.ID, err)
	}
	return nil
}

// conclude writes what an attempt came to. Its generation is settled, unless the forge has still to say whether it was the right commit.
func (t *tx) conclude(ctx context.Context, d deployments.Deployment, before, after deployments.Environment) error {
	if d.Unconfirmed {
		return t.putEnvironment(ctx, before, after)
	}
	return t.observe(ctx, before, after)
}

// outcome says in the history how an attempt ended.
func outcome(d deployments.Deployment) string {
	if d.Phase == deployments.Failed {
		return "failed at " + d.Source.ShortSHA() + ": " + d.Reason
	}
	return d.Reason
}

// Postpone implements [deployments.Attempts].
func (s *Store) Postpone(ctx context.Context, environment, generation int64, until time.Time, waiting string) error {
	err := s.update(ctx, func(t *tx) error {
		before, err := t.present(ctx, environment, generation)
		if err != nil {
			return err
		}
		after := before
		after.Failures++
		after.NotBefore, after.Waiting = until, waiting
		if err := t.putEnvironment(ctx, before, after); err != nil || waiting == before.Waiting {
			return err
		}
		return t.logOnce(ctx, before.Origin.Key(), waiting)
	})
	if err != nil {
		return fmt.Errorf("postpone environment %d: %w", environment, err)
	}
	return nil
}

// present returns the environment, or deployments.ErrSuperseded where its generation is another one.
func (t *tx) present(ctx context.Context, environment, generation int64) (deployments.Environment, error) {
	e, err := t.environment(ctx, environment)
	if err == nil && e.Generation != generation {
		err = deployments.ErrSuperseded
	}
	return e, err
}

// Interrupt implements [deployments.Attempts].
func (s *Store) Interrupt(ctx context.Context, reason string) error {
	const touch = `UPDATE environments SET change = change + 1 WHERE id IN (SELECT environment_id FROM deployments WHERE ` + running + `)`
	const end = `UPDATE deployments SET phase = 'cancelled', reason = ?, ended_at = ? WHERE ` + running
	err := s.update(ctx, func(t *tx) error {
		if _, err := t.change(ctx, touch); err != nil {
			return err
		}
		_, err := t.change(ctx, end, reason, at(t.now))
		return err
	})
	if err != nil {
		return fmt.Errorf("end interrupted attempts: %w", err)
	}
	return nil
}
