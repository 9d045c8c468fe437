// Package githubsim is a GitHub to try things on, in process: accounts and repositories, git over HTTP, the part of the REST API that a preview
// bot uses, signed webhooks, and a web page for each pull request. `vitrine demo` and the tests stand on it.
//
// It keeps its state in memory, and bare git repositories in a folder. It answers with GitHub's status codes and shapes, is as strict as
// GitHub about tokens and permissions (and stricter where it says so, see [App]), and sends webhooks to addresses of this machine only. Anybody
// who can open a page may write a comment there in any account's name, so it must listen on loopback, and refuses requests for other hosts.
package githubsim

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Config says what a Server is made of.
type Config struct {
	// URL is the address that the Server is reached at, "http://127.0.0.1:8091", without a path. Pages and git lie below it, the REST API below
	// /api/v3/, as on a GitHub Enterprise server.
	URL string
	// DataDir is an existing, empty folder for the bare repositories.
	DataDir string
	// App is the one App that is registered. It is installed in the account of every repository that CreateRepository makes. The zero App is
	// none: it is then registered on the pages, by a manifest, and installed there.
	App App
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Log gets what goes wrong with webhooks and git; nil discards it.
	Log *slog.Logger
}

// An App is a GitHub App. Unlike on GitHub, its permissions count for public repositories too, and a request without any token is refused.
type App struct {
	ID            int64
	Slug          string // "vitrine"; it comments as "vitrine[bot]"
	Name          string // for people; empty is the slug
	Description   string
	Homepage      string // empty is the simulator's own address
	Owner         string // the login of the account that it is registered in, which need not be there yet; empty for none
	WebhookURL    string // empty: no webhooks. Only addresses of this machine are delivered to
	WebhookSecret string
	PrivateKey    *rsa.PrivateKey   // nil: a key is made
	Permissions   map[string]string // "issues": "write"; "metadata": "read" is always there
	Events        []string          // what it subscribes to: "pull_request", "push"
	Public        bool              // whether accounts that are not its owner's may install it
	SetupURL      string            // where the browser goes once it is installed; empty for nowhere else
}

// A Server is the simulated GitHub, an http.Handler. Its methods may be called side by side.
type Server struct {
	url          string
	dir          string
	preinstalled bool // repositories are made with the App in their account
	now          func() time.Time
	log          *slog.Logger
	git          git
	api          http.Handler
	web          http.Handler
	pages        *pages
	intercept    atomic.Pointer[func(http.ResponseWriter, *http.Request) bool]
	hooks        hooks
	faults       faults
	requests     requestLog

	// mu guards what follows and what hangs on it. A repository's push lock is taken before it, and no git runs under it.
	mu            sync.Mutex
	app           App             // the zero App while there is none
	key           *rsa.PrivateKey // nil likewise
	registration  *registration   // nil where the App was there from the start
	lastID        int64
	rateLimit     int                      // requests an hour for an installation
	users         map[string]*user         // by lower-case login
	installations map[string]*installation // by lower-case login of the account
	repositories  map[string]*repository   // by lower-case full name
	moved         map[string]*repository   // by a lower-case full name that was theirs
	tokens        map[string]*token
	createdAt     time.Time
}

