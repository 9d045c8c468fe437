package githubsim

import (
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// hourlyLimit is how many requests an hour GitHub lets an installation make, at first.
const hourlyLimit = 5000

// SetRateLimit changes how many requests an hour each installation may make. Answers 304 to conditional requests do not count, and asking for
// the limit does not either.
func (s *Server) SetRateLimit(requests int) error {
	if requests < 1 {
		return fmt.Errorf("a limit of %d requests lets nobody ask for anything", requests)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rateLimit = requests
	return nil
}

// A quota counts the requests of an installation in the hour that ends at reset.
type quota struct {
	used  int
	reset time.Time
}

// spend counts a request and reports whether there was one left. Call it with mu held, as the rest of this file.
func (s *Server) spend(q *quota) bool {
	s.refill(q)
	if q.used >= s.rateLimit {
		return false
	}
	q.used++
	return true
}

func (s *Server) refill(q *quota) {
	if now := s.time(); !now.Before(q.reset) {
		q.used, q.reset = 0, now.Add(time.Hour)
	}
}

func (s *Server) remaining(q *quota) int { return max(0, s.rateLimit-q.used) }

// stateLimit writes the headers about an installation's limit.
func (s *Server) stateLimit(h http.Header, q *quota) {
	s.refill(q)
	h.Set("X-RateLimit-Limit", strconv.Itoa(s.rateLimit))
	h.Set("X-RateLimit-Used", strconv.Itoa(q.used))
	h.Set("X-RateLimit-Remaining", strconv.Itoa(s.remaining(q)))
	h.Set("X-RateLimit-Reset", strconv.FormatInt(q.reset.Unix(), 10))
	h.Set("X-RateLimit-Resource", "core")
}

func (c *call) getRateLimit() answer {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	q := &c.token.installation.quota
	c.s.refill(q)
	core := object{"limit": c.s.rateLimit, "used": q.used, "remaining": c.s.remaining(q), "reset": q.reset.Unix()}
	search := object{"limit": 30, "used": 0, "remaining": 30, "reset": q.reset.Unix()}
	return ok(object{"resources": object{"core": core, "search": search}, "rate": core})
}
