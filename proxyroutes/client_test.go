package proxyroutes_test

import (
	"context"
	"crypto/x509"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"vitrine/deployments"
	"vitrine/proxyroutes"
)

// openWith is open with a configuration of the test's own.
func openWith(t *testing.T, c proxyroutes.Config) *proxyroutes.Records {
	t.Helper()
	if c.Lobby == "" {
		c.Lobby = lobby
	}
	if c.Domain == "" {
		c.Domain = domain
	}
	if c.Reread == 0 {
		c.Reread = 50 * time.Millisecond
	}
	r, err := proxyroutes.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Errorf("close the records: %v", err)
		}
	})
	return r
}

func TestEveryWayIn(t *testing.T) {
	plain := startRedis(t, "--requirepass", "hunter2 for all", "--user", "vitrine", "on", ">its-own",
		"~frontend:*", "~dead:*", "~vitrine:*", "&vitrine:changes", "&dead", "+@all")
	secure := startRedisTLS(t, "--requirepass", "hunter2")
	for name, c := range map[string]proxyroutes.Config{
		"a password":            {URL: plain.url(":hunter2%20for%20all@")},
		"a user":                {URL: plain.url("vitrine:its-own@", "2")},
		"TLS":                   {URL: secure.url(":hunter2@"), RootCAs: secure.roots},
		"TLS, another database": {URL: secure.url("default:hunter2@", "15"), RootCAs: secure.roots},
	} {
		t.Run(name, func(t *testing.T) {
			r := openWith(t, c)
			reader := openWith(t, c)
			write(t, r, deployments.Route{Host: "a." + domain, Identifier: name, Revision: 1})
			if f := r.Table().Find("a." + domain); f == nil || f.Identifier != name {
				t.Errorf("the table has %+v", f)
			}
			eventually(t, "another process has read it", func() bool { return reader.Table().Find("a."+domain).Identifier == name })
			if hosts, err := r.Hosts(t.Context()); err != nil || !slices.Equal(hosts, []string{"a." + domain}) {
				t.Errorf("the hosts are %v, %v", hosts, err)
			}
		})
	}
}

// What waiting does not mend is an error at once, which says what, where and what to do, and never the password.
func TestMistakesAreErrorsAtOnce(t *testing.T) {
	const secret = "swordfish"
	open := startRedis(t, "--user", "reader", "on", ">"+secret, "~*", "&*", "+@read", "+@connection")
	locked := startRedis(t, "--requirepass", "another")
	secure := startRedisTLS(t)
	newer := startRedis(t)
	client(t, newer.url()).Set(t.Context(), "vitrine:version", "2", 0)
	for _, c := range []struct {
		name   string
		config proxyroutes.Config
		want   []string
		ping   bool // finds it too
	}{
		{"a wrong password", proxyroutes.Config{URL: locked.url(":" + secret + "@")},
			[]string{"Redis at " + locked.address(), "refuses the user or the password of redis-url", "mend them"}, true},
		{"a wrong user", proxyroutes.Config{URL: locked.url("somebody:" + secret + "@")},
			[]string{"Redis at " + locked.address(), "refuses the user or the password of redis-url"}, true},
		{"no password", proxyroutes.Config{URL: locked.url()},
			[]string{"Redis at " + locked.address(), "asks for a password", "redis://user:password@host:port"}, true},
		{"a user who may not write", proxyroutes.Config{URL: open.url("reader:" + secret + "@")},
			[]string{"Redis at " + open.address(), "forbids the user", "frontend:*, dead:* and vitrine:*"}, false},
		{"a database that is not there", proxyroutes.Config{URL: open.url("", "99")},
			[]string{"Redis at " + open.address(), "has no such database", "a lower number"}, true},
		{"an unknown authority", proxyroutes.Config{URL: secure.url(":" + secret + "@")},
			[]string{"Redis at " + secure.address(), "a certificate that is not trusted", "unknown authority", "SSL_CERT_FILE"}, true},
		{"another host's certificate", proxyroutes.Config{URL: strings.Replace(secure.url(), "127.0.0.1", "localhost", 1), RootCAs: secure.roots},
			[]string{"a certificate that is not trusted", "localhost"}, true},
		{"a newer Vitrine's records", proxyroutes.Config{URL: newer.url()},
			[]string{"Redis at " + newer.address(), `another version, "2"`, "use the newer Vitrine, or another Redis database"}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.config.Lobby, c.config.Domain = lobby, domain
			r, err := proxyroutes.Open(t.Context(), c.config)
			if err == nil {
				r.Close()
				t.Fatal("it opened")
			}
			check := func(what string, err error) {
				for _, part := range c.want {
					if err == nil || !strings.Contains(err.Error(), part) {
						t.Errorf("%s says %v, without %q", what, err, part)
					}
				}
				if err != nil && strings.Contains(err.Error(), secret) {
					t.Errorf("%s quotes the password: %v", what, err)
				}
			}
			check("Open", err)
			if c.ping && c.config.RootCAs == nil {
				check("Ping", proxyroutes.Ping(t.Context(), c.config.URL))
			}
		})
	}
	if keys := client(t, newer.url()).Keys(t.Context(), "*").Val(); len(keys) != 1 {
		t.Errorf("among a newer Vitrine's records there are %v", keys)
	}
}

