package githubsim

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"golang.org/x/net/html"

	"vitrine/deployments/web/browsertest"
)

func (w *world) get(path string) int {
	w.t.Helper()
	status, _ := w.page(path)
	return status
}

func (w *world) page(path string) (int, string) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), "GET", w.url+path, nil)
	w.ok(err)
	w.t.Cleanup(http.DefaultTransport.(*http.Transport).CloseIdleConnections)
	res, err := http.DefaultClient.Do(req)
	w.ok(err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	w.ok(err)
	return res.StatusCode, string(body)
}

const hostileBranch = `"><img/src=x/onerror=alert(1)>`

func TestMarkdown(t *testing.T) {
	p, err := newPages()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ in, want, never string }{
		{"### Preview", "<h3>Preview</h3>", ""},
		{"| A | B |\n| --- | :-: |\n| 1 | **2** |", `<td align="center"><strong>2</strong></td>`, ""},
		{"<details><summary>Timeline</summary>\n\nfetch\n</details>", "<details><summary>Timeline</summary>", ""},
		{"<sub>Until 28 Nov</sub>", "<sub>Until 28 Nov</sub>", ""},
		{"<!-- vitrine:marker -->\nhello", "hello", "marker"},
		{"two\nlines", "two<br", ""},
		{"- [x] done", `type="checkbox"`, ""},
		{"```go\nx\n```", `<code class="language-go">x`, ""},
		{"<img src=x onerror=alert(1)>", `<img src="x"`, "onerror"},
		{"<script>alert(1)</script>", "", "script"},
		{"[x](javascript:alert(1))", "x", "javascript"},
		{`<form action="/x"><button>go</button></form>`, "go", "<form"},
		{`<p style="position:fixed" data-live="state">x</p>`, "<p>x</p>", "data-live"},
		{"http://shop-pr-1.preview.localhost:8090", `<a href="http://shop-pr-1.preview.localhost:8090"`, ""},
	} {
		got, err := p.render(c.in)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(got), c.want) || c.never != "" && strings.Contains(string(got), c.never) {
			t.Errorf("%q became %q; want %q and never %q", c.in, got, c.want, c.never)
		}
	}
}

// FuzzRender looks for Markdown that becomes anything but harmless HTML.
func FuzzRender(f *testing.F) {
	p, err := newPages()
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{
		"# x\n<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "[x](javascript:alert(1))", "<a href=\"java\tscript:x\">", "<svg><style><img src=x onerror=1>",
		"| a |\n| - |\n| <b onclick=1> |", "<details open ontoggle=x>", "<http://x\" onmouseover=\"x>",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		out, err := p.render(in)
		if err != nil {
			t.Fatal(err)
		}
		for z := html.NewTokenizer(strings.NewReader(string(out))); z.Next() != html.ErrorToken; {
			token := z.Token()
			if token.Type == html.TextToken {
				continue
			}
			switch token.Data {
			case "script", "style", "iframe", "object", "embed", "form", "button", "link", "meta", "base", "svg", "math", "textarea", "select":
				t.Fatalf("%q became %q with <%s>", in, out, token.Data)
			}
			for _, a := range token.Attr {
				scheme, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(a.Val)), ":")
				link := a.Key == "href" || a.Key == "src" || a.Key == "cite"
				if strings.HasPrefix(a.Key, "on") || a.Key == "style" || strings.HasPrefix(a.Key, "data-") || link && (scheme == "javascript" || scheme == "data") {
					t.Fatalf("%q became %q with %s=%q", in, out, a.Key, a.Val)
				}
			}
		}
	})
}

func TestPages(t *testing.T) {
	w := newWorld(t, false)
	number, sha := w.propose(hostileBranch)
	id, err := w.Comment("acme/shop", number, "ana", "<img src=x onerror=alert(2)> **bold**")
	w.ok(err)
	w.Server.mu.Lock()
	w.react(w.repositories["acme/shop"].comment(id), w.bot(), "eyes")
	w.Server.mu.Unlock()
	_, pull := w.page("/acme/shop/pull/1")
	for _, want := range []string{"Show stock on product page", "<em>asked</em>", "<strong>bold</strong>", sha[:7], "\U0001F440 1", "Close pull request", "<option selected>ana</option>"} {
		if !strings.Contains(pull, want) {
			t.Errorf("the page does not hold %q:\n%s", want, pull)
		}
	}
	for _, path := range []string{"/", "/acme/shop", "/acme/shop.git", "/acme/shop/pull/1"} {
		status, body := w.page(path)
		if status != 200 || strings.Contains(body, "<img") && !strings.Contains(body, `<img src="x">`) || strings.Contains(body, "<img/") || strings.Contains(body, "onerror=alert(2)") {
			t.Errorf("%s answered %d:\n%s", path, status, body)
		}
	}
	for _, path := range []string{"/acme/none", "/acme/shop/pull/9", "/acme/shop/pull/x", "/x", "/a/b/c/d", "/-/none"} {
		if status := w.get(path); status != 404 {
			t.Errorf("%s answered %d, want 404", path, status)
		}
	}
	if status := w.get("/-/..%2fserver.go"); status != 400 {
		t.Errorf("a way out of the assets answered %d, want 400", status)
	}
	if status := w.get("/-/page.js"); status != 200 {
		t.Errorf("the script answered %d", status)
	}
}

