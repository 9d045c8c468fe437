package proxyroutes_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"vitrine/deployments"
	"vitrine/proxyroutes"
)

func TestForeignWritersCount(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		r, c := open(t, url)
		ctx := t.Context()
		c.RPush(ctx, "frontend:www.example.test", "www", "http://10.9.9.9:80", "http://10.9.9.8:80")
		eventually(t, "a foreign record is read", func() bool { return r.Table().Find("www.example.test") != nil })
		f := r.Table().Find("www.example.test")
		c.SAdd(ctx, "dead:www.example.test", 1)
		eventually(t, "a foreign mark is read", func() bool { return r.Table().Dead("www.example.test", f, 1) })
		if r.Table().Dead("www.example.test", f, 0) {
			t.Error("the other backend is dead as well")
		}
		c.Del(ctx, "dead:www.example.test")
		eventually(t, "the mark's deletion is read", func() bool { return !r.Table().Dead("www.example.test", f, 1) })
		c.Del(ctx, "frontend:www.example.test")
		eventually(t, "the record's deletion is read", func() bool { return r.Table().Find("www.example.test") == nil })
	})
}

func TestAnotherProcessHearsOfAWrite(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		writer, _ := open(t, url)
		// This one never re-reads within the test: what it learns is published.
		reader, err := proxyroutes.Open(t.Context(), proxyroutes.Config{URL: url, Lobby: lobby, Domain: domain, Reread: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		defer reader.Close()
		for revision := int64(1); revision <= 20; revision++ {
			backend := fmt.Sprintf("http://10.0.0.%d:80", revision)
			write(t, writer, deployments.Route{Host: "a." + domain, Identifier: "a", Backends: []string{backend}, Revision: revision})
			eventually(t, backend+" is known", func() bool { return reader.Table().Find("a." + domain).Backends[0].Raw == backend })
		}
	})
}

func TestDeadMarksAreWrittenAsHipacheWritesThem(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		r, c := open(t, url)
		ctx := t.Context()
		announcements := c.Subscribe(ctx, "dead")
		defer announcements.Close()
		if _, err := announcements.Receive(ctx); err != nil {
			t.Fatal(err)
		}
		host := "a." + domain
		write(t, r, deployments.Route{Host: host, Identifier: "a", Backends: []string{"http://10.0.0.1:80", "http://10.0.0.2:80"}, Revision: 1})
		f := r.Table().Find(host)
		r.Table().MarkDead(host, f, 1)
		if !r.Table().Dead(host, f, 1) {
			t.Error("the mark does not count at once")
		}
		eventually(t, "the mark is in Redis", func() bool { return c.SIsMember(ctx, "dead:"+host, 1).Val() })
		if ttl := c.TTL(ctx, "dead:"+host).Val(); ttl <= 0 || ttl > 30*time.Second {
			t.Errorf("the mark stays for %v", ttl)
		}
		message, err := announcements.ReceiveMessage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if want := host + ";http://10.0.0.2:80;1;2"; message.Payload != want {
			t.Errorf("announced %q, want %q", message.Payload, want)
		}

		// The list moves on in Redis before the mark for the old list arrives there.
		old := f
		write(t, r, deployments.Route{Host: host, Identifier: "a", Backends: []string{"http://10.0.0.3:80", "http://10.0.0.4:80"}, Revision: 2})
		r.Table().MarkDead(host, old, 0)
		if f = r.Table().Find(host); r.Table().Dead(host, f, 0) || r.Table().Dead(host, f, 1) {
			t.Error("a mark for the old list hides a new backend")
		}
		write(t, r, deployments.Route{Host: host, Identifier: "a", Backends: []string{"http://10.0.0.5:80"}, Revision: 3})
		f = r.Table().Find(host)
		r.Table().MarkDead(host, f, 0)
		if r.Table().Dead(host, f, 0) {
			t.Error("the only backend was marked dead")
		}
		if members := c.SMembers(ctx, "dead:"+host).Val(); len(members) != 0 {
			t.Errorf("dead marks %v are left", members)
		}
	})
}

