package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vitrine/bot/githubsim"
	"vitrine/cmd/internal/sample"
)

// siteOf serves the files from a folder; one with the text "-> x" is a symbolic link.
func siteOf(t *testing.T, files map[string]string) http.Handler {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		at := filepath.Join(dir, "site", name)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		put := func() error { return os.WriteFile(at, []byte(text), 0o644) }
		if to, ok := strings.CutPrefix(text, "-> "); ok {
			put = func() error { return os.Symlink(to, at) }
		}
		if err := put(); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "outside.html"), []byte("outside"), 0o644); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(filepath.Join(dir, "site"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return newSite(root.FS())
}

// ask asks the site, with the headers given as "Name: value".
func ask(site http.Handler, method, path string, headers ...string) (answer *http.Response, body string) {
	request := httptest.NewRequest(method, "http://shop.test/", nil)
	request.URL.Path = path
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		request.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	site.ServeHTTP(w, request)
	return w.Result(), w.Body.String()
}

func TestSite(t *testing.T) {
	site := siteOf(t, map[string]string{
		"index.html": "home", "about/index.html": "about", "css/a.css": "a{}", "a.js": "1", "font.woff2": "w", "app.webmanifest": "{}", "notes.txt": "<b>",
		"page": "<!doctype html><p>", "weird name %.txt": "w", "empty/deep/x.txt": "x", "isdir/index.html/x": "x",
		".env": "SECRET", ".git/config": "SECRET", "docs/.hidden/x": "SECRET", ".well-known/security.txt": "contact",
		"in.html": "-> about/index.html", "out.html": "-> ../outside.html", "absolute.html": "-> /etc/hostname", "outdir": "-> ..", "loop": "-> loop", "dangling": "-> nowhere",
	})
	for path, want := range map[string]struct {
		status int
		kind   string
		body   string
	}{
		"/": {200, "text/html; charset=utf-8", "home"}, "/about/": {200, "text/html; charset=utf-8", "about"}, "//about//": {200, "text/html; charset=utf-8", "about"},
		"/css/a.css": {200, "text/css; charset=utf-8", "a{}"}, "/a.js": {200, "text/javascript; charset=utf-8", "1"}, "/font.woff2": {200, "font/woff2", "w"},
		"/app.webmanifest": {200, "application/manifest+json", "{}"}, "/notes.txt": {200, "text/plain; charset=utf-8", "<b>"},
		"/page": {200, "text/html; charset=utf-8", "<!doctype html><p>"}, "/weird name %.txt": {200, "text/plain; charset=utf-8", "w"},
		"/empty/deep/x.txt": {200, "text/plain; charset=utf-8", "x"}, "/.well-known/security.txt": {200, "text/plain; charset=utf-8", "contact"},
		"/in.html": {200, "text/html; charset=utf-8", "about"},
		"/about":   {301, "", ""}, "/index.html": {301, "", ""},
		"/nothere": {404, "text/plain; charset=utf-8", "404 page not found\n"}, "/empty/": {404, "text/plain; charset=utf-8", "404 page not found\n"},
		"/empty": {404, "text/plain; charset=utf-8", "404 page not found\n"}, "/isdir/": {404, "text/plain; charset=utf-8", "404 page not found\n"},
		"/a.js/": {404, "text/plain; charset=utf-8", "404 page not found\n"}, "/a.js/x": {404, "text/plain; charset=utf-8", "404 page not found\n"},
		"/.env": {404, "text/plain; charset=utf-8", "404 page not found\n"}, "/.git/config": {404, "text/plain; charset=utf-8", "404 page not found\n"},
		"/docs/.hidden/x": {404, "text/plain; charset=utf-8", "404 page not found\n"}, "/.": {301, "", ""},
		"/out.html": {404, "text/plain; charset=utf-8", "404 page not found\n"}, "/absolute.html": {404, "text/plain; charset=utf-8", "404 page not found\n"},
		"/outdir/outside.html": {404, "text/plain; charset=utf-8", "404 page not found\n"}, "/../outside.html": {404, "text/plain; charset=utf-8", "404 page not found\n"},
		"/loop": {404, "text/plain; charset=utf-8", "404 page not found\n"}, "/dangling": {404, "text/plain; charset=utf-8", "404 page not found\n"},
		"/a\x00b": {404, "text/plain; charset=utf-8", "404 page not found\n"},
	} {
		answer, body := ask(site, http.MethodGet, path)
		if answer.StatusCode != want.status || want.status != 301 && (answer.Header.Get("Content-Type") != want.kind || body != want.body) {
			t.Errorf("%q: got %d, %q, %q; want %+v", path, answer.StatusCode, answer.Header.Get("Content-Type"), body, want)
		}
		if strings.Contains(body, "SECRET") || strings.Contains(body, "outside") {
			t.Errorf("%q shows %q", path, body)
		}
	}
	if answer, _ := ask(site, http.MethodPost, "/"); answer.StatusCode != http.StatusMethodNotAllowed || answer.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: %d %v", answer.StatusCode, answer.Header)
	}
	if answer, body := ask(site, http.MethodHead, "/"); answer.StatusCode != 200 || body != "" {
		t.Errorf("HEAD: %d %q", answer.StatusCode, body)
	}
}