func TestForm(t *testing.T) {
	w := newWorld(t, false)
	number, _ := w.propose("stock")
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	send := func(fields url.Values, header map[string]string) int {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), "POST", w.url+"/acme/shop/pull/1", strings.NewReader(fields.Encode()))
		w.ok(err)
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		for name, value := range header {
			req.Header.Set(name, value)
		}
		t.Cleanup(http.DefaultTransport.(*http.Transport).CloseIdleConnections)
		res, err := client.Do(req)
		w.ok(err)
		w.ok(res.Body.Close())
		return res.StatusCode
	}
	fields := func(user, action, body string) url.Values {
		return url.Values{"user": {user}, "action": {action}, "body": {body}}
	}
	for _, c := range []struct {
		name   string
		fields url.Values
		header map[string]string
		status int
	}{
		{"from another site", fields("ana", "comment", "x"), map[string]string{"Sec-Fetch-Site": "cross-site"}, 403},
		{"from a sibling", fields("ana", "close", ""), map[string]string{"Sec-Fetch-Site": "same-site"}, 403},
		{"with another origin", fields("ana", "close", ""), map[string]string{"Origin": "http://elsewhere.localhost"}, 403},
		{"nothing typed", fields("ana", "comment", "  "), nil, 422},
		{"nobody", fields("nobody", "comment", "x"), nil, 422},
		{"nothing chosen", fields("ana", "", ""), nil, 422},
		{"reopening an open one", fields("ana", "reopen", ""), nil, 422},
		{"a comment", fields("ben", "comment", "hello"), map[string]string{"Sec-Fetch-Site": "same-origin"}, 303},
		{"closing with a comment", fields("ana", "close", "enough"), nil, 303},
		{"reopening", fields("ana", "reopen", ""), nil, 303},
	} {
		if got := send(c.fields, c.header); got != c.status {
			t.Errorf("%s: answered %d, want %d", c.name, got, c.status)
		}
	}
	comments, err := w.Comments("acme/shop", number)
	w.ok(err)
	if len(comments) != 2 || comments[0].Author != "ben" || comments[1].Body != "enough" {
		t.Errorf("comments: %+v", comments)
	}
	if p, err := w.PullRequest("acme/shop", number); err != nil || !p.Open {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestPageInABrowser(t *testing.T) {
	w := newWorld(t, false)
	number, _ := w.propose(hostileBranch)
	v := browse(t)
	v.Visit(w.url + "/acme/shop/pull/1")
	v.comes("textarea")
	v.Do("write", chromedp.SendKeys(chromedp.CSS("textarea"), "half a thought"))
	v.fits()
	// What somebody else writes comes by itself, and leaves the box alone.
	_, err := w.Comment("acme/shop", number, "ben", "<details><summary>More</summary>from elsewhere</details>\n<img src=x onerror=\"document.title='alerted'\">")
	w.ok(err)
	v.comes("details summary")
	typed, title := browsertest.Run(v.Tab, "read the box", chromedp.Value(chromedp.CSS("textarea"))), browsertest.Run(v.Tab, "read the title", chromedp.Title())
	if typed != "half a thought" || title == "alerted" {
		t.Errorf("the box held %q, the title was %q", typed, title)
	}
	v.press("button[value=comment]")
	v.Do("wait for the comment", chromedp.WaitVisible("//article[contains(., 'half a thought')]"))
	v.press("button[value=close]")
	v.comes("button[value=reopen]")
	if p, err := w.PullRequest("acme/shop", number); err != nil || p.Open {
		t.Errorf("%+v, %v", p, err)
	}
	comments, err := w.Comments("acme/shop", number)
	w.ok(err)
	if len(comments) != 2 || comments[1].Author != "ana" {
		t.Errorf("comments: %+v", comments)
	}
}
