package proxyroutes_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"vitrine/deployments"
	"vitrine/proxyroutes"
)

const (
	domain = "preview.localhost"
	lobby  = "http://127.0.0.1:8080"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open opens records in a Redis, and a client to look at what they wrote.
func open(t *testing.T, url string) (*proxyroutes.Records, *redis.Client) {
	t.Helper()
	r, err := proxyroutes.Open(t.Context(), proxyroutes.Config{URL: url, Lobby: lobby, Domain: domain, Reread: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Errorf("close the records: %v", err)
		}
	})
	return r, client(t, url)
}

// onEach runs a test against the embedded Redis, and against a real one unless the tests are short.
func onEach(t *testing.T, test func(t *testing.T, url string)) {
	t.Run("embedded", func(t *testing.T) { test(t, startEmbedded(t)) })
	t.Run("redis-server", func(t *testing.T) {
		if testing.Short() {
			t.Skip("starts a redis-server")
		}
		test(t, startRedis(t).url())
	})
}

func list(t *testing.T, c *redis.Client, host string) []string {
	t.Helper()
	l, err := c.LRange(t.Context(), "frontend:"+host, 0, -1).Result()
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func write(t *testing.T, r *proxyroutes.Records, routes ...deployments.Route) {
	t.Helper()
	if err := r.Write(t.Context(), routes); err != nil {
		t.Fatal(err)
	}
}

// eventually waits until the condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for !holds() {
		select {
		case <-deadline:
			t.Fatalf("never happened: %s", what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func TestTheRecordIsHipaches(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		r, c := open(t, url)
		host := "shop-pr-1." + domain
		write(t, r,
			deployments.Route{Host: host, Identifier: "shop-pr-1", Backends: []string{"http://10.213.0.3:8080", "http://10.213.0.4:8080"}, Revision: 7},
			deployments.Route{Host: "api-" + host, Identifier: "shop-pr-1", Revision: 8})
		want := []string{"shop-pr-1", "http://10.213.0.3:8080", "http://10.213.0.4:8080"}
		if diff := cmp.Diff(want, list(t, c, host)); diff != "" {
			t.Errorf("with backends (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"shop-pr-1", lobby}, list(t, c, "api-"+host)); diff != "" {
			t.Errorf("without backends (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"vitrine-lobby", lobby}, list(t, c, "*."+domain)); diff != "" {
			t.Errorf("the wildcard (-want +got):\n%s", diff)
		}
		if got := c.Get(t.Context(), "vitrine:revision:"+host).Val(); got != "7" {
			t.Errorf("the revision is %q", got)
		}
		if f := r.Table().Find(host); f == nil || f.Backends[1].Raw != "http://10.213.0.4:8080" {
			t.Errorf("after Write the table has %+v", f)
		}
	})
}

func TestTheDeadSetGoesWithTheList(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		r, c := open(t, url)
		route := deployments.Route{Host: "a." + domain, Identifier: "a", Backends: []string{"http://10.0.0.1:1", "http://10.0.0.2:1"}, Revision: 1}
		write(t, r, route)
		dead := "dead:" + route.Host
		c.SAdd(t.Context(), dead, 0)

		write(t, r, route)
		if c.Exists(t.Context(), dead).Val() != 1 {
			t.Error("the same write again deleted the marks")
		}
		stale := route
		stale.Revision, stale.Identifier = 0, "stale"
		write(t, r, stale)
		if c.Exists(t.Context(), dead).Val() != 1 {
			t.Error("a refused write deleted the marks")
		}
		route.Revision = 2
		write(t, r, route)
		if c.Exists(t.Context(), dead).Val() != 0 {
			t.Error("a newer revision with the same addresses kept the marks")
		}
		c.SAdd(t.Context(), dead, 0)
		write(t, r, deployments.Route{Host: route.Host, Revision: 3, Removed: true})
		if n := c.Exists(t.Context(), dead, "frontend:"+route.Host).Val(); n != 0 {
			t.Errorf("after the removal %d keys are left", n)
		}
	})
}

func TestRemovalLeavesATombstone(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		r, c := open(t, url)
		host := "a." + domain
		write(t, r, deployments.Route{Host: host, Identifier: "a", Revision: 4})
		write(t, r, deployments.Route{Host: host, Revision: 5, Removed: true})
		if ttl := c.TTL(t.Context(), "vitrine:revision:"+host).Val(); ttl <= 23*time.Hour || ttl > 24*time.Hour {
			t.Errorf("the tombstone stays for %v", ttl)
		}
		write(t, r, deployments.Route{Host: host, Identifier: "late", Revision: 3})
		if l := list(t, c, host); len(l) != 0 {
			t.Errorf("a late write brought back %v", l)
		}
		write(t, r, deployments.Route{Host: host, Identifier: "again", Revision: 6})
		if ttl := c.TTL(t.Context(), "vitrine:revision:"+host).Val(); ttl != -1 {
			t.Errorf("the revision of a host that is back expires in %v", ttl)
		}
	})
}

