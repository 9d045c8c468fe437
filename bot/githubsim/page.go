package githubsim

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/microcosm-cc/bluemonday"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/renderer/html"
)

const (
	commitsOnPage = 100
	// pagePolicy lets a page load nothing but its own style and script, whatever a comment holds.
	pagePolicy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; " +
		"frame-ancestors 'none'; base-uri 'none'"
)

//go:embed templates/*.html
var templateFiles embed.FS

//go:embed assets
var assetFiles embed.FS

// pages shows people what the Server holds.
type pages struct {
	templates map[string]*template.Template
	markdown  goldmark.Markdown
	sanitizer *bluemonday.Policy
}

func newPages() (*pages, error) {
	p := &pages{
		templates: map[string]*template.Template{},
		// Comments keep their line breaks, and may hold HTML, which is sanitised afterwards.
		markdown: goldmark.New(
			goldmark.WithExtensions(extension.NewTable(extension.WithTableCellAlignMethod(extension.TableCellAlignAttribute)),
				extension.Strikethrough, extension.Linkify, extension.TaskList),
			goldmark.WithRendererOptions(html.WithUnsafe(), html.WithHardWraps()),
		),
		sanitizer: bluemonday.UGCPolicy(),
	}
	p.sanitizer.AllowElements("kbd", "details", "summary", "sub", "sup")
	p.sanitizer.AllowAttrs("class").Matching(regexp.MustCompile(`^language-[\w+-]+$`)).OnElements("code")
	p.sanitizer.AllowAttrs("type").Matching(regexp.MustCompile(`^checkbox$`)).OnElements("input")
	p.sanitizer.AllowAttrs("checked", "disabled").OnElements("input")
	for _, name := range []string{"index", "repository", "pull", "missing", "register", "app"} {
		t, err := template.ParseFS(templateFiles, "templates/layout.html", "templates/"+name+".html")
		if err != nil {
			return nil, fmt.Errorf("parse the simulator's pages: %w", err)
		}
		p.templates[name] = t
	}
	return p, nil
}

// render turns Markdown into HTML that is safe to show.
func (p *pages) render(markdown string) (template.HTML, error) {
	var out bytes.Buffer
	if err := p.markdown.Convert([]byte(markdown), &out); err != nil {
		return "", fmt.Errorf("render Markdown: %w", err)
	}
	return template.HTML(p.sanitizer.Sanitize(out.String())), nil
}

func (s *Server) webRoutes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.indexPage)
	mux.HandleFunc("GET /{owner}/{repo}", s.repositoryPage)
	mux.HandleFunc("GET /{owner}/{repo}/pull/{number}", s.pullPage)
	mux.HandleFunc("POST /{owner}/{repo}/pull/{number}", s.pullForm)
	mux.HandleFunc("POST /{owner}/{repo}/pull/{number}/checks/{check}", s.checkForm)
	mux.HandleFunc("GET /{owner}/{repo}/pull/{number}/checks/{run}", s.runPage) // a page that says what went wrong with a button looks here
	mux.HandleFunc("GET /{owner}/{repo}/runs/{run}", s.runPage)
	s.appRoutes(mux)
	mux.HandleFunc("GET /{owner}/{repo}/info/refs", s.serveGit(""))
	mux.HandleFunc("POST /{owner}/{repo}/git-upload-pack", s.serveGit("git-upload-pack"))
	mux.HandleFunc("POST /{owner}/{repo}/git-receive-pack", s.serveGit("git-receive-pack"))
	mux.HandleFunc("GET /-/{file}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-cache")
		http.ServeFileFS(w, r, assetFiles, "assets/"+r.PathValue("file"))
	})
	mux.HandleFunc("/", s.missingPage)
	return mux
}

func (s *Server) show(w http.ResponseWriter, status int, name string, page any) {
	s.showLeading(w, status, name, page, "")
}

