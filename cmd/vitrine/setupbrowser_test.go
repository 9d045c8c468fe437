package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"vitrine/bot"
	"vitrine/bot/githubsim"
	"vitrine/cmd/internal/sample"
	"vitrine/deployments/web/browsertest"
)

// From a server that has no App to a preview, as the person sees it who sets the server up.
func TestSetUpInABrowser(t *testing.T) {
	t.Parallel() // it waits for most of its time
	w := newWorldOn(t, neighbours{}, func(w *world) (*githubsim.Server, error) {
		return githubsim.New(githubsim.Config{URL: w.web, DataDir: w.TempDir()})
	})
	w.start()
	w.eventually("serve says where to set it up", func() bool { return len(w.setupAddresses()) == 1 })
	address := w.setupAddresses()[0]
	v := browse(t)
	back := v.register(w, address)
	v.install()
	app := w.kept()
	if app.Name != "Our Previews" || app.Slug != "our-previews" || app.PEM != string(w.github.PrivateKeyPEM()) {
		t.Errorf("the App that is kept is %s, %s, and has GitHub's key: %t", app.Name, app.Slug, app.PEM == string(w.github.PrivateKeyPEM()))
	}

	// The set-up is over: neither its token nor the code begins another one.
	v.refused(address)
	v.refused(back)
	if n := w.conversions(); n != 1 {
		t.Errorf("GitHub was asked to take %d codes, want 1", n)
	}
	v.preview(w)
	v.NoComplaints()

	// It has its App also when it starts again, whatever ended it.
	w.kill()
	w.holdSecrets(app)
	w.start()
	v.refused(address)
	if again := w.kept(); again != app || len(w.setupAddresses()) != 1 {
		t.Errorf("after a start it has the App %s (%d), and has printed %q", again.Slug, again.ID, w.setupAddresses())
	}
}

// register goes from the address that serve printed to its App, and returns where GitHub has sent the browser back to.
func (v *visit) register(w *world, address string) (back string) {
	v.Helper()
	v.Visit(address)
	v.shows("Set up Vitrine", "Name of the App", "empty for your own account")
	v.press("Next")
	v.shows("Register the App", "what Vitrine preview.localhost may do", fmt.Sprintf("http://preview.localhost:%d/webhooks/github", w.port))

	// Somebody who lets the person follow a link of theirs gives the server no App, and the person goes on.
	for _, state := range []string{"guessed", ""} {
		v.refused(w.otherCode(browsertest.Eval[string](v.Tab, `document.querySelector("[name=manifest]").value`), state))
		v.Visit(address)
		v.shows("Set up Vitrine")
		v.press("Next")
		v.shows("Register the App")
	}
	if _, there, err := readApp(w.data); there || err != nil || w.conversions() != 0 {
		v.Fatalf("by a code of somebody else's it has an App: %t, %v, and has asked GitHub %d times", there, err, w.conversions())
	}

	v.press("Create the App on GitHub")
	v.shows("Create GitHub App", "acme registers it in the account acme", "pull requests write", "Create GitHub App for acme")
	v.Do("clear the name", chromedp.Clear(chromedp.CSS("#name")))
	v.Do("write the name", chromedp.SendKeys(chromedp.CSS("#name"), "Our Previews"))
	v.press("Create GitHub App for acme")
	v.shows("The App is registered", "The App Our Previews is registered")
	return v.sees().Address
}

// install goes from the page that says that the App is registered to its installation.
func (v *visit) install() {
	v.Helper()
	v.press("Install it on your repositories")
	v.shows("Our Previews", "Developed by acme", "Install on all repositories of")
	v.press("Install")
	v.Do("wait for the installation", chromedp.WaitVisible("//h2[normalize-space() = 'Installed on']"))
	v.shows("Our Previews", "acme all repositories, 1 at present")
}

// preview opens a pull request, and follows its link to the preview.
func (v *visit) preview(w *world) {
	v.Helper()
	sha, err := w.story().openStock(w.Context())
	w.must(err)
	v.Visit(w.web + "/" + sample.Repository + "/pull/1")
	v.Do("wait for the preview", chromedp.WaitVisible("//a[normalize-space() = 'View deployment']"))
	w.settled()
	v.Visit(w.web + "/" + sample.Repository + "/pull/1") // which changes no more
	v.shows("Show stock on product page", "our-previews[bot]", "Preview: ready")
	v.press("View deployment")
	v.shows("Stock: 12", "Commit "+sha)
	if seen, link := v.sees(), w.story().link("shop-pr-1")+"/"; seen.Address != link {
		v.Errorf("the preview is at %s, want %s", seen.Address, link)
	}
}

// setupAddresses returns the addresses that serve has printed for its set-up.
func (w *world) setupAddresses() []string {
	w.Helper()
	text, err := os.ReadFile(w.logs)
	w.must(err)
	return regexp.MustCompile(`http://\S+/setup\?token=\S+`).FindAllString(string(text), -1)
}

// conversions returns how many codes of registrations GitHub was asked to take.
func (w *world) conversions() (n int) {
	for _, r := range w.github.Requests() {
		if strings.HasSuffix(r.Path, "/conversions") {
			n++
		}
	}
	return n
}

// otherCode registers an App of somebody else's by serve's own manifest, and returns where GitHub sends the browser with its code.
func (w *world) otherCode(manifest, state string) string {
	w.Helper()
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	answer, err := client.PostForm(w.web+"/settings/apps", url.Values{"manifest": {manifest}, "name": {"Another App"}, "state": {state}})
	w.must(err)
	defer answer.Body.Close()
	back := answer.Header.Get("Location")
	if answer.StatusCode != http.StatusSeeOther || !strings.Contains(back, "code=") {
		w.Fatalf("GitHub answers %s, and leads to %q", answer.Status, back)
	}
	return back
}

// kept returns the App in the data folder, which has to be there.
func (w *world) kept() bot.App {
	w.Helper()
	app, there, err := readApp(w.data)
	if err != nil || !there {
		w.Fatalf("there is an App in the data folder: %t, %v", there, err)
	}
	return app
}

// holdSecrets checks that the App's secrets are in files that are their owner's alone, app.json at least, and that nothing is said of them. Serve does
// not run meanwhile.
func (w *world) holdSecrets(app bot.App) {
	w.Helper()
	key := strings.Split(app.PEM, "\n")[1] // a line of it, which JSON leaves as it is
	has := func(text []byte) bool {
		return slices.ContainsFunc([]string{key, app.WebhookSecret, app.ClientSecret}, func(secret string) bool { return bytes.Contains(text, []byte(secret)) })
	}
	var found []string
	w.must(filepath.WalkDir(w.data, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil || !has(text) {
			return err
		}
		found = append(found, entry.Name())
		info, err := entry.Info()
		if err == nil && info.Mode().Perm() != 0o600 {
			w.Errorf("%s has the App's secrets and the mode %s", path, info.Mode())
		}
		return err
	}))
	if !slices.Contains(found, appFile) {
		w.Errorf("the App's secrets are in %q, not in %s", found, appFile)
	}
	said, err := os.ReadFile(w.logs)
	w.must(err)
	if has(said) {
		w.Error("serve says the App's secrets")
	}
}