func TestHostsAreOursOnly(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		r, c := open(t, url)
		ctx := t.Context()
		c.RPush(ctx, "frontend:foreign."+domain, "foreign", "http://10.9.9.9:1")
		c.RPush(ctx, "frontend:removed."+domain, "foreign", "http://10.9.9.9:1")
		c.Set(ctx, "vitrine:revision:elsewhere.example.test", 1, 0)
		c.RPush(ctx, "frontend:elsewhere.example.test", "elsewhere")
		write(t, r,
			deployments.Route{Host: "b." + domain, Identifier: "b", Revision: 1},
			deployments.Route{Host: "a." + domain, Identifier: "a", Revision: 2},
			deployments.Route{Host: "gone." + domain, Identifier: "gone", Revision: 3},
			deployments.Route{Host: "gone." + domain, Revision: 4, Removed: true},
			deployments.Route{Host: "removed." + domain, Revision: 5, Removed: true})
		hosts, err := r.Hosts(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"a." + domain, "b." + domain}, hosts); diff != "" {
			t.Errorf("hosts (-want +got):\n%s", diff)
		}
		if got := list(t, c, "removed."+domain); len(got) != 2 {
			t.Errorf("a removal deleted a record that was never ours; %v is left", got)
		}
	})
}

func TestForeignKeysStay(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		c := client(t, url)
		ctx := t.Context()
		c.RPush(ctx, "frontend:www.example.test", "www", "http://10.9.9.9:80")
		c.SAdd(ctx, "dead:www.example.test", 0)
		c.Set(ctx, "frontend:odd.example.test", "not a list", 0)
		c.Set(ctx, "other", "x", 0)
		before := dump(t, c)

		r, _ := open(t, url)
		write(t, r, deployments.Route{Host: "a." + domain, Identifier: "a", Revision: 1})
		write(t, r, deployments.Route{Host: "a." + domain, Revision: 2, Removed: true})
		after := dump(t, c)
		for key, value := range before {
			if after[key] != value {
				t.Errorf("%s was %s and is %s", key, value, after[key])
			}
		}
		for key := range after {
			if _, ok := before[key]; !ok && !strings.HasPrefix(key, "vitrine:") && key != "frontend:*."+domain {
				t.Errorf("%s is left", key)
			}
		}
		if f := r.Table().Find("www.example.test"); f == nil || f.Identifier != "www" {
			t.Errorf("the table has %+v for a foreign record", f)
		}
		if f := r.Table().Find("odd.example.test"); f != nil {
			t.Errorf("the table made %+v of a key that is no list", f)
		}
	})
}

// dump returns every key with its contents.
func dump(t *testing.T, c *redis.Client) map[string]string {
	t.Helper()
	ctx := t.Context()
	all := map[string]string{}
	for _, key := range c.Keys(ctx, "*").Val() {
		switch kind := c.Type(ctx, key).Val(); kind {
		case "list":
			all[key] = fmt.Sprint(c.LRange(ctx, key, 0, -1).Val())
		case "set":
			all[key] = fmt.Sprint(c.SMembers(ctx, key).Val())
		default:
			all[key] = c.Get(ctx, key).Val()
		}
	}
	return all
}

