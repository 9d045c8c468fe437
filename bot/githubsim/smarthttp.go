package githubsim

import (
	"crypto/subtle"
	"log/slog"
	"net/http"
	"net/http/cgi"
	"net/url"
	"path/filepath"
	"strings"
)

// serveGit answers git's smart HTTP for the repository of the path, through git's own http-backend (gitprotocol-http(5)).
func (s *Server) serveGit(service string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		asked := service
		if asked == "" {
			asked = r.URL.Query().Get("service")
		}
		if asked != "git-upload-pack" && asked != "git-receive-pack" {
			http.Error(w, "Please upgrade your git client.", http.StatusForbidden)
			return
		}
		repo, by := s.admitGit(w, r, asked == "git-receive-pack")
		if repo == nil {
			return
		}
		if service == "git-receive-pack" {
			if err := s.receive(r.Context(), repo, by, func() error { s.backend(w, r, repo, service); return nil }); err != nil {
				s.log.Error("follow a push", "repository", repo.fullName(), "error", err)
			}
			return
		}
		path := service
		if path == "" {
			path = "info/refs"
		}
		s.backend(w, r, repo, path)
	}
}

// admitGit returns the repository, and who wants to push; where that is refused it has answered and returns nil.
func (s *Server) admitGit(w http.ResponseWriter, r *http.Request, push bool) (*repository, *user) {
	s.mu.Lock()
	defer s.mu.Unlock()
	repo, moved := s.find(r.PathValue("owner") + "/" + strings.TrimSuffix(r.PathValue("repo"), ".git"))
	login, secret, given := r.BasicAuth()
	if !given && (push || repo == nil || repo.private) {
		unauthorized(w)
		return nil, nil
	}
	var by *user
	see, write := repo != nil && !repo.private, false
	if t := s.token(secret); given && t != nil {
		if t.installation.suspended() {
			unauthorized(w)
			return nil, nil
		}
		by = s.bot()
		see = see || repo != nil && t.reaches(repo) && s.grants(t, "contents:read")
		write = repo != nil && t.reaches(repo) && s.grants(t, "contents:write")
	} else if given {
		by = s.users[strings.ToLower(login)]
		if by == nil || by.password == "" || subtle.ConstantTimeCompare([]byte(by.password), []byte(secret)) != 1 {
			unauthorized(w)
			return nil, nil
		}
		see = see || repo != nil && repo.maySee(by.login)
		write = repo != nil && repo.mayPush(by.login)
	}
	switch {
	case !see:
		http.Error(w, "Repository not found.", http.StatusNotFound)
		return nil, nil
	case moved:
		// Git goes on at the address that the first of its requests was sent to, so the others never come here.
		_, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.RequestURI(), "/"+r.PathValue("owner")+"/"), "/")
		http.Redirect(w, r, s.webURL(repo.fullName())+".git/"+rest, http.StatusMovedPermanently)
		return nil, nil
	case push && write && repo.archived:
		http.Error(w, "This repository was archived so it is read-only.", http.StatusForbidden)
		return nil, nil
	case push && !write:
		http.Error(w, "Permission to "+repo.fullName()+".git denied to "+by.login+".", http.StatusForbidden)
		return nil, nil
	}
	return repo, by
}

func unauthorized(w http.ResponseWriter) {
	w.Header().Set("WWW-Authenticate", `Basic realm="GitHub"`)
	http.Error(w, "Invalid username or password.", http.StatusUnauthorized)
}

func (s *Server) backend(w http.ResponseWriter, r *http.Request, repo *repository, path string) {
	relative, err := filepath.Rel(s.dir, repo.dir)
	if err != nil {
		s.log.Error("find the repository's folder", "repository", repo.fullName(), "error", err)
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	in := r.Clone(r.Context())
	in.URL = &url.URL{Path: "/" + filepath.ToSlash(relative) + "/" + path, RawQuery: r.URL.RawQuery}
	// net/http/cgi refuses chunked bodies, in which git sends big pushes; http-backend reads to the end where it is told no length.
	in.TransferEncoding = nil
	in.Header.Del("Authorization")
	log := slog.NewLogLogger(s.log.Handler(), slog.LevelWarn)
	backend := cgi.Handler{
		Path: s.git.path, Args: []string{"http-backend"}, Dir: s.dir, Logger: log, Stderr: log.Writer(),
		Env: append([]string{"GIT_PROJECT_ROOT=" + s.dir, "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER=git"}, s.git.env...),
	}
	backend.ServeHTTP(w, in)
}
