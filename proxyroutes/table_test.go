package proxyroutes

import (
	"strings"
	"testing"
	"time"
)

func tableOf(now func() time.Time, lists map[string][]string) *Table {
	t := newTable(now)
	t.apply(reading{lists: lists})
	return t
}

func TestFindGoesInHipachesOrder(t *testing.T) {
	all := map[string][]string{
		"app.example.test": {"exact"}, "*.example.test": {"parent"}, "*.test": {"grandparent"}, "*": {"all"},
		"*.c.d.e.f.g": {"five"}, "*.a.b.c.d.e.f.g": {"seven"},
	}
	table := tableOf(time.Now, all)
	for host, want := range map[string]string{
		"app.example.test":   "exact",
		"x.example.test":     "parent",
		"x.y.example.test":   "parent",
		"x.app.example.test": "parent",
		"example.test":       "grandparent",
		"test":               "all",
		"localhost":          "all",
		"":                   "all",
		// Of a long name the last six labels are looked at.
		"z.a.b.c.d.e.f.g": "five",
	} {
		if f := table.Find(host); f == nil || f.Identifier != want {
			t.Errorf("%q is served by %+v, want %s", host, f, want)
		}
	}
	delete(all, "*")
	table = tableOf(time.Now, all)
	if f := table.Find("app.example.org"); f != nil {
		t.Errorf("an unknown host is served by %+v", f)
	}
	if f := table.Find(strings.Repeat("a.", 10_000)); f != nil {
		t.Errorf("a long host is served by %+v", f)
	}
}

func TestAnUnchangedListIsTheSameFrontend(t *testing.T) {
	table := tableOf(time.Now, map[string][]string{"a": {"id", "http://10.0.0.1:80"}})
	before := table.Find("a")
	table.apply(reading{lists: map[string][]string{"a": {"id", "http://10.0.0.1:80"}, "b": {"id"}}})
	if table.Find("a") != before {
		t.Error("the frontend was made anew")
	}
	table.apply(reading{lists: map[string][]string{"a": {"id", "http://10.0.0.2:80"}}})
	if table.Find("a") == before {
		t.Error("the frontend did not change with its list")
	}
}

func TestDeadMarksEnd(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	table := tableOf(func() time.Time { return now }, map[string][]string{"*.test": {"id", "http://10.0.0.1:80", "http://10.0.0.2:80"}})
	f := table.Find("x.test")
	table.MarkDead("x.test", f, 0)
	if !table.Dead("x.test", f, 0) || table.Dead("x.test", f, 1) || table.Dead("y.test", f, 0) {
		t.Error("the mark is not that of one backend for one host")
	}
	now = now.Add(30 * time.Second)
	if table.Dead("x.test", f, 0) {
		t.Error("the mark outlives its 30 seconds")
	}
	table.apply(reading{})
	if _, dead := table.hosts(); len(dead) != 0 {
		t.Errorf("marks of %v are kept after their end", dead)
	}
}

func TestAMarkForAnOldListChangesNothing(t *testing.T) {
	table := tableOf(time.Now, map[string][]string{"a": {"id", "http://10.0.0.1:80", "http://10.0.0.2:80"}})
	old := table.Find("a")
	table.MarkDead("a", old, 1)
	table.apply(reading{lists: map[string][]string{"a": {"id", "http://10.0.0.3:80", "http://10.0.0.4:80"}}})
	current := table.Find("a")
	if table.Dead("a", current, 1) {
		t.Error("a mark for the old list counts for the new one")
	}
	table.MarkDead("a", current, 0)
	table.MarkDead("a", old, 1)
	if !table.Dead("a", current, 0) || table.Dead("a", current, 1) {
		t.Error("a late mark for the old list took the place of one for the new list")
	}
}

func TestBackendURL(t *testing.T) {
	for raw, ok := range map[string]bool{
		"http://10.0.0.1:80": true, "http://[::1]:80": true, "https://example.test": true,
		"not a url": false, "": false, "10.0.0.1:80": false, "ftp://10.0.0.1": false, "http://": false, "http://:80": false, "file:///etc/passwd": false,
	} {
		if got := backendURL(raw) != nil; got != ok {
			t.Errorf("%q: usable %v, want %v", raw, got, ok)
		}
	}
}
