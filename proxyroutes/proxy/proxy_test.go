package proxy

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"vitrine/deployments"
	"vitrine/proxyroutes"
	"vitrine/proxyroutes/embeddedredis"
)

const domain = "preview.localhost"

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A house is a proxy with all that it needs, on a real listener.
type house struct {
	t         testing.TB
	redis     *embeddedredis.Server
	stopRedis func() // as the test or its end wants it
	records   *proxyroutes.Records
	proxy     *Proxy
	addr      string // where the proxy listens
	client    *http.Client
	state     func(label string) (deployments.HostState, error)
	revision  atomic.Int64
}

// HostState implements States.
func (h *house) HostState(_ context.Context, label string) (deployments.HostState, error) {
	if h.state == nil {
		return deployments.HostState{}, deployments.ErrNotFound
	}
	return h.state(label)
}

func open(t testing.TB, trusted ...netip.Prefix) *house {
	t.Helper()
	h := &house{t: t}
	var err error
	if h.redis, err = embeddedredis.Start(); err != nil {
		t.Fatal(err)
	}
	h.stopRedis = sync.OnceFunc(func() { h.redis.Close() })
	t.Cleanup(h.stopRedis)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h.addr = listener.Addr().String()
	h.records, err = proxyroutes.Open(t.Context(), proxyroutes.Config{URL: h.redis.URL(), Lobby: "http://" + h.addr, Domain: domain, Reread: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.records.Close() })
	h.proxy, err = New(Config{Table: h.records.Table(), States: h, Lobby: "http://" + h.addr, Domain: domain, TrustedProxies: trusted})
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: h.proxy}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", h.addr)
		},
		MaxIdleConnsPerHost: 64,
	}
	h.client = &http.Client{Transport: transport, Timeout: time.Minute}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		server.Close()
		<-served
		h.proxy.Close()
	})
	return h
}

// route points a label at backends.
func (h *house) route(label string, backends ...string) {
	h.t.Helper()
	route := deployments.Route{Host: label + "." + domain, Identifier: label, Backends: backends, Revision: h.revision.Add(1)}
	if err := h.records.Write(context.Background(), []deployments.Route{route}); err != nil {
		h.t.Fatal(err)
	}
}

// request makes one for the host; a label gets the domain.
func (h *house) request(method, host, path string, body io.Reader) *http.Request {
	h.t.Helper()
	if !strings.Contains(host, ".") {
		host += "." + domain
	}
	r, err := http.NewRequestWithContext(h.t.Context(), method, "http://"+host+path, body)
	if err != nil {
		h.t.Fatal(err)
	}
	return r
}

// do returns the answer with its whole body.
func (h *house) do(r *http.Request) (*http.Response, string) {
	h.t.Helper()
	res, err := h.client.Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return res, string(body)
}

func (h *house) get(host string) (*http.Response, string) {
	h.t.Helper()
	return h.do(h.request(http.MethodGet, host, "/", nil))
}

// backend starts one that runs the handler.
func backend(t testing.TB, handler http.HandlerFunc) *httptest.Server {
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return s
}

// saying starts a backend that answers with a text.
func saying(t testing.TB, text string) *httptest.Server {
	return backend(t, func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			w.WriteHeader(http.StatusBadRequest)
		}
		io.WriteString(w, text)
	})
}

// eventually waits until the condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for !holds() {
		select {
		case <-deadline:
			t.Fatalf("never happened: %s", what)
		case <-time.After(time.Millisecond):
		}
	}
}

// refusing returns the URL of a port that nothing listens on.
func refusing(t testing.TB) string {
	s := httptest.NewServer(http.NotFoundHandler())
	s.Close()
	return s.URL
}

