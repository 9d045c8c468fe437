package world

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

func TestVisitorSees(t *testing.T) {
	const host = "shop-pr-1." + Domain
	var asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch n := asked.Add(1); {
		case r.Host != host:
			http.NotFound(w, r)
		case n < 3:
			io.WriteString(w, Answer("before"))
		default:
			io.WriteString(w, Answer("after"))
		}
	}))
	defer server.Close()
	began := time.Now()
	at, err := NewVisitor(server.URL, host).Sees(t.Context(), Answer("after"))
	if err != nil || asked.Load() != 3 {
		t.Fatalf("Sees returns %v after %d questions, want 3", err, asked.Load())
	}
	if now := time.Now(); at.Before(began) || at.After(now) {
		t.Errorf("the answer was there at %s, not between %s and %s", at, began, now)
	}

	why := errors.New("the other side gave up")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	if _, err := NewVisitor(server.URL, "").Sees(ctx, Answer("after")); !errors.Is(err, why) {
		t.Errorf("Sees returns %v, want why its context is done", err)
	}
}
