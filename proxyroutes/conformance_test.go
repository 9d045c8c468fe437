package proxyroutes_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/redis/go-redis/v9"

	"vitrine/proxyroutes"
	"vitrine/proxyroutes/proxy"
)

// recording is where the answers of the real hipache lie, which the maintainers have beside their checkout.
const recording = "../../shared/hipache/conformance.json"

type conformance struct {
	Cases []struct {
		Name      string
		Redis     [][]string
		Exchanges []exchange
		DeadAfter map[string]struct {
			Members   []string
			TTLAtMost int  `json:"ttl_at_most"`
			HasTTL    bool `json:"has_ttl"`
		} `json:"dead_after"`
	}
}

type exchange struct {
	Request struct {
		Host    *string
		Headers map[string]string
		Times   int
	}
	Status   []int
	Backends []string
	Seen     *seen
}

// seen is what a backend got.
type seen struct {
	Path, Host, XFF, XFP, XRI string
}

// answered is what the proxy answered, and with which backend.
type answered struct {
	status  int
	backend string // "-" for the proxy's own
	seen    seen
}

// The proxy answers as hipache did, but for what the recording's README lists as deliberate.
func TestHipacheConformance(t *testing.T) {
	raw, err := os.ReadFile(recording)
	if errors.Is(err, fs.ErrNotExist) {
		t.Skipf("%s is not there: the answers of hipache cannot be compared", recording)
	} else if err != nil {
		t.Fatal(err)
	}
	var all conformance
	if err := json.Unmarshal(raw, &all); err != nil {
		t.Fatal(err)
	}
	backends := startBackends(t)
	onEach(t, func(t *testing.T, url string) {
		c := client(t, url)
		for _, one := range all.Cases {
			t.Run(one.Name, func(t *testing.T) {
				c.FlushAll(t.Context())
				for _, command := range one.Redis {
					do(t, c, command, backends)
				}
				r, _ := open(t, url)
				gateway := serve(t, r.Table())
				for _, e := range one.Exchanges {
					compare(t, deviate(e), gateway, one.Name)
				}
				for key, want := range one.DeadAfter {
					eventually(t, fmt.Sprintf("%s is %v", key, want.Members), func() bool {
						members := c.SMembers(t.Context(), key).Val()
						slices.Sort(members)
						return slices.Equal(members, want.Members)
					})
					if ttl := c.TTL(t.Context(), key).Val(); (ttl > 0) != want.HasTTL || ttl > time.Duration(want.TTLAtMost)*time.Second {
						t.Errorf("%s expires in %v, want an expiry: %v", key, ttl, want.HasTTL)
					}
				}
				for _, key := range c.Keys(t.Context(), "dead:*").Val() {
					if _, ok := one.DeadAfter[key]; !ok {
						t.Errorf("%s is there, and hipache left none", key)
					}
				}
			})
		}
	})
}

// deviate changes what hipache did into what the recording's README says that we do.
func deviate(e exchange) exchange {
	e.Status = slices.Clone(e.Status)
	if e.Request.Host == nil {
		return e // not HTTP at all: 400
	}
	for i, status := range e.Status {
		if status == http.StatusBadRequest {
			e.Status[i] = http.StatusNotFound
		}
	}
	if *e.Request.Host == "APP.Example.test" {
		e.Status, e.Backends = []int{http.StatusOK}, []string{"a"}
	}
	if e.Seen != nil {
		s := *e.Seen
		s.XRI = strings.TrimPrefix(s.XRI, "::ffff:")
		if given := e.Request.Headers["X-Forwarded-For"]; given != "" {
			s.XFF = given + ", 127.0.0.1"
		} else {
			s.XFF = strings.TrimPrefix(s.XFF, "::ffff:")
		}
		e.Seen = &s
	}
	return e
}

