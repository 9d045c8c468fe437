package proxyroutes_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"vitrine/deployments"
	"vitrine/proxyroutes"
)

// Redis reads its dump for a while after its start, and says so.
func TestRedisReadsItsDump(t *testing.T) {
	server := startRedis(t, "--rdbcompression", "no")
	c := client(t, server.url())
	for i := range 500 {
		c.Set(t.Context(), fmt.Sprint("filler:", i), strings.Repeat("x", 1024), 0)
	}
	c.RPush(t.Context(), "frontend:www.example.test", "www", "http://10.9.9.9:80")
	set(t, c, "SAVE")
	server.kill()
	server.args = []string{"--key-load-delay", "30000", "--loading-process-events-interval-bytes", "1024"}
	server.launch()
	eventually(t, "Ping says that it loads", func() bool {
		err := proxyroutes.Ping(t.Context(), server.url())
		return err != nil && strings.Contains(err.Error(), "still reads its dump")
	})
	var said journal
	r := openWith(t, proxyroutes.Config{URL: server.url(), Log: said.log()})
	if lines := said.lines(saidAway); len(lines) != 1 || !strings.Contains(lines[0], "still reads its dump") {
		t.Errorf("it said %q", lines)
	}
	mustBeAway(t, r.Write(t.Context(), []deployments.Route{{Host: "a." + domain, Identifier: "a", Revision: 1}}))
	set(t, c, "CONFIG", "SET", "key-load-delay", "0")
	eventually(t, "the dump is read", func() bool { return r.Table().Find("www.example.test") != nil })
	if l := list(t, c, "a."+domain); len(l) != 2 {
		t.Errorf("what was written meanwhile is %v", l)
	}
}

// Another server at the same address gets our records, and keeps its own; the next one belongs to a newer Vitrine and gets nothing.
func TestRedisIsReplaced(t *testing.T) {
	server := startRedis(t)
	var said journal
	r := openWith(t, proxyroutes.Config{URL: server.url(), Log: said.log()})
	route := deployments.Route{Host: "a." + domain, Identifier: "a", Backends: []string{"http://10.0.0.1:80"}, Revision: 3}
	write(t, r, route, deployments.Route{Host: "gone." + domain, Identifier: "gone", Revision: 4})
	write(t, r, deployments.Route{Host: "gone." + domain, Revision: 5, Removed: true})

	fill := func(entries map[string]string) (file string) {
		other := startRedis(t)
		c := client(t, other.url())
		for key, value := range entries {
			if host, ok := strings.CutPrefix(key, "frontend:"); ok {
				c.RPush(t.Context(), "frontend:"+host, value, "http://10.9.9.9:80")
			} else {
				c.Set(t.Context(), key, value, 0)
			}
		}
		set(t, c, "SAVE")
		other.kill()
		return other.dir
	}
	replace := func(entries map[string]string) {
		t.Helper()
		server.dir = fill(entries)
		server.kill()
		server.start()
	}

	// It has an old state of ours, among others' keys.
	replace(map[string]string{
		"frontend:a." + domain: "old", "vitrine:revision:a." + domain: "2", "frontend:gone." + domain: "old", "vitrine:revision:gone." + domain: "4",
		"frontend:www.example.test": "www", "dead:odd": "no set", "session:1": "x",
	})
	c := client(t, server.url())
	eventually(t, "the record is ours again", func() bool { return slices.Equal(list(t, c, route.Host), recordOf(route)) })
	eventually(t, "what was removed is gone again", func() bool { return len(list(t, c, "gone."+domain)) == 0 })
	eventually(t, "the wildcard is there", func() bool { return len(list(t, c, "*."+domain)) == 2 })
	eventually(t, "foreign records are read", func() bool { return r.Table().Find("www.example.test") != nil })
	if got := dump(t, c); got["session:1"] != "x" || got["dead:odd"] != "no set" || !strings.HasPrefix(got["frontend:www.example.test"], "[www ") {
		t.Errorf("foreign keys are %v", got)
	}
	if !serves(r, route.Host, "http://10.0.0.1:80") || !serves(r, "gone."+domain, "") {
		t.Error("the table does not have our records")
	}

	newer := map[string]string{"vitrine:version": "2", "frontend:a." + domain: "newer"}
	replace(newer)
	eventually(t, "it says that the records are newer", func() bool {
		err := r.Write(t.Context(), []deployments.Route{{Host: "b." + domain, Identifier: "b", Revision: 7}})
		return err != nil && strings.Contains(err.Error(), "use the newer Vitrine, or another Redis database")
	})
	c = client(t, server.url())
	if got := dump(t, c); len(got) != len(newer) {
		t.Errorf("a newer Vitrine's Redis has %v", got)
	}
	if !serves(r, route.Host, "http://10.0.0.1:80") || !serves(r, "b."+domain, lobby) {
		t.Error("the table does not have our records")
	}
	set(t, c, "FLUSHALL")
	eventually(t, "the emptied one has our record", func() bool { return slices.Equal(list(t, c, route.Host), recordOf(route)) })
}
