package registry

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"
)

// inGate runs f in a bubble, with a gate before an application, and a storage that answers what is stored there.
func inGate(t *testing.T, app http.HandlerFunc, f func(g *gate, log *lockedBuffer, storage *error)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var storage error
		to, log := logger()
		g := newGate(app, func(context.Context) error { return storage }, to)
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			g.watch(ctx)
		}()
		f(g, log, &storage)
		g.close()
		cancel()
		<-ended
	})
}

// through returns what the gate answers.
func through(g *gate, body io.Reader) int {
	w := httptest.NewRecorder()
	g.ServeHTTP(w, httptest.NewRequest(http.MethodPatch, "/", body))
	return w.Code
}

// stuck waits for its call's end and answers as distribution does then.
func stuck(w http.ResponseWriter, r *http.Request) {
	<-r.Context().Done()
	w.WriteHeader(499)
}

func TestGateEndsWhatStalls(t *testing.T) {
	inGate(t, stuck, func(g *gate, log *lockedBuffer, _ *error) {
		began := time.Now()
		if status := through(g, http.NoBody); status != http.StatusServiceUnavailable {
			t.Errorf("it answers %d", status)
		}
		if took := time.Since(began); took < stall || took > stall+2*lookAgain {
			t.Errorf("it took %s", took)
		}
		if log.String() != "" {
			t.Errorf("the storage answers, and the log says %s", log)
		}
	})
}

// A trickle gives a byte each minute.
type trickle struct{ left int }

func (b *trickle) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, io.EOF
	}
	b.left--
	time.Sleep(time.Minute)
	return copy(p, "x"), nil
}

func TestGateLetsSlowCallsGoOn(t *testing.T) {
	app := func(w http.ResponseWriter, r *http.Request) {
		if n, err := io.Copy(io.Discard, r.Body); n != 60 || err != nil {
			t.Errorf("it got %d bytes %v", n, err)
		}
		w.WriteHeader(http.StatusAccepted)
	}
	inGate(t, app, func(g *gate, _ *lockedBuffer, _ *error) {
		if status := through(g, &trickle{60}); status != http.StatusAccepted {
			t.Errorf("it answers %d", status)
		}
	})
}

func TestGateSaysEachThingOnce(t *testing.T) {
	calls := 0
	app := func(w http.ResponseWriter, _ *http.Request) {
		calls++
		w.WriteHeader(http.StatusInternalServerError)
	}
	inGate(t, app, func(g *gate, log *lockedBuffer, storage *error) {
		for _, step := range []struct {
			err                     error
			warnings, errors, infos int
		}{
			{nil, 0, 0, 0},
			{errors.New("refused"), 1, 0, 0},
			{errors.New("reset"), 1, 0, 0},
			{&mistake{"make it", errors.New("gone")}, 1, 1, 0},
			{&mistake{"make it", errors.New("gone")}, 1, 1, 0},
			{nil, 1, 1, 1},
			{&mistake{"make it", errors.New("gone")}, 1, 2, 1},
			{errors.New("refused"), 2, 2, 1},
			{nil, 2, 2, 2},
		} {
			*storage = step.err
			through(g, http.NoBody) // an answer of 500 makes it ask
			time.Sleep(10 * lookAgain)
			synctest.Wait()
			before := calls
			open := through(g, http.NoBody) == http.StatusInternalServerError
			if open != (step.err == nil) || open != (calls > before) {
				t.Errorf("%v: that the gate is open is %v", step.err, open)
			}
			synctest.Wait()
			got := [3]int{said(log, "level=WARN"), said(log, "level=ERROR"), said(log, "level=INFO")}
			if got != [3]int{step.warnings, step.errors, step.infos} {
				t.Errorf("%v: the log has %v: %s", step.err, got, log)
			}
		}
	})
}
