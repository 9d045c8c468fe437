package githubsim

import (
	"cmp"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// manifestRoutes take forms of other sites: that is how an App's manifest comes. They change nothing; what they show has a form of our own.
var manifestRoutes = []string{"POST /settings/apps/new", "POST /organizations/{org}/settings/apps/new"}

func (s *Server) appRoutes(mux *http.ServeMux) {
	for _, pattern := range manifestRoutes {
		mux.HandleFunc(pattern, s.manifestPage)
	}
	mux.HandleFunc("POST /settings/apps", s.registerForm)
	mux.HandleFunc("POST /organizations/{org}/settings/apps", s.registerForm)
	mux.HandleFunc("GET /apps/{slug}", s.appPage)
	mux.HandleFunc("GET /apps/{slug}/installations/new", s.appPage)
	mux.HandleFunc("POST /apps/{slug}/installations", s.installForm)
}

// A term is a permission with its level.
type term struct{ Name, Level string }

func termsOf(permissions map[string]string) []term {
	var all []term
	for _, name := range slices.Sorted(maps.Keys(permissions)) {
		all = append(all, term{strings.ReplaceAll(name, "_", " "), permissions[name]})
	}
	return all
}

type registerView struct {
	layout
	Action, Account, As, Name, Manifest, State string
	Homepage, Hook                             string
	NameLimit                                  int
	Permissions                                []term
	Events                                     []string
	Problems                                   []string // of the manifest; then there is no form
	Error                                      string   // of the name
}

// registrationOf reads one of the two forms of a registration. It returns false where it has answered.
func (s *Server) registrationOf(w http.ResponseWriter, r *http.Request) (v registerView, m manifest, owner *user, proceed bool) {
	r.Body = http.MaxBytesReader(w, r.Body, bodyLimit)
	if err := r.ParseForm(); err != nil {
		http.Error(w, "This form cannot be read: "+err.Error(), http.StatusBadRequest)
		return v, m, nil, false
	}
	owner, by := s.account(r.PathValue("org"), r.Form.Get("as"))
	if owner == nil {
		s.missingPage(w, r)
		return v, m, nil, false
	}
	m, wrong := parseManifest(r.PostForm.Get("manifest"))
	v = registerView{
		layout: layout{Title: "Create GitHub App"}, Action: "/settings/apps", Account: owner.login, As: by.login, Name: textOf(m.Name),
		Manifest: r.PostForm.Get("manifest"), State: r.Form.Get("state"), Homepage: textOf(m.URL), NameLimit: appNameLimit,
		Permissions: termsOf(withMetadata(m.Permissions)), Events: m.Events, Problems: wrong,
	}
	if m.Hook != nil {
		v.Hook = textOf(m.Hook.URL)
	}
	if r.PathValue("org") != "" {
		v.Action = "/organizations/" + owner.login + "/settings/apps"
	}
	s.mu.Lock()
	there := s.appStays()
	s.mu.Unlock()
	if there {
		v.Problems = append(v.Problems, errAppThere.Error()+".")
	}
	if v.Problems != nil {
		s.show(w, http.StatusUnprocessableEntity, "register", v)
		return v, m, nil, false
	}
	return v, m, owner, true
}

// manifestPage shows what an App would be, and asks for its name.
func (s *Server) manifestPage(w http.ResponseWriter, r *http.Request) {
	if v, m, _, proceed := s.registrationOf(w, r); proceed {
		s.showLeading(w, http.StatusOK, "register", v, originOf(textOf(m.RedirectURL)))
	}
}

// registerForm registers an App, and sends the browser on with the code.
func (s *Server) registerForm(w http.ResponseWriter, r *http.Request) {
	v, m, owner, proceed := s.registrationOf(w, r)
	if !proceed {
		return
	}
	v.Name = strings.TrimSpace(r.PostForm.Get("name"))
	made, err := s.register(m, v.Name, owner)
	if err != nil {
		v.Error = err.Error()
		s.showLeading(w, http.StatusUnprocessableEntity, "register", v, originOf(textOf(m.RedirectURL)))
		return
	}
	more := url.Values{"code": {made.code}}
	if v.State != "" {
		more.Set("state", v.State)
	}
	http.Redirect(w, r, leadTo(cmp.Or(textOf(m.RedirectURL), s.webURL("apps", slugOf(v.Name))), more), http.StatusSeeOther)
}

// originOf returns the origin of an address that parseManifest took, "" for none.
func originOf(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// leadTo returns an address with more in its query.
func leadTo(address string, more url.Values) string {
	u, err := url.Parse(address)
	if err != nil {
		return address // parseManifest took it, so this cannot be
	}
	query := u.Query()
	maps.Copy(query, more)
	u.RawQuery = query.Encode()
	return u.String()
}

type appView struct {
	layout
	Name, Slug, Description, Owner, Homepage string
	Permissions                              []term
	Events                                   []string
	Installed                                []installedView
	Accounts                                 []string // where it can be installed
	State, Error                             string
}

type installedView struct {
	Account      string
	All          bool
	Repositories int
}

func (s *Server) appPage(w http.ResponseWriter, r *http.Request) {
	s.showApp(w, r, http.StatusOK, appView{State: r.URL.Query().Get("state")})
}

func (s *Server) showApp(w http.ResponseWriter, r *http.Request, status int, v appView) {
	s.mu.Lock()
	app := s.app
	for _, i := range s.sortedInstallations() {
		v.Installed = append(v.Installed, installedView{Account: i.account.login, All: i.chosen == nil, Repositories: len(s.held(i))})
	}
	v.Accounts = s.installable()
	s.mu.Unlock()
	if app.ID == 0 || !strings.EqualFold(app.Slug, r.PathValue("slug")) {
		s.missingPage(w, r)
		return
	}
	v.Name, v.Slug, v.Description, v.Owner = cmp.Or(app.Name, app.Slug), app.Slug, app.Description, app.Owner
	v.Homepage, v.Permissions, v.Events = app.Homepage, termsOf(app.Permissions), app.Events
	v.layout = layout{Title: v.Name}
	s.showLeading(w, status, "app", v, originOf(app.SetupURL))
}

// installable returns the accounts that the App can be installed in: its owner's, and where it is public those of others, where it is not
// installed yet. Call it with mu held.
func (s *Server) installable() []string {
	var accounts []string
	for login, u := range s.users {
		if u.kind != "Bot" && s.installations[login] == nil && (s.app.Public || s.app.Owner == "" || strings.EqualFold(s.app.Owner, login)) {
			accounts = append(accounts, u.login)
		}
	}
	slices.Sort(accounts)
	return accounts
}

// installForm installs the App in an account, and sends the browser to where the App is set up.
func (s *Server) installForm(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, bodyLimit)
	if err := r.ParseForm(); err != nil {
		http.Error(w, "This form cannot be read: "+err.Error(), http.StatusBadRequest)
		return
	}
	account, as, state := r.PostForm.Get("account"), r.Form.Get("as"), r.PostForm.Get("state")
	s.mu.Lock()
	app, by := s.app, (*user)(nil)
	if slices.ContainsFunc(s.installable(), func(login string) bool { return strings.EqualFold(login, account) }) {
		by = s.actor(s.users[strings.ToLower(account)], as)
	}
	s.mu.Unlock()
	if app.ID == 0 || !strings.EqualFold(app.Slug, r.PathValue("slug")) {
		s.missingPage(w, r)
		return
	}
	if by == nil {
		s.showApp(w, r, http.StatusUnprocessableEntity, appView{State: state, Error: "The App cannot be installed on " + strconv.Quote(account)})
		return
	}
	if err := s.Install(account, by.login); err != nil {
		s.showApp(w, r, http.StatusUnprocessableEntity, appView{State: state, Error: err.Error()})
		return
	}
	if app.SetupURL == "" {
		http.Redirect(w, r, s.webURL("apps", app.Slug), http.StatusSeeOther)
		return
	}
	more := url.Values{"installation_id": {strconv.FormatInt(s.InstallationID(account), 10)}, "setup_action": {"install"}}
	if state != "" {
		more.Set("state", state)
	}
	http.Redirect(w, r, leadTo(app.SetupURL, more), http.StatusSeeOther)
}