func TestARequestGoesToItsBackend(t *testing.T) {
	h := open(t)
	var got *http.Request
	h.route("shop", backend(t, func(w http.ResponseWriter, r *http.Request) {
		got = r.Clone(context.Background())
		w.Header().Set("X-Robots-Tag", "all")
		w.Header().Set("Content-Encoding", "gzip")
		io.WriteString(w, "not really gzip")
	}).URL)
	r := h.request(http.MethodGet, "SHOP.Preview.LOCALHOST:8090", "/a%2Fb//c?x=1;y=%zz", nil)
	r.Header.Set("Accept-Encoding", "br")
	r.Header.Set("Cookie", "a=b")
	res, body := h.do(r)
	if res.StatusCode != http.StatusOK || body != "not really gzip" {
		t.Fatalf("answered %d %q", res.StatusCode, body)
	}
	if got.Host != "SHOP.Preview.LOCALHOST:8090" || got.RequestURI != "/a%2Fb//c?x=1;y=%zz" {
		t.Errorf("the backend was asked for %q at %q", got.RequestURI, got.Host)
	}
	if got.Header.Get("Accept-Encoding") != "br" || got.Header.Get("Cookie") != "a=b" || got.Header.Get("User-Agent") == "" {
		t.Errorf("the backend got the headers %v", got.Header)
	}
	if tags := res.Header.Values("X-Robots-Tag"); len(tags) != 1 || tags[0] != "noindex" {
		t.Errorf("X-Robots-Tag is %v", tags)
	}
}

func TestHopHeadersStay(t *testing.T) {
	h := open(t)
	var got http.Header
	h.route("shop", backend(t, func(w http.ResponseWriter, r *http.Request) { got = r.Header.Clone() }).URL)
	r := h.request(http.MethodGet, "shop", "/", nil)
	r.Header.Set("Connection", "X-Secret-Hop")
	r.Header.Set("X-Secret-Hop", "1")
	r.Header.Set("Proxy-Authorization", "Basic eDp5")
	h.do(r)
	if got.Get("X-Secret-Hop") != "" || got.Get("Proxy-Authorization") != "" {
		t.Errorf("the backend got %v", got)
	}
}

func TestOwnAnswers(t *testing.T) {
	h := open(t)
	res, body := h.do(func() *http.Request {
		r := h.request(http.MethodGet, "x.test", "/", nil)
		r.Host = "__ping__"
		return r
	}())
	if res.StatusCode != http.StatusOK || body != "ok\n" {
		t.Errorf("__ping__: %d %q", res.StatusCode, body)
	}
	w := httptest.NewRecorder()
	h.proxy.ServeHTTP(w, httptest.NewRequest(http.MethodConnect, "http://shop."+domain, nil))
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("CONNECT: %d", w.Code)
	}
}

func TestRedisAway(t *testing.T) {
	h := open(t)
	h.route("shop", saying(t, "still here").URL)
	h.stopRedis()
	if err := h.records.Write(t.Context(), []deployments.Route{{Host: "late." + domain, Revision: 99}}); err == nil {
		t.Error("a write without a Redis is no error")
	}
	for range 50 {
		if res, body := h.get("shop"); res.StatusCode != http.StatusOK || body != "still here" {
			t.Fatalf("answered %d %q", res.StatusCode, body)
		}
	}
}

func TestHostOf(t *testing.T) {
	for header, want := range map[string]string{
		"shop.preview.localhost": "shop.preview.localhost", "SHOP.preview.localhost:8080": "shop.preview.localhost",
		"shop.preview.localhost.": "shop.preview.localhost", "shop.preview.localhost.:80": "shop.preview.localhost",
		"[::1]:80": "[::1]", "[::1]": "[::1]", "": "", ":80": "", "a:b:c": "a:b",
	} {
		if got := hostOf(header); got != want {
			t.Errorf("%q: %q, want %q", header, got, want)
		}
	}
}

func TestNewSaysWhatIsWrong(t *testing.T) {
	for _, address := range []string{"", "127.0.0.1:8080", "https://127.0.0.1", "http://"} {
		if _, err := New(Config{Lobby: address}); err == nil || !strings.Contains(err.Error(), "lobby") {
			t.Errorf("lobby %q: %v", address, err)
		}
	}
}
