package proxy

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"vitrine/deployments"
	"vitrine/proxyroutes"
	"vitrine/proxyroutes/redistest"
)

// A crowd asks for hosts all the time, and complains of every answer that is not the one expected.
type crowd struct {
	h       *house
	asked   atomic.Int64
	running sync.WaitGroup
	stop    context.CancelFunc

	mu   sync.Mutex
	want map[string][]string // by label: the answers that are right
}

// gather has clients begin to ask.
func gather(h *house, clients int) *crowd {
	ctx, stop := context.WithCancel(h.t.Context())
	c := &crowd{h: h, stop: stop, want: map[string][]string{}}
	for range clients {
		c.running.Go(func() {
			for ctx.Err() == nil {
				c.askAll()
			}
		})
	}
	return c
}

// expect has the label asked for from now on; the last of the answers is what it comes to.
func (c *crowd) expect(label string, answers ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.want[label] = answers
}

func (c *crowd) askAll() {
	c.mu.Lock()
	labels := make(map[string]bool, len(c.want))
	for label := range c.want {
		labels[label] = true
	}
	c.mu.Unlock()
	for label := range labels {
		c.ask(label)
	}
}

func (c *crowd) ask(label string) {
	c.mu.Lock()
	before := c.want[label]
	c.mu.Unlock()
	res, err := c.h.client.Do(c.h.request(http.MethodGet, label, "/", nil))
	if err != nil {
		if c.h.t.Context().Err() == nil {
			c.h.t.Errorf("ask for %s: %v", label, err)
		}
		return
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		c.h.t.Errorf("read the answer of %s: %v", label, err)
		return
	}
	c.asked.Add(1)
	got := fmt.Sprint(res.StatusCode, " ", string(body))
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, want := range append(before, c.want[label]...) {
		if got == want {
			return
		}
	}
	c.h.t.Errorf("%s answered %q, want one of %q", label, got, c.want[label])
}

// hear waits until so many more questions were answered.
func (c *crowd) hear(t *testing.T, more int64) {
	t.Helper()
	until := c.asked.Load() + more
	eventually(t, fmt.Sprint(more, " more answers"), func() bool { return c.asked.Load() >= until || t.Failed() })
}

func (c *crowd) leave() {
	c.stop()
	c.running.Wait()
}

// Redis is killed under load, stays away for a few seconds, and comes back empty: no request to a known host fails, and what is deployed or removed
// meanwhile is served or gone at once.
func TestRedisIsAwayUnderLoad(t *testing.T) {
	server := redistest.Start(t)
	h := openOn(t, server.URL())
	h.state = func(label string) (deployments.HostState, error) {
		if label == "building" {
			return deployments.HostState{Status: deployments.HostBuilding}, nil
		}
		return deployments.HostState{}, deployments.ErrNotFound
	}
	crowd := gather(h, 4)
	defer crowd.leave()
	one, two := saying(t, "one").URL, saying(t, "two").URL
	building := "503 This preview is being built\n"
	nothing := "404 There is nothing at this address\n"
	for i := range 10 {
		label := fmt.Sprint("shop-pr-", i)
		h.route(label, one)
		crowd.expect(label, "200 one")
	}
	h.route("building")
	crowd.expect("building", building)
	crowd.expect("nobody-knows", nothing)
	crowd.hear(t, 200)

	for round := range 2 {
		server.Stop()
		began := time.Now()
		changed, removed, added := fmt.Sprint("shop-pr-", round), fmt.Sprint("shop-pr-", 5+round), fmt.Sprint("shop-new-", round)
		crowd.expect(changed, "200 one", "200 two")
		h.routeWithout(deployments.Route{Host: changed, Identifier: changed, Backends: []string{two}})
		crowd.expect(changed, "200 two")
		crowd.expect(removed, "200 one", nothing)
		h.routeWithout(deployments.Route{Host: removed, Removed: true})
		crowd.expect(removed, nothing)
		h.routeWithout(deployments.Route{Host: added, Identifier: added, Backends: []string{two}})
		crowd.expect(added, "200 two")
		eventually(t, "three seconds have passed", func() bool { return time.Since(began) > 3*time.Second || t.Failed() })
		crowd.hear(t, 200)
		server.Restart(true)
		eventually(t, "Redis has the new route", func() bool {
			hosts, err := h.records.Hosts(t.Context())
			return err == nil && len(hosts) == 11 || t.Failed()
		})
		crowd.hear(t, 200)
	}
}

// routeWithout writes a route, for a label, while Redis is away.
func (h *house) routeWithout(route deployments.Route) {
	h.t.Helper()
	route.Host, route.Revision = route.Host+"."+domain, h.revision.Add(1)
	if err := h.records.Write(context.Background(), []deployments.Route{route}); err == nil {
		h.t.Errorf("a write of %s without a Redis is no error", route.Host)
	}
}

// openOn is open with a Redis of the test's own.
func openOn(t *testing.T, url string) *house {
	t.Helper()
	h := &house{t: t}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.proxy.ServeHTTP(w, r) }))
	h.addr = server.Listener.Addr().String()
	lobby := "http://" + h.addr
	var err error
	if h.records, err = proxyroutes.Open(t.Context(), proxyroutes.Config{URL: url, Lobby: lobby, Domain: domain}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.records.Close() })
	if h.proxy, err = New(Config{Table: h.records.Table(), States: h, Lobby: lobby, Domain: domain}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.proxy.Close() })
	server.Start()
	t.Cleanup(server.Close)
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", h.addr)
	}}
	t.Cleanup(transport.CloseIdleConnections)
	h.client = &http.Client{Transport: transport, Timeout: time.Minute}
	return h
}
