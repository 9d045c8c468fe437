package githubsim

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/gorilla/mux"
)

const (
	apiPrefix     = "/api/v3"
	documentation = "https://docs.github.com/rest"
	bodyLimit     = 1 << 20
)

// A call is one request of the REST API.
type call struct {
	s     *Server
	r     *http.Request
	token *token      // nil where the App itself asks
	spent bool        // it counts against the hour's requests
	repo  *repository // of the path, nil where it has none
}

// An answer is what a call comes to.
type answer struct {
	status int
	body   any // nil for none; text is sent as it is
	header http.Header
}

func ok(body any) answer { return answer{status: http.StatusOK, body: body} }

func fail(status int, message string) answer {
	return answer{status: status, body: object{"message": message, "documentation_url": documentation, "status": strconv.Itoa(status)}}
}

func notFound() answer { return fail(http.StatusNotFound, "Not Found") }

// invalid is an answer 422 that says only in words what is wrong.
func invalid(message string) answer { return fail(http.StatusUnprocessableEntity, message) }

// invalidField is an answer 422 about one field.
func invalidField(resource, field, code, message string) answer {
	a := invalid("Validation Failed")
	a.body.(object)["errors"] = []object{{"resource": resource, "field": field, "code": code, "message": message}}
	return a
}

func (s *Server) endpoint(need string, f func(*call) answer) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := &call{s: s, r: r}
		for name, value := range mux.Vars(r) {
			plain, err := url.PathUnescape(value)
			if err != nil {
				s.respond(w, c, notFound())
				return
			}
			r.SetPathValue(name, plain)
		}
		if refused := c.admit(need); refused != nil {
			s.respond(w, c, *refused)
			return
		}
		s.respond(w, c, f(c))
	})
}

