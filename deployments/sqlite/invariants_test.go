package sqlite

import (
	"errors"
	"net/netip"
	"net/url"
	"slices"

	"pgregory.net/rapid"

	"vitrine/deployments"
)

// check holds the store against what must be true at any time.
func (m *machine) check(t *rapid.T) {
	live := make(map[string]deployments.Deployment) // by the environment's name
	subnets := make(map[netip.Prefix]int64)
	for _, d := range m.owned(t) {
		if other := subnets[d.Subnet]; other != 0 {
			t.Fatalf("deployments %d and %d share %s", other, d.ID, d.Subnet)
		}
		subnets[d.Subnet] = d.ID
	}
	for _, o := range origins {
		e, err := m.EnvironmentOf(m.ctx, o.Key())
		if errors.Is(err, deployments.ErrNotFound) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		m.checkEnvironment(t, e)
		if e.Live != 0 {
			if live[e.Name], err = m.Deployment(m.ctx, e.Live); err != nil {
				t.Fatal(err)
			}
		}
	}
	m.checkHosts(t)
	m.checkRecords(t, live)
}

func (m *machine) checkEnvironment(t *rapid.T, e deployments.Environment) {
	if e.Observed > e.Generation {
		t.Fatalf("%s observed %d of %d generations", e.Name, e.Observed, e.Generation)
	}
	var ready, readyID, running, waiting, change int64
	err := m.reader.QueryRow(`SELECT count(*) FILTER (WHERE phase = 'ready'), coalesce(max(id) FILTER (WHERE phase = 'ready'), 0),
		count(*) FILTER (WHERE phase IN ('queued', 'fetching', 'building', 'starting')),
		(SELECT count(*) FROM requests WHERE state = 'taken' AND environment_id = ?1 AND generation <= ?2),
		(SELECT change FROM environments WHERE id = ?1)
		FROM deployments WHERE environment_id = ?1`, e.ID, e.Observed).Scan(&ready, &readyID, &running, &waiting, &change)
	switch {
	case err != nil:
		t.Fatal(err)
	case ready > 1 || readyID != e.Live:
		t.Fatalf("%s serves %d, and %d deployments are ready, the last %d", e.Name, e.Live, ready, readyID)
	case running > 1:
		t.Fatalf("%d attempts run for %s", running, e.Name)
	case waiting > 0:
		t.Fatalf("%d requests still wait for what %s has observed", waiting, e.Name)
	case change < m.changes[e.ID]:
		t.Fatalf("the change number of %s shrank", e.Name)
	}
	m.changes[e.ID] = change
}

func (m *machine) checkHosts(t *rapid.T) {
	rows, err := m.reader.Query(`SELECT label, owner FROM hosts`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var label, owner string
		if err := rows.Scan(&label, &owner); err != nil {
			t.Fatal(err)
		}
		if before, seen := m.owners[label]; seen && before != owner {
			t.Fatalf("%s belonged to %s, now to %s", label, before, owner)
		}
		m.owners[label] = owner
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
}

// checkRecords holds every record against the one before, and its backends against what is live: what was taken down is never served.
func (m *machine) checkRecords(t *rapid.T, live map[string]deployments.Deployment) {
	routes, err := m.Routes(m.ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range routes {
		before := m.records[r.Host]
		same := before.Identifier == r.Identifier && slices.Equal(before.Backends, r.Backends)
		if r.Revision < before.Revision || r.Revision == before.Revision && !same {
			t.Fatalf("record %+v after %+v", r, before)
		}
		m.records[r.Host] = r
		for _, backend := range r.Backends {
			u, err := url.Parse(backend)
			if err != nil {
				t.Fatal(err)
			}
			if d := live[r.Identifier]; d.ID == 0 || !d.Subnet.Contains(netip.MustParseAddr(u.Hostname())) {
				t.Fatalf("%s points at %s, and deployment %d in %s is live", r.Host, backend, d.ID, d.Subnet)
			}
		}
	}
}
