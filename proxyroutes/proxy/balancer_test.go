package proxy

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"vitrine/deployments"
)

func TestARefusedBackendIsPassedOver(t *testing.T) {
	h := open(t)
	h.route("shop", refusing(t), refusing(t), saying(t, "alive").URL)
	for range 20 {
		if res, body := h.do(h.request(http.MethodPost, "shop", "/", strings.NewReader("a body that is still unread"))); res.StatusCode != http.StatusOK || body != "alive" {
			t.Fatalf("answered %d %q", res.StatusCode, body)
		}
	}
}

// A request that meets a refused connection finds the backend that the record names a moment later, and brings its body along.
func TestARequestFollowsTheRecord(t *testing.T) {
	for _, body := range []string{"", strings.Repeat("x", 1<<20)} {
		h := open(t)
		next := backend(t, func(w http.ResponseWriter, r *http.Request) {
			n, err := io.Copy(io.Discard, r.Body)
			fmt.Fprintf(w, "new, %d bytes, %v", n, err)
		})
		h.route("shop", refusing(t))
		// The balancer's first dial fails; the switch comes while it looks again.
		switched := &switching{next: h.proxy.transport, then: sync.OnceFunc(func() { h.route("shop", next.URL) })}
		h.proxy.reverse.Transport.(*balancer).next = switched
		res, got := h.do(h.request(http.MethodPut, "shop", "/", strings.NewReader(body)))
		if want := fmt.Sprintf("new, %d bytes, <nil>", len(body)); res.StatusCode != http.StatusOK || got != want {
			t.Errorf("answered %d %q, want %q", res.StatusCode, got, want)
		}
	}
}

// A switching transport does something after a request that failed.
type switching struct {
	next http.RoundTripper
	then func()
}

func (s *switching) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := s.next.RoundTrip(r)
	if err != nil {
		s.then()
	}
	return res, err
}

func TestARequestFollowsTheRecordIntoTheLobby(t *testing.T) {
	h := open(t)
	h.state = func(string) (deployments.HostState, error) {
		return deployments.HostState{Status: deployments.HostExpired}, nil
	}
	h.route("shop", refusing(t))
	h.proxy.reverse.Transport.(*balancer).next = &switching{next: h.proxy.transport, then: sync.OnceFunc(func() { h.route("shop") })}
	if res, body := h.get("shop"); res.StatusCode != http.StatusGone {
		t.Errorf("answered %d %q", res.StatusCode, body)
	}
}

func TestNobodyAnswers(t *testing.T) {
	h := open(t)
	h.route("shop", refusing(t))
	address := h.records.Table().Find("shop." + domain).Backends[0].URL.Host
	res, body := h.get("shop")
	if res.StatusCode != http.StatusBadGateway || body != "This preview does not answer\n" {
		t.Errorf("answered %d %q", res.StatusCode, body)
	}
	if strings.Contains(body, address) || res.Header.Get("X-Robots-Tag") != "noindex" {
		t.Errorf("the answer is %q with %v", body, res.Header)
	}
}

// What was sent is not sent again: a backend that hangs up in the middle fails the request.
func TestASentRequestIsNotRepeated(t *testing.T) {
	h := open(t)
	var asked atomic.Int32
	hangUp := func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			panic(err)
		}
		conn.Close()
	}
	h.route("shop", backend(t, hangUp).URL, backend(t, hangUp).URL)
	res, _ := h.do(h.request(http.MethodPost, "shop", "/", strings.NewReader("order one book")))
	if res.StatusCode != http.StatusBadGateway || asked.Load() != 1 {
		t.Errorf("answered %d after asking %d times", res.StatusCode, asked.Load())
	}
}

