package bot

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// However many write to an installation's repositories, GitHub sees one write at a time, also across a token that it revoked.
func TestWritesOfAnInstallationTakeTurns(t *testing.T) {
	w := newWorld(t, nil)
	number, _ := w.open("a", "x")
	var writes, most, seen atomic.Int32
	w.intercept(func(rw http.ResponseWriter, r *http.Request, simulated func() *httptest.ResponseRecorder) bool {
		if r.Method == http.MethodGet || strings.HasSuffix(r.URL.Path, "/access_tokens") {
			return false
		}
		at := writes.Add(1)
		defer writes.Add(-1)
		seen.Add(1)
		for m := most.Load(); at > m && !most.CompareAndSwap(m, at); m = most.Load() {
		}
		answer := simulated()
		for k, v := range answer.Header() {
			rw.Header()[k] = v
		}
		rw.WriteHeader(answer.Code)
		if _, err := rw.Write(answer.Body.Bytes()); err != nil {
			t.Error(err)
		}
		return true
	})
	var sent sync.WaitGroup
	for i := range 12 {
		if i == 6 {
			w.bot.apps.mu.Lock()
			clear(w.bot.apps.clients)
			w.bot.apps.mu.Unlock()
		}
		r, err := w.bot.repository(t.Context(), "acme/shop")
		w.must(err)
		sent.Go(func() {
			if _, err := r.createComment(t.Context(), number, "hello"); err != nil {
				t.Error(err)
			}
		})
	}
	sent.Wait()
	if most.Load() != 1 || seen.Load() < 12 {
		t.Errorf("%d writes, %d at once", seen.Load(), most.Load())
	}
}
