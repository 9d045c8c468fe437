package line

import (
	"bytes"
	"io"
	"maps"
	"net/http"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

const (
	// mostAnswers bounds how many answers are kept, mostKept their bytes together, and mostOfOne those of each. A page of a hundred pull requests takes
	// up to two megabytes.
	mostAnswers = 2000
	mostKept    = 24 << 20
	mostOfOne   = 2 << 20
)

// answers keeps what GitHub answered, so that it can be asked whether that is still so: its 304 does not count against the rate limit
// (docs.github.com, "Best practices for using the REST API"). Nothing of it is given out without asking. It is safe for use side by side.
type answers struct {
	mu    sync.Mutex
	kept  *simplelru.LRU[question, *kept] // those not used for the longest time go first
	bytes int
}

// A question is what GitHub's answer depends on. No line sees what another was answered.
type question struct {
	line                 *Line
	url, accept, version string
}

// kept is an answer. It does not change.
type kept struct {
	tag    string
	header http.Header
	body   []byte
}

// size returns about how many bytes the answer takes.
func (k *kept) size() int {
	size := len(k.body)
	for name, values := range k.header {
		for _, v := range values {
			size += len(name) + len(v)
		}
	}
	return size
}

func newAnswers() (*answers, error) {
	a := &answers{}
	var err error
	a.kept, err = simplelru.NewLRU(mostAnswers, func(_ question, k *kept) { a.bytes -= k.size() })
	return a, err
}

// ask sends a request on, as a question whether the answer is still the one that is kept, where one is.
func (a *answers) ask(l *Line, r *http.Request, send func(*http.Request) (*http.Response, error)) (*http.Response, error) {
	if r.Method != http.MethodGet || r.Header.Get("If-None-Match") != "" || r.Header.Get("Range") != "" {
		return send(r)
	}
	q := question{l, r.URL.String(), r.Header.Get("Accept"), r.Header.Get("X-GitHub-Api-Version")}
	before := a.find(q)
	asked := r
	if before != nil {
		asked = r.Clone(r.Context())
		asked.Header.Set("If-None-Match", before.tag)
	}
	answer, err := send(asked)
	switch {
	case err != nil:
		return nil, err
	case before != nil && answer.StatusCode == http.StatusNotModified:
		return before.again(answer, r), nil
	case answer.StatusCode == http.StatusOK && answer.Header.Get("ETag") != "":
		a.keep(q, answer)
	}
	return answer, nil
}

func (a *answers) find(q question) *kept {
	a.mu.Lock()
	defer a.mu.Unlock()
	found, _ := a.kept.Get(q)
	return found
}

// keep reads the answer's body, which its caller can still read, and keeps it unless it is too large or breaks off.
func (a *answers) keep(q question, answer *http.Response) {
	body, whole := peek(answer, mostOfOne)
	k := &kept{tag: answer.Header.Get("ETag"), header: answer.Header.Clone(), body: body}
	for _, ofTheMoment := range []string{"Retry-After", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "X-RateLimit-Used"} {
		k.header.Del(ofTheMoment)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.kept.Remove(q)
	if !whole || k.size() > mostOfOne {
		return
	}
	a.kept.Add(q, k)
	for a.bytes += k.size(); a.bytes > mostKept; {
		a.kept.RemoveOldest()
	}
}

// again returns the answer that was kept, in place of one that says that it is still the same. What is said beside it, as of the rate limit, is new
// (RFC 9111 §3.2).
func (k *kept) again(same *http.Response, r *http.Request) *http.Response {
	same.Body.Close()
	header := k.header.Clone()
	news := same.Header.Clone()
	for _, ofTheBody := range []string{"Content-Encoding", "Content-Length", "Content-Range", "Content-Type"} {
		news.Del(ofTheBody)
	}
	maps.Copy(header, news)
	return &http.Response{
		Status: "200 OK", StatusCode: http.StatusOK, Proto: same.Proto, ProtoMajor: same.ProtoMajor, ProtoMinor: same.ProtoMinor,
		Header: header, Body: io.NopCloser(bytes.NewReader(k.body)), ContentLength: int64(len(k.body)), Request: r, TLS: same.TLS,
	}
}