// admit finds out who asks, about which repository, and returns an answer where that is refused.
func (c *call) admit(need string) *answer {
	if need == byAnybody {
		return nil
	}
	refuse := func(status int, message string) *answer { a := fail(status, message); return &a }
	scheme, value, _ := strings.Cut(c.r.Header.Get("Authorization"), " ")
	switch {
	case value == "":
		return refuse(http.StatusUnauthorized, "Requires authentication")
	case !strings.EqualFold(scheme, "bearer") && !strings.EqualFold(scheme, "token"):
		return refuse(http.StatusUnauthorized, "Bad credentials")
	case need == byApp:
		if wrong := c.s.verifyJWT(value); wrong != "" {
			return refuse(http.StatusUnauthorized, wrong)
		}
		c.s.mu.Lock()
		defer c.s.mu.Unlock()
		return c.find()
	case strings.Count(value, ".") == 2 && c.s.verifyJWT(value) == "":
		return refuse(http.StatusForbidden, "Resource not accessible by integration")
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if c.token = c.s.token(value); c.token == nil {
		return refuse(http.StatusUnauthorized, "Bad credentials")
	}
	if c.r.URL.Path != apiPrefix+"/rate_limit" {
		if c.spent = c.s.spend(&c.token.installation.quota); !c.spent {
			a := rateLimited(c.token)
			return &a
		}
	}
	if c.token.installation.suspended() {
		a := suspended()
		return &a
	}
	elsewhere := c.find()
	if c.namesRepository() {
		if c.repo == nil || c.repo.private && !c.token.reaches(c.repo) {
			return refuse(http.StatusNotFound, "Not Found")
		}
		if elsewhere != nil {
			return elsewhere
		}
		if !c.token.reaches(c.repo) && (c.r.Method != http.MethodGet || c.r.PathValue("login") != "") {
			return refuse(http.StatusForbidden, "Resource not accessible by integration")
		}
	}
	if !c.s.grants(c.token, need) {
		return refuse(http.StatusForbidden, "Resource not accessible by integration")
	}
	if c.repo != nil && c.repo.archived && c.r.Method != http.MethodGet {
		return refuse(http.StatusForbidden, "Repository was archived so is read-only.")
	}
	return nil
}

func (c *call) namesRepository() bool {
	return c.r.PathValue("repo") != "" || c.r.PathValue("repository") != ""
}

// find looks up the repository of the path. It returns an answer where that has another name by now. Call it with mu held.
func (c *call) find() *answer {
	if c.r.PathValue("repository") != "" {
		for _, r := range c.s.repositories {
			if r.id == c.number("repository") {
				c.repo = r
			}
		}
		return nil
	}
	var moved bool
	if c.repo, moved = c.s.find(c.r.PathValue("owner") + "/" + c.r.PathValue("repo")); !moved {
		return nil
	}
	parts := strings.SplitN(strings.TrimPrefix(c.r.URL.EscapedPath(), apiPrefix+"/repos/"), "/", 3)
	address := c.s.apiURL("repositories", strconv.FormatInt(c.repo.id, 10))
	if len(parts) == 3 {
		address += "/" + parts[2]
	}
	if c.r.URL.RawQuery != "" {
		address += "?" + c.r.URL.RawQuery
	}
	status := http.StatusMovedPermanently
	if c.r.Method != http.MethodGet {
		status = http.StatusTemporaryRedirect
	}
	return &answer{status: status, header: http.Header{"Location": {address}}, body: object{
		"message": "Moved Permanently", "url": address, "documentation_url": documentation + "/guides/best-practices-for-using-the-rest-api#follow-redirects",
	}}
}

func (s *Server) respond(w http.ResponseWriter, c *call, a answer) {
	var body []byte
	h := w.Header()
	for name, values := range a.header {
		h[name] = values
	}
	switch content := a.body.(type) {
	case nil:
	case string:
		body = []byte(content)
	default:
		encoded, err := json.Marshal(content)
		if err != nil {
			s.log.Error("encode an answer", "error", err)
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		body = encoded
		h.Set("Content-Type", "application/json; charset=utf-8")
	}
	if c.r.Method == http.MethodGet && a.status == http.StatusOK {
		tag := etag(c.r, body)
		h.Set("ETag", tag)
		if slices.Contains(strings.Split(c.r.Header.Get("If-None-Match"), ", "), tag) {
			a.status, body = http.StatusNotModified, nil
			h.Del("Content-Type")
		}
	}
	h.Set("Server", "GitHub.com")
	h.Set("Vary", "Accept, Authorization, Cookie, X-GitHub-OTP")
	h.Set("X-GitHub-Media-Type", "github.v3; format=json")
	h.Set("X-GitHub-Request-Id", requestID())
	h.Set("Cache-Control", "private, max-age=60, s-maxage=60")
	h.Set("X-Content-Type-Options", "nosniff")
	if c.token != nil {
		s.mu.Lock()
		quota := &c.token.installation.quota
		if a.status == http.StatusNotModified && c.spent {
			quota.used = max(0, quota.used-1)
		}
		s.stateLimit(h, quota)
		s.mu.Unlock()
	}
	w.WriteHeader(a.status)
	s.write(w, body)
}

// etag names an answer. GitHub's hangs on who asks, so that one that was kept is of no use with another token.
func etag(r *http.Request, body []byte) string {
	h := sha256.New()
	for _, name := range []string{"Accept", "Authorization", "Cookie", "X-GitHub-OTP"} {
		fmt.Fprintf(h, "%s\n", r.Header.Get(name))
	}
	h.Write(body)
	return fmt.Sprintf(`W/"%x"`, h.Sum(nil))
}

func (s *Server) write(w io.Writer, body []byte) {
	if _, err := w.Write(body); err != nil {
		s.log.Debug("the client went away before its answer", "error", err)
	}
}

// failure logs what went wrong and says no more than GitHub would.
func (s *Server) failure(err error) answer {
	s.log.Error("answer a request", "error", err)
	return fail(http.StatusInternalServerError, "Server Error")
}

func requestID() string {
	b := make([]byte, 16)
	rand.Read(b)
	return fmt.Sprintf("%X:%X:%X:%X:%X", b[:2], b[2:4], b[4:8], b[8:12], b[12:])
}

// decode reads a body of JSON, which may be missing where it is optional. It returns an answer where the body is none.
func (c *call) decode(into any, optional bool) *answer {
	body, err := io.ReadAll(http.MaxBytesReader(nil, c.r.Body, bodyLimit))
	if err != nil {
		a := fail(http.StatusRequestEntityTooLarge, "Payload too large")
		return &a
	}
	if len(body) == 0 && optional {
		return nil
	}
	err = json.Unmarshal(body, into)
	var mistyped *json.UnmarshalTypeError
	switch {
	case errors.As(err, &mistyped):
		return problems{fmt.Sprintf("For 'properties/%s', a %s is not what it takes.", strings.ReplaceAll(mistyped.Field, ".", "/"), mistyped.Value)}.answer()
	case err != nil:
		a := fail(http.StatusBadRequest, "Problems parsing JSON")
		return &a
	}
	return nil
}

// number reads a number of the path; 0 for anything else.
func (c *call) number(name string) int64 {
	n, err := strconv.ParseInt(c.r.PathValue(name), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

func (c *call) perPage() int {
	n, err := strconv.Atoi(c.r.URL.Query().Get("per_page"))
	if err != nil || n < 1 {
		return 30
	}
	return min(n, 100)
}

// paginate returns the page of items that was asked for, with links to the others (docs.github.com, "Using pagination in the REST API").
func (c *call) paginate(items []object) answer {
	from, to, header := c.window(len(items))
	return answer{status: http.StatusOK, body: items[from:to], header: header}
}

func (c *call) window(total int) (from, to int, header http.Header) {
	size := c.perPage()
	page, err := strconv.Atoi(c.r.URL.Query().Get("page"))
	if err != nil || page < 1 {
		page = 1
	}
	last := max(1, (total+size-1)/size)
	if page > last {
		return total, total, nil
	}
	var links []string
	link := func(rel string, n int) { links = append(links, c.link(rel, "page", strconv.Itoa(n))) }
	if page > 1 {
		link("prev", page-1)
		link("first", 1)
	}
	if page < last {
		link("next", page+1)
		link("last", last)
	}
	if links != nil {
		header = http.Header{"Link": {strings.Join(links, ", ")}}
	}
	return (page - 1) * size, min(page*size, total), header
}

func (c *call) link(rel, parameter, value string) string {
	query := c.r.URL.Query()
	query.Set(parameter, value)
	u := url.URL{Path: c.r.URL.Path, RawQuery: query.Encode()}
	return "<" + c.s.url + u.String() + `>; rel="` + rel + `"`
}
