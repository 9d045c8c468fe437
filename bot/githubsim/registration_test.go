package githubsim

import (
	"crypto/rsa"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bradleyfalzon/ghinstallation/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-github/v60/github"
)

// newBareWorld has no App yet.
func newBareWorld(t *testing.T, conform bool) *world {
	t.Helper()
	return newWorldWith(t, conform, func(string, *rsa.PrivateKey) App { return App{} })
}

// manifest returns a right one, with changes; nil takes a field away.
func (w *world) manifest(changes map[string]any) string {
	w.t.Helper()
	m := map[string]any{
		"name": "Vitrine X", "url": "https://preview.example.com", "description": "Previews", "redirect_url": "http://127.0.0.1:1/setup?step=2",
		"hook_attributes": map[string]any{"url": w.hook, "active": true}, "public": false,
		"default_permissions": map[string]string{"contents": "read", "pull_requests": "write", "issues": "write"},
		"default_events":      []string{"pull_request", "push", "delete", "issue_comment"},
	}
	maps.Copy(m, changes)
	maps.DeleteFunc(m, func(_ string, v any) bool { return v == nil })
	text, err := json.Marshal(m)
	w.ok(err)
	return string(text)
}

// post sends a form as a browser does and returns the status, where the answer leads, and its body.
func (w *world) post(path string, fields url.Values, site string) (int, string, string) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), "POST", w.url+path, strings.NewReader(fields.Encode()))
	w.ok(err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Sec-Fetch-Site", site)
	w.t.Cleanup(http.DefaultTransport.(*http.Transport).CloseIdleConnections)
	res, err := http.DefaultTransport.RoundTrip(req)
	w.ok(err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	w.ok(err)
	return res.StatusCode, res.Header.Get("Location"), string(body)
}

// created presses the button, and returns the code.
func (w *world) created(path, manifest, name string) string {
	w.t.Helper()
	status, to, body := w.post(path, url.Values{"manifest": {manifest}, "name": {name}, "state": {"s&1"}}, "same-origin")
	u, err := url.Parse(to)
	w.ok(err)
	if status != http.StatusSeeOther || u.Query().Get("state") != "s&1" || u.Query().Get("code") == "" {
		w.t.Fatalf("answered %d, leads to %q:\n%s", status, to, body)
	}
	return u.Query().Get("code")
}

const ofAcme = "/organizations/acme/settings/apps"

func TestRegisterAnApp(t *testing.T) {
	w := newBareWorld(t, true)
	ctx := t.Context()
	if w.PrivateKeyPEM() != nil || w.InstallationID("acme") != 0 {
		t.Error("there is an App from the start")
	}
	status, _, page := w.post(ofAcme+"/new?state=s%261", url.Values{"manifest": {w.manifest(nil)}}, "cross-site")
	for _, part := range []string{`value="Vitrine X"`, "Create GitHub App for acme", "pull requests", "issue_comment", `name="state" value="s&amp;1"`, w.hook} {
		if status != http.StatusOK || !strings.Contains(page, part) {
			t.Errorf("answered %d, without %q:\n%s", status, part, page)
		}
	}
	if status := w.get("/apps/vitrine-x"); status != http.StatusNotFound {
		t.Errorf("the App's page answers %d before there is an App", status)
	}
	code := w.created(ofAcme, w.manifest(nil), "  Vitrine  Y ")
	client := w.client(http.DefaultTransport)
	app, res, err := client.Apps.CompleteAppManifest(ctx, code)
	w.ok(err)
	if res.StatusCode != http.StatusCreated || app.GetSlug() != "vitrine-y" || app.GetOwner().GetLogin() != "acme" || app.GetExternalURL() != "https://preview.example.com" ||
		app.GetHTMLURL() != w.url+"/apps/vitrine-y" || app.GetPEM() != string(w.PrivateKeyPEM()) || app.GetWebhookSecret() == "" || app.GetClientID() == "" || app.GetClientSecret() == "" {
		t.Errorf("answered %d with %v", res.StatusCode, app)
	}
	if _, res, err := client.Apps.CompleteAppManifest(ctx, code); err == nil || res.StatusCode != http.StatusNotFound {
		t.Errorf("a code counts twice: %v", err)
	}
	got := w.hooked()
	if len(got) != 1 || got[0].event != "ping" || dig(got[0].payload, "hook", "config", "url") != w.hook || dig(got[0].payload, "hook", "config", "secret") != "********" {
		t.Fatalf("webhooks: %v", got)
	}
	if err := github.ValidateSignature(got[0].header.Get("X-Hub-Signature-256"), got[0].body, []byte(app.GetWebhookSecret())); err != nil {
		t.Error(err)
	}

	transport, err := ghinstallation.NewAppsTransport(http.DefaultTransport, app.GetID(), []byte(app.GetPEM()))
	w.ok(err)
	transport.BaseURL = w.url + apiPrefix
	own := w.client(transport)
	if _, res, err := own.Apps.FindRepositoryInstallation(ctx, "acme", "shop"); err == nil || res.StatusCode != http.StatusNotFound {
		t.Errorf("the repository has an installation before the App is installed: %v", err)
	}
	w.ok(w.CreateRepository(ctx, "acme/more", false, nil))
	if w.InstallationID("acme") != 0 {
		t.Error("a new repository installed the App")
	}
	config, _, err := own.Apps.GetHookConfig(ctx)
	w.ok(err)
	if config.GetURL() != w.hook || config.GetContentType() != "json" || config.GetInsecureSSL() != "0" || config.GetSecret() != "********" {
		t.Errorf("the webhook's configuration is %v", config)
	}

	if status, _, _ := w.post("/apps/vitrine-y/installations", url.Values{"account": {"mallory"}}, "same-origin"); status != http.StatusUnprocessableEntity {
		t.Errorf("an account that is not the owner's is answered %d", status)
	}
	if status, to, _ := w.post("/apps/vitrine-y/installations", url.Values{"account": {"acme"}}, "same-origin"); status != http.StatusSeeOther || to != w.url+"/apps/vitrine-y" {
		t.Errorf("answered %d, leads to %q", status, to)
	}
	w.compareWithRecorded(map[string]string{"installation created": "installation.created.json"})
	for _, name := range []string{"shop", "more"} {
		in, _, err := own.Apps.FindRepositoryInstallation(ctx, "acme", name)
		w.ok(err)
		if in.GetID() != w.InstallationID("acme") || in.GetAppSlug() != "vitrine-y" {
			t.Errorf("the installation of %s is %v", name, in)
		}
	}
	number, _ := w.propose("stock")
	perform := ghinstallation.NewFromAppsTransport(transport, w.InstallationID("acme"))
	comment, _, err := w.client(perform).Issues.CreateComment(ctx, "acme", "shop", number, &github.IssueComment{Body: github.String("hello")})
	w.ok(err)
	if comment.GetUser().GetLogin() != "vitrine-y[bot]" {
		t.Errorf("it comments as %v", comment.GetUser())
	}
	if diff := cmp.Diff([]string{"push", "pull_request opened", "issue_comment created"}, names(w.hooked())); diff != "" {
		t.Error(diff)
	}
}

func TestInvalidManifests(t *testing.T) {
	w := newBareWorld(t, false)
	hook := func(m map[string]any) map[string]any { return map[string]any{"hook_attributes": m} }
	for name, c := range map[string]struct {
		manifest string
		says     string
	}{
		"none":                {"", `"manifest" wasn't supplied`},
		"no JSON":             {"name: x", `"manifest" is not a JSON object`},
		"null":                {"null", `"manifest" is not a JSON object`},
		"no address":          {w.manifest(map[string]any{"url": nil}), `"url" wasn't supplied`},
		"no link":             {w.manifest(map[string]any{"url": "javascript:alert(1)"}), `'properties/url'`},
		"an unknown field":    {w.manifest(map[string]any{"homepage": "x"}), `"homepage" is not a permitted key`},
		"a field's type":      {w.manifest(map[string]any{"public": "yes"}), `'properties/public', a string is not what it takes`},
		"redirect elsewhere":  {w.manifest(map[string]any{"redirect_url": "https://example.com/setup"}), `'properties/redirect_url'`},
		"redirect by name":    {w.manifest(map[string]any{"redirect_url": "http://127.0.0.1.example.com/"}), `'properties/redirect_url'`},
		"redirect by user":    {w.manifest(map[string]any{"redirect_url": "http://127.0.0.1@example.com/"}), `'properties/redirect_url'`},
		"redirect's policy":   {w.manifest(map[string]any{"redirect_url": "http://a;frame-ancestors.localhost/"}), `'properties/redirect_url'`},
		"redirect's scheme":   {w.manifest(map[string]any{"redirect_url": "javascript://localhost/%0aalert(1)"}), `'properties/redirect_url'`},
		"set-up elsewhere":    {w.manifest(map[string]any{"setup_url": "https://example.com/"}), `'properties/setup_url'`},
		"hook elsewhere":      {w.manifest(hook(map[string]any{"url": "https://example.com/hook"})), `'properties/hook_attributes/url'`},
		"hook without one":    {w.manifest(hook(map[string]any{"active": true})), `'properties/hook_attributes', "url" wasn't supplied`},
		"hook's field":        {w.manifest(hook(map[string]any{"url": w.hook, "secret": "x"})), `"secret" is not a permitted key`},
		"a permission":        {w.manifest(map[string]any{"default_permissions": map[string]string{"content": "read"}}), `"content" is not a permitted key`},
		"a level":             {w.manifest(map[string]any{"default_permissions": map[string]string{"contents": "admin"}}), `'properties/default_permissions/contents'`},
		"an event":            {w.manifest(map[string]any{"default_events": []string{"pull_requests"}}), `default events unsupported: pull_requests`},
		"an event's access":   {w.manifest(map[string]any{"default_events": []string{"push", "check_run"}}), `default events unsupported: check_run`},
		"an event of all":     {w.manifest(map[string]any{"default_events": []string{"installation"}}), `default events unsupported: installation`},
		"eleven callbacks":    {w.manifest(map[string]any{"callback_urls": slices.Repeat([]string{"http://a/"}, 11)}), "No more than 10 items"},
		"what is not there":   {w.manifest(map[string]any{"request_oauth_on_install": true}), "'properties/request_oauth_on_install'"},
		"more than one thing": {w.manifest(map[string]any{"url": nil, "homepage": "x"}), `"homepage" is not a permitted key`},
	} {
		for _, path := range []string{ofAcme + "/new", ofAcme} {
			status, _, body := w.post(path, url.Values{"manifest": {c.manifest}, "name": {"x"}}, "same-origin")
			plain := strings.NewReplacer("&#34;", `"`, "&#39;", "'", "&lt;", "<").Replace(body)
			if status != http.StatusUnprocessableEntity || !strings.Contains(plain, c.says) || strings.Contains(body, "<form") {
				t.Errorf("%s: %s answered %d without %q:\n%s", name, path, status, c.says, body)
			}
		}
	}
	if len(w.Deliveries()) != 0 || w.PrivateKeyPEM() != nil {
		t.Error("one of them made an App")
	}
}

func TestOnlyTheFirstFormIsOpenToOthers(t *testing.T) {
	w := newBareWorld(t, false)
	fields := url.Values{"manifest": {w.manifest(nil)}, "name": {"Vitrine X"}, "account": {"acme"}}
	for _, site := range []string{"cross-site", "same-site"} {
		for path, want := range map[string]int{
			ofAcme + "/new": 200, "/settings/apps/new": 200, ofAcme: 403, "/settings/apps": 403, "/apps/vitrine-x/installations": 403,
		} {
			if status, _, _ := w.post(path, fields, site); status != want {
				t.Errorf("%s from %s: answered %d, want %d", path, site, status, want)
			}
		}
	}
}

func TestWhoseAppItIs(t *testing.T) {
	w := newBareWorld(t, false)
	for path, want := range map[string]string{
		"/settings/apps/new":                                   "Create GitHub App for ana",
		"/settings/apps/new?as=ben":                            "Create GitHub App for ben",
		ofAcme + "/new":                                        "ana registers it in the account acme",
		ofAcme + "/new?as=ana":                                 "ana registers it in the account acme",
		ofAcme + "/new?as=ben":                                 "Nothing is at this address",
		"/settings/apps/new?as=nobody":                         "Nothing is at this address",
		"/settings/apps/new?as=acme":                           "Nothing is at this address",
		"/organizations/ana/settings/apps/new":                 "Nothing is at this address",
		"/organizations/nobody/settings/apps/new":              "Nothing is at this address",
		"/organizations/acme/settings/apps/new?as=acme":        "Nothing is at this address",
		"/organizations/%22%3E%3Cscript%3E/settings/apps/new?": "Nothing is at this address",
	} {
		if _, _, body := w.post(path, url.Values{"manifest": {w.manifest(nil)}}, "cross-site"); !strings.Contains(body, want) {
			t.Errorf("%s answered without %q:\n%s", path, want, body)
		}
	}
	w.ok(w.CreateRepository(t.Context(), "ben/site", false, nil))
	if _, _, body := w.post("/settings/apps/new", url.Values{"manifest": {w.manifest(nil)}}, "cross-site"); !strings.Contains(body, "Create GitHub App for ben") {
		t.Errorf("who has a repository is not the one:\n%s", body)
	}
	if err := w.CreateUser("Settings", "x"); err == nil {
		t.Error("an account has the name of an address of GitHub's own")
	}
}

func TestAppNames(t *testing.T) {
	w := newBareWorld(t, false)
	for name, says := range map[string]string{
		"": "name is blank", strings.Repeat("x", 35): "too long", "Витрина": "needs letters", "Mallory": "already taken", "API": "already taken",
	} {
		status, _, body := w.post(ofAcme, url.Values{"manifest": {w.manifest(nil)}, "name": {name}}, "same-origin")
		if status != http.StatusUnprocessableEntity || !strings.Contains(body, says) || !strings.Contains(body, "<form") {
			t.Errorf("%q: answered %d without %q:\n%s", name, status, says, body)
		}
	}
	w.created(ofAcme, w.manifest(nil), "acme")
	if status := w.get("/apps/ACME"); status != http.StatusOK {
		t.Errorf("an App with its owner's name: its page answers %d", status)
	}
}

func TestCodesEnd(t *testing.T) {
	w := newBareWorld(t, true)
	ctx, client := t.Context(), w.client(http.DefaultTransport)
	first := w.created(ofAcme, w.manifest(nil), "Vitrine X")
	if n := len(w.hooked()); n != 1 || len(w.Deliveries()) != 1 {
		t.Errorf("the first App was sent %d webhooks, and has %d deliveries", n, len(w.Deliveries()))
	}
	w.mu.Lock()
	w.clock = func() time.Time { return time.Now().Add(conversionTime) }
	w.mu.Unlock()
	if _, res, err := client.Apps.CompleteAppManifest(ctx, first); err == nil || res.StatusCode != http.StatusNotFound {
		t.Errorf("a code of an hour ago counts: %v", err)
	}
	// Nobody has the first App, so its name is free for another try.
	second := w.created(ofAcme, w.manifest(map[string]any{"hook_attributes": nil}), "Vitrine X")
	if left := w.Deliveries(); len(left) != 0 {
		t.Errorf("the second App has %d deliveries of the first", len(left))
	}
	for _, code := range []string{first, "x", second[:39]} {
		if _, res, err := client.Apps.CompleteAppManifest(ctx, code); err == nil || res.StatusCode != http.StatusNotFound {
			t.Errorf("the code %q counts: %v", code, err)
		}
	}
	app, _, err := client.Apps.CompleteAppManifest(ctx, second)
	w.ok(err)
	if app.WebhookSecret != nil {
		t.Errorf("an App without a webhook has the secret %q", app.GetWebhookSecret())
	}
	w.mu.Lock()
	w.clock = time.Now
	w.mu.Unlock()
	transport, err := ghinstallation.NewAppsTransport(http.DefaultTransport, app.GetID(), []byte(app.GetPEM()))
	w.ok(err)
	transport.BaseURL = w.url + apiPrefix
	if _, res, err := w.client(transport).Apps.GetHookConfig(ctx); err == nil || res.StatusCode != http.StatusNotFound {
		t.Errorf("an App without a webhook has a configuration of one: %v", err)
	}
	if _, _, body := w.post(ofAcme+"/new", url.Values{"manifest": {w.manifest(nil)}}, "cross-site"); !strings.Contains(body, errAppThere.Error()) {
		t.Errorf("a second App is not refused:\n%s", body)
	}
}

func TestAPublicApp(t *testing.T) {
	w := newBareWorld(t, false)
	manifest := w.manifest(map[string]any{"public": true, "setup_url": "http://localhost:1/done?x=y"})
	if status, to, _ := w.post("/settings/apps", url.Values{"manifest": {manifest}, "name": {"Vitrine X"}}, "same-origin"); status != http.StatusSeeOther || strings.Contains(to, "state") || !strings.Contains(to, "/setup?code=") || !strings.Contains(to, "step=2") {
		t.Errorf("answered %d, leads to %q", status, to)
	}
	_, page := w.page("/apps/vitrine-x/installations/new?state=back")
	for _, want := range []string{"<option>acme</option>", "<option>mallory</option>", `name="state" value="back"`} {
		if !strings.Contains(page, want) || strings.Contains(page, "bot]") {
			t.Errorf("the page does not hold %q:\n%s", want, page)
		}
	}
	status, to, _ := w.post("/apps/vitrine-x/installations", url.Values{"account": {"mallory"}, "state": {"back"}}, "same-origin")
	u, err := url.Parse(to)
	w.ok(err)
	want := url.Values{"installation_id": {u.Query().Get("installation_id")}, "setup_action": {"install"}, "state": {"back"}, "x": {"y"}}
	if diff := cmp.Diff(want, u.Query()); diff != "" || status != http.StatusSeeOther || w.InstallationID("mallory") == 0 {
		t.Errorf("answered %d, leads to %q\n%s", status, to, diff)
	}
	for account, as := range map[string]string{"mallory": "", "nobody": "", "acme": "ben", "": ""} {
		if status, _, _ := w.post("/apps/vitrine-x/installations?as="+as, url.Values{"account": {account}}, "same-origin"); status != http.StatusUnprocessableEntity {
			t.Errorf("installing on %q as %q: answered %d, want 422", account, as, status)
		}
	}
}

// TestPermissionsAreGitHubs holds the permissions that a manifest may ask for against GitHub's description.
func TestPermissionsAreGitHubs(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join("..", "..", "..", "shared", "github", "openapi.json"))
	if errors.Is(err, os.ErrNotExist) {
		t.Skipf("GitHub's description is not there: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	var description struct {
		Components struct {
			Schemas struct {
				Permissions struct {
					Properties map[string]struct{ Enum []string }
				} `json:"app-permissions"`
			}
		}
	}
	if err := json.Unmarshal(raw, &description); err != nil {
		t.Fatal(err)
	}
	want, got := map[string][]string{}, map[string][]string{}
	for name, p := range description.Components.Schemas.Permissions.Properties {
		want[name] = p.Enum
	}
	for name := range appPermissions {
		got[name] = appLevels(name)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("permissions (-GitHub's +ours):\n%s", diff)
	}
	for event, name := range furtherEvents {
		if want[name] == nil || eventPermissions[event] != "" {
			t.Errorf("the event %s needs %q", event, name)
		}
	}
}

// FuzzManifest looks for a manifest that is taken and yet leads away from this machine, or breaks the policy that names where it leads.
func FuzzManifest(f *testing.F) {
	for _, address := range []string{"http://127.0.0.1:1/x", "http://[::1]:1/", "http://a.localhost/?b=c", "http://a;b.localhost/", "https://example.com", "//localhost", "http:localhost"} {
		f.Add(address)
	}
	f.Fuzz(func(t *testing.T, address string) {
		text, err := json.Marshal(map[string]any{"url": "http://a", "redirect_url": address, "hook_attributes": map[string]string{"url": address}})
		if err != nil {
			t.Fatal(err)
		}
		m, wrong := parseManifest(string(text))
		if wrong != nil || textOf(m.RedirectURL) == "" {
			return
		}
		to := leadTo(textOf(m.RedirectURL), url.Values{"code": {"x"}})
		req := httptest.NewRequest("GET", to, nil)
		if !isLocal(req.URL.Host) || req.URL.Query().Get("code") != "x" || strings.ContainsAny(originOf(to), "; ,'*\t\n") {
			t.Errorf("%q leads to %q, with the policy's origin %q", address, to, originOf(to))
		}
	})
}
