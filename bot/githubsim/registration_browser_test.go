package githubsim

import (
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/google/go-github/v60/github"

	"vitrine/deployments/web/browsertest"
)

// A visit is what a person does in a browser of a telephone's size, and sees.
type visit struct{ *browsertest.Tab }

func browse(t *testing.T) *visit {
	t.Helper()
	v := &visit{browsertest.Open(t)}
	v.Phone()
	return v
}

// shows waits for a page by its heading, and returns its text.
func (v *visit) shows(heading string) string {
	v.Helper()
	v.Do("wait for "+heading, chromedp.WaitVisible(fmt.Sprintf("//h1[contains(., '%s')]", heading)))
	v.fits()
	return browsertest.Eval[string](v.Tab, "document.body.innerText")
}

// fits checks that the page is not wider than the tab.
func (v *visit) fits() {
	v.Helper()
	if wide := browsertest.Eval[int](v.Tab, "document.documentElement.scrollWidth - document.documentElement.clientWidth"); wide > 0 {
		v.Errorf("the page is %d pixels too wide for 360", wide)
	}
}

// press clicks what a CSS selector finds.
func (v *visit) press(selector string) {
	v.Helper()
	v.Do("press "+selector, chromedp.Click(chromedp.CSS(selector)))
}

// comes waits until what a CSS selector finds is there.
func (v *visit) comes(selector string) {
	v.Helper()
	v.Do("wait for "+selector, chromedp.WaitVisible(chromedp.CSS(selector)))
}

// noComplaints checks that nothing went wrong in the tab, and that nothing was refused.
func (v *visit) noComplaints() {
	v.Helper()
	v.NoComplaints()
	if refused := v.Refused(); len(refused) > 0 {
		v.Errorf("the browser was refused %q", refused)
	}
}

// A newcomer is a server that has no App yet: it sends a browser to GitHub with a manifest, and takes it back with a code.
type newcomer struct {
	*httptest.Server
	w *world

	mu  sync.Mutex
	app *github.AppConfig
}

func newNewcomer(w *world) *newcomer {
	n := &newcomer{w: w}
	n.Server = httptest.NewServer(http.HandlerFunc(n.answer))
	w.t.Cleanup(n.Close)
	return n
}

func (n *newcomer) answer(rw http.ResponseWriter, r *http.Request) {
	heading, body := "", ""
	switch r.URL.Path {
	case "/":
		manifest := n.w.manifest(map[string]any{"redirect_url": n.URL + "/setup", "setup_url": n.URL + "/done"})
		heading, body = "Hello", fmt.Sprintf(`<form method="post" action="%s/organizations/acme/settings/apps/new?state=secret"><input type="hidden" name="manifest" value="%s"><button>Register</button></form>`,
			n.w.url, html.EscapeString(manifest))
	case "/setup":
		client := n.w.client(http.DefaultTransport)
		app, _, err := client.Apps.CompleteAppManifest(r.Context(), r.URL.Query().Get("code"))
		if err != nil || r.URL.Query().Get("state") != "secret" {
			n.w.t.Errorf("came back with %s: %v", r.URL.RawQuery, err)
		}
		n.mu.Lock()
		n.app = app
		n.mu.Unlock()
		heading, body = "Registered", fmt.Sprintf(`<a href="%s/installations/new">Go on</a>`, app.GetHTMLURL())
	case "/done":
		heading, body = "Installed", html.EscapeString(r.URL.RawQuery)
	default:
		rw.WriteHeader(http.StatusNoContent) // the tab's icon
		return
	}
	fmt.Fprintf(rw, `<!doctype html><meta name="viewport" content="width=device-width"><title>%[1]s</title><h1>%[1]s</h1>%[2]s`, heading, body)
}

func TestRegistrationInABrowser(t *testing.T) {
	w := newBareWorld(t, true)
	v := browse(t)
	n := newNewcomer(w)
	v.Visit(n.URL)
	v.shows("Hello")
	v.press("button")
	text := v.shows("Create GitHub App")
	for _, part := range []string{"ana registers it in the account acme", "pull requests write", "issue_comment", "Create GitHub App for acme", "Webhooks go to " + w.hook} {
		if !strings.Contains(text, part) {
			t.Errorf("the page does not say %q:\n%s", part, text)
		}
	}
	v.Do("clear the name", chromedp.Clear(chromedp.CSS("#name")))
	v.Do("write", chromedp.SendKeys(chromedp.CSS("#name"), "Our Previews"))
	v.press("button")
	v.shows("Registered")
	n.mu.Lock()
	app := n.app
	n.mu.Unlock()
	if app.GetSlug() != "our-previews" || app.GetName() != "Our Previews" {
		t.Fatalf("the App is %v", app)
	}
	v.press("a")
	if text := v.shows("Our Previews"); !strings.Contains(text, "Developed by acme") || !strings.Contains(text, "Install on all repositories of") {
		t.Errorf("the App's page says:\n%s", text)
	}
	v.press("button")
	if text := v.shows("Installed"); !strings.Contains(text, fmt.Sprintf("installation_id=%d&setup_action=install", w.InstallationID("acme"))) {
		t.Errorf("it ends with:\n%s", text)
	}
	v.Visit(w.url + "/apps/our-previews")
	if text := v.shows("Our Previews"); !strings.Contains(text, "acme all repositories, 1 at present") || strings.Contains(text, "Install on") {
		t.Errorf("the App's page says:\n%s", text)
	}
	v.noComplaints()
}
