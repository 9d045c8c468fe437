package deployments

import (
	"errors"
	"math/rand/v2"
	"time"
)

const (
	firstDelay = time.Second
	longest    = time.Minute
	// longestAsked bounds how far a neighbour can put us off.
	longestAsked = time.Hour
)

// backoff returns how long to wait after the given number of failures in a row: a second, doubled each time up to a minute, give or take a fifth so
// that those who failed together do not come back together.
func backoff(failures int) time.Duration {
	d := longest
	if failures < 6 {
		d = firstDelay << max(0, failures)
	}
	return d + time.Duration((rand.Float64()-0.5)*0.4*float64(d))
}

// retryAt returns when to try again what failed at the time now with err, after the given number of failures in a row before. A neighbour that
// named a time is not asked before it.
func retryAt(now time.Time, failures int, err error) time.Time {
	delay := backoff(failures)
	var u *Unavailable
	if errors.As(err, &u) && u.Until.After(now.Add(delay)) {
		// Those who wait for the same moment do not come at once.
		delay = min(u.Until.Sub(now), longestAsked) + time.Duration(rand.Float64()*float64(firstDelay))
	}
	return now.Add(delay)
}
