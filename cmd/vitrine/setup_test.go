package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"vitrine/cmd/internal/loopback"
)

// A forgeOfCodes is as much of GitHub as a set-up speaks with: it gives an App for each code, once.
type forgeOfCodes struct {
	*httptest.Server
	away  atomic.Bool
	codes chan string
}

func newForgeOfCodes(t *testing.T) *forgeOfCodes {
	f := &forgeOfCodes{codes: make(chan string, 1)}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case code := <-f.codes:
			if r.Method == http.MethodPost && r.URL.Path == "/api/v3/app-manifests/"+code+"/conversions" && !f.away.Load() {
				w.WriteHeader(http.StatusCreated)
				fmt.Fprint(w, `{"id":7,"slug":"vitrine-x","name":"Vitrine X","html_url":"https://github.test/apps/vitrine-x","pem":"the key","webhook_secret":"the secret","client_id":"c","client_secret":"s"}`)
				return
			}
			f.codes <- code
		default:
		}
		if f.away.Load() {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		http.NotFound(w, r)
	}))
	t.Cleanup(f.Close)
	return f
}

// A settingUpTest is a server that waits to be set up.
type settingUpTest struct {
	*testing.T
	s        *settings
	listener *net.TCPListener
	printed  *bytes.Buffer
	ended    chan error
	client   *http.Client
	address  string
}

func startSettingUp(t *testing.T, forge string) *settingUpTest {
	return startSettingUpWith(t, &settings{
		Domain: "preview.localhost", Data: filepath.Join(t.TempDir(), "data"), GithubURL: forge, GithubAPIURL: forge + "/api/v3/",
	})
}

func startSettingUpWith(t *testing.T, s *settings) *settingUpTest {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	up := &settingUpTest{
		T: t, listener: listener.(*net.TCPListener), printed: &bytes.Buffer{}, ended: make(chan error, 1), client: &http.Client{Transport: loopback.Transport()},
		s: s,
	}
	t.Cleanup(up.client.CloseIdleConnections)
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(stop)
	out, in := io.Pipe()
	go func() {
		up.ended <- up.s.setUp(ctx, up.listener, in, slog.New(slog.DiscardHandler))
		in.Close()
	}()
	text := make([]byte, 4096)
	n, err := io.ReadAtLeast(out, text, 50)
	if err != nil {
		t.Fatal(err)
	}
	up.address = regexp.MustCompile(`http\S+token=\S+`).FindString(string(text[:n]))
	if up.address == "" {
		t.Fatalf("it prints %q", text[:n])
	}
	return up
}

