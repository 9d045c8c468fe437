// Package proxy is the built-in reverse proxy: it serves what the records of package proxyroutes say, as hipache would, and answers in the lobby
// for hosts that have no container.
package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"vitrine/deployments"
	"vitrine/proxyroutes"
)

// pingHost is a host that hipache answers itself, for whoever watches it (lib/cache.js).
const pingHost = "__ping__"

// flushAfter is how long a part of an answer waits for the next, where the answer says its length; any other, and a stream of events, goes on at once
// (ReverseProxy.FlushInterval). To have each go on at once would send every head by itself.
const flushAfter = 20 * time.Millisecond

// States knows what is going on with a host that no container answers for.
type States interface {
	// HostState says what is known of a host's label ("shop-pr-42"). One that nobody knows is HostUnknown or ErrNotFound.
	HostState(ctx context.Context, label string) (deployments.HostState, error)
}

// Config is what New needs to know. Everything but Log is required, and TrustedProxies may be empty.
type Config struct {
	Table  *proxyroutes.Table
	States States
	// Lobby is the address that stands in the records for hosts without a container, as in proxyroutes.Config: "http://127.0.0.1:8080".
	Lobby string
	// Domain is the base domain of the previews, lower-case: "preview.localhost".
	Domain string
	// TrustedProxies are where another proxy stands before us: its X-Forwarded-For is appended to, and its other forwarding headers are kept.
	TrustedProxies []netip.Prefix
	Log            *slog.Logger // nil for none
}

// A Proxy serves every host of the records. It is an http.Handler that may be called side by side.
type Proxy struct {
	table     *proxyroutes.Table
	lobby     *lobby
	lobbyHost string // the lobby's host and port
	trusted   []netip.Prefix
	transport *http.Transport
	reverse   *httputil.ReverseProxy
	log       *slog.Logger
}

// New returns a Proxy. It starts nothing.
func New(c Config) (*Proxy, error) {
	address, err := url.Parse(c.Lobby)
	if err != nil || address.Scheme != "http" || address.Host == "" {
		return nil, fmt.Errorf("the lobby's address %q is no http URL", c.Lobby)
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	p := &Proxy{
		table: c.Table, lobby: newLobby(c.States, c.Domain, c.Log), lobbyHost: address.Host,
		trusted: c.TrustedProxies, transport: NewTransport(), log: c.Log,
	}
	p.reverse = &httputil.ReverseProxy{
		Rewrite:        p.rewrite,
		Transport:      &balancer{next: p.transport, table: p.table, lobby: p.lobbyHost},
		FlushInterval:  flushAfter,
		ModifyResponse: finish,
		ErrorHandler:   p.failed,
		ErrorLog:       slog.NewLogLogger(c.Log.Handler(), slog.LevelDebug),
		BufferPool:     &buffers{},
	}
	return p, nil
}

// NewTransport returns the transport that previews are reached with: straight, whatever proxy the environment names, and with idle connections enough for
// a page's many requests.
func NewTransport() *http.Transport {
	return &http.Transport{
		DialContext:           (&net.Dialer{Timeout: 3 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		MaxIdleConns:          1024,
		MaxIdleConnsPerHost:   128,
		IdleConnTimeout:       60 * time.Second,
		ExpectContinueTimeout: time.Second,
		DisableCompression:    true, // an answer goes through as the backend encoded it
	}
}

// Close lets go of the idle connections to backends. Requests that are under way end as they would.
func (p *Proxy) Close() error {
	p.transport.CloseIdleConnections()
	return nil
}

// ServeHTTP answers from the backend that the records name for the request's Host, or from the lobby.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	host := hostOf(r.Host)
	switch {
	case host == pingHost:
		p.lobby.line(w, http.StatusOK, "ok")
		return
	case r.Method == http.MethodConnect:
		p.lobby.line(w, http.StatusMethodNotAllowed, "this proxy opens no tunnels")
		return
	}
	frontend := p.table.Find(host)
	if frontend == nil {
		p.lobby.unknown(w, r)
		return
	}
	a := &attempt{table: p.table, host: host, frontend: frontend}
	switch {
	case !a.pick():
		p.lobby.unreachable(w, r, host)
	case a.backend().Host == p.lobbyHost:
		p.lobby.serve(w, r, host)
	default:
		p.reverse.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), attemptKey{}, a)))
	}
}

// finish touches up a backend's answer.
func finish(res *http.Response) error {
	res.Header.Set("X-Robots-Tag", "noindex")
	return nil
}

// failed answers where no backend did.
func (p *Proxy) failed(w http.ResponseWriter, r *http.Request, err error) {
	host := hostOf(r.Host)
	switch {
	case errors.Is(err, errLobby):
		p.lobby.serve(w, r, host)
	case r.Context().Err() != nil:
		w.WriteHeader(http.StatusBadGateway) // the visitor has left
	default:
		p.log.Warn("a preview did not answer", "host", host, "method", r.Method, "error", err)
		p.lobby.unreachable(w, r, host)
	}
}

// hostOf returns the host of a Host header as the records spell it: lower-case, without a port and without the root's dot.
func hostOf(header string) string {
	host := header
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		host = host[:i]
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// buffers keeps the buffers that bodies are copied through. The zero value is ready.
type buffers struct{ pool sync.Pool }

const bufferSize = 32 << 10

// Get returns a buffer of bufferSize.
func (b *buffers) Get() []byte {
	if p, ok := b.pool.Get().(*[bufferSize]byte); ok {
		return p[:]
	}
	return make([]byte, bufferSize)
}

// Put takes back what Get returned.
func (b *buffers) Put(p []byte) { b.pool.Put((*[bufferSize]byte)(p)) }

var (
	_ http.Handler        = (*Proxy)(nil)
	_ httputil.BufferPool = (*buffers)(nil)
	_ http.RoundTripper   = (*balancer)(nil)
	_ io.ReadCloser       = (*heldBody)(nil)
)