// A browser that has a file gets it again only where it is another one now.
func TestSiteAnswersWhetherAFileChanged(t *testing.T) {
	site := siteOf(t, map[string]string{"index.html": "home", "a.txt": "a", "b.txt": "a", "c.txt": "c"})
	tag := func(path string) string {
		t.Helper()
		answer, _ := ask(site, http.MethodGet, path)
		found := answer.Header.Get("ETag")
		if answer.StatusCode != 200 || len(found) < 10 || answer.Header.Get("Cache-Control") != "no-cache" {
			t.Fatalf("%s: %d %v", path, answer.StatusCode, answer.Header)
		}
		return found
	}
	if tag("/a.txt") != tag("/b.txt") || tag("/a.txt") == tag("/c.txt") {
		t.Error("the tag is not that of the content")
	}
	answer, body := ask(site, http.MethodGet, "/", "If-None-Match: "+tag("/"))
	if answer.StatusCode != http.StatusNotModified || body != "" {
		t.Errorf("the same tag: %d %q", answer.StatusCode, body)
	}
	if answer, _ := ask(site, http.MethodGet, "/", "If-None-Match: "+tag("/a.txt")); answer.StatusCode != 200 {
		t.Errorf("another tag: %d", answer.StatusCode)
	}
	answer, _ = ask(site, http.MethodGet, "/a.txt")
	if answer, _ = ask(site, http.MethodGet, "/a.txt", "If-Modified-Since: "+answer.Header.Get("Last-Modified")); answer.StatusCode != http.StatusNotModified {
		t.Errorf("not modified since: %d", answer.StatusCode)
	}
	if answer, body := ask(site, http.MethodGet, "/", "Range: bytes=1-2"); answer.StatusCode != http.StatusPartialContent || body != "om" {
		t.Errorf("a range: %d %q", answer.StatusCode, body)
	}
}

func TestSiteHasAPageForWhatIsMissing(t *testing.T) {
	site := siteOf(t, map[string]string{"index.html": "home", "404.html": "lost", ".secret": "SECRET"})
	for _, path := range []string{"/nothere", "/.secret", "/x/y/"} {
		answer, body := ask(site, http.MethodGet, path)
		if answer.StatusCode != http.StatusNotFound || body != "lost" || answer.Header.Get("Content-Type") != "text/html; charset=utf-8" || answer.Header.Get("ETag") != "" {
			t.Errorf("%s: %d %q %v", path, answer.StatusCode, body, answer.Header)
		}
	}
	if answer, body := ask(site, http.MethodHead, "/nothere"); answer.StatusCode != http.StatusNotFound || body != "" {
		t.Errorf("HEAD: %d %q", answer.StatusCode, body)
	}
}

func TestStaticWithoutAFolder(t *testing.T) {
	command(t, "static", "127.0.0.1:0", filepath.Join(t.TempDir(), "gone")).says(t, exitFailed, "no such file")
	if err := (&staticCommand{Listen: "127.0.0.1:none", Dir: t.TempDir()}).Run(t.Context(), console{io.Discard, io.Discard}); err == nil {
		t.Error("it listens nowhere")
	}
}

// A repository without compose file and Dockerfile is served as it is, or a folder of it; a push shows the next version; and nothing is left in the end, the
// program that serves it included.
func TestAFolderIsServed(t *testing.T) {
	t.Parallel() // it waits for most of its time
	w := newWorld(t, "VITRINE_BUILDS=4")
	w.static = true // serve's own binary is what runs in the container
	w.must(w.github.CreateRepository(t.Context(), inputs, false, map[string]string{"README.md": "# Inputs\n"}))
	w.must(w.github.SetPermission(inputs, sample.Developer, "write"))
	w.start()
	many := map[string]string{"index.html": "<h1>Root</h1>\n", ".htpasswd": "SECRET\n"}
	for i := range 300 {
		many[fmt.Sprintf("pages/%d/%d.html", i%10, i)] = fmt.Sprintf("page %d", i)
	}
	root := fmt.Sprintf("inputs-pr-%d", w.propose("root", many))
	folder := fmt.Sprintf("inputs-pr-%d", w.propose("folder", map[string]string{
		".vitrine.yml": "static: public/\n", "public/index.html": "<h1>Folder</h1>\n", "public/404.html": "lost", "index.html": "<h1>Root</h1>\n",
	}))
	s, ctx := w.story(), w.bounded(2*time.Minute)
	w.must(s.answers(ctx, root, "Root"))
	w.must(s.answers(ctx, folder, "Folder"))
	ask := func(address string) (int, string) {
		t.Helper()
		response, err := s.client.Get(address)
		w.must(err)
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		w.must(err)
		return response.StatusCode, string(body)
	}
	for address, want := range map[string]string{
		s.link(root) + "/pages/9/299.html": "200 page 299", s.link(root) + "/.htpasswd": "404 404 page not found\n", s.link(root) + "/pages/": "404 404 page not found\n",
		s.link(folder) + "/nothere": "404 lost",
	} {
		if status, body := ask(address); fmt.Sprint(status, " ", body) != want {
			t.Errorf("%s answers %d %q, want %q", address, status, body, want)
		}
	}
	_, err := w.github.Commit(ctx, githubsim.Change{
		Repository: inputs, Branch: "folder", Author: sample.Developer, Files: map[string]string{"public/index.html": "<h1>Second</h1>\n"},
	})
	w.must(err)
	w.must(s.answers(ctx, folder, "Second"))
	w.stop()
	b := w.builder()
	defer b.Close()
	if there, err := b.HasImported(ctx, "vitrine-program-"+w.instance()+":current"); there || err != nil {
		t.Errorf("the program is left on the engine: %t, %v", there, err)
	}
}
