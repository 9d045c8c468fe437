package proxyroutes

import (
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// deadFor is how long a backend stays marked dead (hipache's server.deadBackendTTL).
const deadFor = 30 * time.Second

// maxLookupParts is how many labels of a host hipache's lib/cache.js (getDomainsLookup) looks at for wildcards.
const maxLookupParts = 6

// A Table is what is known of the records, in memory. Reading it never waits for Redis, and it goes on serving what it knew while Redis is away.
// All methods may be called side by side.
type Table struct {
	now       func() time.Time
	frontends atomic.Pointer[map[string]*Frontend] // by the key's host, wildcards too; replaced as a whole, never changed
	marked    chan struct{}                        // there are marks that Redis does not have yet

	mu    sync.RWMutex
	dead  map[string]deadSet
	count atomic.Int64 // len(dead), to keep the lock off the path of most requests
}

// A Frontend is one record. It does not change; a record that changes becomes another Frontend.
type Frontend struct {
	Key        string // the host in the record's key: "shop-pr-1.preview.localhost", "*.preview.localhost", "*"
	Identifier string
	Backends   []Backend // in the record's order
	revision   int64     // 0 for a foreign record
}

// A Backend is one address of a record.
type Backend struct {
	Raw string // as the record has it
	// URL is nil where Raw is no http URL.
	URL *url.URL
}

// A deadSet is the marks for one host that was asked for. They count for the list that they were made for, only.
type deadSet struct {
	frontend *Frontend
	marks    map[int]deadMark // by index
}

// A deadMark says that a backend is dead.
type deadMark struct {
	until time.Time // the zero time never ends
	ours  bool      // Redis does not have it yet
}

// over reports whether the mark has ended.
func (d deadMark) over(now time.Time) bool { return !d.until.IsZero() && !now.Before(d.until) }

// A mark asks for a backend to be marked dead in Redis.
type mark struct {
	host     string
	frontend *Frontend
	index    int
}

func newTable(now func() time.Time) *Table {
	t := &Table{now: now, marked: make(chan struct{}, 1), dead: map[string]deadSet{}}
	t.frontends.Store(&map[string]*Frontend{})
	return t
}

// Find returns the record for a host (lower-case, without a port) in hipache's order: the host itself, "*." and each shorter parent, "*". It
// returns nil where there is none.
func (t *Table) Find(host string) *Frontend {
	return find(*t.frontends.Load(), host)
}

func find(frontends map[string]*Frontend, host string) *Frontend {
	if f := frontends[host]; f != nil {
		return f
	}
	rest := host
	for strings.Count(rest, ".") >= maxLookupParts {
		_, rest, _ = strings.Cut(rest, ".")
	}
	for {
		_, parent, found := strings.Cut(rest, ".")
		if !found {
			return frontends["*"]
		}
		if f := frontends["*."+parent]; f != nil {
			return f
		}
		rest = parent
	}
}

// Dead reports whether a backend of the record is marked dead for the host that was asked for.
func (t *Table) Dead(host string, f *Frontend, index int) bool {
	if t.count.Load() == 0 {
		return false
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	set, ok := t.dead[host]
	if !ok || set.frontend != f {
		return false
	}
	mark, ok := set.marks[index]
	return ok && !mark.over(t.now())
}

// MarkDead marks a backend of the record dead for 30 seconds, here at once and in Redis soon after, or when it is back. As in hipache a record's
// only backend is never marked.
func (t *Table) MarkDead(host string, f *Frontend, index int) {
	if len(f.Backends) < 2 || t.Dead(host, f, index) || !t.markDead(host, f, index) {
		return
	}
	select {
	case t.marked <- struct{}{}:
	default:
	}
}

func (t *Table) markDead(host string, f *Frontend, index int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.Find(host) != f {
		return false // the record changed meanwhile; the mark would hide another backend
	}
	set := t.dead[host]
	if set.frontend != f {
		set = deadSet{frontend: f, marks: map[int]deadMark{}}
	}
	set.marks[index] = deadMark{until: t.now().Add(deadFor), ours: true}
	t.dead[host] = set
	t.count.Store(int64(len(t.dead)))
	return true
}

// unmarked returns the marks that Redis does not have yet.
func (t *Table) unmarked() (marks []mark) {
	if t.count.Load() == 0 {
		return nil
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	now := t.now()
	for host, set := range t.dead {
		for index, m := range set.marks {
			if m.ours && !m.over(now) {
				marks = append(marks, mark{host: host, frontend: set.frontend, index: index})
			}
		}
	}
	return marks
}

// handOver notes that Redis has been told of a mark. From then on it decides how long the mark counts.
func (t *Table) handOver(m mark) {
	t.mu.Lock()
	defer t.mu.Unlock()
	set := t.dead[m.host]
	if d, ok := set.marks[m.index]; ok && set.frontend == m.frontend {
		d.ours = false
		set.marks[m.index] = d
	}
}

// A reading is what Redis held for some hosts.
type reading struct {
	lists     map[string][]string // by host; an empty list says that there is no record
	revisions map[string]int64    // by host; of what is removed too
	dead      map[string][]deadIndex
}

// newReading returns an empty one with room for so many hosts.
func newReading(hosts, dead int) reading {
	return reading{
		lists: make(map[string][]string, hosts), revisions: make(map[string]int64, hosts), dead: make(map[string][]deadIndex, dead),
	}
}

// A deadIndex is a member of a dead set; until is zero where the set does not expire.
type deadIndex struct {
	index int
	until time.Time
}

// apply brings the hosts of the reading to what it says and leaves the others alone.
func (t *Table) apply(r reading) {
	old := *t.frontends.Load()
	changed := false
	next := old
	for host, list := range r.lists {
		f, revision := old[host], r.revisions[host]
		if f.is(list, revision) {
			continue
		}
		if !changed {
			next, changed = maps.Clone(old), true
		}
		if len(list) == 0 {
			delete(next, host)
		} else {
			next[host] = newFrontend(host, list, revision)
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if changed {
		t.frontends.Store(&next)
	}
	t.applyDead(next, r)
	t.count.Store(int64(len(t.dead)))
}

// applyDead wants t.mu. Marks of hosts whose dead set was read are replaced, but for those that Redis does not have yet; those for a list that is no
// more, and those that ended, go.
func (t *Table) applyDead(frontends map[string]*Frontend, r reading) {
	for host, members := range r.dead {
		f := find(frontends, host)
		if f == nil {
			continue
		}
		marks := make(map[int]deadMark, len(members))
		for _, m := range members {
			marks[m.index] = deadMark{until: m.until}
		}
		if set := t.dead[host]; set.frontend == f {
			for index, m := range set.marks {
				if m.ours {
					marks[index] = m
				}
			}
		}
		t.dead[host] = deadSet{frontend: f, marks: marks}
	}
	now := t.now()
	for host, set := range t.dead {
		maps.DeleteFunc(set.marks, func(_ int, m deadMark) bool { return m.over(now) })
		if len(set.marks) == 0 || find(frontends, host) != set.frontend {
			delete(t.dead, host)
		}
	}
}

// hosts returns every host that has a record or a dead mark here.
func (t *Table) hosts() (frontends, dead []string) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return slices.Collect(maps.Keys(*t.frontends.Load())), slices.Collect(maps.Keys(t.dead))
}

// reading returns what the table holds for some hosts, but for the dead marks.
func (t *Table) reading(hosts []string) reading {
	frontends := *t.frontends.Load()
	r := newReading(len(hosts), 0)
	for _, host := range hosts {
		r.lists[host], r.revisions[host] = frontends[host].list()
	}
	return r
}

func newFrontend(key string, list []string, revision int64) *Frontend {
	f := &Frontend{Key: key, Identifier: list[0], Backends: make([]Backend, len(list)-1), revision: revision}
	for i, raw := range list[1:] {
		f.Backends[i] = Backend{Raw: raw, URL: backendURL(raw)}
	}
	return f
}

// is reports whether the record is the list at the revision; a nil Frontend is the empty list at any. A new revision makes a new record even of the
// same list: the dead marks were for what answered there before.
func (f *Frontend) is(list []string, revision int64) bool {
	if f == nil || len(list) == 0 {
		return f == nil && len(list) == 0
	}
	same := func(b Backend, raw string) bool { return b.Raw == raw }
	return f.revision == revision && f.Identifier == list[0] && slices.EqualFunc(f.Backends, list[1:], same)
}

// list returns the record as Redis has it; nil and 0 for a nil Frontend.
func (f *Frontend) list() (list []string, revision int64) {
	if f == nil {
		return nil, 0
	}
	list = append(make([]string, 0, 1+len(f.Backends)), f.Identifier)
	for _, b := range f.Backends {
		list = append(list, b.Raw)
	}
	return list, f.revision
}

// backendURL returns nil for what is no http URL with a host.
func backendURL(raw string) *url.URL {
	u, err := url.Parse(raw)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" {
		return nil
	}
	return u
}
