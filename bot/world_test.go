package bot

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"vitrine/bot/githubsim"
	"vitrine/bot/githubsim/conformance"
	"vitrine/bot/internal/show/showtest"
	"vitrine/deployments"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var discard = slog.New(slog.DiscardHandler)

// testKey spares every test the making of a key.
var testKey = sync.OnceValues(githubsim.GenerateKey)

// testPEM returns testKey as GitHub hands keys out.
func testPEM(t testing.TB) []byte {
	t.Helper()
	key, err := testKey()
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
}

// states are the records, by their origins' keys.
type states map[string]deployments.Environment

func (s states) EnvironmentOf(_ context.Context, origin string) (deployments.Environment, error) {
	if e, ok := s[origin]; ok {
		return e, nil
	}
	return deployments.Environment{}, deployments.ErrNotFound
}

func (s states) HostState(_ context.Context, label string) (deployments.HostState, error) {
	return deployments.HostState{Status: deployments.HostBuilding, Name: label, Detail: "fetching"}, nil
}

// A world is a simulated GitHub with a Bot on it. ana owns acme/shop, ben may write there, carl may read, mallory has a fork and no part in it.
type world struct {
	*githubsim.Server
	t        *testing.T
	url      string
	bot      *Bot
	states   states
	requests *requestLog
	loose    atomic.Bool // interceptors may answer what GitHub would not
	prints   []deployments.LogLine
	to       Inbox        // gets what arrives; nil for the world's own
	hook     string       // where webhooks go
	skew     atomic.Int64 // how far GitHub's clock is ahead, in nanoseconds

	mu    sync.Mutex
	clock time.Time // the Bot's, for rendering; the zero time for the real one
	inbox []deployments.Delivery
}

// requestLog counts what the Bot asked.
type requestLog struct {
	mu   sync.Mutex
	seen []string
}

func (l *requestLog) count(method, part string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, s := range l.seen {
		if strings.HasPrefix(s, method+" ") && strings.Contains(s, part) {
			n++
		}
	}
	return n
}