func compare(t *testing.T, e exchange, gateway, name string) {
	t.Helper()
	statuses, names := map[int]bool{}, map[string]bool{}
	for range e.Request.Times {
		a := ask(t, gateway, e)
		statuses[a.status], names[a.backend] = true, true
		if e.Seen != nil {
			if diff := cmp.Diff(*e.Seen, a.seen); diff != "" {
				t.Errorf("the backend got (-want +got):\n%s", diff)
			}
		}
	}
	// The one set where chance decides: a backend that answers 502 is seen until it is marked, or never.
	optional := strings.HasPrefix(name, "502 from one of two")
	sortInts, sortStrings := cmpopts.SortSlices(func(a, b int) bool { return a < b }), cmpopts.SortSlices(func(a, b string) bool { return a < b })
	if diff := cmp.Diff(e.Status, keys(statuses), sortInts); diff != "" && !(optional && subset(keys(statuses), e.Status)) {
		t.Errorf("statuses (-hipache +ours):\n%s", diff)
	}
	if diff := cmp.Diff(e.Backends, keys(names), sortStrings); diff != "" && !(optional && subset(keys(names), e.Backends)) {
		t.Errorf("backends (-hipache +ours):\n%s", diff)
	}
}

func keys[K comparable](m map[K]bool) []K {
	var all []K
	for k := range m {
		all = append(all, k)
	}
	return all
}

func subset[K comparable](part, all []K) bool {
	return !slices.ContainsFunc(part, func(k K) bool { return !slices.Contains(all, k) })
}

// ask sends the request byte by byte as the recording has it: a Go client always sends a Host.
func ask(t *testing.T, gateway string, e exchange) answered {
	t.Helper()
	conn, err := net.Dial("tcp", gateway)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	request := "GET / HTTP/1.1\r\nConnection: close\r\n"
	if e.Request.Host != nil {
		request += "Host: " + *e.Request.Host + "\r\n"
	}
	for name, value := range e.Request.Headers {
		request += name + ": " + value + "\r\n"
	}
	if _, err := conn.Write([]byte(request + "\r\n")); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	a := answered{status: res.StatusCode, backend: "-"}
	if name := res.Header.Get("Backend"); name != "" {
		a.backend = name
		if err := json.NewDecoder(res.Body).Decode(&a.seen); err != nil {
			t.Fatal(err)
		}
	}
	return a
}

func do(t *testing.T, c *redis.Client, command []string, backends map[string]string) {
	t.Helper()
	args := make([]any, len(command))
	for i, word := range command {
		for name, url := range backends {
			word = strings.ReplaceAll(word, "{"+name+"}", url)
		}
		args[i] = word
	}
	if err := c.Do(t.Context(), args...).Err(); err != nil {
		t.Fatalf("%v: %v", args, err)
	}
}

// startBackends returns the URLs of the recording's backends.
func startBackends(t *testing.T) map[string]string {
	t.Helper()
	urls := map[string]string{}
	for name, status := range map[string]int{"a": 200, "b": 200, "e500": 500, "e502": 502, "e503ra": 503} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Backend", name)
			if status == http.StatusServiceUnavailable {
				w.Header().Set("Retry-After", "1")
			}
			w.WriteHeader(status)
			_ = json.NewEncoder(w).Encode(seen{
				Path: r.URL.Path, Host: r.Host, XFF: r.Header.Get("X-Forwarded-For"), XFP: r.Header.Get("X-Forwarded-Proto"), XRI: r.Header.Get("X-Real-Ip"),
			})
		}))
		t.Cleanup(server.Close)
		urls[name] = server.URL
	}
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	urls["closed"] = closed.URL
	return urls
}

// serve starts the proxy and returns its address.
func serve(t *testing.T, table *proxyroutes.Table) string {
	t.Helper()
	p, err := proxy.New(proxy.Config{
		Table: table, Lobby: lobby, Domain: domain,
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(p)
	t.Cleanup(func() {
		server.Close()
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return server.Listener.Addr().String()
}
