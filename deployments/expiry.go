package deployments

import "time"

// WarningTime is how long before its end people are told that an environment expires.
const WarningTime = 24 * time.Hour

// A Lifetime is how long environments stay.
type Lifetime struct {
	TTL time.Duration // after a push or a command
	Max time.Duration // the furthest that /extend moves the expiry, from now
}

// expiryAfter returns when an environment expires after a want. Tracked branches do not expire: the zero time.
func (l Lifetime) expiryAfter(e Environment, w Want, now time.Time) time.Time {
	if e.Origin.PullRequest == 0 && e.Origin.Branch != "" {
		return time.Time{}
	}
	if w.Pin != nil && !*w.Pin {
		return later(e.Expires, now.Add(l.of(e)))
	}
	if w.Extend > 0 {
		from := e.Expires
		if from.Before(now) {
			from = now
		}
		return earlier(from.Add(w.Extend), later(e.Expires, now.Add(l.Max)))
	}
	if e.Intent != Up || w.Intent == Keep {
		return e.Expires
	}
	return later(e.Expires, now.Add(l.of(e)))
}

// of returns how long the environment stays after a push.
func (l Lifetime) of(e Environment) time.Duration {
	if e.TTL != 0 {
		return e.TTL
	}
	return l.TTL
}

// Retime returns the environment with a time to live of its own, 0 for the server's, and whether that was cut to Max. Its expiry moves by the
// difference, so that what was extended stays so. It is pure; a Store calls it inside a transaction.
func (l Lifetime) Retime(e Environment, ttl time.Duration) (_ Environment, cut bool) {
	if ttl > l.Max {
		ttl, cut = l.Max, true
	}
	before := l.of(e)
	e.TTL = ttl
	if !e.Expires.IsZero() {
		e.Expires = e.Expires.Add(l.of(e) - before)
	}
	return e, cut
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