func TestOneRefusedRouteDoesNotHoldUpTheOthers(t *testing.T) {
	r, c := open(t, startEmbedded(t))
	c.Set(t.Context(), "frontend:odd."+domain, "not a list", 0)
	c.Set(t.Context(), "vitrine:revision:odd."+domain, 1, 0)
	err := r.Write(t.Context(), []deployments.Route{
		{Host: "UPPER." + domain, Revision: 1},
		{Host: "a." + domain, Backends: []string{"ftp://10.0.0.1"}, Revision: 1},
		{Host: "odd." + domain, Identifier: "odd", Revision: 2},
		{Host: "b." + domain, Identifier: "b", Revision: 1},
	})
	for _, part := range []string{"UPPER." + domain, "ftp://10.0.0.1", "odd." + domain} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("the error %v does not name %s", err, part)
		}
	}
	if got := list(t, c, "b."+domain); len(got) != 2 {
		t.Errorf("the good route's record is %v", got)
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	embedded := startEmbedded(t)
	newer := startEmbedded(t)
	client(t, newer).Set(t.Context(), "vitrine:version", "2", 0)
	for _, c := range []struct {
		name, url, lobby, domain, want string
	}{
		{"a lobby by name", embedded, "http://localhost:8080", domain, "has to be an IP address"},
		{"a lobby that is no URL", embedded, "127.0.0.1:8080", domain, "is no http URL"},
		{"a domain with capitals", embedded, lobby, "Preview.localhost", "no lower-case host name"},
		{"a bad URL", "redis://:secret@127.0.0.1:x", lobby, domain, "the Redis URL cannot be read"},
		{"a negative database", "redis://:secret@127.0.0.1:1/-1", lobby, domain, "the database number -1"},
		{"a newer Vitrine's records", newer, lobby, domain, `another version, "2"; this one knows version 1; use the newer Vitrine`},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := proxyroutes.Open(t.Context(), proxyroutes.Config{URL: c.url, Lobby: c.lobby, Domain: c.domain})
			if err == nil {
				r.Close()
				t.Fatal("it opened")
			}
			if !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret") {
				t.Errorf("the error is %v, want it to say %q, and no password", err, c.want)
			}
		})
	}
}

// Whatever the order in which writes arrive, each host ends as its highest revision says.
func TestTheHighestRevisionWins(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		r, c := open(t, url)
		round := 0
		rapid.Check(t, func(rt *rapid.T) {
			ctx := t.Context()
			round++
			hosts := []string{fmt.Sprintf("a-%d.%s", round, domain), fmt.Sprintf("b-%d.%s", round, domain)}
			routes := rapid.SliceOfNDistinct(rapid.Custom(func(rt *rapid.T) deployments.Route {
				revision := rapid.Int64Range(1, 1<<40).Draw(rt, "revision")
				return deployments.Route{
					Host: rapid.SampledFrom(hosts).Draw(rt, "host"), Identifier: fmt.Sprint("r", revision), Revision: revision,
					Backends: rapid.SliceOfN(rapid.SampledFrom([]string{"http://10.0.0.1:1", "http://10.0.0.2:2"}), 0, 3).Draw(rt, "backends"),
					Removed:  rapid.Bool().Draw(rt, "removed"),
				}
			}), 1, 12, func(r deployments.Route) int64 { return r.Revision }).Draw(rt, "routes")
			highest := map[string]deployments.Route{}
			for _, route := range routes {
				if err := r.Write(ctx, []deployments.Route{route}); err != nil {
					rt.Fatal(err)
				}
				if known, ok := highest[route.Host]; !ok || route.Revision > known.Revision {
					highest[route.Host] = route
				}
				for _, route := range highest {
					got := c.LRange(ctx, "frontend:"+route.Host, 0, -1).Val()
					if want := recordOf(route); !slices.Equal(got, want) {
						rt.Fatalf("%s is %v, want %v of revision %d", route.Host, got, want, route.Revision)
					}
				}
			}
		})
	})
}

func recordOf(route deployments.Route) []string {
	switch {
	case route.Removed:
		return nil
	case len(route.Backends) == 0:
		return []string{route.Identifier, lobby}
	default:
		return append([]string{route.Identifier}, route.Backends...)
	}
}
