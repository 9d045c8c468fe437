package web

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/subtle"
	_ "embed"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
)

// SetupPath is where the server is set up in a browser.
const SetupPath = "/setup"

// A Registrar registers this server with the forge. It is called side by side.
type Registrar interface {
	// Form returns where the browser posts the manifest of an App, and the manifest. The account is an organisation, or empty. state comes back with the
	// code. The error is for people.
	Form(name, account, state string) (action, manifest string, err error)
	// Register takes the code that the browser came back with, keeps what the forge gives for it, and returns the App's name and the page where it is
	// installed. The error is for people.
	Register(ctx context.Context, code string) (name, install string, err error)
}

// SetupConfig is what the set-up has to know.
type SetupConfig struct {
	Token     string // who knows it may set the server up
	Name      string // that is suggested for the App
	Hook      string // where webhooks are heard, for people
	Forge     string // the forge's address, where forms may lead
	Registrar Registrar
	Done      func() // is called once, after the page that says so was written
	Log       *slog.Logger
}

var (
	//go:embed setup.html
	setupHTML string
	//go:embed setup.css
	setupCSS  string
	setupPage = template.Must(template.New("setup").Parse(setupHTML))
)

// setupView is what the page shows.
type setupView struct {
	Title, Problem, Step         string
	Path, Token, Name, Account   string
	Action, Manifest, Back, Hook string
	Install                      string
	CSS                          template.CSS
}

// A setup is one server's set-up: a name is asked for, the browser takes the manifest to the forge, and comes back with a code.
type setup struct {
	SetupConfig
	state string // goes with the browser to the forge and back

	mu   sync.Mutex
	done bool
}

// SetupHandler serves [SetupPath] until the App is registered: only to whoever has the token, and to the browser that comes back from the forge with what it
// was sent there with. Everybody else is answered as if there were nothing.
func SetupHandler(c SetupConfig) http.Handler {
	return &setup{SetupConfig: c, state: rand.Text()}
}

func (s *setup) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	s.mu.Lock() // a code counts once
	defer s.mu.Unlock()
	switch {
	case s.done || r.URL.Path != SetupPath || r.Method != http.MethodGet:
		http.NotFound(w, r)
	case q.Has("code") && same(q.Get("state"), s.state):
		s.register(w, r, q.Get("code"))
	case !same(q.Get("token"), s.Token):
		http.NotFound(w, r)
	case q.Has("name"):
		s.confirm(w, q.Get("name"), q.Get("account"))
	default:
		s.ask(w, http.StatusOK, s.Name, "", "")
	}
}

// same compares in a time that tells nothing.
func same(given, want string) bool {
	return subtle.ConstantTimeCompare([]byte(given), []byte(want)) == 1
}

func (s *setup) ask(w http.ResponseWriter, status int, name, account, problem string) {
	s.show(w, status, setupView{
		Title: "Set up Vitrine", Step: "name", Problem: problem, Path: SetupPath, Token: s.Token, Name: name, Account: account,
	})
}

func (s *setup) confirm(w http.ResponseWriter, name, account string) {
	action, manifest, err := s.Registrar.Form(name, account, s.state)
	if err != nil {
		s.ask(w, http.StatusUnprocessableEntity, name, account, err.Error())
		return
	}
	s.show(w, http.StatusOK, setupView{
		Title: "Register the App", Step: "post", Name: name, Account: account, Action: action, Manifest: manifest, Hook: s.Hook,
		Back: SetupPath + "?" + url.Values{"token": {s.Token}}.Encode(),
	})
}

func (s *setup) register(w http.ResponseWriter, r *http.Request, code string) {
	name, install, err := s.Registrar.Register(r.Context(), code)
	if err != nil {
		s.Log.Warn("register the GitHub App", "error", err)
		s.ask(w, http.StatusBadGateway, s.Name, "", fmt.Sprintf("The App could not be taken over: %s. Begin again; where GitHub has made an App already, delete it there first.", err))
		return
	}
	s.done = true
	s.show(w, http.StatusOK, setupView{Title: "The App is registered", Step: "done", Name: name, Install: install})
	s.Done()
}

// show writes the page. Its forms lead to this server and to the forge alone.
func (s *setup) show(w http.ResponseWriter, status int, v setupView) {
	v.CSS = template.CSS(setupCSS)
	var page bytes.Buffer
	if err := setupPage.Execute(&page, v); err != nil {
		s.Log.Error("show the set-up", "error", err)
		http.Error(w, "the page could not be made", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy",
		"default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'; form-action 'self' "+origin(s.Forge))
	w.WriteHeader(status)
	_, _ = page.WriteTo(w) // a browser that has gone away reads nothing
}

// origin returns an address's scheme and host.
func origin(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}