// showLeading shows a page whose form may lead on to one more origin, as browsers hold form-action against redirects, too.
func (s *Server) showLeading(w http.ResponseWriter, status int, name string, page any, origin string) {
	var out bytes.Buffer
	if err := s.pages.templates[name].ExecuteTemplate(&out, "layout.html", page); err != nil {
		s.log.Error("render a page", "page", name, "error", err)
		http.Error(w, "This page cannot be shown; the log says why.", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", strings.Replace(pagePolicy, "form-action 'self'", strings.TrimSpace("form-action 'self' "+origin), 1))
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	s.write(w, out.Bytes())
}

func (s *Server) missingPage(w http.ResponseWriter, _ *http.Request) {
	s.show(w, http.StatusNotFound, "missing", layout{Title: "Not found"})
}

// layout is what every page has.
type layout struct {
	Title string
	Live  bool // the page brings itself up to date
}

type pullLine struct {
	Repository, State, Title, Author string
	Number                           int
}

type repositoryView struct {
	layout
	Name, CloneURL string
	Private        bool
	Archived       bool
	Fork           string // of what
	Branches       []string
	Pulls          []pullLine // newest first
}

// describeRepository is called with mu held.
func (s *Server) describeRepository(r *repository) repositoryView {
	v := repositoryView{layout: layout{Title: r.fullName()}, Name: r.fullName(), CloneURL: s.webURL(r.fullName()) + ".git", Private: r.private, Archived: r.archived}
	if source := r.source(); source != nil {
		v.Fork = source.fullName()
	}
	for ref := range r.refs {
		if branch, ok := strings.CutPrefix(ref, branchPrefix); ok {
			v.Branches = append(v.Branches, branch)
		}
	}
	slices.Sort(v.Branches)
	for _, p := range slices.Backward(r.pulls) {
		v.Pulls = append(v.Pulls, pullLine{Repository: r.fullName(), Number: p.number, State: p.state(), Title: p.title, Author: p.author.login})
	}
	return v
}

func (p *pull) state() string {
	switch {
	case p.mergeSHA != "":
		return "merged"
	case !p.open:
		return "closed"
	case p.draft:
		return "draft"
	default:
		return "open"
	}
}

func (s *Server) indexPage(w http.ResponseWriter, _ *http.Request) {
	page := struct {
		layout
		Repositories []repositoryView
	}{layout: layout{Title: "Repositories"}}
	s.mu.Lock()
	for _, r := range s.repositories {
		page.Repositories = append(page.Repositories, s.describeRepository(r))
	}
	s.mu.Unlock()
	slices.SortFunc(page.Repositories, func(a, b repositoryView) int { return strings.Compare(a.Name, b.Name) })
	s.show(w, http.StatusOK, "index", page)
}

func (s *Server) repositoryPage(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("owner") + "/" + strings.TrimSuffix(r.PathValue("repo"), ".git")
	repo, err := s.repository(name)
	if err != nil {
		if !s.redirect(w, r, name) {
			s.missingPage(w, r)
		}
		return
	}
	s.mu.Lock()
	page := s.describeRepository(repo)
	s.mu.Unlock()
	s.show(w, http.StatusOK, "repository", page)
}

type commentView struct {
	ID            int64
	Author        string
	Bot, Edited   bool
	At            time.Time
	HTML          template.HTML
	ReactionViews []reactionView
}

type reactionView struct {
	Sign, Name string
	Who        []string
}

type pullView struct {
	layout
	Repository, Name, State, Author, Head, Base string
	Number                                      int
	Open, CanReopen, Fork                       bool
	Labels                                      []string
	Checks                                      []checkView
	Deployments                                 []deploymentView
	Conversation                                []commentView // the pull request's own text first
	Commits                                     []gitCommit
	Users                                       []string
	As, Text, Error, CheckError                 string // what was chosen and typed, where the form comes back
}

func (s *Server) pullPage(w http.ResponseWriter, r *http.Request) {
	s.showPull(w, r, http.StatusOK, pullView{As: r.URL.Query().Get("as")})
}

// showPull fills in the page and shows it.
func (s *Server) showPull(w http.ResponseWriter, r *http.Request, status int, v pullView) {
	number, err := strconv.Atoi(r.PathValue("number"))
	if err != nil {
		s.missingPage(w, r)
		return
	}
	name := r.PathValue("owner") + "/" + r.PathValue("repo")
	p, err := s.pull(name, number)
	if err != nil {
		if !s.redirect(w, r, name) {
			s.missingPage(w, r)
		}
		return
	}
	s.mu.Lock()
	v.Repository, v.Name, v.State, v.Author, v.Number = p.base.fullName(), p.title, p.state(), p.author.login, p.number
	v.layout = layout{Title: fmt.Sprintf("%s #%d in %s", p.title, p.number, p.base.fullName()), Live: true}
	v.Head, v.Base, v.Open, v.CanReopen = p.headRef, p.baseRef, p.open, !p.open && p.mergeSHA == ""
	if v.Fork = p.head != p.base; p.head.deleted {
		v.Head = "unknown repository"
	} else if v.Fork {
		v.Head = p.head.owner().login + ":" + p.headRef
	}
	for _, l := range p.labels {
		v.Labels = append(v.Labels, l.name)
	}
	for _, u := range s.users {
		if u.kind == "User" {
			v.Users = append(v.Users, u.login)
		}
	}
	if v.As == "" {
		v.As = p.author.login
	}
	texts := []Comment{{Author: p.author.login, Body: p.body, CreatedAt: p.createdAt, UpdatedAt: p.createdAt}}
	for _, c := range p.comments {
		texts = append(texts, c.export())
	}
	var runs []CheckRun
	for _, c := range p.base.latestChecks(p.headSHA) {
		runs = append(runs, c.export())
	}
	mayPress := p.base.mayPush(v.As)
	revisions := []string{p.headSHA, "^" + p.baseSHA}
	s.mu.Unlock()
	slices.Sort(v.Users)
	v.Conversation, err = s.converse(texts)
	if err == nil {
		v.Checks, err = s.viewChecks(runs, mayPress)
	}
	if err == nil {
		v.Commits, err = s.git.log(r.Context(), p.base.dir, commitsOnPage, revisions...)
	}
	if err != nil {
		s.log.Error("show a pull request", "repository", v.Repository, "number", number, "error", err)
		http.Error(w, "This page cannot be shown; the log says why.", http.StatusInternalServerError)
		return
	}
	slices.Reverse(v.Commits)
	s.mu.Lock()
	v.Deployments = viewDeployments(p.ofPull(p.base.deployments, v.Commits))
	s.mu.Unlock()
	s.show(w, status, "pull", v)
}

func (s *Server) converse(texts []Comment) ([]commentView, error) {
	signs := map[string]string{
		"+1": "\U0001F44D", "-1": "\U0001F44E", "laugh": "\U0001F604", "hooray": "\U0001F389", "confused": "\U0001F615", "heart": "\u2764\uFE0F",
		"rocket": "\U0001F680", "eyes": "\U0001F440",
	}
	var views []commentView
	s.mu.Lock()
	bot := s.botLogin()
	s.mu.Unlock()
	for _, c := range texts {
		rendered, err := s.pages.render(c.Body)
		if err != nil {
			return nil, err
		}
		v := commentView{ID: c.ID, Author: c.Author, Bot: c.Author == bot, Edited: c.UpdatedAt.After(c.CreatedAt), At: c.CreatedAt, HTML: rendered}
		for _, content := range reactionContents {
			var who []string
			for _, r := range c.Reactions {
				if r.Content == content {
					who = append(who, r.Author)
				}
			}
			if who != nil {
				v.ReactionViews = append(v.ReactionViews, reactionView{Sign: signs[content], Name: content, Who: who})
			}
		}
		views = append(views, v)
	}
	return views, nil
}

// pullForm takes what the box below a pull request sends: a comment, and perhaps the wish to close or reopen it.
func (s *Server) pullForm(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, bodyLimit)
	if err := r.ParseForm(); err != nil {
		http.Error(w, "This form cannot be read: "+err.Error(), http.StatusBadRequest)
		return
	}
	repo, as, action := r.PathValue("owner")+"/"+r.PathValue("repo"), r.PostForm.Get("user"), r.PostForm.Get("action")
	text := strings.TrimSpace(r.PostForm.Get("body"))
	number, err := strconv.Atoi(r.PathValue("number"))
	if err != nil {
		s.missingPage(w, r)
		return
	}
	if text != "" || action == "comment" {
		_, err = s.Comment(repo, number, as, text)
	}
	if err == nil {
		switch action {
		case "comment":
		case "close":
			err = s.ClosePullRequest(repo, number, as)
		case "reopen":
			err = s.ReopenPullRequest(r.Context(), repo, number, as)
		default:
			err = errors.New("there is nothing chosen to be done")
		}
	}
	if err != nil {
		s.showPull(w, r, http.StatusUnprocessableEntity, pullView{As: as, Text: text, Error: err.Error()})
		return
	}
	query := "?as=" + template.URLQueryEscaper(as)
	http.Redirect(w, r, s.webURL(repo, "pull", strconv.Itoa(number))+query+"#comment-box", http.StatusSeeOther)
}
