package proxy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"unicode"

	"vitrine/deployments"
)

const browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"

func (h *house) says(state deployments.HostState) {
	h.state = func(label string) (deployments.HostState, error) {
		if label != "shop" {
			return deployments.HostState{}, deployments.ErrNotFound
		}
		return state, nil
	}
}

func TestTheLobbyAnswers(t *testing.T) {
	h := open(t)
	h.route("shop")
	for _, c := range []struct {
		status deployments.HostStatus
		detail string
		code   int
		retry  string
		line   string
	}{
		{deployments.HostBuilding, "building, step 6 of 11", 503, "2", "This preview is being built: building, step 6 of 11"},
		{deployments.HostWaiting, "third in the queue", 503, "5", "This preview is waiting to be built: third in the queue"},
		{deployments.HostReady, "", 503, "1", "This preview is about to open"},
		{deployments.HostFailed, "RUN npm ci exited 1\nafter 8.1 s", 503, "30", "This preview could not be built or started: RUN npm ci exited 1 after 8.1 s"},
		{deployments.HostExpired, "pull request closed", 410, "", "This preview was removed: pull request closed"},
		{deployments.HostUnknown, "a secret", 404, "", "There is nothing at this address"},
		{"something new", "a secret", 404, "", "There is nothing at this address"},
	} {
		t.Run(string(c.status), func(t *testing.T) {
			h.says(deployments.HostState{Status: c.status, Name: "hidden-name", Detail: c.detail})
			for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost} {
				for _, accept := range []string{"", "*/*", browser} {
					r := h.request(method, "shop", "/some/path", nil)
					r.Header.Set("Accept", accept)
					res, body := h.do(r)
					if res.StatusCode != c.code || res.Header.Get("Retry-After") != c.retry {
						t.Errorf("%s for %q: %d, Retry-After %q", method, accept, res.StatusCode, res.Header.Get("Retry-After"))
					}
					for name, want := range map[string]string{"Cache-Control": "no-store", "X-Robots-Tag": "noindex", "Vary": "Accept", "X-Content-Type-Options": "nosniff"} {
						if got := res.Header.Get(name); got != want {
							t.Errorf("%s for %q: %s is %q", method, accept, name, got)
						}
					}
					html := accept == browser
					if kind := res.Header.Get("Content-Type"); strings.HasPrefix(kind, "text/html") != html {
						t.Errorf("%s for %q: a %s", method, accept, kind)
					}
					switch {
					case method == http.MethodHead:
						if body != "" || res.ContentLength <= 0 {
							t.Errorf("HEAD for %q: %q, length %d", accept, body, res.ContentLength)
						}
					case html:
						if refresh := strings.Contains(body, fmt.Sprintf(`http-equiv="refresh" content="%s"`, c.retry)); refresh != (c.retry != "") {
							t.Errorf("%s: the page reloads: %v\n%s", method, refresh, body)
						}
						if strings.Contains(body, "hidden-name") || strings.Contains(body, "a secret") || strings.Contains(body, "<script") {
							t.Errorf("%s: the page says too much:\n%s", method, body)
						}
					case body != c.line+"\n":
						t.Errorf("%s for %q: %q, want %q", method, accept, body, c.line)
					}
				}
			}
		})
	}
}

// Hosts that nobody knows look alike, whether their label is taken elsewhere, malformed, or outside the domain.
func TestUnknownHostsLookAlike(t *testing.T) {
	h := open(t)
	h.says(deployments.HostState{Status: deployments.HostBuilding})
	_, want := h.get("nobody")
	for _, host := range []string{"a.b." + domain, "--." + domain, "x" + domain, "shop.example.test", domain, "127.0.0.1", "x.shop." + domain} {
		if res, body := h.get(host); res.StatusCode != http.StatusNotFound || body != want {
			t.Errorf("%s: %d %q", host, res.StatusCode, body)
		}
	}
	if res, _ := h.get("shop"); res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("the known host: %d", res.StatusCode)
	}
}