func TestARequestInFlightFinishesOnTheOldBackend(t *testing.T) {
	h := open(t)
	arrived, release := make(chan bool), make(chan bool)
	h.route("shop", backend(t, func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "begun by the old, ")
		w.(http.Flusher).Flush()
		arrived <- true
		<-release
		io.WriteString(w, "finished by the old")
	}).URL)
	answer := make(chan string)
	go func() {
		_, body := h.get("shop")
		answer <- body
	}()
	<-arrived
	h.route("shop", saying(t, "new").URL)
	if _, body := h.get("shop"); body != "new" {
		t.Errorf("after the switch %q answers", body)
	}
	close(release)
	if body := <-answer; body != "begun by the old, finished by the old" {
		t.Errorf("the request in flight got %q", body)
	}
}

// Switches one after the other, while requests go on, cost none of them. The old backend goes once the requests that it may have are done, as after a
// drain, or at once, where only requests that may be repeated can be saved.
func TestSwitchingUnderLoadFailsNoRequest(t *testing.T) {
	t.Run("drained", func(t *testing.T) {
		underLoad(t, []string{http.MethodGet, http.MethodPost}, func(old *httptest.Server, moveOn func()) {
			moveOn()
			old.Config.Close()
		})
	})
	t.Run("at once", func(t *testing.T) {
		underLoad(t, []string{http.MethodGet}, func(old *httptest.Server, moveOn func()) {
			old.Listener.Close()
			moveOn()
			old.Config.Close()
		})
	})
}

// underLoad switches backends while requests go on. retire ends an old one; moveOn returns when every client has had a request that began after
// the switch.
func underLoad(t *testing.T, methods []string, retire func(old *httptest.Server, moveOn func())) {
	h := open(t)
	current := httptest.NewServer(answering("0"))
	h.route("shop", current.URL)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	asked := make([]atomic.Int64, 8)
	for i := range asked {
		wg.Go(func() {
			for ctx.Err() == nil && !t.Failed() {
				res, err := h.client.Do(h.request(methods[i%len(methods)], "shop", "/", bodyOf(methods[i%len(methods)])))
				if err != nil {
					t.Error(err)
					return
				}
				body, err := io.ReadAll(res.Body)
				res.Body.Close()
				if res.StatusCode != http.StatusOK || err != nil {
					t.Errorf("answered %d %q, %v", res.StatusCode, body, err)
				}
				asked[i].Add(1)
			}
		})
	}
	moveOn := func() {
		for i := range asked {
			begun := asked[i].Load()
			eventually(t, "a request is begun and done after the switch", func() bool { return asked[i].Load() >= begun+2 || t.Failed() })
		}
	}
	for n := range 12 {
		next := httptest.NewServer(answering(fmt.Sprint(n + 1)))
		h.route("shop", next.URL)
		retire(current, moveOn)
		current.Close()
		current = next
	}
	cancel()
	wg.Wait()
	current.Close()
}

func bodyOf(method string) io.Reader {
	if method == http.MethodPost {
		return strings.NewReader("some words")
	}
	return nil
}

func answering(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			w.WriteHeader(http.StatusBadRequest)
		}
		io.WriteString(w, text)
	}
}

func TestSick(t *testing.T) {
	got := map[int]bool{}
	for _, status := range []int{200, 404, 499, 500, 501, 502, 503, 504, 599} {
		got[status] = sick(&http.Response{StatusCode: status, Header: http.Header{}})
	}
	want := map[int]bool{200: false, 404: false, 499: false, 500: false, 501: true, 502: true, 503: true, 504: true, 599: true}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if sick(&http.Response{StatusCode: 503, Header: http.Header{"Retry-After": {"1"}}}) {
		t.Error("a 503 that says when to come again counts as sick")
	}
}

// A transport of the standard library may be asked through a proxy that the environment names; previews never are.
func TestPreviewsAreReachedStraight(t *testing.T) {
	other := saying(t, "another proxy")
	t.Setenv("HTTP_PROXY", other.URL)
	transport := NewTransport()
	if transport.Proxy != nil {
		u, err := transport.Proxy(&http.Request{URL: &url.URL{Scheme: "http", Host: "10.213.0.3:80"}})
		t.Errorf("previews are reached through %v, %v", u, err)
	}
}
