package line

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"vitrine/deployments"
)

const (
	// failuresInARow is how many requests in a row GitHub fails before it is taken to be down. A single one that it always fails does not shut the gate
	// while others are answered.
	failuresInARow = 5
	// firstPause lies before the first question whether GitHub is back, and is doubled up to lastPause, which bounds how much later than GitHub we are back.
	firstPause = time.Second
	lastPause  = 15 * time.Second
	// pauseSpread is how much a pause is longer or shorter, as a part of it, so that many servers do not come back together.
	pauseSpread = 0.2
)

// A gate keeps requests back while GitHub is down, all but one at a time that finds out whether it is back. It is safe for use side by side.
type gate struct {
	now func() time.Time
	log *slog.Logger

	mu       sync.Mutex
	failures int       // in a row
	shut     time.Time // nothing goes through before, once there are failuresInARow
	asking   bool      // somebody finds out
}

// outcome is what a request says of GitHub.
type outcome int

const (
	says   outcome = iota // it answers, whatever
	fails                 // it does not, or says that it is not well
	nobody                // the request ended for another reason
)

// enter lets a request through, or returns an Unavailable that says when to come again. Whoever is let through tells leave of the outcome; prober is for it.
func (g *gate) enter() (prober bool, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.failures < failuresInARow {
		return false, nil
	}
	now := g.now()
	if now.Before(g.shut) || g.asking {
		until := g.shut
		if g.asking {
			until = now.Add(firstPause)
		}
		return false, &deployments.Unavailable{Neighbour: GitHub, Until: until, Err: errors.New("not asked, as it has not answered for a while")}
	}
	g.asking = true
	return true, nil
}

// leave takes in what a request that was let through says of GitHub.
func (g *gate) leave(prober bool, o outcome) {
	g.mu.Lock()
	defer g.mu.Unlock()
	wasOpen := g.failures < failuresInARow
	if prober {
		g.asking = false
	}
	switch {
	case o == says:
		g.failures = 0
		if !wasOpen {
			g.log.Info("GitHub answers again")
		}
	case o == fails && (wasOpen || prober):
		g.failures++
		if g.failures >= failuresInARow {
			g.shut = g.now().Add(spread(pauseAfter(g.failures)))
		}
		if wasOpen && g.failures >= failuresInARow {
			g.log.Warn("GitHub does not answer; one request at a time finds out when it does", "failures", g.failures)
		}
	}
}

// pauseAfter returns how long to wait after so many failures in a row.
func pauseAfter(failures int) time.Duration {
	return min(lastPause, firstPause<<min(failures-failuresInARow, 10))
}

func spread(d time.Duration) time.Duration {
	return d + time.Duration((2*rand.Float64()-1)*pauseSpread*float64(d))
}

// outcomeOf returns what the end of a request says of GitHub. One that its caller called off says nothing; one that ran out of the caller's time does.
func outcomeOf(ctx context.Context, answer *http.Response, err error) outcome {
	switch {
	case err == nil && answer.StatusCode < 500:
		return says
	case err != nil && errors.Is(ctx.Err(), context.Canceled):
		return nobody
	default:
		return fails
	}
}