func TestAStateThatCannotBeReadIsNotShown(t *testing.T) {
	h := open(t)
	h.route("shop")
	h.state = func(string) (deployments.HostState, error) {
		return deployments.HostState{}, errors.New("disk /secret is full")
	}
	if res, body := h.get("shop"); res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" || strings.Contains(body, "secret") {
		t.Errorf("%d %q", res.StatusCode, body)
	}
}

func TestTheLobbyEscapes(t *testing.T) {
	h := open(t)
	h.says(deployments.HostState{Status: deployments.HostFailed, Detail: `</p><script>alert(1)</script><img src=x onerror="alert(2)">`})
	r := h.request(http.MethodGet, "shop", `/"><script>alert(3)</script>`, nil)
	r.Header.Set("Accept", browser)
	_, body := h.do(r)
	if strings.Contains(body, "<script") || strings.Contains(body, "<img") || !strings.Contains(body, "&lt;script&gt;alert(1)") {
		t.Errorf("the page is\n%s", body)
	}
}

func TestWantsHTML(t *testing.T) {
	for accept, want := range map[string]bool{
		browser: true, "text/html": true, "TEXT/HTML; charset=utf-8": true, "application/xhtml+xml": true, "application/json, text/html;q=0.1": true,
		"": false, "*/*": false, "text/*": false, "application/json": false, "text/html;q=0": false, "text/html;q=x": false, ",;,": false, "text/htmlx": false,
	} {
		if got := wantsHTML(http.Header{"Accept": {accept}}); got != want {
			t.Errorf("%q: %v", accept, got)
		}
	}
	if !wantsHTML(http.Header{"Accept": {"application/json", "text/html"}}) {
		t.Error("the second of two Accept headers does not count")
	}
}

func FuzzPlain(f *testing.F) {
	for _, s := range []string{"", "step 6 of 11", "a\nb\t\x00c", "\u202egnp.exe", "\xff\xfe", strings.Repeat("x", 400), "  é\u0301 "} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := plain(s)
		if strings.ContainsFunc(got, func(r rune) bool { return !unicode.IsGraphic(r) || (unicode.IsSpace(r) && r != ' ') }) {
			t.Errorf("%q became %q", s, got)
		}
		if n := len([]rune(got)); n > maxDetail+3 {
			t.Errorf("%q became %d characters", s, n)
		}
		if plain(got) != got && len([]rune(got)) <= maxDetail {
			t.Errorf("%q changes once more", got)
		}
	})
}

// Whatever Host and Accept a stranger sends, somebody answers, and no page holds a tag of theirs.
func FuzzStrangers(f *testing.F) {
	for _, host := range []string{"shop." + domain, "", ":", "[", "[::1", "*", "*." + domain, "<script>." + domain, ".", strings.Repeat("a.", 500), "shop." + domain + ":99999999"} {
		f.Add(host, browser)
	}
	h := open(f)
	h.says(deployments.HostState{Status: deployments.HostFailed, Detail: "x"})
	f.Fuzz(func(t *testing.T, host, accept string) {
		w := &recorder{header: http.Header{}}
		r := (&http.Request{Method: http.MethodGet, Host: host, Header: http.Header{"Accept": {accept}}}).WithContext(context.Background())
		h.proxy.ServeHTTP(w, r)
		if w.code < 200 || w.code > 599 || strings.Contains(w.body.String(), "<script") {
			t.Errorf("%q: %d\n%s", host, w.code, w.body.String())
		}
	})
}

// A recorder keeps an answer.
type recorder struct {
	header http.Header
	code   int
	body   strings.Builder
}

func (w *recorder) Header() http.Header         { return w.header }
func (w *recorder) WriteHeader(code int)        { w.code = code }
func (w *recorder) Write(p []byte) (int, error) { return w.body.Write(p) }
