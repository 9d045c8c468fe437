package sqlite

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Variables implements [deployments.Vault].
func (s *Store) Variables(ctx context.Context, repo string) (values map[string]string, err error) {
	values = make(map[string]string)
	err = s.view(ctx, func(t *tx) error {
		return t.opened(ctx, values, func(name string) string { return variableName(repo, name) },
			`SELECT name, value FROM variables WHERE repo = ?`, repo)
	})
	if err != nil {
		return nil, fmt.Errorf("read the Variables of %s: %w", repo, err)
	}
	return values, nil
}

// opened adds to values what a query of names and encrypted values returns. place returns where the one of a name belongs.
func (t *tx) opened(ctx context.Context, values map[string]string, place func(name string) string, query string, args ...any) error {
	type pair struct {
		name   string
		sealed []byte
	}
	pairs, err := all(ctx, t, func(r row) (p pair, err error) {
		err = r.Scan(&p.name, &p.sealed)
		return p, err
	}, query, args...)
	if err != nil {
		return err
	}
	for _, p := range pairs {
		plain, err := t.seal.open(p.sealed, place(p.name))
		if err != nil {
			return err
		}
		values[p.name] = string(plain)
	}
	return nil
}

// SetVariables stores Variables of a repository, in place of those that have the same names.
func (s *Store) SetVariables(ctx context.Context, repo string, values map[string]string) error {
	const insert = `INSERT INTO variables (repo, name, value, set_at) VALUES (?, ?, ?, ?)
		ON CONFLICT (repo, name) DO UPDATE SET value = excluded.value, set_at = excluded.set_at`
	err := s.update(ctx, func(t *tx) error {
		for _, name := range slices.Sorted(maps.Keys(values)) {
			if err := t.exec(ctx, insert, repo, name, t.seal.close([]byte(values[name]), variableName(repo, name)), at(t.now)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("store the Variables of %s: %w", repo, err)
	}
	return nil
}

// RemoveVariables removes Variables of a repository. Where one of the names is not there, it removes none and returns deployments.ErrNotFound.
func (s *Store) RemoveVariables(ctx context.Context, repo string, names []string) error {
	err := s.update(ctx, func(t *tx) error {
		for _, name := range names {
			if err := t.exec(ctx, `DELETE FROM variables WHERE repo = ? AND name = ?`, repo, name); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("remove Variables of %s: %w", repo, err)
	}
	return nil
}

// VariablesSet returns the names of a repository's Variables and when each was set.
func (s *Store) VariablesSet(ctx context.Context, repo string) (set map[string]time.Time, err error) {
	set = make(map[string]time.Time)
	err = s.view(ctx, func(t *tx) error {
		_, err := all(ctx, t, func(r row) (struct{}, error) {
			var name string
			var when time.Time
			err := r.Scan(&name, instant{&when})
			set[name] = when
			return struct{}{}, err
		}, `SELECT name, set_at FROM variables WHERE repo = ?`, repo)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list the Variables of %s: %w", repo, err)
	}
	return set, nil
}

// Secrets returns, sorted, what is secret of every deployment that an environment has ever had, given the environment's name; deployments.ErrNotFound where
// there is none of that name.
func (s *Store) Secrets(ctx context.Context, environment string) (secrets []string, err error) {
	const query = `SELECT id, secrets FROM deployments WHERE environment_id = ? AND secrets IS NOT NULL`
	err = s.view(ctx, func(t *tx) error {
		id, err := one(ctx, t, value[int64], `SELECT id FROM environments WHERE name = ?`, environment)
		if err != nil {
			return err
		}
		of, err := all(ctx, t, t.scanSecrets, query, id)
		secrets = slices.Concat(of...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the secrets of %s: %w", environment, err)
	}
	slices.Sort(secrets)
	return slices.Compact(secrets), nil
}

func (t *tx) scanSecrets(r row) ([]string, error) {
	var id int64
	var sealed []byte
	if err := r.Scan(&id, &sealed); err != nil {
		return nil, err
	}
	return t.openSecrets(id, sealed)
}

// openSecrets reads what is secret of a deployment; nothing where nothing is stored.
func (t *tx) openSecrets(deployment int64, sealed []byte) (secrets []string, err error) {
	plain, err := t.seal.open(sealed, secretsName(deployment))
	if err != nil || plain == nil {
		return nil, err
	}
	err = json.Unmarshal(plain, &secrets)
	return secrets, err
}

// Generate implements [deployments.Vault].
func (s *Store) Generate(ctx context.Context, environment int64, lengths map[string]int) (values map[string]string, err error) {
	const insert = `INSERT INTO generated (environment_id, name, value) VALUES (?, ?, ?)
		ON CONFLICT (environment_id, name) DO UPDATE SET value = excluded.value`
	values = make(map[string]string)
	if len(lengths) == 0 {
		return values, nil
	}
	err = s.update(ctx, func(t *tx) error {
		place := func(name string) string { return generatedName(environment, name) }
		kept := make(map[string]string)
		if err := t.opened(ctx, kept, place, `SELECT name, value FROM generated WHERE environment_id = ?`, environment); err != nil {
			return err
		}
		for _, name := range slices.Sorted(maps.Keys(lengths)) {
			values[name] = kept[name]
			if len(kept[name]) == lengths[name] {
				continue
			}
			values[name] = hexDigits(lengths[name])
			if err := t.exec(ctx, insert, environment, name, t.seal.close([]byte(values[name]), place(name))); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("draw values for environment %d: %w", environment, err)
	}
	return values, nil
}

// hexDigits draws n of them.
func hexDigits(n int) string {
	random := make([]byte, (n+1)/2)
	rand.Read(random)
	return hex.EncodeToString(random)[:n]
}

// forgetGenerated forgets what the environment has drawn.
func (t *tx) forgetGenerated(ctx context.Context, environment int64) error {
	_, err := t.change(ctx, `DELETE FROM generated WHERE environment_id = ?`, environment)
	return err
}

// Retime implements [deployments.Attempts].
func (s *Store) Retime(ctx context.Context, environment int64, ttl time.Duration) error {
	err := s.update(ctx, func(t *tx) error {
		before, err := t.environment(ctx, environment)
		if err != nil {
			return err
		}
		after, cut := t.lifetime.Retime(before, ttl)
		if after.TTL == before.TTL {
			return nil
		}
		if err := t.putEnvironment(ctx, before, after); err != nil {
			return err
		}
		if !cut {
			return nil
		}
		return t.log(ctx, after.Origin.Key(), fmt.Sprintf("ttl is cut to %s: the server lets no preview stay longer", after.TTL))
	})
	if err != nil {
		return fmt.Errorf("give environment %d its time to live: %w", environment, err)
	}
	return nil
}
