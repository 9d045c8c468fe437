package githubsim

import (
	"context"
	"crypto/rsa"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/bradleyfalzon/ghinstallation/v2"
	"github.com/google/go-github/v60/github"
	"go.uber.org/goleak"

	"vitrine/bot/githubsim/conformance"
)

const (
	testSecret = "a webhook secret"
	testApp    = 4711
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testKey spares every test the making of a key.
var testKey = sync.OnceValues(GenerateKey)

// A world is a Server on a port of its own, with an App's receiver of webhooks.
type world struct {
	*Server
	t    *testing.T
	url  string
	key  *rsa.PrivateKey
	hook string // the receiver's address

	mu      sync.Mutex
	clock   func() time.Time
	answer  int // of the receiver
	arrived []arrival
}

type arrival struct {
	event, guid string
	header      http.Header
	body        []byte
	payload     map[string]any
}

// newWorld has ana, who owns acme/shop, ben, who may write there, and mallory, who may not.
func newWorld(t *testing.T, conform bool) *world {
	t.Helper()
	return newWorldWith(t, conform, func(hook string, key *rsa.PrivateKey) App {
		return App{
			ID: testApp, Slug: "vitrine", Owner: "acme", WebhookURL: hook, WebhookSecret: testSecret, PrivateKey: key,
			Permissions: map[string]string{"contents": "read", "pull_requests": "write", "issues": "write"},
			Events:      []string{"pull_request", "push", "delete", "issue_comment"},
		}
	})
}

// newWorldWith has another App, or none.
func newWorldWith(t *testing.T, conform bool, app func(hook string, key *rsa.PrivateKey) App) *world {
	t.Helper()
	key, err := testKey()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, key: key, answer: http.StatusAccepted, clock: time.Now}
	receiver := httptest.NewServer(http.HandlerFunc(w.receiveHook))
	t.Cleanup(receiver.Close)
	w.hook = receiver.URL + "/webhooks/github"
	server := httptest.NewUnstartedServer(nil)
	w.url = "http://" + server.Listener.Addr().String()
	w.Server, err = New(Config{
		URL: w.url, DataDir: t.TempDir(), Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Now: w.now,
		App: app(w.hook, key),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Server.Close(); err != nil {
			t.Error(err)
		}
	})
	server.Config.Handler = w.Server
	if conform {
		server.Config.Handler = conformance.Conform(t, w.Server)
	}
	server.Start()
	t.Cleanup(server.Close)
	for _, login := range []string{"ana", "ben", "mallory"} {
		w.ok(w.CreateUser(login, "demo"))
	}
	w.ok(w.CreateRepository(t.Context(), "acme/shop", false, map[string]string{
		"compose.yaml": "services: {}\n", "web/index.html": "<h1>Shop</h1>\n", ".vitrine.yml": "branches: [main]\n",
	}))
	w.ok(w.SetPermission("acme/shop", "ana", "admin"))
	w.ok(w.SetPermission("acme/shop", "ben", "write"))
	return w
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.clock()
}

func (w *world) ok(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// waitFor waits until something is so.
func (w *world) waitFor(so func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !so(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			w.t.Fatal("it has not come to that in time")
		}
	}
}

func (w *world) receiveHook(rw http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the Server was closed while it sent
	}
	a := arrival{event: r.Header.Get("X-GitHub-Event"), guid: r.Header.Get("X-GitHub-Delivery"), header: r.Header, body: body}
	if err := json.Unmarshal(body, &a.payload); err != nil {
		w.t.Errorf("decode a webhook: %v", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.arrived = append(w.arrived, a)
	rw.WriteHeader(w.answer)
}

// hooked waits until all webhooks are delivered and returns those that arrived since the last call.
func (w *world) hooked() []arrival {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 20*time.Second)
	defer cancel()
	w.ok(w.Settled(ctx))
	w.mu.Lock()
	defer w.mu.Unlock()
	out := w.arrived
	w.arrived = nil
	return out
}

// names returns "event action" of each.
func names(arrivals []arrival) []string {
	var out []string
	for _, a := range arrivals {
		name := a.event
		if action, ok := a.payload["action"].(string); ok {
			name += " " + action
		}
		out = append(out, name)
	}
	return out
}

// app returns a client that is the App.
func (w *world) app() *github.Client {
	w.t.Helper()
	transport := ghinstallation.NewAppsTransportFromPrivateKey(http.DefaultTransport, testApp, w.key)
	transport.BaseURL = w.url + apiPrefix
	return w.client(transport)
}

// installed returns a client that is the App's installation in an account.
func (w *world) installed(login string) *github.Client {
	w.t.Helper()
	transport, err := ghinstallation.New(http.DefaultTransport, testApp, w.InstallationID(login), w.PrivateKeyPEM())
	w.ok(err)
	transport.BaseURL = w.url + apiPrefix
	return w.client(transport)
}

func (w *world) client(transport http.RoundTripper) *github.Client {
	w.t.Helper()
	client, err := github.NewClient(&http.Client{Transport: transport}).WithEnterpriseURLs(w.url+apiPrefix+"/", w.url)
	w.ok(err)
	w.t.Cleanup(http.DefaultTransport.(*http.Transport).CloseIdleConnections)
	return client
}

// propose makes a branch with a change and opens a pull request from it.
func (w *world) propose(branch string) (number int, sha string) {
	w.t.Helper()
	sha, err := w.Commit(w.t.Context(), Change{
		Repository: "acme/shop", Branch: branch, Author: "ana", Message: "Show stock", Files: map[string]string{"web/index.html": "<h1>Stock</h1>\n"},
	})
	w.ok(err)
	number, err = w.OpenPullRequest(w.t.Context(), PullRequest{
		Repository: "acme/shop", Head: branch, Title: "Show stock on product page", Body: "As *asked*.", Author: "ana",
	})
	w.ok(err)
	return number, sha
}

