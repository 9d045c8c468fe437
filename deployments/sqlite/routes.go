package sqlite

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"vitrine/deployments"
)

// A record is a row of routes: what the proxy is to know of a host, and whose environment it serves.
type record struct {
	deployments.Route
	environment int64
}

// exists reports whether there is such a row. Revisions begin at 1.
func (r record) exists() bool { return r.Revision > 0 }

// live reports whether backends answer.
func (r record) live() bool { return len(r.Backends) > 0 && !r.Removed }

const recordColumns = `label, environment_id, identifier, backends, revision, removed`

func (t *tx) scanRecord(row row) (r record, err error) {
	var label string
	err = row.Scan(&label, &r.environment, &r.Identifier, document{&r.Backends}, &r.Revision, &r.Removed)
	r.Host = t.fqdn(label)
	return r, err
}

func (t *tx) fqdn(label string) string { return label + "." + t.domain }

// record returns that of a host's label, the zero record where there is none.
func (t *tx) record(ctx context.Context, label string) (record, error) {
	r, err := one(ctx, t, t.scanRecord, `SELECT `+recordColumns+` FROM routes WHERE label = ?`, label)
	if errors.Is(err, deployments.ErrNotFound) {
		return record{}, nil
	}
	return r, err
}

// Routes implements [deployments.Environments].
func (s *Store) Routes(ctx context.Context) (routes []deployments.Route, err error) {
	err = s.view(ctx, func(t *tx) error {
		scan := func(row row) (deployments.Route, error) {
			r, err := t.scanRecord(row)
			return r.Route, err
		}
		routes, err = all(ctx, t, scan, `SELECT `+recordColumns+` FROM routes ORDER BY label`)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	return routes, nil
}

// write gives a host's label a record with a new revision. Where the host moves from one environment to another, both are to be reported:
// each shows the host while it is its own.
func (t *tx) write(ctx context.Context, label string, e deployments.Environment, backends []string, removed bool) (deployments.Route, error) {
	const upsert = `INSERT INTO routes (label, environment_id, identifier, backends, revision, removed) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (label) DO UPDATE SET environment_id = excluded.environment_id, identifier = excluded.identifier,
			backends = excluded.backends, revision = excluded.revision, removed = excluded.removed`
	before, err := t.record(ctx, label)
	if err != nil {
		return deployments.Route{}, err
	}
	if before.exists() && before.environment != e.ID {
		if err := t.touch(ctx, before.environment); err != nil {
			return deployments.Route{}, err
		}
		if err := t.touch(ctx, e.ID); err != nil {
			return deployments.Route{}, err
		}
	}
	r := deployments.Route{Host: t.fqdn(label), Identifier: e.Name, Backends: backends, Removed: removed}
	r.Revision, err = one(ctx, t, value[int64], `UPDATE store SET revision = revision + 1 RETURNING revision`)
	if err != nil {
		return r, fmt.Errorf("draw a revision: %w", err)
	}
	return r, t.exec(ctx, upsert, label, e.ID, e.Name, document{backends}, r.Revision, removed)
}

// serve is write, but for a record that is like that already, which stays as it is.
func (t *tx) serve(ctx context.Context, label string, e deployments.Environment, backends []string) (deployments.Route, error) {
	r, err := t.record(ctx, label)
	if err != nil || r.exists() && !r.Removed && r.environment == e.ID && slices.Equal(r.Backends, backends) {
		return r.Route, err
	}
	return t.write(ctx, label, e, backends, false)
}

// remove marks the record of a label Removed and appends it to routes. A host that never had one needs none.
func (t *tx) remove(ctx context.Context, routes []deployments.Route, label string) ([]deployments.Route, error) {
	r, err := t.record(ctx, label)
	if err != nil || !r.exists() {
		return routes, err
	}
	if !r.Removed {
		e := deployments.Environment{ID: r.environment, Name: r.Identifier}
		if r.Route, err = t.write(ctx, label, e, nil, true); err != nil {
			return nil, err
		}
	}
	return append(routes, r.Route), nil
}

// assign brings the host of a branch to the environment that it is to serve now and appends its record to routes, where it has one.
func (t *tx) assign(ctx context.Context, routes []deployments.Route, h host) ([]deployments.Route, error) {
	e, err := t.server(ctx, h)
	if err != nil && !errors.Is(err, deployments.ErrNotFound) {
		return nil, err
	}
	if err != nil || e.Live == 0 && e.Intent != deployments.Up {
		return t.remove(ctx, routes, h.label)
	}
	var backends []string
	if e.Live != 0 {
		// The host of its name serves nothing else while it is live: no environment comes before a tracked branch's own in byBranch.
		own, err := t.record(ctx, e.Name)
		if err != nil {
			return nil, err
		}
		backends = own.Backends
	}
	r, err := t.serve(ctx, h.label, e, backends)
	return append(routes, r), err
}

// assignShared assigns the hosts of branches that e has something to do with, as a pull request.
func (t *tx) assignShared(ctx context.Context, routes []deployments.Route, e deployments.Environment) ([]deployments.Route, error) {
	hosts, err := t.sharedHosts(ctx, e)
	if err != nil {
		return nil, err
	}
	for _, h := range hosts {
		if routes, err = t.assign(ctx, routes, h); err != nil {
			return nil, err
		}
	}
	return routes, nil
}

// openHosts gives the hosts of e their backends, and a new revision: e has just become live. One that no backend is for any more is Removed.
func (t *tx) openHosts(ctx context.Context, e deployments.Environment, backends []deployments.Backend) ([]deployments.Route, error) {
	hosts, err := t.hostsOf(ctx, e)
	if err != nil {
		return nil, err
	}
	urls := make(map[string][]string)
	for _, b := range backends {
		if !slices.ContainsFunc(hosts, func(h host) bool { return h.service == b.Service }) {
			return nil, fmt.Errorf("service %q has no host: it was not reserved", b.Service)
		}
		urls[b.Service] = append(urls[b.Service], b.URL)
	}
	var routes []deployments.Route
	for _, h := range hosts {
		to := urls[h.service]
		if h.label != e.Name && len(to) == 0 {
			if routes, err = t.remove(ctx, routes, h.label); err != nil {
				return nil, err
			}
			continue
		}
		r, err := t.write(ctx, h.label, e, to, false)
		if err != nil {
			return nil, err
		}
		routes = append(routes, r)
	}
	return t.assignShared(ctx, routes, e)
}

// closeHosts takes the hosts of e, which is to be gone, from the proxy. The host of a branch goes to the next environment that has it.
func (t *tx) closeHosts(ctx context.Context, e deployments.Environment) ([]deployments.Route, error) {
	hosts, err := t.hostsOf(ctx, e)
	if err != nil {
		return nil, err
	}
	var routes []deployments.Route
	for _, h := range hosts {
		if h.ofBranch() {
			routes, err = t.assign(ctx, routes, h)
		} else {
			routes, err = t.remove(ctx, routes, h.label)
		}
		if err != nil {
			return nil, err
		}
	}
	return t.assignShared(ctx, routes, e)
}

// Lobby implements [deployments.Attempts]. An environment that is to be gone has no hosts at the lobby, so there it does nothing.
func (s *Store) Lobby(ctx context.Context, environment int64) (routes []deployments.Route, err error) {
	err = s.update(ctx, func(t *tx) error {
		e, err := t.environment(ctx, environment)
		if err != nil || e.Intent != deployments.Up {
			return err
		}
		routes, err = t.lobby(ctx, e)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("point environment %d at the lobby: %w", environment, err)
	}
	return routes, nil
}

func (t *tx) lobby(ctx context.Context, e deployments.Environment) ([]deployments.Route, error) {
	own, err := t.hostsOf(ctx, e)
	if err != nil {
		return nil, err
	}
	shared, err := t.sharedHosts(ctx, e)
	if err != nil {
		return nil, err
	}
	var routes []deployments.Route
	for _, h := range slices.Concat(own, shared) {
		present, err := t.record(ctx, h.label)
		if err != nil {
			return nil, err
		}
		if present.live() || !h.ofBranch() && h.service == "" && h.label != e.Name {
			continue
		}
		if h.ofBranch() {
			routes, err = t.assign(ctx, routes, h)
		} else {
			present.Route, err = t.serve(ctx, h.label, e, nil)
			routes = append(routes, present.Route)
		}
		if err != nil {
			return nil, err
		}
	}
	return routes, nil
}
