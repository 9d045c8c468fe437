package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"vitrine/deployments"
)

// A shelf keeps Variables of one repository, or fails.
type shelf struct {
	values map[string]string
	err    error
}

func (s *shelf) SetVariables(_ context.Context, _ string, values map[string]string) error {
	if s.err == nil {
		s.values = values
	}
	return s.err
}

func (s *shelf) RemoveVariables(_ context.Context, _ string, names []string) error {
	for _, name := range names {
		if _, ok := s.values[name]; !ok {
			return fmt.Errorf("%s: %w", name, deployments.ErrNotFound)
		}
	}
	return s.err
}

func (s *shelf) VariablesSet(context.Context, string) (map[string]time.Time, error) {
	set := map[string]time.Time{}
	for name := range s.values {
		set[name] = time.Unix(0, 0).UTC()
	}
	return set, s.err
}

func TestVariablesHandler(t *testing.T) {
	const shop = "/api/v1/repos/acme/shop/variables"
	away := errors.New("the disk is away, with hunter2 on it")
	for name, test := range map[string]struct {
		method, path, body string
		err                error
		status             int
		says               string
	}{
		"list":              {"GET", shop, "", nil, 200, `{"variables":[{"name":"A","set_at":"1970-01-01T00:00:00Z"},{"name":"B","set_at":"1970-01-01T00:00:00Z"}]}`},
		"set":               {"PATCH", shop, `{"variables":{"C":"hunter2"}}`, nil, 204, ""},
		"remove":            {"DELETE", shop + "?name=A&name=B", "", nil, 204, ""},
		"remove another":    {"DELETE", shop + "?name=A&name=C", "", nil, 404, "C: not found; nothing was removed"},
		"remove nothing":    {"DELETE", shop, "", nil, 400, "name one at least"},
		"set nothing":       {"PATCH", shop, `{}`, nil, 400, "name one at least"},
		"no JSON":           {"PATCH", shop, `C=hunter2`, nil, 400, "the body is not"},
		"a number":          {"PATCH", shop, `{"variables":{"C":1}}`, nil, 400, "the body is not"},
		"an unknown key":    {"PATCH", shop, `{"variables":{"C":"x"},"repo":"b"}`, nil, 400, "the body is not"},
		"too large":         {"PATCH", shop, `{"variables":{"C":"` + strings.Repeat("x", maxBody) + `"}}`, nil, 400, "more than 1048576 bytes"},
		"a value too large": {"PATCH", shop, `{"variables":{"C":"` + strings.Repeat("x", 64<<10+1) + `"}}`, nil, 400, "at most 65536 are kept"},
		"a zero byte":       {"PATCH", shop, `{"variables":{"C":"hunter2\u0000"}}`, nil, 400, "zero byte"},
		"a bad name":        {"PATCH", shop, `{"variables":{"1":"hunter2"}}`, nil, 400, "is no name of a Variable"},
		"no repository":     {"GET", "/api/v1/repos/a%20b/shop/variables", "", nil, 400, "is no repository"},
		"another method":    {"POST", shop, "", nil, 405, ""},
		"list fails":        {"GET", shop, "", away, 500, "its log says why"},
		"set fails":         {"PATCH", shop, `{"variables":{"C":"x"}}`, away, 500, "its log says why"},
		"remove fails":      {"DELETE", shop + "?name=A", "", away, 500, "its log says why"},
	} {
		t.Run(name, func(t *testing.T) {
			var log strings.Builder
			v := &shelf{map[string]string{"A": "hunter2", "B": "hunter2"}, test.err}
			answer := httptest.NewRecorder()
			VariablesHandler(v, slog.New(slog.NewTextHandler(&log, nil))).ServeHTTP(answer, httptest.NewRequest(test.method, test.path, strings.NewReader(test.body)))
			body := answer.Body.String()
			if answer.Code != test.status || !strings.Contains(body, test.says) || strings.Contains(body, "hunter2") {
				t.Errorf("answers %d, %s; want %d, %s", answer.Code, body, test.status, test.says)
			}
			if strings.Contains(log.String(), "hunter2") && test.err == nil {
				t.Errorf("the log has a value: %s", log.String())
			}
			if test.status < 400 || test.status == 405 {
				return
			}
			var p Problem
			if err := json.Unmarshal(answer.Body.Bytes(), &p); err != nil || p.Status != test.status || p.Title != http.StatusText(test.status) {
				t.Errorf("the problem is %+v: %v", p, err)
			}
			if kind := answer.Header().Get("Content-Type"); kind != "application/problem+json" {
				t.Errorf("the answer is of the type %s", kind)
			}
		})
	}
}