// Who speaks TLS with a Redis that does not, or the other way round, is told what to look at.
func TestTLSOnOneSideOnly(t *testing.T) {
	plain, secure := startRedis(t), startRedisTLS(t)
	for url, want := range map[string]string{
		strings.Replace(plain.url(), "redis:", "rediss:", 1):  "begin redis-url with redis://",
		strings.Replace(secure.url(), "rediss:", "redis:", 1): "begin redis-url with rediss://",
	} {
		if err := proxyroutes.Ping(t.Context(), url); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want it to say %q", url, err, want)
		}
	}
}

// Several Vitrines share a Redis: what is published reaches every database of it.
func TestTwoVitrinesInOneRedis(t *testing.T) {
	server := startRedis(t)
	const other = "preview.example.test"
	for name, databases := range map[string][2]string{"two databases": {"1", "2"}, "one database": {"3", "3"}} {
		t.Run(name, func(t *testing.T) {
			ours := openWith(t, proxyroutes.Config{URL: server.url("", databases[0]), RootCAs: x509.NewCertPool()})
			theirs := openWith(t, proxyroutes.Config{URL: server.url("", databases[1]), Domain: other, Lobby: "http://127.0.0.1:9090"})
			// The same labels, the same revisions, and one domain's host under the other's.
			for revision := int64(1); revision <= 20; revision++ {
				write(t, ours, deployments.Route{Host: "a." + domain, Identifier: "ours", Revision: revision})
				write(t, theirs, deployments.Route{Host: "a." + other, Identifier: "theirs", Revision: revision})
			}
			write(t, theirs, deployments.Route{Host: "b." + other, Identifier: "theirs", Revision: 21})
			write(t, theirs, deployments.Route{Host: "b." + other, Revision: 22, Removed: true})
			for _, c := range []struct {
				records                     *proxyroutes.Records
				database, host, id, gateway string
			}{
				{ours, databases[0], "a." + domain, "ours", lobby},
				{theirs, databases[1], "a." + other, "theirs", "http://127.0.0.1:9090"},
			} {
				redis := client(t, server.url("", c.database))
				if diff := cmp.Diff([]string{c.id, c.gateway}, list(t, redis, c.host)); diff != "" {
					t.Errorf("%s (-want +got):\n%s", c.host, diff)
				}
				if f := c.records.Table().Find("x." + c.host[2:]); f == nil || f.Backends[0].Raw != c.gateway {
					t.Errorf("the wildcard of %s is %+v", c.host[2:], f)
				}
				if hosts, err := c.records.Hosts(t.Context()); err != nil || !slices.Equal(hosts, []string{c.host}) {
					t.Errorf("the hosts of %s are %v, %v", c.id, hosts, err)
				}
			}
			if shared, f := databases[0] == databases[1], ours.Table().Find("a."+other); shared != (f != nil) {
				t.Errorf("in %s our table has %+v for their host", name, f)
			}
		})
	}
}

// A domain under ours is another Vitrine's.
func TestHostsAreDirectlyUnderTheDomain(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		ours := openWith(t, proxyroutes.Config{URL: url})
		inner := openWith(t, proxyroutes.Config{URL: url, Domain: "inner." + domain})
		write(t, ours, deployments.Route{Host: "a." + domain, Identifier: "a", Revision: 1})
		write(t, inner, deployments.Route{Host: "a.inner." + domain, Identifier: "a", Revision: 1})
		if hosts, err := ours.Hosts(t.Context()); err != nil || !slices.Equal(hosts, []string{"a." + domain}) {
			t.Errorf("the hosts are %v, %v", hosts, err)
		}
	})
}

// set runs a command of the operator's.
func set(t *testing.T, c *redis.Client, command ...any) {
	t.Helper()
	if err := c.Do(context.Background(), command...).Err(); err != nil {
		t.Fatalf("%v: %v", command, err)
	}
}
