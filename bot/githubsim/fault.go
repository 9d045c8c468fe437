package githubsim

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A FaultKind is a way in which GitHub lets a request down.
type FaultKind int

// The faults (docs.github.com, "Rate limits for the REST API").
const (
	ServerError     FaultKind = iota // 500
	PrimaryLimit                     // 403: the hour's requests are used up, X-RateLimit-Reset says until when
	SecondaryLimit                   // 403: too much at once, Retry-After says how long to wait
	TooManyRequests                  // 429, else as SecondaryLimit
	Hang                             // no answer until it is taken back; then the request goes on as if nothing had been
)

// faultWait is how long a limit lasts where a Fault does not say.
const faultWait = time.Minute

// A Fault is what happens to requests instead of an answer.
type Fault struct {
	Kind   FaultKind
	Method string        // "PATCH"; empty for every one
	Path   string        // "*/check-runs*", with "*" for anything; empty for everything, git and the pages included
	Times  int           // how many requests it meets; 0: all, until it is taken back
	Wait   time.Duration // after which a limit says that it is over; 0 is a minute
}

// faults are those that are in force.
type faults struct {
	mu     sync.Mutex
	active []*activeFault
	closed chan struct{}
}

type activeFault struct {
	Fault
	left  int
	ended chan struct{} // closed when it is taken back
}

// Fault makes a fault for later requests and returns what takes it back, which may be called twice. Where several fit a request, the newest
// meets it.
func (s *Server) Fault(f Fault) (takeBack func()) {
	one := &activeFault{Fault: f, left: f.Times, ended: make(chan struct{})}
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.active = append(s.faults.active, one)
	return sync.OnceFunc(func() {
		s.faults.mu.Lock()
		defer s.faults.mu.Unlock()
		s.faults.active = slices.DeleteFunc(s.faults.active, func(other *activeFault) bool { return other == one })
		close(one.ended)
	})
}

// end lets go of the requests that hang.
func (f *faults) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	select {
	case <-f.closed:
	default:
		close(f.closed)
	}
}

// meet returns the fault that a request meets, nil for none.
func (f *faults) meet(r *http.Request) *activeFault {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, one := range slices.Backward(f.active) {
		if one.Method != "" && one.Method != r.Method || one.Path != "" && !matches(one.Path, r.URL.Path) {
			continue
		}
		if one.Times > 0 {
			if one.left--; one.left == 0 {
				f.active = slices.Delete(f.active, i, i+1)
			}
		}
		return one
	}
	return nil
}

// matches reports whether a path fits a pattern in which "*" stands for anything.
func matches(pattern, path string) bool {
	first, rest, wild := strings.Cut(pattern, "*")
	if !wild {
		return path == pattern
	}
	path, fits := strings.CutPrefix(path, first)
	for fits && path != "" && !matches(rest, path) {
		path = path[1:]
	}
	return fits && matches(rest, path)
}

// letDown does to a request what a fault says, and reports whether it has been answered, or needs no answer any more.
func (s *Server) letDown(w http.ResponseWriter, r *http.Request, f *activeFault) bool {
	s.mu.Lock()
	t, limit := s.tokens[secretOf(r)], strconv.Itoa(s.rateLimit)
	s.mu.Unlock()
	wait := f.Wait
	if wait == 0 {
		wait = faultWait
	}
	switch f.Kind {
	case Hang:
		select {
		case <-f.ended:
			return false
		case <-r.Context().Done():
		case <-s.faults.closed:
			panic(http.ErrAbortHandler) // so that nobody takes an empty answer for one
		}
		return true
	case PrimaryLimit:
		a := rateLimited(t)
		a.header = http.Header{}
		for name, value := range map[string]string{
			"Limit": limit, "Used": limit, "Remaining": "0", "Reset": strconv.FormatInt(s.time().Add(wait).Unix(), 10), "Resource": "core",
		} {
			a.header.Set("X-RateLimit-"+name, value)
		}
		s.respond(w, &call{s: s, r: r}, a)
	case SecondaryLimit, TooManyRequests:
		a := fail(http.StatusForbidden, "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.")
		if f.Kind == TooManyRequests {
			a = fail(http.StatusTooManyRequests, "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.")
		}
		a.body.(object)["documentation_url"] = documentation + "/overview/rate-limits-for-the-rest-api#about-secondary-rate-limits"
		a.header = http.Header{"Retry-After": {strconv.Itoa(int(wait.Seconds()))}}
		s.respond(w, &call{s: s, r: r, token: t}, a)
	default:
		s.respond(w, &call{s: s, r: r, token: t}, fail(http.StatusInternalServerError, "Server Error"))
	}
	return true
}

// rateLimited is the answer to a request that is one too many.
func rateLimited(t *token) answer {
	if t == nil {
		return fail(http.StatusForbidden, "API rate limit exceeded.")
	}
	return fail(http.StatusForbidden, fmt.Sprintf("API rate limit exceeded for installation ID %d.", t.installation.id))
}
