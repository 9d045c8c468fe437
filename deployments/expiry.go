package deployments

import "time"

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
	return later(e.Expires, now.Add(l.TTL))
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
