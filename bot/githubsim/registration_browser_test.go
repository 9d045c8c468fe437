package githubsim

import (
	"context"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/google/go-github/v60/github"
)

// A visit is a tab of a browser, of a telephone's size, with what it complains of.
type visit struct {
	t   *testing.T
	ctx context.Context

	mu    sync.Mutex
	wrong []string
}

func browse(t *testing.T) *visit {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a browser")
	}
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatalf("the browser that this test needs is not there: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, chromedp.ExecPath(path), chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.NoFirstRun, chromedp.Flag("disable-background-networking", true), chromedp.UserDataDir(t.TempDir()))
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	v := &visit{t: t, ctx: ctx}
	t.Cleanup(cancel)
	if err := chromedp.Listen(ctx, v.hear); err != nil {
		t.Fatal(err)
	}
	_, err = chromedp.Call(ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
		Width: 360, Height: 740, DeviceScaleFactor: 1, Mobile: true,
	})
	if err == nil {
		_, err = chromedp.Call(ctx, log.Enable, struct{}{})
	}
	if err == nil {
		_, err = chromedp.Call(ctx, network.Enable, network.EnableParams{})
	}
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func (v *visit) hear(event any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch e := event.(type) {
	case *page.EventJavascriptDialogOpening:
		v.wrong = append(v.wrong, "dialog: "+e.Message)
	case *log.EventEntryAdded:
		v.wrong = append(v.wrong, "console: "+e.Entry.Text)
	case *network.EventResponseReceived:
		if e.Response.Status >= 400 {
			v.wrong = append(v.wrong, fmt.Sprintf("%s: %d", e.Response.URL, e.Response.Status))
		}
	}
}

// shows waits for a page by its heading, and returns its text.
func (v *visit) shows(heading string) string {
	v.t.Helper()
	if err := chromedp.Do(v.ctx, chromedp.WaitVisible(fmt.Sprintf("//h1[contains(., '%s')]", heading))); err != nil {
		v.t.Fatalf("the page %q does not come: %v", heading, err)
	}
	seen, err := chromedp.Run(v.ctx, chromedp.Evaluate[struct {
		Wide          int
		Text, Address string
	}](`({Wide: document.documentElement.scrollWidth - document.documentElement.clientWidth, Text: document.body.innerText, Address: location.href})`))
	if err != nil {
		v.t.Fatal(err)
	}
	if seen.Wide > 0 {
		v.t.Errorf("%s is %d pixels too wide for 360", seen.Address, seen.Wide)
	}
	return seen.Text
}

func (v *visit) do(action chromedp.Action[chromedp.Void]) {
	v.t.Helper()
	if err := chromedp.Do(v.ctx, action); err != nil {
		v.t.Fatal(err)
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
	v.do(chromedp.Navigate(n.URL))
	v.shows("Hello")
	v.do(chromedp.Click(chromedp.CSS("button")))
	text := v.shows("Create GitHub App")
	for _, part := range []string{"ana registers it in the account acme", "pull requests write", "issue_comment", "Create GitHub App for acme", "Webhooks go to " + w.hook} {
		if !strings.Contains(text, part) {
			t.Errorf("the page does not say %q:\n%s", part, text)
		}
	}
	v.do(chromedp.Clear(chromedp.CSS("#name")))
	v.do(chromedp.SendKeys(chromedp.CSS("#name"), "Our Previews"))
	v.do(chromedp.Click(chromedp.CSS("button")))
	v.shows("Registered")
	n.mu.Lock()
	app := n.app
	n.mu.Unlock()
	if app.GetSlug() != "our-previews" || app.GetName() != "Our Previews" {
		t.Fatalf("the App is %v", app)
	}
	v.do(chromedp.Click(chromedp.CSS("a")))
	if text := v.shows("Our Previews"); !strings.Contains(text, "Developed by acme") || !strings.Contains(text, "Install on all repositories of") {
		t.Errorf("the App's page says:\n%s", text)
	}
	v.do(chromedp.Click(chromedp.CSS("button")))
	if text := v.shows("Installed"); !strings.Contains(text, fmt.Sprintf("installation_id=%d&setup_action=install", w.InstallationID("acme"))) {
		t.Errorf("it ends with:\n%s", text)
	}
	v.do(chromedp.Navigate(w.url + "/apps/our-previews"))
	if text := v.shows("Our Previews"); !strings.Contains(text, "acme all repositories, 1 at present") || strings.Contains(text, "Install on") {
		t.Errorf("the App's page says:\n%s", text)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.wrong) > 0 {
		t.Errorf("the browser complains: %q", v.wrong)
	}
}
