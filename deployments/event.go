package deployments

import "time"

// An Event is one line of an environment's history, with its cause.
type Event struct {
	ID     int64
	Origin string // the Origin.Key it belongs to; it may have no environment, where a rule said skip
	At     time.Time
	Text   string // "skipped: the pull request comes from a fork", "expired after 168h"
}
