package main

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path"
	"strings"
	"sync"

	"vitrine/cmd/internal/httpd"
)

// A staticCommand serves a folder in a container: a preview that is nothing but files.
type staticCommand struct {
	Listen string `arg:"" help:"Address to listen on."`
	Dir    string `arg:"" help:"The folder."`
}

// Run serves the folder until ctx is done.
func (c *staticCommand) Run(ctx context.Context, to console) error {
	root, err := os.OpenRoot(c.Dir)
	if err != nil {
		return err
	}
	defer root.Close()
	return httpd.Run(ctx, to.out, c.Listen, newSite(root.FS()))
}

const (
	indexFile   = "index.html"
	missingFile = "404.html"
)

// A site serves files, which do not change meanwhile: a folder as its index.html, if it has one, and what is not there as 404.html. It lists nothing. Names
// that begin with a dot are not there, but for .well-known (RFC 8615).
type site struct {
	files published
	serve http.Handler

	mu   sync.Mutex
	tags map[string]string // by file
}

func newSite(files fs.FS) *site {
	s := &site{files: published{files}, tags: map[string]string{}}
	s.serve = http.FileServerFS(s.files)
	return s
}

// ServeHTTP implements http.Handler.
func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "this is a folder of files: GET and HEAD only", http.StatusMethodNotAllowed)
		return
	}
	// A browser that kept a page asks whether it still is the same, as the next push may change it.
	w.Header().Set("Cache-Control", "no-cache")
	name, ok := s.find(r.URL.Path)
	if !ok {
		s.missing(w, r)
		return
	}
	if kind := kindOf(name); kind != "" {
		w.Header().Set("Content-Type", kind)
	}
	if tag, err := s.tag(name); err == nil {
		w.Header().Set("ETag", tag)
	}
	s.serve.ServeHTTP(w, r)
}

// find returns the file that is served at an URL's path.
func (s *site) find(at string) (name string, ok bool) {
	name = strings.TrimPrefix(path.Clean("/"+at), "/")
	if name == "" {
		name = "."
	}
	info, err := fs.Stat(s.files, name)
	switch {
	case err != nil:
		return "", false
	case info.IsDir():
		return path.Join(name, indexFile), true
	default: // a file is no folder
		return name, !strings.HasSuffix(at, "/")
	}
}

// missing answers for what is not there.
func (s *site) missing(w http.ResponseWriter, r *http.Request) {
	page, err := fs.ReadFile(s.files, missingFile)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(http.StatusNotFound)
	if r.Method != http.MethodHead {
		// Whoever hung up does not want to know.
		_, _ = w.Write(page)
	}
}

// tag returns what tells the file's content from any other, as an entity tag (RFC 9110 §8.8.3). Times do not: each version has been written anew.
func (s *site) tag(name string) (string, error) {
	s.mu.Lock()
	tag, ok := s.tags[name]
	s.mu.Unlock()
	if ok {
		return tag, nil
	}
	file, err := s.files.Open(name)
	if err != nil {
		return "", err
	}
	defer file.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return "", err
	}
	tag = `"` + base64.RawURLEncoding.EncodeToString(sum.Sum(nil)) + `"`
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tags[name] = tag
	return tag, nil
}

// published is what a site shows of a folder.
type published struct{ files fs.FS }

// Open implements fs.FS. Whatever is not shown does not exist.
func (p published) Open(name string) (fs.File, error) {
	missing := &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	if !fs.ValidPath(name) || private(name) {
		return nil, missing
	}
	info, err := fs.Stat(p.files, name)
	if err != nil {
		return nil, missing
	}
	if info.IsDir() {
		info, err = fs.Stat(p.files, path.Join(name, indexFile))
		if err != nil {
			return nil, missing
		}
	}
	if !info.Mode().IsRegular() {
		return nil, missing
	}
	file, err := p.files.Open(name)
	if err != nil && !errors.Is(err, fs.ErrPermission) { // a link that leads out of the folder
		return nil, missing
	}
	return file, err
}

// private reports whether the path is not for visitors.
func private(name string) bool {
	for step := range strings.SplitSeq(name, "/") {
		if strings.HasPrefix(step, ".") && step != "." && step != ".well-known" {
			return true
		}
	}
	return false
}

// kindOf returns the content type of files that Go does not know by their names and that their contents do not give away; else "".
func kindOf(name string) string {
	switch strings.ToLower(path.Ext(name)) {
	case ".txt", ".log":
		return "text/plain; charset=utf-8"
	case ".md":
		return "text/markdown; charset=utf-8"
	case ".csv":
		return "text/csv; charset=utf-8"
	case ".webmanifest":
		return "application/manifest+json"
	case ".map":
		return "application/json"
	case ".ico":
		return "image/x-icon"
	case ".otf":
		return "font/otf"
	case ".ttf":
		return "font/ttf"
	case ".woff":
		return "font/woff"
	case ".woff2":
		return "font/woff2"
	default:
		return ""
	}
}
