package sqlite

import (
	"context"
	"fmt"

	"vitrine/deployments"
)

// Fare implements [deployments.Attempts]. The hosts are those that the deployment has given its services; where they belong to a branch as well, that
// branch's host follows.
func (s *Store) Fare(ctx context.Context, id int64, c deployments.Condition) (routes []deployments.Route, err error) {
	err = s.update(ctx, func(t *tx) error {
		d, err := t.deployment(ctx, id)
		if err != nil {
			return err
		}
		e, err := t.environment(ctx, d.Environment)
		if err != nil {
			return err
		}
		if d.Phase != deployments.Ready || e.Live != d.ID {
			return deployments.ErrSuperseded
		}
		if err := t.exec(ctx, `UPDATE deployments SET condition = ? WHERE id = ?`, document{c}, id); err != nil {
			return err
		}
		d.Condition = c
		if routes, err = t.follow(ctx, e, d); err != nil {
			return err
		}
		return t.touch(ctx, e.ID)
	})
	if err != nil {
		return nil, fmt.Errorf("record how deployment %d fares: %w", id, err)
	}
	return routes, nil
}

// follow brings the hosts of what is live to the backends that answer.
func (t *tx) follow(ctx context.Context, e deployments.Environment, d deployments.Deployment) (routes []deployments.Route, err error) {
	for _, s := range d.Services {
		urls := urlsOf(d, s.Name)
		if s.Host == "" || len(urls) == 0 {
			continue
		}
		present, err := t.record(ctx, s.Host)
		if err != nil {
			return nil, err
		}
		if !present.exists() || present.Removed || present.environment != e.ID {
			continue
		}
		r, err := t.serve(ctx, s.Host, e, d.Condition.Up(urls))
		if err != nil {
			return nil, err
		}
		routes = append(routes, r)
	}
	own, err := t.hostsOf(ctx, e)
	if err != nil {
		return nil, err
	}
	for _, h := range own {
		if h.ofBranch() {
			if routes, err = t.assign(ctx, routes, h); err != nil {
				return nil, err
			}
		}
	}
	return t.assignShared(ctx, routes, e)
}

// urlsOf returns where a service of the deployment answers.
func urlsOf(d deployments.Deployment, service string) (urls []string) {
	for _, b := range d.Backends {
		if b.Service == service {
			urls = append(urls, b.URL)
		}
	}
	return urls
}

// outOf reports whether the host with the label is one of e that nothing answers for at the moment, though what is live has it, and says why.
func (t *tx) outOf(ctx context.Context, e deployments.Environment, h host) (down bool, detail string, err error) {
	if e.Live == 0 {
		return false, "", nil
	}
	d, err := t.deployment(ctx, e.Live)
	if err != nil {
		return false, "", err
	}
	label := h.label
	if h.ofBranch() {
		label = e.Name
	}
	for _, s := range d.Services {
		urls := urlsOf(d, s.Name)
		if s.Host != label || len(urls) == 0 || len(d.Condition.Up(urls)) > 0 {
			continue
		}
		for _, f := range d.Condition.Trouble() {
			if f.Service == s.Name {
				return true, s.Name + " " + f.Reason, nil
			}
		}
		return true, s.Name + " does not answer", nil
	}
	return false, "", nil
}
