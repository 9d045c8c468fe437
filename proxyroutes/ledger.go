package proxyroutes

import (
	"sync"
	"time"

	"vitrine/deployments"
)

// tombstone is how long a removed host's revision is kept, to refuse writes that come late.
const tombstone = 24 * time.Hour

// A ledger holds, for each host, the newest route that this process was asked to write. The table serves these also while Redis does not have them:
// because it is away, does not take writes, or has lost what it had. The revision decides as in Redis: a record with a higher one is another
// process's, and wins. All methods may be called side by side.
type ledger struct {
	table *Table

	mu      sync.Mutex
	entries map[string]entry // by host; the wildcard too
}

// An entry is what one host is to have.
type entry struct {
	route  deployments.Route
	record []string // the list in Redis; empty for a removal
	// taken says that Redis has had it. What Redis has no more then, it has lost.
	taken bool
	until time.Time // when a removal is forgotten
}

func newLedger(t *Table) *ledger { return &ledger{table: t, entries: map[string]entry{}} }

// ask notes a route that is to be written, with its record. It reports false where a newer one of the host is known.
func (l *ledger) ask(route deployments.Route, record []string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if known, ok := l.entries[route.Host]; ok && known.route.Revision > route.Revision {
		return false
	}
	l.entries[route.Host] = entry{route: route, record: record, until: l.table.now().Add(tombstone)}
	return true
}

// took notes that Redis took the routes.
func (l *ledger) took(routes []deployments.Route) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, route := range routes {
		if e, ok := l.entries[route.Host]; ok && e.route.Revision == route.Revision {
			e.taken = true
			l.entries[route.Host] = e
		}
	}
}

// forget drops routes that Redis did not take: another process has written newer ones, or they cannot be written.
func (l *ledger) forget(routes []deployments.Route) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, route := range routes {
		if l.entries[route.Host].route.Revision == route.Revision {
			delete(l.entries, route.Host)
		}
	}
}

// hosts returns every host that has an entry.
func (l *ledger) hosts() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	hosts := make([]string, 0, len(l.entries))
	for host := range l.entries {
		hosts = append(hosts, host)
	}
	return hosts
}

// missing returns the routes that Redis does not have by the reading, and how many of them it has had.
func (l *ledger) missing(r reading) (routes []deployments.Route, lost int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for host, e := range l.entries {
		if list, read := r.lists[host]; read && e.missing(list, r.revisions[host]) {
			routes = append(routes, e.route)
			if e.taken {
				lost++
			}
		}
	}
	return routes, lost
}

// missing reports whether a host with this list and this revision is still to be brought to the entry.
func (e entry) missing(list []string, revision int64) bool {
	if revision > e.route.Revision {
		return false
	}
	return !e.taken || revision < e.route.Revision || len(list) == 0 && !e.route.Removed
}

// apply brings the table to a reading of Redis, but for the hosts that Redis is still to be brought to the entry of: these have the entry. It holds
// the lock over both, so that a reading that began before an entry was made never hides it.
func (l *ledger) apply(r reading) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.table.now()
	for host, revision := range r.revisions {
		e, ok := l.entries[host]
		if ok && (revision > e.route.Revision || e.route.Removed && e.taken && now.After(e.until)) {
			delete(l.entries, host)
		}
	}
	l.overlay(r)
}

// show has the table serve the entries of some hosts, unless it knows newer records.
func (l *ledger) show(hosts []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.overlay(l.table.reading(hosts))
}

// overlay wants l.mu.
func (l *ledger) overlay(r reading) {
	for host, list := range r.lists {
		e, ok := l.entries[host]
		if !ok || !e.missing(list, r.revisions[host]) {
			continue
		}
		if e.route.Removed && r.revisions[host] == 0 {
			continue // without a revision it is a foreign record, which Redis keeps as well
		}
		r.lists[host], r.revisions[host] = e.record, e.route.Revision
		delete(r.dead, host) // these marks are for the list that Redis had
	}
	l.table.apply(r)
}
