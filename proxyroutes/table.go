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
	marks     chan mark                            // on their way to Redis

	mu     sync.RWMutex
	dead   map[string]deadSet
	marked atomic.Int64 // len(dead), to keep the lock off the path of most requests
}

// A Frontend is one record. It does not change; a record that changes becomes another Frontend.
type Frontend struct {
	Key        string // the host in the record's key: "shop-pr-1.preview.localhost", "*.preview.localhost", "*"
	Identifier string
	Backends   []Backend // in the record's order
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
	until    map[int]time.Time // by index; the zero time never ends
}

// A mark asks for a backend to be marked dead in Redis.
type mark struct {
	host     string
	frontend *Frontend
	index    int
}

func newTable(now func() time.Time) *Table {
	t := &Table{now: now, marks: make(chan mark, 256), dead: map[string]deadSet{}}
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
	if t.marked.Load() == 0 {
		return false
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	set, ok := t.dead[host]
	if !ok || set.frontend != f {
		return false
	}
	until, ok := set.until[index]
	return ok && (until.IsZero() || t.now().Before(until))
}

// MarkDead marks a backend of the record dead for 30 seconds, here at once and in Redis soon after. As in hipache a record's only backend is
// never marked.
func (t *Table) MarkDead(host string, f *Frontend, index int) {
	if len(f.Backends) < 2 || t.Dead(host, f, index) {
		return
	}
	t.mu.Lock()
	if t.Find(host) != f {
		t.mu.Unlock()
		return // the record changed meanwhile; the mark would hide another backend
	}
	set := t.dead[host]
	if set.frontend != f {
		set = deadSet{frontend: f, until: map[int]time.Time{}}
	}
	set.until[index] = t.now().Add(deadFor)
	t.dead[host] = set
	t.marked.Store(int64(len(t.dead)))
	t.mu.Unlock()
	select {
	case t.marks <- mark{host: host, frontend: f, index: index}:
	default: // Redis is slow or away; the mark counts in this process
	}
}

// A reading is what Redis held for some hosts.
type reading struct {
	lists map[string][]string // by host; an empty list says that there is no record
	dead  map[string][]deadIndex
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
		f := old[host]
		if f.is(list) {
			continue
		}
		if !changed {
			next, changed = maps.Clone(old), true
		}
		if len(list) == 0 {
			delete(next, host)
		} else {
			next[host] = newFrontend(host, list)
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if changed {
		t.frontends.Store(&next)
	}
	t.applyDead(next, r)
	t.marked.Store(int64(len(t.dead)))
}

// applyDead wants t.mu. Marks of hosts that were read are replaced; those for a list that is no more, and those that ended, go.
func (t *Table) applyDead(frontends map[string]*Frontend, r reading) {
	for host := range r.lists {
		delete(t.dead, host)
	}
	for host, members := range r.dead {
		delete(t.dead, host)
		f := find(frontends, host)
		if f == nil || len(members) == 0 {
			continue
		}
		set := deadSet{frontend: f, until: make(map[int]time.Time, len(members))}
		for _, m := range members {
			set.until[m.index] = m.until
		}
		t.dead[host] = set
	}
	now := t.now()
	for host, set := range t.dead {
		maps.DeleteFunc(set.until, func(_ int, until time.Time) bool { return !until.IsZero() && !now.Before(until) })
		if len(set.until) == 0 || find(frontends, host) != set.frontend {
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

func newFrontend(key string, list []string) *Frontend {
	f := &Frontend{Key: key, Identifier: list[0], Backends: make([]Backend, len(list)-1)}
	for i, raw := range list[1:] {
		f.Backends[i] = Backend{Raw: raw, URL: backendURL(raw)}
	}
	return f
}

// is reports whether the record is the list; a nil Frontend is the empty one.
func (f *Frontend) is(list []string) bool {
	if f == nil || len(list) == 0 {
		return f == nil && len(list) == 0
	}
	return f.Identifier == list[0] && slices.EqualFunc(f.Backends, list[1:], func(b Backend, raw string) bool { return b.Raw == raw })
}

// backendURL returns nil for what is no http URL with a host.
func backendURL(raw string) *url.URL {
	u, err := url.Parse(raw)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" {
		return nil
	}
	return u
}