// New returns a Server whose worker delivers webhooks until Close.
func New(c Config) (*Server, error) {
	u, err := url.Parse(c.URL)
	if err != nil || u.Host == "" || strings.Trim(u.Path, "/") != "" {
		return nil, fmt.Errorf("the simulator's URL %q is not of the form http://host:port", c.URL)
	}
	given := !reflect.ValueOf(c.App).IsZero()
	if given && (c.App.ID <= 0 || !loginPattern.MatchString(c.App.Slug)) {
		return nil, errors.New("the simulator's App needs an id above 0 and a slug of letters, digits and dashes")
	}
	path, err := exec.LookPath("git")
	if err != nil {
		return nil, fmt.Errorf("find git for the simulator's repositories: %w", err)
	}
	dir, err := filepath.Abs(c.DataDir)
	if err != nil {
		return nil, fmt.Errorf("resolve the simulator's folder: %w", err)
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return nil, fmt.Errorf("the simulator's folder %s is not there: %w", dir, errors.Join(err, os.ErrNotExist))
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if given && c.App.PrivateKey == nil {
		if c.App.PrivateKey, err = GenerateKey(); err != nil {
			return nil, err
		}
	}
	s := &Server{
		url: u.Scheme + "://" + u.Host, dir: dir, app: c.App, key: c.App.PrivateKey, now: c.Now, log: c.Log,
		git: newGit(path, dir), preinstalled: given, rateLimit: hourlyLimit, faults: faults{closed: make(chan struct{})},
		users: map[string]*user{}, installations: map[string]*installation{}, repositories: map[string]*repository{},
		moved: map[string]*repository{}, tokens: map[string]*token{},
	}
	s.createdAt = s.time()
	if given {
		s.app.Permissions = withMetadata(c.App.Permissions)
		s.users[strings.ToLower(s.botLogin())] = &user{id: s.nextID(), login: s.botLogin(), kind: "Bot"}
	}
	if s.pages, err = newPages(); err != nil {
		return nil, err
	}
	s.api = s.apiRoutes()
	protection := http.NewCrossOriginProtection()
	for _, pattern := range manifestRoutes {
		protection.AddInsecureBypassPattern(pattern)
	}
	s.web = protection.Handler(s.webRoutes())
	s.hooks.start(s.now, s.log, c.App.WebhookURL, c.App.WebhookSecret, c.App.ID)
	return s, nil
}

// Close stops the delivery of webhooks, the running one included, and returns once the worker has ended; requests that hang end without an
// answer. It may be called twice.
func (s *Server) Close() error {
	s.faults.end()
	s.hooks.stop()
	return nil
}

// ServeHTTP answers for the pages, git and the REST API.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !isLocal(r.Host) && r.Host != strings.SplitN(s.url, "://", 2)[1] {
		http.Error(w, "The simulated GitHub answers under a name of this machine only.", http.StatusMisdirectedRequest)
		return
	}
	if strings.HasPrefix(r.URL.Path, apiPrefix+"/") || isGit(r.URL.Path) {
		w = s.begin(w, r)
	}
	if f := s.intercept.Load(); f != nil && (*f)(w, r) {
		return
	}
	if f := s.faults.meet(r); f != nil && s.letDown(w, r, f) {
		return
	}
	if strings.HasPrefix(r.URL.Path, apiPrefix+"/") {
		s.api.ServeHTTP(w, r)
		return
	}
	s.web.ServeHTTP(w, r)
}

// isLocal reports whether a host names this machine. Any other name in a request means that a foreign site had its name resolved to here, to
// reach forms that need no sign-in.
func isLocal(host string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = strings.Trim(host, "[]")
	}
	if ip := net.ParseIP(name); ip != nil {
		return ip.IsLoopback()
	}
	name = strings.TrimSuffix(strings.ToLower(name), ".")
	return name == "localhost" || strings.HasSuffix(name, ".localhost")
}

// Intercept shows every later request to f first, so that tests can make faults: where f returns true it has answered, or waited and wants
// the Server to do nothing. f is called side by side; nil ends it.
func (s *Server) Intercept(f func(w http.ResponseWriter, r *http.Request) bool) {
	if f == nil {
		s.intercept.Store(nil)
		return
	}
	s.intercept.Store(&f)
}

// SetWebhookURL changes where the webhooks go from now on, as an App's settings do. Those that wait already go there too.
func (s *Server) SetWebhookURL(address string) { s.hooks.setURL(address) }

// GenerateKey makes a key for an App.
func GenerateKey() (*rsa.PrivateKey, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, fmt.Errorf("make the App's key: %w", err)
	}
	return key, nil
}

// PrivateKeyPEM returns the App's private key in the form in which GitHub hands it out (PKCS #1), nil where there is no App.
func (s *Server) PrivateKeyPEM() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keyPEM()
}

func (s *Server) keyPEM() []byte {
	if s.key == nil {
		return nil
	}
	return pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(s.key)})
}

// Settled waits until no webhook waits for its delivery.
func (s *Server) Settled(ctx context.Context) error { return s.hooks.settled(ctx) }

// botLogin is called with mu held, as the next two.
func (s *Server) botLogin() string { return s.app.Slug + "[bot]" }

func (s *Server) bot() *user { return s.users[strings.ToLower(s.botLogin())] }

func (s *Server) nextID() int64 {
	s.lastID++
	return s.lastID
}

// time returns the present time to the second, which is how precise GitHub is.
func (s *Server) time() time.Time { return s.now().UTC().Truncate(time.Second) }

func withMetadata(permissions map[string]string) map[string]string {
	all := map[string]string{"metadata": "read"}
	for name, level := range permissions {
		all[name] = level
	}
	return all
}
