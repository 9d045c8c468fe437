package conformance

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
)

// fakeT records what Conform reports.
type fakeT struct {
	testing.TB
	errors []string
}

func (f *fakeT) Helper()                      {}
func (f *fakeT) Logf(string, ...any)          {}
func (f *fakeT) Errorf(s string, args ...any) { f.errors = append(f.errors, fmt.Sprintf(s, args...)) }

func TestConform(t *testing.T) {
	if _, err := description(); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			t.Skipf("GitHub's description is not there: %v", err)
		}
		t.Fatal(err)
	}
	ref := `{"ref":"refs/heads/a/b","node_id":"x","url":"http://h/x","object":{"type":"commit","url":"http://h/x","sha":"` + strings.Repeat("a", 40) + `"}}`
	const body = `{"content":"eyes"}`
	for _, c := range []struct {
		name, method, path, body string
		status                   int
		answer                   string
		want                     string // a part of what is reported, empty for nothing
	}{
		{"fits", "GET", "/api/v3/repos/o/r/git/ref/heads/a/b", "", 200, ref, ""},
		{"fits, escaped", "GET", "/api/v3/repos/o/r/git/ref/heads%2Fa%2Fb", "", 200, ref, ""},
		{"a field is missing", "GET", "/api/v3/repos/o/r/git/ref/heads/a", "", 200, `{"ref":"x"}`, "the answer"},
		{"no such endpoint", "GET", "/api/v3/repos/o/r/nonsense/at/all", "", 200, `{}`, "no such endpoint"},
		{"no such method", "DELETE", "/api/v3/repos/o/r/git/ref/x", "", 204, "", "no such endpoint"},
		{"no such answer", "GET", "/api/v3/repos/o/r/git/ref/x", "", 418, `{"message":"no"}`, "no such answer"},
		{"an error that is always possible", "GET", "/api/v3/repos/o/r/git/ref/x", "", 503, `{"message":"no"}`, ""},
		{"an address that is elsewhere by now", "GET", "/api/v3/repos/o/r/git/ref/x", "", 301, `{"message":"Moved Permanently"}`, "leads nowhere"},
		{"nothing new, unasked", "GET", "/api/v3/repos/o/r/git/ref/x", "", 304, "", "no such answer"},
		{"by number", "GET", "/api/v3/repositories/7/git/ref/heads/a", "", 200, ref, ""},
		{"by number, a field is missing", "GET", "/api/v3/repositories/7/git/ref/heads/a", "", 200, `{"ref":"x"}`, "the answer"},
		{"the root's files", "GET", "/api/v3/repos/o/r/contents/", "", 200, `[]`, ""},
		{"annotations", "GET", "/api/v3/repos/o/r/check-runs/1/annotations", "", 200, `[{"path":"a"}]`, "the answer"},
		{"an error without a message", "GET", "/api/v3/repos/o/r/git/ref/x", "", 503, `no`, "without a message"},
		{"a wrong request", "POST", "/api/v3/repos/o/r/issues/comments/1/reactions", `{"content":"wrong"}`, 503, `{"message":"no"}`, "the request"},
		{"a right request", "POST", "/api/v3/repos/o/r/issues/comments/1/reactions", body, 503, `{"message":"no"}`, ""},
		{"outside the API", "GET", "/elsewhere", "", 418, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			fake := &fakeT{TB: t}
			h := Conform(fake, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(c.status)
				fmt.Fprint(w, c.answer)
			}))
			r := httptest.NewRequest(c.method, c.path, strings.NewReader(c.body))
			if c.body != "" {
				r.Header.Set("Content-Type", "application/json")
			}
			h.ServeHTTP(httptest.NewRecorder(), r)
			got := strings.Join(fake.errors, "\n")
			if c.want == "" && got != "" || !strings.Contains(got, c.want) {
				t.Errorf("reported %q, want %q", got, c.want)
			}
		})
	}
}