func newWorld(t *testing.T, permissions map[string]string) *world {
	t.Helper()
	w := &world{t: t, states: states{}, requests: &requestLog{}}
	if permissions == nil {
		permissions = map[string]string{"contents": "read", "pull_requests": "write", "issues": "read", "checks": "write", "deployments": "write"}
	}
	key, err := testKey()
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(nil)
	w.url = "http://" + server.Listener.Addr().String()
	w.Server, err = githubsim.New(githubsim.Config{URL: w.url, DataDir: t.TempDir(), Now: w.githubNow, App: githubsim.App{
		ID: 4711, Slug: "vitrine", Owner: "acme", WebhookSecret: testSecret, PrivateKey: key, Permissions: permissions,
		Events: []string{"pull_request", "push", "delete", "issue_comment", "check_run", "repository"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	simulated := conformance.Conform(t, w.Server)
	server.Config.Handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.requests.mu.Lock()
		w.requests.seen = append(w.requests.seen, r.Method+" "+r.URL.EscapedPath())
		w.requests.mu.Unlock()
		if w.loose.Load() {
			w.Server.ServeHTTP(rw, r)
			return
		}
		simulated.ServeHTTP(rw, r)
	})
	server.Start()
	transport := &http.Transport{}
	w.bot, err = New(Config{
		AppID: 4711, PrivateKey: testPEM(t),
		WebhookSecret: testSecret, URL: w.url, APIURL: w.url + "/api/v3/", Transport: transport,
		TTL: 168 * time.Hour, MaxTTL: 720 * time.Hour, PreviewURL: showtest.PreviewURL, States: w.states, Logs: w.Logs, Now: w.now, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		writePause: time.Nanosecond, // the clock may stand still
	})
	if err != nil {
		t.Fatal(err)
	}
	receiver := httptest.NewServer(w.bot.Webhooks(w))
	w.hook = receiver.URL + WebhookPath
	w.SetWebhookURL(w.hook)
	t.Cleanup(func() {
		if err := w.Server.Close(); err != nil {
			t.Error(err)
		}
		receiver.Close()
		transport.CloseIdleConnections()
		server.Close()
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	})
	for _, login := range []string{"ana", "ben", "carl", "mallory"} {
		w.must(w.CreateUser(login, "secret"))
	}
	w.must(w.CreateRepository(t.Context(), "acme/shop", true, map[string]string{"Dockerfile": "FROM scratch\n"}))
	w.must(w.SetPermission("acme/shop", "ana", "admin"))
	w.must(w.SetPermission("acme/shop", "ben", "write"))
	w.must(w.SetPermission("acme/shop", "carl", "read"))
	return w
}

// fail answers as GitHub does when it refuses.
func fail(rw http.ResponseWriter, status int, message string) {
	rw.Header().Set("Content-Type", "application/json; charset=utf-8")
	rw.WriteHeader(status)
	fmt.Fprintf(rw, `{"message":%q,"documentation_url":"https://docs.github.com/rest"}`, message)
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.clock.IsZero() {
		return time.Now()
	}
	return w.clock
}

// githubNow is GitHub's clock.
func (w *world) githubNow() time.Time { return time.Now().Add(time.Duration(w.skew.Load())) }

// throughSimulator marks a request that an interceptor has the simulator answer.
type throughSimulator struct{}

// intercept shows every request to f, with what the simulator answers to it when it is asked, once. Where f returns false the simulator answers alone.
func (w *world) intercept(f func(rw http.ResponseWriter, r *http.Request, simulated func() *httptest.ResponseRecorder) bool) {
	w.Intercept(func(rw http.ResponseWriter, r *http.Request) bool {
		if r.Context().Value(throughSimulator{}) != nil {
			return false
		}
		return f(rw, r, func() *httptest.ResponseRecorder {
			record := httptest.NewRecorder()
			w.Server.ServeHTTP(record, r.WithContext(context.WithValue(r.Context(), throughSimulator{}, true)))
			return record
		})
	})
}

// rewrite replaces a text in the simulator's answers to the requests whose path ends in suffix. None is answered with 304: what is rewritten is new.
func (w *world) rewrite(suffix, old, new string) {
	w.intercept(func(rw http.ResponseWriter, r *http.Request, simulated func() *httptest.ResponseRecorder) bool {
		if !strings.HasSuffix(r.URL.Path, suffix) {
			return false
		}
		r.Header.Del("If-None-Match")
		answer := simulated()
		body := strings.Replace(answer.Body.String(), old, new, -1)
		if body == answer.Body.String() {
			w.t.Errorf("%s is answered without %s: %s", r.URL, old, body)
		}
		rw.Header().Set("Content-Type", answer.Header().Get("Content-Type"))
		rw.WriteHeader(answer.Code)
		fmt.Fprint(rw, body)
		return true
	})
}

// smallPages has every list come one by one.
func (w *world) smallPages() {
	w.Intercept(func(_ http.ResponseWriter, r *http.Request) bool {
		if q := r.URL.Query(); q.Has("per_page") {
			q.Set("per_page", "1")
			r.URL.RawQuery = q.Encode()
		}
		return false
	})
}

// refuse answers the requests whose path has the part given, all for the empty one.
func (w *world) refuse(part string, status int, header map[string]string) {
	w.Intercept(func(rw http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, part) {
			return false
		}
		for k, v := range header {
			rw.Header().Set(k, v)
		}
		fail(rw, status, "no")
		return true
	})
}

// hang leaves every request without an answer until the test ends. The Bot gives up soon.
func (w *world) hang() {
	w.loose.Store(true)
	w.bot.config.callTime, w.bot.config.headTime, w.bot.config.reportTime = 50*time.Millisecond, 50*time.Millisecond, 50*time.Millisecond
	ended := w.t.Context().Done()
	w.Intercept(func(_ http.ResponseWriter, r *http.Request) bool {
		select {
		case <-r.Context().Done():
		case <-ended:
		}
		return true
	})
}

// refresh ends what was made to fail, rate limits included.
func (w *world) refresh() {
	w.Intercept(nil)
	w.bot.config.Transport.(*http.Transport).DialContext = nil
	w.bot.config.callTime, w.bot.config.headTime, w.bot.config.reportTime = callTime, headTime, reportTime
	w.pass(2 * time.Minute)
}

// pass moves the Bot's clock on, which stands still from then on.
func (w *world) pass(d time.Duration) {
	now := w.now().Add(d)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.clock = now
}

// unavailable fails the test unless err waits for the neighbour.
func unavailable(t *testing.T, err error, neighbour string) *deployments.Unavailable {
	t.Helper()
	var u *deployments.Unavailable
	if !errors.As(err, &u) || u.Neighbour != neighbour {
		t.Fatalf("got %v, %+v; want to wait for %q", err, u, neighbour)
	}
	return u
}

// Logs hands on what the services of every environment printed.
func (w *world) Logs(_ context.Context, q deployments.LogQuery, line func(deployments.LogLine) error) error {
	lines := slices.DeleteFunc(slices.Clone(w.prints), func(l deployments.LogLine) bool { return q.Service != "" && l.Service != q.Service })
	for _, l := range lines[max(0, len(lines)-q.Tail):] {
		if err := line(l); err != nil {
			return err
		}
	}
	return nil
}

// Accept implements Inbox.
func (w *world) Accept(ctx context.Context, d deployments.Delivery) error {
	if w.to != nil {
		return w.to.Accept(ctx, d)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.inbox = append(w.inbox, d)
	return nil
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// deliveries returns what arrived since the last call, once every webhook was delivered.
func (w *world) deliveries() []deployments.Delivery {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 30*time.Second)
	defer cancel()
	w.must(w.Settled(ctx))
	for _, d := range w.Deliveries() {
		if d.Status != http.StatusAccepted {
			w.t.Fatalf("webhook %s %s was answered %d", d.Event, d.Action, d.Status)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	got := w.inbox
	w.inbox = nil
	return got
}

// open opens a pull request of ana's from a new branch and forgets its webhooks.
func (w *world) open(branch, title string) (number int, sha string) {
	w.t.Helper()
	sha, err := w.Commit(w.t.Context(), githubsim.Change{Repository: "acme/shop", Branch: branch, Author: "ana", Files: map[string]string{"x": branch}})
	w.must(err)
	number, err = w.OpenPullRequest(w.t.Context(), githubsim.PullRequest{Repository: "acme/shop", Head: branch, Title: title, Author: "ana"})
	w.must(err)
	w.deliveries()
	return number, sha
}

// commanded writes a comment and returns the requests that come of it.
func (w *world) commanded(number int, login, body string) []deployments.Request {
	w.t.Helper()
	_, err := w.Comment("acme/shop", number, login, body)
	w.must(err)
	var requests []deployments.Request
	for _, d := range w.deliveries() {
		requests = append(requests, d.Requests...)
	}
	return requests
}

// command writes a comment with one command and returns what the Bot makes of it, and the request as it then is.
func (w *world) command(number int, login, body string) (deployments.Resolution, deployments.Request) {
	w.t.Helper()
	requests := w.commanded(number, login, body)
	if len(requests) != 1 {
		w.t.Fatalf("%q makes the requests %v", body, requests)
	}
	r := requests[0]
	resolution, err := w.bot.Resolve(w.t.Context(), r)
	w.must(err)
	r.State, r.Reply = resolution.State, resolution.Reply
	return resolution, r
}

func (w *world) comments(number int) []githubsim.Comment {
	w.t.Helper()
	all, err := w.Comments("acme/shop", number)
	w.must(err)
	return all
}

// said returns the texts of the Bot's comments.
func (w *world) said(number int) []string {
	w.t.Helper()
	var texts []string
	for _, c := range w.comments(number) {
		if c.Author == "vitrine[bot]" {
			texts = append(texts, c.Body)
		}
	}
	return texts
}

// reactions returns the Bot's reactions to the comment, sorted.
func (w *world) reactions(number int, r deployments.Request) []string {
	w.t.Helper()
	q, err := questionOf(r)
	w.must(err)
	var contents []string
	for _, c := range w.comments(number) {
		for _, reaction := range c.Reactions {
			if c.ID == q.Comment.ID && reaction.Author == "vitrine[bot]" {
				contents = append(contents, reaction.Content)
			}
		}
	}
	slices.Sort(contents)
	return contents
}

func origin(number int) deployments.Origin {
	return deployments.Origin{Repo: "acme/shop", PullRequest: number}
}

func environmentOf(number int) deployments.Environment {
	return showtest.Environment(func(e *deployments.Environment) {
		e.Name, e.Origin = fmt.Sprintf("shop-pr-%d", number), origin(number)
	})
}