func TestNewRefuses(t *testing.T) {
	key, err := testKey()
	if err != nil {
		t.Fatal(err)
	}
	right := Config{URL: "http://127.0.0.1:1", DataDir: t.TempDir(), App: App{ID: 1, Slug: "vitrine", Owner: "acme", PrivateKey: key}}
	for name, spoil := range map[string]func(*Config){
		"no URL":          func(c *Config) { c.URL = "" },
		"a path":          func(c *Config) { c.URL += "/below" },
		"no folder":       func(c *Config) { c.DataDir += "/missing" },
		"no id":           func(c *Config) { c.App.ID = 0 },
		"a slug's spaces": func(c *Config) { c.App.Slug = "a b" },
	} {
		c := right
		spoil(&c)
		if s, err := New(c); err == nil {
			t.Errorf("%s: made a server", name)
			s.Close()
		}
	}
	s, err := New(right)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
}

func TestScriptRefuses(t *testing.T) {
	w := newWorld(t, false)
	ctx := t.Context()
	number, _ := w.propose("stock")
	for name, err := range map[string]error{
		"a login":               w.CreateUser("../x", "x"),
		"a login again":         w.CreateUser("ANA", "x"),
		"the API's login":       w.CreateUser("api", "x"),
		"a repository's path":   w.CreateRepository(ctx, "acme/..", false, nil),
		"a repository again":    w.CreateRepository(ctx, "Acme/Shop", false, nil),
		"a permission":          w.SetPermission("acme/shop", "ana", "owner"),
		"nobody's permission":   w.SetPermission("acme/shop", "nobody", "read"),
		"a missing branch":      w.DeleteBranch(ctx, "acme/shop", "missing", "ana"),
		"the default branch":    w.DeleteBranch(ctx, "acme/shop", "main", "ana"),
		"a missing pull":        w.ClosePullRequest("acme/shop", 7, "ana"),
		"an open pull's reopen": w.ReopenPullRequest(ctx, "acme/shop", number, "ana"),
		"an unknown delivery":   w.Redeliver("none"),
		"a missing comment":     w.DeleteComment("acme/shop", 1, "ana"),
		"an empty comment":      second(w.Comment("acme/shop", number, "ana", "")),
		"a stranger's comment":  second(w.Comment("acme/shop", number, "nobody", "hello")),
		"a branch's name":       second(w.Commit(ctx, Change{Repository: "acme/shop", Branch: "a..b"})),
		"a file's path":         second(w.Commit(ctx, Change{Repository: "acme/shop", Branch: "x", Files: map[string]string{"../x": ""}})),
		"a missing base":        second(w.Commit(ctx, Change{Repository: "acme/shop", Branch: "x", Base: "missing"})),
		"the same pull again":   second(w.OpenPullRequest(ctx, PullRequest{Repository: "acme/shop", Head: "stock", Author: "ana"})),
		"a pull of nothing":     second(w.OpenPullRequest(ctx, PullRequest{Repository: "acme/shop", Head: "main", Author: "ana"})),
		"a pull from no fork":   second(w.OpenPullRequest(ctx, PullRequest{Repository: "acme/shop", Head: "ben:main", Author: "ana"})),
		"a fork by nobody":      second(w.Fork(ctx, "acme/shop", "nobody")),
	} {
		if err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestIntercept(t *testing.T) {
	w := newWorld(t, false)
	w.Intercept(func(rw http.ResponseWriter, r *http.Request) bool {
		rw.WriteHeader(http.StatusBadGateway)
		return true
	})
	_, res, err := w.app().Apps.Get(t.Context(), "")
	if err == nil || res.StatusCode != http.StatusBadGateway {
		t.Errorf("answered %v, %v; want 502", res, err)
	}
	w.Intercept(nil)
	if _, _, err := w.app().Apps.Get(t.Context(), ""); err != nil {
		t.Error(err)
	}
}

func TestForeignNamesAreRefused(t *testing.T) {
	w := newWorld(t, false)
	for host, want := range map[string]int{
		"localhost:8091": 200, "127.0.0.1": 200, "[::1]:80": 200, "GitHub.Localhost.": 200, "rebound.example": 421, "192.0.2.1:80": 421,
		"localhost.example": 421, "": 421,
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Host = host
		rec := httptest.NewRecorder()
		w.ServeHTTP(rec, r)
		if rec.Code != want {
			t.Errorf("asked as %q it answers %d, want %d", host, rec.Code, want)
		}
	}
}

func TestSettledEndsWithTheServer(t *testing.T) {
	w := newWorld(t, false)
	held := make(chan struct{})
	stuck := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		// Only once the body is read does the server notice that the client has gone.
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			t.Errorf("read a webhook: %v", err)
		}
		close(held)
		<-r.Context().Done()
	}))
	defer stuck.Close()
	w.SetWebhookURL(stuck.URL)
	w.propose("stock")
	<-held
	w.ok(w.Server.Close())
	if err := w.Settled(t.Context()); err == nil {
		t.Error("a closed server with webhooks left says that all are delivered")
	}
	if d := w.Deliveries(); !slices.ContainsFunc(d, func(d Delivery) bool { return !d.Done }) {
		t.Errorf("every delivery is done: %+v", d)
	}
}
