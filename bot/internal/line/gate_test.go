package line

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"vitrine/deployments"
)

// An outage is a GitHub that may be down.
type outage struct {
	down  roundTrip     // nil while it is up
	takes time.Duration // until an answer

	mu    sync.Mutex
	began time.Time
	asked []time.Duration
}

func (o *outage) RoundTrip(r *http.Request) (*http.Response, error) {
	o.mu.Lock()
	o.asked = append(o.asked, time.Since(o.began))
	o.mu.Unlock()
	time.Sleep(o.takes)
	if o.down != nil {
		return o.down(r)
	}
	return answering(http.StatusOK, nil, strings.NewReader("{}")), nil
}

func refused(*http.Request) (*http.Response, error) { return nil, errors.New("connection refused") }

func unwell(status int) roundTrip {
	return func(*http.Request) (*http.Response, error) { return answering(status, nil, strings.NewReader("")), nil }
}

// try asks over a line, in vain or not.
func try(t *testing.T, l *Line) *deployments.Unavailable {
	t.Helper()
	answer, err := l.RoundTrip(requestOf(t, t.Context()))
	if err != nil {
		return unavailable(t, err, GitHub)
	}
	answer.Body.Close()
	return nil
}

// While GitHub is down, however it is, it is asked less and less often, whoever wants something and however often; when it is back, everybody is
// answered within the longest pause.
func TestGate(t *testing.T) {
	for name, down := range map[string]roundTrip{"no connection": refused, "500": unwell(500), "503": unwell(503), "silent": hang} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := &outage{down: down, began: time.Now()}
				trunk := trunkOver(t, o.RoundTrip)
				lines := []*Line{trunk.Line("the App"), trunk.Line("installation 1"), trunk.Line("installation 2")}
				wants := func(until time.Duration) {
					for i := 0; time.Since(o.began) < until; i++ {
						for _, l := range lines {
							try(t, l)
						}
						time.Sleep(100 * time.Millisecond)
					}
				}
				wants(2 * time.Minute)
				if n := len(o.asked); n < failuresInARow+3 || n > failuresInARow+15 {
					t.Errorf("asked %d times in two minutes, at %s", n, o.asked)
				}
				for i := failuresInARow; i < len(o.asked); i++ {
					took := time.Duration(0)
					if name == "silent" {
						took = answerTime
					}
					pause, want := o.asked[i]-o.asked[i-1]-took, pauseAfter(i)
					if pause < want*8/10 || pause > want*12/10+200*time.Millisecond {
						t.Errorf("a pause of %s after %d failures, want about %s", pause, i, want)
					}
				}
				o.down, o.began, o.asked = nil, time.Now(), nil
				for try(t, lines[1]) != nil {
					time.Sleep(100 * time.Millisecond)
				}
				if took := time.Since(o.began); took > lastPause*12/10+answerTime+time.Second {
					t.Errorf("it took %s to find out that GitHub is back", took)
				}
				for _, l := range lines {
					if err := try(t, l); err != nil {
						t.Errorf("%s: %v", l.name, err)
					}
				}
			})
		})
	}
}

// One finds out; those who come meanwhile are told at once when to come again.
func TestGateLetsOneFindOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &outage{down: unwell(502), began: time.Now()}
		l := trunkOver(t, o.RoundTrip).Line("the App")
		var u *deployments.Unavailable
		for range failuresInARow + 1 {
			u = try(t, l)
		}
		if left := time.Until(u.Until); left <= 0 || left > 2*firstPause {
			t.Errorf("to be asked again in %s", left)
		}
		if len(o.asked) != failuresInARow {
			t.Errorf("asked %d times", len(o.asked))
		}
		time.Sleep(2 * firstPause)
		o.asked, o.takes, o.down = nil, time.Minute/10, nil
		var waiting sync.WaitGroup
		refusals := 0
		waiting.Go(func() {
			if err := try(t, l); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		for range 20 {
			before := time.Now()
			if u := try(t, l); u != nil && u.Until.After(before) && time.Since(before) == 0 {
				refusals++
			}
		}
		waiting.Wait()
		if refusals != 20 || len(o.asked) != 1 {
			t.Errorf("%d were refused, %d asked", refusals, len(o.asked))
		}
		o.takes = 0
		if err := try(t, l); err != nil {
			t.Errorf("GitHub is back: %v", err)
		}
	})
}

// What does not say that GitHub is down leaves the gate open.
func TestGateStaysOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &outage{began: time.Now()}
		l := trunkOver(t, o.RoundTrip).Line("the App")
		for name, answers := range map[string][]roundTrip{
			"few failures":               {refused, unwell(500), unwell(502), hang, unwell(200)},
			"failures between successes": {unwell(500), unwell(500), unwell(500), unwell(404), unwell(500), unwell(500), unwell(500), unwell(304)},
			"refusals":                   {unwell(401), unwell(404), unwell(403), unwell(422), unwell(410), unwell(401), unwell(404)},
		} {
			for _, f := range answers {
				before := len(o.asked)
				o.down = f
				if answer, err := l.RoundTrip(requestOf(t, t.Context())); err == nil {
					answer.Body.Close()
				}
				if len(o.asked) != before+1 {
					t.Errorf("%s: GitHub was not asked", name)
				}
			}
		}
	})
}

// A caller that calls its request off says nothing of GitHub, and lets the next one find out; one whose time runs out does.
func TestGateAfterTheCallersEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &outage{down: hang, began: time.Now()}
		l := trunkOver(t, o.RoundTrip).Line("the App")
		calledOff := func() {
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(time.Second, func() { cancel(deployments.ErrSuperseded) })
			if _, err := l.RoundTrip(requestOf(t, ctx)); !errors.Is(err, deployments.ErrSuperseded) {
				t.Errorf("%v", err)
			}
		}
		for range 3 * failuresInARow {
			calledOff()
		}
		if n := len(o.asked); n != 3*failuresInARow {
			t.Errorf("asked %d times", n)
		}
		for range failuresInARow {
			ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errors.New("silent"))
			if _, err := l.RoundTrip(requestOf(t, ctx)); err == nil {
				t.Error("an answer")
			}
			cancel()
		}
		o.asked = nil
		try(t, l)
		if n := len(o.asked); n != 0 {
			t.Errorf("asked %d times though nobody was answered in time", n)
		}
		time.Sleep(2 * firstPause)
		calledOff()
		o.down = nil
		if err := try(t, l); err != nil {
			t.Errorf("after somebody who did not find out: %v", err)
		}
	})
}