func TestLostRecordsAreWrittenAgain(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		r, c := open(t, url)
		route := deployments.Route{Host: "a." + domain, Identifier: "a", Backends: []string{"http://10.0.0.1:80"}, Revision: 3}
		write(t, r, route, deployments.Route{Host: "gone." + domain, Identifier: "gone", Revision: 4})
		write(t, r, deployments.Route{Host: "gone." + domain, Revision: 5, Removed: true})
		c.FlushAll(t.Context())
		eventually(t, "the record is back", func() bool { return slices.Equal(list(t, c, route.Host), recordOf(route)) })
		eventually(t, "the wildcard is back", func() bool { return len(list(t, c, "*."+domain)) == 2 })
		if got := c.Get(t.Context(), "vitrine:revision:"+route.Host).Val(); got != "3" {
			t.Errorf("the record is back with the revision %q", got)
		}
		if l := list(t, c, "gone."+domain); len(l) != 0 {
			t.Errorf("a removed host is back as %v", l)
		}

		// Another process may take over: what it removed is not brought back by the one that wrote it once.
		other, _ := open(t, url)
		write(t, other, deployments.Route{Host: route.Host, Revision: 6, Removed: true})
		eventually(t, "the removal is known", func() bool { return r.Table().Find(route.Host).Identifier == "vitrine-lobby" })
		if l := list(t, c, route.Host); len(l) != 0 {
			t.Errorf("what another process removed is back as %v", l)
		}
	})
}

// A Redis that is killed and comes back empty costs no request: it has its records again before the table forgets them.
func TestRedisIsKilledAndComesBackEmpty(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a redis-server")
	}
	server := startRedis(t)
	r, _ := open(t, server.url())
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "kept") }))
	t.Cleanup(app.Close)
	kept := deployments.Route{Host: "kept." + domain, Identifier: "kept", Backends: []string{app.URL}, Revision: 1}
	write(t, r, kept, deployments.Route{Host: "gone." + domain, Identifier: "gone", Revision: 2})
	write(t, r, deployments.Route{Host: "gone." + domain, Revision: 3, Removed: true})

	gateway := serve(t, r.Table())
	ctx, cancel := context.WithCancel(t.Context())
	visited := make(chan int)
	go func() {
		n := 0
		for ; ctx.Err() == nil; n++ {
			if status, body := visit(gateway, kept.Host); status != http.StatusOK || body != "kept" {
				t.Errorf("visit %d was answered %d %q", n, status, body)
			}
		}
		visited <- n
	}()
	server.kill()
	if err := r.Write(t.Context(), []deployments.Route{{Host: "new." + domain, Identifier: "new", Revision: 4}}); err == nil {
		t.Error("a write without a Redis is no error")
	}
	server.start()
	c := client(t, server.url())
	for _, host := range []string{kept.Host, "*." + domain} {
		eventually(t, host+" is written again", func() bool { return c.Exists(t.Context(), "frontend:"+host).Val() == 1 })
	}
	write(t, r, deployments.Route{Host: "new." + domain, Identifier: "new", Revision: 4})
	cancel()
	if n := <-visited; n == 0 {
		t.Error("nobody visited while Redis was away")
	}
	if got := list(t, c, kept.Host); !slices.Equal(got, recordOf(kept)) {
		t.Errorf("the record that was written again is %v", got)
	}
	if c.Exists(t.Context(), "frontend:gone."+domain).Val() != 0 {
		t.Error("a removed host is back")
	}
}

// visit asks for a host's page; status 0 says that nobody answered.
func visit(gateway, host string) (status int, body string) {
	r, err := http.NewRequest(http.MethodGet, "http://"+gateway+"/", nil)
	if err != nil {
		return 0, err.Error()
	}
	r.Host, r.Close = host, true
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	all, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err.Error()
	}
	return res.StatusCode, string(all)
}
