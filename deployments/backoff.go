package deployments

import (
	"math/rand/v2"
	"time"
)

const (
	firstDelay = time.Second
	longest    = time.Minute
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
