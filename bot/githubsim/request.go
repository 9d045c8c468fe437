package githubsim

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// requestsKept is how many requests are remembered at least, where there were so many.
const requestsKept = 50_000

// A Request is one that somebody sent to the REST API or to git.
type Request struct {
	Method       string
	Path         string // as it was sent, without the query: "/api/v3/repos/acme/shop/check-runs"
	Status       int    // of the answer; 0 while there is none
	At           time.Time
	Installation int64 // whose token it carried, 0 for none
}

// Requests returns the requests that the REST API and git have had, oldest first; after a hundred thousand the oldest are forgotten.
func (s *Server) Requests() []Request {
	s.requests.mu.Lock()
	defer s.requests.mu.Unlock()
	out := make([]Request, 0, len(s.requests.all))
	for _, r := range s.requests.all {
		out = append(out, *r)
	}
	return out
}

type requestLog struct {
	mu  sync.Mutex
	all []*Request
}

// begin records a request and returns w such that the answer's status is recorded, too.
func (s *Server) begin(w http.ResponseWriter, r *http.Request) *statusRecorder {
	one := &Request{Method: r.Method, Path: r.URL.EscapedPath(), At: s.now().UTC()}
	s.mu.Lock()
	if t := s.tokens[secretOf(r)]; t != nil {
		one.Installation = t.installation.id
	}
	s.mu.Unlock()
	s.requests.add(one)
	return &statusRecorder{ResponseWriter: w, log: &s.requests, request: one}
}

func (l *requestLog) add(r *Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.all) == 2*requestsKept {
		l.all = slices.Clone(l.all[requestsKept:])
	}
	l.all = append(l.all, r)
}

// secretOf returns what a request proves itself with: a token, or git's password.
func secretOf(r *http.Request) string {
	if _, password, isBasic := r.BasicAuth(); isBasic {
		return password
	}
	_, value, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return value
}

func isGit(path string) bool {
	return strings.HasSuffix(path, "/info/refs") || strings.HasSuffix(path, "/git-upload-pack") || strings.HasSuffix(path, "/git-receive-pack")
}

// A statusRecorder writes the status of an answer into the log.
type statusRecorder struct {
	http.ResponseWriter
	log     *requestLog
	request *Request
}

// WriteHeader implements http.ResponseWriter.
func (w *statusRecorder) WriteHeader(status int) {
	w.record(status)
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *statusRecorder) Write(p []byte) (int, error) {
	w.record(http.StatusOK)
	return w.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController reach what lies below.
func (w *statusRecorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// record keeps the first status that is no mere notice.
func (w *statusRecorder) record(status int) {
	w.log.mu.Lock()
	defer w.log.mu.Unlock()
	if w.request.Status == 0 && status >= http.StatusOK {
		w.request.Status = status
	}
}
