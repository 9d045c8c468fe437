package proxyroutes_test

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"vitrine/deployments"
	"vitrine/proxyroutes"
)

const (
	saidAway = "Redis cannot be read"
	saidBack = "Redis answers again"
)

// A journal keeps what is logged.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) log() *slog.Logger { return slog.New(slog.NewTextHandler(j, nil)) }

// lines returns those that have the part.
func (j *journal) lines(part string) (lines []string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for line := range strings.Lines(j.text.String()) {
		if strings.Contains(line, part) {
			lines = append(lines, line)
		}
	}
	return lines
}

// mustBeAway checks that a write's error says that Redis is waited for.
func mustBeAway(t *testing.T, err error) {
	t.Helper()
	var u *deployments.Unavailable
	if !errors.As(err, &u) || u.Neighbour != "Redis" {
		t.Errorf("the error is %v, want an Unavailable of Redis", err)
	}
}

// serves reports whether the table has the backend for the host; an empty one asks for the lobby of the wildcard.
func serves(r *proxyroutes.Records, host, backend string) bool {
	f := r.Table().Find(host)
	if backend == "" {
		return f != nil && f.Key == "*."+domain && f.Backends[0].Raw == lobby
	}
	return f != nil && f.Key == host && f.Backends[0].Raw == backend
}

func TestRedisIsAwayAtTheStart(t *testing.T) {
	server := newRedis(t)
	var said journal
	r := openWith(t, proxyroutes.Config{URL: server.url(), Log: said.log()})
	host := "a." + domain
	if !serves(r, host, "") {
		t.Error("without Redis the lobby does not answer for an unknown host")
	}
	mustBeAway(t, r.Write(t.Context(), []deployments.Route{
		{Host: host, Identifier: "a", Backends: []string{"http://10.0.0.1:80"}, Revision: 4},
		{Host: "b." + domain, Identifier: "b", Revision: 5},
	}))
	if !serves(r, host, "http://10.0.0.1:80") || !serves(r, "b."+domain, lobby) {
		t.Error("what was written while Redis is away is not served")
	}
	mustBeAway(t, r.Write(t.Context(), []deployments.Route{{Host: host, Identifier: "a", Backends: []string{"http://10.0.0.2:80"}, Revision: 6}}))
	if err := r.Write(t.Context(), []deployments.Route{{Host: host, Identifier: "late", Revision: 3}}); err != nil {
		t.Errorf("what a newer route has overtaken is an error: %v", err)
	}
	mustBeAway(t, r.Write(t.Context(), []deployments.Route{{Host: "b." + domain, Revision: 7, Removed: true}}))
	if !serves(r, host, "http://10.0.0.2:80") || !serves(r, "b."+domain, "") {
		t.Error("the table does not have the newest of what was written")
	}
	if _, err := r.Hosts(t.Context()); err == nil {
		t.Error("the hosts of a Redis that is away are known")
	} else {
		mustBeAway(t, err)
	}

	server.start()
	c := client(t, server.url())
	eventually(t, "the route is in Redis", func() bool { return slices.Equal(list(t, c, host), []string{"a", "http://10.0.0.2:80"}) })
	eventually(t, "the wildcard is in Redis", func() bool { return len(list(t, c, "*."+domain)) == 2 })
	eventually(t, "it says so", func() bool { return len(said.lines(saidBack)) == 1 })
	if got := c.Get(t.Context(), "vitrine:version").Val(); got != "1" {
		t.Errorf("the records' version is %q", got)
	}
	if ttl := c.TTL(t.Context(), "vitrine:revision:b."+domain).Val(); ttl <= 0 {
		t.Errorf("the removed host's revision expires in %v", ttl)
	}
	// What is published is heard as if Redis had been there from the start.
	other, err := proxyroutes.Open(t.Context(), proxyroutes.Config{URL: server.url(), Lobby: lobby, Domain: domain})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	write(t, other, deployments.Route{Host: host, Identifier: "a", Backends: []string{"http://10.0.0.3:80"}, Revision: 8})
	eventually(t, "another process's write is known", func() bool { return serves(r, host, "http://10.0.0.3:80") })
	if lines := said.lines(saidAway); len(lines) != 1 || !strings.Contains(lines[0], "connection refused; start it, or mend redis-url") {
		t.Errorf("of the outage it said %q", lines)
	}
}

