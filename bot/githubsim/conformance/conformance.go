// Package conformance holds what goes over the wire against GitHub's published description of its REST API. Only tests import it.
package conformance

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
)

const apiPrefix = "/api/v3"

// description is read once in a process: the file has half a megabyte.
var description = sync.OnceValues(load)

// Conform returns next with every request and answer below /api/v3/ held against the description; t gets an error for each that does not fit.
// Where the description is not beside the checkout it returns next, and says so in t's log. An answer that the description does not list is
// an error unless it is one that GitHub may give to anything: 400, 401, 403, 404, 422, 429 or a 5xx, with a message, 301 or 307 with an address
// where a repository has another name, and 304 to who asks whether anything has changed. A request that nobody waits for any more needs none.
//
// The returned handler must not be called any more once the test has ended.
func Conform(t testing.TB, next http.Handler) http.Handler {
	t.Helper()
	router, err := description()
	if errors.Is(err, os.ErrNotExist) {
		t.Logf("requests and answers are not held against GitHub's description: %v", err)
		return next
	}
	if err != nil {
		t.Fatal(err)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, apiPrefix+"/") {
			next.ServeHTTP(w, r)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("read the body of %s %s: %v", r.Method, r.URL, err)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		record := &recorder{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(record, r)
		if !record.written && r.Context().Err() != nil {
			return
		}
		for _, err := range check(router, r, body, record) {
			t.Errorf("%s %s, answered %d: %v", r.Method, r.URL, record.status, err)
		}
	})
}

// A recorder keeps what is answered.
type recorder struct {
	http.ResponseWriter
	status  int
	written bool
	body    bytes.Buffer
}

// WriteHeader implements http.ResponseWriter.
func (r *recorder) WriteHeader(status int) {
	r.status, r.written = status, true
	r.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (r *recorder) Write(p []byte) (int, error) {
	r.written = true
	r.body.Write(p)
	return r.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController reach what lies below.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func check(router routers.Router, r *http.Request, body []byte, answer *recorder) []error {
	route, params, err := router.FindRoute(r)
	if err != nil {
		return []error{fmt.Errorf("GitHub's description has no such endpoint: %w", err)}
	}
	ctx := r.Context()
	request := r.Clone(ctx)
	if bytes.Equal(bytes.TrimSpace(body), []byte("null")) {
		body = nil // ghinstallation sends this where it has nothing to say, and GitHub takes it
	}
	request.Body = io.NopCloser(bytes.NewReader(body))
	options := &openapi3filter.Options{
		AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, SkipSettingDefaults: true, IncludeResponseStatus: true, MultiError: true,
		ExcludeResponseBody: !strings.Contains(answer.Header().Get("Content-Type"), "json"),
	}
	options.WithCustomSchemaErrorFunc(func(err *openapi3.SchemaError) string {
		text := "/" + strings.Join(err.JSONPointer(), "/") + ": " + err.Reason
		if err.Origin != nil {
			text += ": " + err.Origin.Error()
		}
		return text
	})
	input := &openapi3filter.RequestValidationInput{Request: request, PathParams: params, Route: route, Options: options}
	var errs []error
	if err := openapi3filter.ValidateRequest(ctx, input); err != nil {
		errs = append(errs, fmt.Errorf("the request: %w", err))
	}
	if route.Operation.Responses.Status(answer.status) == nil {
		return append(errs, undocumented(r, answer)...)
	}
	response := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: input, Status: answer.status, Header: answer.Header().Clone(), Options: options,
	}
	response.SetBodyBytes(answer.body.Bytes())
	if err := openapi3filter.ValidateResponse(ctx, response); err != nil {
		errs = append(errs, fmt.Errorf("the answer: %w", err))
	}
	return errs
}

// always are the answers that GitHub may give to anything, with a message.
var always = []int{
	http.StatusMovedPermanently, http.StatusTemporaryRedirect, http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden,
	http.StatusNotFound, http.StatusUnprocessableEntity, http.StatusTooManyRequests,
}

func undocumented(r *http.Request, answer *recorder) []error {
	switch s := answer.status; {
	case s == http.StatusNotModified && r.Method == http.MethodGet && r.Header.Get("If-None-Match") != "":
		return nil
	case slices.Contains(always, s) && s < 400 && answer.Header().Get("Location") == "":
		return []error{errors.New("the answer leads nowhere")}
	case slices.Contains(always, s), s >= 500:
		var body struct{ Message string }
		if err := json.Unmarshal(answer.body.Bytes(), &body); err != nil || body.Message == "" {
			return []error{errors.New("the answer is an error without a message")}
		}
		return nil
	}
	return []error{errors.New("GitHub's description has no such answer")}
}

func load() (routers.Router, error) {
	path, err := find()
	if err != nil {
		return nil, err
	}
	doc, err := openapi3.NewLoader().LoadFromFile(path)
	if err != nil {
		return nil, fmt.Errorf("read GitHub's description: %w", err)
	}
	correct(doc)
	if err := complete(doc); err != nil {
		return nil, err
	}
	doc.Servers = openapi3.Servers{{URL: apiPrefix}}
	paths := openapi3.NewPaths()
	for path, item := range doc.Paths.Map() {
		paths.Set(multiSegment(path, item), item)
		// A folder of files may be the root, which has no path of its own.
		if parent, found := strings.CutSuffix(path, "/{path}"); found {
			paths.Set(parent, without(item, "path"))
			paths.Set(parent+"/", without(item, "path"))
		}
	}
	doc.Paths = paths
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		return nil, fmt.Errorf("route by GitHub's description: %w", err)
	}
	return router, nil
}

// correct mends where the description demands what GitHub does not do: the account of a listed installation is a user or an enterprise, as it
// is for a single installation, and cannot be both; and a pull request outlives the fork that it came from (rest-api-description#1811).
func correct(doc *openapi3.T) {
	if item := doc.Paths.Value("/app/installations"); item != nil && item.Get != nil {
		content := item.Get.Responses.Status(http.StatusOK).Value.Content.Get("application/json")
		if account := content.Schema.Value.Items.Value.Properties["account"]; account != nil && len(account.Value.AllOf) > 1 {
			account.Value.AnyOf, account.Value.AllOf = account.Value.AllOf, nil
		}
	}
	gone := doc.Components.Schemas["nullable-repository"]
	for _, name := range []string{"pull-request", "pull-request-simple"} {
		if pull := doc.Components.Schemas[name]; pull != nil && gone != nil {
			pull.Value.Properties["head"].Value.Properties["repo"] = gone
		}
	}
}

// multiSegment marks the parameters that may hold slashes, as the description does with an extension, in the way that the router reads.
func multiSegment(path string, item *openapi3.PathItem) string {
	for _, operation := range item.Operations() {
		for _, p := range operation.Parameters {
			if p.Value != nil && p.Value.In == openapi3.ParameterInPath && p.Value.Extensions["x-multi-segment"] == true {
				path = strings.ReplaceAll(path, "{"+p.Value.Name+"}", "{"+p.Value.Name+":.+}")
			}
		}
	}
	return path
}

// find returns the description's path, "shared/github/openapi.json" beside the module's folder.
func find() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find GitHub's description: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			path := filepath.Join(dir, "..", "shared", "github", "openapi.json")
			if _, err := os.Stat(path); err != nil {
				return "", fmt.Errorf("find GitHub's description: %w", err)
			}
			return path, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", fmt.Errorf("find GitHub's description: no go.mod above the working directory: %w", os.ErrNotExist)
		}
		dir = parent
	}
}
