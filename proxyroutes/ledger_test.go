package proxyroutes

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"vitrine/deployments"
)

// What the table serves of a host, by what this process was asked to write last and by what a reading of Redis says.
func TestLedgerOverAReading(t *testing.T) {
	const host = "a.test"
	ours := []string{"ours", "http://10.0.0.1:80"}
	theirs := []string{"theirs", "http://10.0.0.2:80"}
	route := deployments.Route{Host: host, Revision: 5}
	removal := deployments.Route{Host: host, Revision: 5, Removed: true}
	for _, c := range []struct {
		name     string
		asked    deployments.Route
		taken    bool // by Redis, before the reading
		list     []string
		revision int64
		missing  bool // in Redis
		want     []string
	}{
		{"on its way, nothing there", route, false, nil, 0, true, ours},
		{"on its way, an older one there", route, false, theirs, 4, true, ours},
		{"on its way, a foreign one there", route, false, theirs, 0, true, ours},
		{"on its way, and there, unheard", route, false, ours, 5, true, ours},
		{"on its way, overtaken", route, false, theirs, 6, false, theirs},
		{"on its way, overtaken by a removal", route, false, nil, 6, false, nil},
		{"taken and there", route, true, ours, 5, false, ours},
		{"taken and changed by somebody else", route, true, theirs, 5, false, theirs},
		{"taken and lost", route, true, nil, 0, true, ours},
		{"taken, and only the list lost", route, true, nil, 5, true, ours},
		{"taken, and an older one back", route, true, theirs, 4, true, ours},
		{"taken and overtaken", route, true, theirs, 6, false, theirs},
		{"a removal on its way", removal, false, theirs, 4, true, nil},
		{"a removal on its way, of a foreign one", removal, false, theirs, 0, true, theirs},
		{"a removal, overtaken", removal, false, theirs, 6, false, theirs},
		{"a removal taken", removal, true, nil, 5, false, nil},
		{"a removal taken, and a foreign one since", removal, true, theirs, 5, false, theirs},
		{"a removal lost", removal, true, nil, 0, true, nil},
		{"a removal taken, and an older one back", removal, true, theirs, 4, true, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			table := newTable(time.Now)
			l := newLedger(table)
			var record []string
			if !c.asked.Removed {
				record = ours
			}
			l.ask(c.asked, record)
			if c.taken {
				l.took([]deployments.Route{c.asked})
			}
			read := func() reading {
				r := newReading(1, 0)
				r.lists[host], r.revisions[host] = c.list, c.revision
				return r
			}
			missing, lost := l.missing(read())
			if (len(missing) == 1) != c.missing || (lost == 1) != (c.missing && c.taken) {
				t.Errorf("missing in Redis are %v, lost %d", missing, lost)
			}
			l.apply(read())
			got, _ := table.Find(host).list()
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("the table (-want +got):\n%s", diff)
			}
			if overtaken := c.revision > c.asked.Revision; overtaken != (len(l.hosts()) == 0) {
				t.Errorf("the ledger has %v", l.hosts())
			}
		})
	}
}

// A reading that began before a write brings the dead marks of the list before it.
func TestMarksOfAnOlderReading(t *testing.T) {
	const host = "a.test"
	table := newTable(time.Now)
	l := newLedger(table)
	route := deployments.Route{Host: host, Revision: 2}
	l.ask(route, []string{"a", "http://10.0.0.3:80", "http://10.0.0.4:80"})
	l.took([]deployments.Route{route})
	for _, c := range []struct {
		revision int64
		dead     bool
	}{{1, false}, {2, true}} {
		r := newReading(1, 1)
		r.lists[host], r.revisions[host] = []string{"a", "http://10.0.0.3:80", "http://10.0.0.4:80"}, c.revision
		r.dead[host] = []deadIndex{{index: 1, until: time.Now().Add(deadFor)}}
		l.apply(r)
		if got := table.Dead(host, table.Find(host), 1); got != c.dead {
			t.Errorf("read at revision %d, the mark hides the backend of revision 2: %v, want %v", c.revision, got, c.dead)
		}
	}
}

func TestLedgerKnowsTheNewest(t *testing.T) {
	table := newTable(time.Now)
	l := newLedger(table)
	route := func(revision int64) deployments.Route { return deployments.Route{Host: "a.test", Revision: revision} }
	if !l.ask(route(2), []string{"two"}) || !l.ask(route(3), []string{"three"}) || l.ask(route(2), []string{"two"}) {
		t.Error("the newest is not the one with the highest revision")
	}
	l.took([]deployments.Route{route(2)}) // of an older write, whose answer came late
	if missing, lost := l.missing(table.reading([]string{"a.test"})); len(missing) != 1 || missing[0].Revision != 3 || lost != 0 {
		t.Errorf("missing are %v, lost %d", missing, lost)
	}
	l.forget([]deployments.Route{route(2)})
	l.show([]string{"a.test", "unknown.test"})
	if f := table.Find("a.test"); f == nil || f.Identifier != "three" || table.Find("unknown.test") != nil {
		t.Errorf("the table has %+v", f)
	}
	l.forget([]deployments.Route{route(3)})
	if hosts := l.hosts(); len(hosts) != 0 {
		t.Errorf("the ledger still has %v", hosts)
	}
}

// What was read of another process's record bars an older route while Redis is away.
func TestLedgerShowsNothingOlderThanTheTable(t *testing.T) {
	table := newTable(time.Now)
	l := newLedger(table)
	r := newReading(1, 0)
	r.lists["a.test"], r.revisions["a.test"] = []string{"theirs"}, 9
	l.apply(r)
	l.ask(deployments.Route{Host: "a.test", Revision: 7}, []string{"ours"})
	l.show([]string{"a.test"})
	if f := table.Find("a.test"); f.Identifier != "theirs" {
		t.Errorf("the table has %+v", f)
	}
	// Redis was emptied meanwhile, and nobody has the newer record any more.
	r.lists["a.test"], r.revisions["a.test"] = nil, 0
	l.apply(r)
	if f := table.Find("a.test"); f == nil || f.Identifier != "ours" {
		t.Errorf("the table has %+v", f)
	}
}

func TestLedgerForgetsRemovals(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	l := newLedger(newTable(func() time.Time { return now }))
	removal := deployments.Route{Host: "a.test", Revision: 5, Removed: true}
	l.ask(removal, nil)
	read := func() {
		r := newReading(1, 0)
		r.lists["a.test"], r.revisions["a.test"] = nil, 5
		l.apply(r)
	}
	now = now.Add(25 * time.Hour)
	if read(); len(l.hosts()) != 1 {
		t.Error("a removal that Redis did not get is forgotten")
	}
	l.took([]deployments.Route{removal})
	if read(); len(l.hosts()) != 0 {
		t.Error("a removal is kept longer than in Redis")
	}
}