// Whatever Redis says that it cannot do at present is waited out, from the start and later.
func TestRedisCannotDoItsPartForAWhile(t *testing.T) {
	kept := deployments.Route{Host: "kept." + domain, Identifier: "kept", Backends: []string{"http://10.0.0.9:80"}, Revision: 1}
	for name, c := range map[string]struct {
		args        []string
		begin, end  [][]any
		beforehand  func(*redisServer) // before Redis begins to be difficult
		wants, says string
	}{
		"a replica": {
			begin: [][]any{{"REPLICAOF", "127.0.0.1", "1"}}, end: [][]any{{"REPLICAOF", "NO", "ONE"}},
			wants: "is a replica that takes no writes",
		},
		"a full memory": {
			begin: [][]any{{"CONFIG", "SET", "maxmemory", "1"}}, end: [][]any{{"CONFIG", "SET", "maxmemory", "0"}},
			wants: "has no memory left",
		},
		"a disk that cannot be written to": {
			args:       []string{"--save", "3600 1"},
			beforehand: func(s *redisServer) { os.RemoveAll(s.dir) },
			begin:      [][]any{{"BGSAVE"}}, end: [][]any{{"CONFIG", "SET", "stop-writes-on-bgsave-error", "no"}},
			wants: "cannot save to its disk",
		},
		"a changed password": {
			begin: [][]any{{"CONFIG", "SET", "requirepass", "another"}, {"CLIENT", "KILL", "TYPE", "normal"}, {"CLIENT", "KILL", "TYPE", "pubsub"}},
			end:   [][]any{{"CONFIG", "SET", "requirepass", ""}},
			wants: "asks for a password",
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := startRedis(t, c.args...)
			operator := client(t, server.url())
			operator.Conn() // keeps its connection, which stays signed in
			var said journal
			r := openWith(t, proxyroutes.Config{URL: server.url(), Log: said.log()})
			write(t, r, kept)
			if c.beforehand != nil {
				c.beforehand(server)
			}
			for _, command := range c.begin {
				set(t, operator, command...)
			}
			eventually(t, "a write is not taken", func() bool {
				return operator.Set(t.Context(), "foreign", 1, 0).Err() != nil || name == "a changed password"
			})
			route := deployments.Route{Host: "a." + domain, Identifier: "a", Backends: []string{"http://10.0.0.1:80"}, Revision: 2}
			eventually(t, "a write is an error", func() bool {
				route.Revision++
				err := r.Write(t.Context(), []deployments.Route{route})
				if err != nil {
					mustBeAway(t, err)
				}
				return err != nil && strings.Contains(err.Error(), c.wants)
			})
			for range 100 {
				if !serves(r, route.Host, "http://10.0.0.1:80") || !serves(r, kept.Host, "http://10.0.0.9:80") {
					t.Fatal("the table does not serve what was written")
				}
			}
			for _, command := range c.end {
				set(t, operator, command...)
			}
			eventually(t, "the route is in Redis", func() bool { return slices.Equal(list(t, operator, route.Host), recordOf(route)) })
			eventually(t, "it says so", func() bool { return len(said.lines(saidBack)) > 0 })
		})
	}
}

// A Redis that takes connections and says nothing, or answers when nobody listens any more.
func TestRedisHangs(t *testing.T) {
	direct := startRedis(t).url()
	relay, url := startRelay(t, direct)
	var said journal
	r := openWith(t, proxyroutes.Config{URL: url, Log: said.log()})
	host := "a." + domain
	write(t, r, deployments.Route{Host: host, Identifier: "a", Backends: []string{"http://10.0.0.1:80"}, Revision: 1})
	relay.hold()
	mustBeAway(t, r.Write(t.Context(), []deployments.Route{{Host: host, Identifier: "a", Backends: []string{"http://10.0.0.2:80"}, Revision: 2}}))
	if !serves(r, host, "http://10.0.0.2:80") {
		t.Error("the table does not serve what was written")
	}
	if lines := said.lines(saidAway); len(lines) != 1 || !strings.Contains(lines[0], "does not answer within 2s") {
		t.Errorf("it said %q", lines)
	}
	if err := proxyroutes.Ping(t.Context(), url); err == nil || !strings.Contains(err.Error(), "does not answer within 2s") {
		t.Errorf("Ping says %v", err)
	}
	hung, err := proxyroutes.Open(t.Context(), proxyroutes.Config{URL: url, Lobby: lobby, Domain: domain})
	if err != nil {
		t.Fatal(err)
	}
	if err := hung.Close(); err != nil {
		t.Errorf("close while Redis hangs: %v", err)
	}
	relay.mend()
	c := client(t, direct)
	eventually(t, "the route is in Redis", func() bool { return slices.Contains(list(t, c, host), "http://10.0.0.2:80") })
	eventually(t, "it says so", func() bool { return len(said.lines(saidBack)) == 1 })
	relay.hold() // what is open is closed while Redis hangs
}