// get asks for a page below the set-up's address.
func (u *settingUpTest) get(address string) (int, string) {
	u.Helper()
	answer, err := u.client.Get(address)
	if err != nil {
		u.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		u.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

// state returns what goes to GitHub with the manifest, and the manifest.
func (u *settingUpTest) state(name string) (state string, manifest map[string]any) {
	u.Helper()
	_, page := u.get(u.address + "&" + url.Values{"name": {name}, "account": {"acme"}}.Encode())
	action := regexp.MustCompile(`action="([^"]+)"`).FindStringSubmatch(page)
	value := regexp.MustCompile(`name="manifest" value="([^"]+)"`).FindStringSubmatch(page)
	if action == nil || value == nil {
		u.Fatalf("the page has no form:\n%s", page)
	}
	to, err := url.Parse(html.UnescapeString(action[1]))
	if err != nil || to.Path != "/organizations/acme/settings/apps/new" || !strings.HasPrefix(to.String(), u.s.GithubURL) {
		u.Fatalf("the form leads to %s (%v)", to, err)
	}
	if err := json.Unmarshal([]byte(html.UnescapeString(value[1])), &manifest); err != nil {
		u.Fatal(err)
	}
	return to.Query().Get("state"), manifest
}

// From an unconfigured server to an App that is kept: the manifest has our own addresses, the code is exchanged once, and the listener goes on.
func TestSetUp(t *testing.T) {
	forge := newForgeOfCodes(t)
	u := startSettingUp(t, forge.URL)
	base := strings.SplitN(u.address, "?", 2)[0]
	for _, stranger := range []string{base, base + "?token=wrong", base + "?code=x&state=wrong", base + "?code=x&state="} {
		if status, text := u.get(stranger); status != http.StatusNotFound || strings.Contains(text, "Vitrine") {
			t.Errorf("%s answers %d: %s", stranger, status, text)
		}
	}
	if status, page := u.get(u.address); status != http.StatusOK || !strings.Contains(page, `value="Vitrine preview.localhost"`) {
		t.Fatalf("the page answers %d:\n%s", status, page)
	}
	if status, page := u.get(u.address + "&name=%3Cscript%3E"); status != http.StatusUnprocessableEntity || !strings.Contains(page, "is no name for a GitHub App") || strings.Contains(page, "<script>") {
		t.Errorf("a bad name answers %d:\n%s", status, page)
	}
	state, manifest := u.state("Vitrine X")
	own := strings.TrimSuffix(base, "/setup")
	hook := manifest["hook_attributes"].(map[string]any)
	if manifest["name"] != "Vitrine X" || manifest["redirect_url"] != base || manifest["url"] != own || hook["url"] != own+"/webhooks/github" || manifest["public"] != false {
		t.Errorf("the manifest is %v", manifest)
	}
	if status, _ := u.get(own + "/webhooks/github"); status != http.StatusServiceUnavailable {
		t.Errorf("a webhook is answered %d", status)
	}

	// GitHub is away, then does not know the code, then takes it.
	back := base + "?" + url.Values{"code": {"abc"}, "state": {state}}.Encode()
	forge.away.Store(true)
	if status, page := u.get(back); status != http.StatusBadGateway || !strings.Contains(page, "could not be taken over") {
		t.Errorf("with GitHub away it answers %d:\n%s", status, page)
	}
	forge.away.Store(false)
	if status, page := u.get(back); status != http.StatusBadGateway || !strings.Contains(page, "does not take the code") {
		t.Errorf("a code of nobody's is answered %d:\n%s", status, page)
	}
	forge.codes <- "abc"
	if status, page := u.get(back); status != http.StatusOK || !strings.Contains(page, `href="https://github.test/apps/vitrine-x/installations/new"`) ||
		!strings.Contains(page, "<strong>Vitrine X</strong> is registered") {
		t.Fatalf("the code is answered %d:\n%s", status, page)
	}
	select {
	case err := <-u.ended:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the set-up does not end")
	}
	key, err := u.s.app()
	if err != nil || string(key) != "the key" || u.s.GithubAppID != 7 || u.s.GithubWebhookSecret != "the secret" {
		t.Errorf("kept are %q, %d, %q, %v", key, u.s.GithubAppID, u.s.GithubWebhookSecret, err)
	}
	if info, err := os.Stat(filepath.Join(u.s.Data, appFile)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v", info, err)
	}

	// The listener is another server's now.
	next := &http.Server{Handler: http.NotFoundHandler(), ReadHeaderTimeout: time.Second}
	served := make(chan error, 1)
	go func() { served <- next.Serve(u.listener) }()
	if status, _ := u.get(u.address); status != http.StatusNotFound {
		t.Errorf("the token is answered %d afterwards", status)
	}
	next.Close()
	<-served
}

// An App that cannot be read is no reason to register another one.
func TestKeptAppIsBroken(t *testing.T) {
	for name, text := range map[string]string{
		"no JSON": "{", "of a newer version": `{"version":2,"id":1,"pem":"x","webhook_secret":"y"}`, "without a key": `{"version":1,"id":1,"webhook_secret":"y"}`,
	} {
		t.Run(name, func(t *testing.T) {
			data := t.TempDir()
			if err := os.WriteFile(filepath.Join(data, appFile), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			command(t, "serve", "--data", data).says(t, exitUsage, "read the GitHub App in "+filepath.Join(data, appFile))
		})
	}
}
