package proxy

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"vitrine/proxyroutes"
)

// errLobby is returned by the balancer where the record has come to point at the lobby while a request looked for a backend.
var errLobby = errors.New("the lobby answers for this host")

// patience returns how long a request that found no backend waits, before its nth look at the record (0 is the first); 0 to give up. It covers
// the moment in which the switch to new backends reaches the table.
func patience(n int) time.Duration {
	const first, looks = 20 * time.Millisecond, 4
	if n >= looks {
		return 0
	}
	return first << n
}

type attemptKey struct{}

// An attempt is one request on its way to a backend. It belongs to the request's goroutine.
type attempt struct {
	table    *proxyroutes.Table
	host     string
	frontend *proxyroutes.Frontend
	index    int
	tried    []int // indexes of frontend
	looks    int
}

// pick chooses, evenly at random as hipache does, one of the backends that are neither dead nor tried.
func (a *attempt) pick() bool {
	usable := 0
	for i := range a.frontend.Backends {
		if a.usable(i) {
			// The nth usable one replaces the choice in one of n cases, which leaves each the same chance.
			if usable++; rand.IntN(usable) == 0 {
				a.index = i
			}
		}
	}
	return usable > 0
}

func (a *attempt) usable(i int) bool {
	return a.frontend.Backends[i].URL != nil && !a.table.Dead(a.host, a.frontend, i) && !slices.Contains(a.tried, i)
}

func (a *attempt) backend() *url.URL { return a.frontend.Backends[a.index].URL }

// next moves on from a backend that could not be reached: to another one of the record, or, after a moment, to the record's successor, or to the same
// backend where it is the only one and refuses, as it may be just restarting. It reports whether there is one.
func (a *attempt) next(ctx context.Context, err error) bool {
	a.table.MarkDead(a.host, a.frontend, a.index)
	a.tried = append(a.tried, a.index)
	if a.pick() {
		return true
	}
	for {
		wait := patience(a.looks)
		if a.looks++; wait == 0 || !sleep(ctx, wait) {
			return false
		}
		if a.follow() {
			return true
		}
		if len(a.frontend.Backends) == 1 && errors.Is(err, syscall.ECONNREFUSED) {
			a.tried = nil
			return a.pick()
		}
	}
}

// follow moves on to the record that has taken the place of the attempt's. It reports whether that is there, with a backend.
func (a *attempt) follow() bool {
	current := a.table.Find(a.host)
	if current == nil || current == a.frontend {
		return false
	}
	a.frontend, a.tried = current, nil
	return a.pick()
}

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// A balancer sends a request to the backend of its attempt, and to further ones while none can be connected to: nothing has been sent then, so
// that a request with a body may be repeated as well. A request that changes nothing is also repeated where the backend hung up before it
// answered and the record has moved on since (RFC 9110 §9.2.2).
type balancer struct {
	next  http.RoundTripper
	table *proxyroutes.Table
	lobby string // host and port
}

// RoundTrip implements http.RoundTripper. The request's context carries the attempt. It changes the request's URL, which is the reverse proxy's own.
func (b *balancer) RoundTrip(req *http.Request) (*http.Response, error) {
	a := req.Context().Value(attemptKey{}).(*attempt)
	var body *heldBody
	if req.Body != nil {
		body = &heldBody{body: req.Body}
		req.Body = body
	}
	for {
		backend := a.backend()
		if backend.Host == b.lobby {
			return nil, errLobby
		}
		req.URL.Scheme, req.URL.Host = backend.Scheme, backend.Host
		res, err := b.next.RoundTrip(req)
		if err == nil {
			if sick(res) {
				b.table.MarkDead(a.host, a.frontend, a.index)
			}
			return res, nil
		}
		again := false
		switch {
		case req.Context().Err() != nil || body.touched():
		case unreached(err):
			again = a.next(req.Context(), err)
		case body == nil && safe(req.Method) && hungUp(err):
			again = a.follow()
		}
		if !again {
			return nil, err
		}
	}
}

// sick reports whether hipache would mark a backend dead for its answer (lib/worker.js): 501 and above, but not a 503 that says when to come again.
func sick(res *http.Response) bool {
	if res.StatusCode == http.StatusServiceUnavailable {
		return res.Header.Get("Retry-After") == ""
	}
	return res.StatusCode > http.StatusInternalServerError && res.StatusCode < 600
}

// unreached reports whether the error says that no connection came about.
func unreached(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// hungUp reports whether the error says that the connection ended before there was an answer.
func hungUp(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// safe reports whether the method asks for nothing to change (RFC 9110 §9.2.1).
func safe(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}

// A heldBody keeps a request's body open over attempts that do not get to read it: the transport closes the body of a request that it could not
// send. The reverse proxy closes the body itself at the end.
type heldBody struct {
	body io.ReadCloser
	read atomic.Bool
}

// Read implements io.Reader.
func (h *heldBody) Read(p []byte) (int, error) {
	h.read.Store(true)
	return h.body.Read(p)
}

// Close does nothing.
func (h *heldBody) Close() error { return nil }

// touched reports whether anything was read; a request without a body is never touched.
func (h *heldBody) touched() bool { return h != nil && h.read.Load() }