// Another process wrote while this one was cut off: the higher revision is served when both see Redis again.
func TestRedisHasNewerRecordsWhenItIsBack(t *testing.T) {
	onEach(t, func(t *testing.T, direct string) {
		relay, url := startRelay(t, direct)
		r := openWith(t, proxyroutes.Config{URL: url})
		other, c := open(t, direct)
		route := func(host, backend string, revision int64) deployments.Route {
			return deployments.Route{Host: host + "." + domain, Identifier: host, Backends: []string{backend}, Revision: revision}
		}
		write(t, other, route("seen", "http://10.0.0.1:80", 10), route("kept", "http://10.0.0.1:80", 11), route("gone", "http://10.0.0.1:80", 12))
		eventually(t, "the other's records are known", func() bool { return serves(r, "gone."+domain, "http://10.0.0.1:80") })
		relay.cut()
		mustBeAway(t, r.Write(t.Context(), []deployments.Route{
			route("seen", "http://10.0.0.2:80", 9), route("kept", "http://10.0.0.2:80", 20), route("gone", "http://10.0.0.2:80", 21), route("new", "http://10.0.0.2:80", 22),
		}))
		if !serves(r, "seen."+domain, "http://10.0.0.1:80") {
			t.Error("a route with a lower revision than the record's is served")
		}
		for _, host := range []string{"kept", "gone", "new"} {
			if !serves(r, host+"."+domain, "http://10.0.0.2:80") {
				t.Errorf("what was written for %s is not served", host)
			}
		}
		write(t, other, route("kept", "http://10.0.0.3:80", 30), route("new", "http://10.0.0.3:80", 31))
		write(t, other, deployments.Route{Host: "gone." + domain, Revision: 32, Removed: true})
		relay.mend()
		for host, backend := range map[string]string{"seen": "http://10.0.0.1:80", "kept": "http://10.0.0.3:80", "new": "http://10.0.0.3:80", "gone": ""} {
			eventually(t, host+" is as Redis has it", func() bool { return serves(r, host+"."+domain, backend) })
		}
		eventually(t, "writes get through", func() bool {
			return r.Write(t.Context(), []deployments.Route{route("z", "http://10.0.0.1:80", 40)}) == nil
		})
		if l := list(t, c, "gone."+domain); len(l) != 0 {
			t.Errorf("the removed host is back as %v", l)
		}
		if l := list(t, c, "seen."+domain); !slices.Contains(l, "http://10.0.0.1:80") {
			t.Errorf("the record that was to stay is %v", l)
		}
	})
}

// A mark that is made while Redis is away counts here, and is in Redis when it is back.
func TestDeadMarksOutliveAnOutage(t *testing.T) {
	onEach(t, func(t *testing.T, direct string) {
		relay, url := startRelay(t, direct)
		r := openWith(t, proxyroutes.Config{URL: url})
		host := "a." + domain
		write(t, r, deployments.Route{Host: host, Identifier: "a", Backends: []string{"http://10.0.0.1:80", "http://10.0.0.2:80"}, Revision: 1})
		f := r.Table().Find(host)
		relay.cut()
		r.Table().MarkDead(host, f, 1)
		mustBeAway(t, r.Write(t.Context(), []deployments.Route{{Host: "b." + domain, Identifier: "b", Revision: 2}}))
		if !r.Table().Dead(host, f, 1) {
			t.Error("the mark is lost with Redis")
		}
		c := client(t, direct)
		c.FlushAll(t.Context())
		relay.mend()
		eventually(t, "the mark is in Redis", func() bool {
			if !r.Table().Dead(host, f, 1) {
				t.Error("the mark is lost as Redis is back")
			}
			return c.SIsMember(t.Context(), "dead:"+host, 1).Val() || t.Failed()
		})
		if r.Table().Find(host) != f {
			t.Error("the record is another one now")
		}
	})
}

// An outage is one line when it begins and one when it ends, however often it is tried.
func TestAnOutageIsTwoLines(t *testing.T) {
	onEach(t, func(t *testing.T, direct string) {
		relay, url := startRelay(t, direct)
		var said journal
		r := openWith(t, proxyroutes.Config{URL: url, Log: said.log()})
		for n := 1; n <= 3; n++ {
			relay.cut()
			for i := range 5 {
				route := deployments.Route{Host: "a." + domain, Identifier: "a", Revision: int64(100*n + i)}
				mustBeAway(t, r.Write(t.Context(), []deployments.Route{route}))
			}
			relay.mend()
			eventually(t, "it says that Redis is back", func() bool { return len(said.lines(saidBack)) == n })
			if lines := said.lines(saidAway); len(lines) != n {
				t.Errorf("after %d outages it said %q", n, lines)
			}
		}
	})
}

// No reader of the table sees a gap, however often Redis is emptied.
func TestEmptiedAgainAndAgain(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		r, c := open(t, url)
		host := "a." + domain
		write(t, r, deployments.Route{Host: host, Identifier: "a", Backends: []string{"http://10.0.0.1:80"}, Revision: 1})
		stop := make(chan struct{})
		var reader sync.WaitGroup
		reader.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					if !serves(r, host, "http://10.0.0.1:80") || !serves(r, "x."+domain, "") {
						t.Error("the table had a gap")
						return
					}
				}
			}
		})
		deadline := time.Now().Add(20 * time.Second)
		for range 30 {
			c.FlushAll(t.Context())
			eventually(t, "the record is back", func() bool { return len(list(t, c, host)) == 2 && len(list(t, c, "*."+domain)) == 2 })
			if time.Now().After(deadline) {
				t.Error("that took too long")
				break
			}
		}
		close(stop)
		reader.Wait()
	})
}
