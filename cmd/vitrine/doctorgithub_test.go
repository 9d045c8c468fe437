package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"vitrine/bot"
	"vitrine/bot/githubsim"
	"vitrine/bot/githubsim/conformance"
	"vitrine/cmd/internal/sample"
)

// A visited GitHub is a simulated one that only the doctor speaks with. Webhooks go to a server that answers with a status.
type visited struct {
	*testing.T
	*githubsim.Server
	args   []string
	hook   string
	status atomic.Int32
	web    string
}

func newVisited(t *testing.T) *visited {
	t.Helper()
	v := &visited{T: t}
	v.status.Store(http.StatusAccepted)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(int(v.status.Load())) }))
	t.Cleanup(receiver.Close)
	v.hook = receiver.URL + bot.WebhookPath
	var handler http.Handler
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	t.Cleanup(server.Close)
	v.web = server.URL
	github, err := sample.NewGithub(server.URL, t.TempDir(), v.hook, testSecret)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { github.Close() })
	v.Server, handler = github, conformance.Conform(t, github)
	if err := sample.Cast(t.Context(), github, "none"); err != nil {
		t.Fatal(err)
	}
	v.args = serveArgs(t, "--url="+receiver.URL, "--github-url="+server.URL, "--github-api-url="+server.URL+"/api/v3/", "--firewall=off",
		"--github-private-key-file="+writeFile(t, "app.pem", string(github.PrivateKeyPEM())))
	v.args[0] = "doctor"
	return v
}

// doctor returns the doctor's line on a thing, once every webhook was delivered, and how many things it found wrong.
func (v *visited) doctor(what string, more ...string) (line string, wrong int) {
	v.Helper()
	if err := v.Settled(v.Context()); err != nil {
		v.Fatal(err)
	}
	o := command(v.T, append(v.args[:len(v.args):len(v.args)], more...)...)
	for l := range strings.Lines(o.out) {
		if text, found := strings.CutPrefix(l, fmt.Sprintf("  %-10s ", what)); found {
			line = strings.TrimSpace(text)
		}
	}
	if _, err := fmt.Sscanf(o.err, "vitrine: %d of the checks", &wrong); err != nil {
		v.Fatalf("the doctor says:\n%s%s", o.out, o.err)
	}
	return line, wrong
}

// says checks the doctor's line on a thing: whether it has all the texts, and how many things are wrong beside the engine and what needs it.
func (v *visited) says(what string, wrong int, texts ...string) {
	v.Helper()
	_, always := v.doctor("data", "--github-api-url="+v.web+"/nowhere/") // GitHub itself is wrong there
	line, got := v.doctor(what)
	for _, text := range texts {
		if !strings.Contains(line, text) {
			v.Errorf("of %s the doctor does not say %q: %s", what, text, line)
		}
	}
	if got-(always-1) != wrong {
		v.Errorf("of %s the doctor says %q, and finds %d things wrong, want %d", what, line, got-(always-1), wrong)
	}
}

func (v *visited) rewrite(path, old, new string) {
	v.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/api/v3"+path || r.Header.Get("X-Rewritten") != "" {
			return false
		}
		record := httptest.NewRecorder()
		again := r.Clone(r.Context())
		again.Header.Set("X-Rewritten", "yes")
		v.ServeHTTP(record, again)
		body := strings.Replace(record.Body.String(), old, new, 1)
		if body == record.Body.String() {
			v.Errorf("%s is answered without %s: %s", path, old, body)
		}
		w.Header().Set("Content-Type", record.Header().Get("Content-Type"))
		w.WriteHeader(record.Code)
		fmt.Fprint(w, body)
		return true
	})
}

func TestDoctorKnowsNothingWithoutGithub(t *testing.T) {
	v := newVisited(t)
	for _, what := range []string{"events", "webhook", "deliveries"} {
		if line, _ := v.doctor(what, "--github-api-url="+v.web+"/nowhere/"); line != "not known: see github" {
			t.Errorf("of %s the doctor says %q", what, line)
		}
	}
}

// What GitHub answers to everything but one question is told, and that one is not known, which is not wrong.
func TestDoctorOfAGithubThatDoesNotAnswer(t *testing.T) {
	v := newVisited(t)
	for what, path := range map[string]string{"webhook": "/hook/config", "deliveries": "/hook/deliveries"} {
		taken := v.Fault(githubsim.Fault{Kind: githubsim.ServerError, Path: "/api/v3/app" + path})
		v.says(what, 0, "not known: ", "GitHub answers 500")
		taken()
	}
	// The first question to /app is that of the line before.
	var asked atomic.Int32
	v.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/api/v3/app" || asked.Add(1) == 1 {
			return false
		}
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `{"message":"no","documentation_url":"https://docs.github.com/rest"}`)
		return true
	})
	if line, _ := v.doctor("events"); !strings.HasPrefix(line, "not known: ask for the App's settings: ") {
		t.Errorf("of the events the doctor says %q", line)
	}
}

func TestDoctorOnEvents(t *testing.T) {
	v := newVisited(t)
	v.says("events", 0, "the App is subscribed to all that it needs", "ok")
	v.rewrite("/app", `"push","delete",`, "")
	v.says("events", 1, "wrong: the App is not subscribed to push, delete; subscribe it at "+v.web, "settings/apps/vitrine/permissions")
}

func TestDoctorOnTheWebhook(t *testing.T) {
	v := newVisited(t)
	v.says("webhook", 0, "signed JSON to "+v.hook, "ok")
	for _, test := range []struct {
		old, new string
		texts    []string
	}{
		{`"json"`, `"form"`, []string{"wrong: webhooks are sent as forms; choose the content type application/json at " + v.web}},
		{`"insecure_ssl":"0"`, `"insecure_ssl":1`, []string{"wrong: GitHub does not check the certificate", "enable SSL verification at " + v.web}},
		{`"secret":"********",`, "", []string{"wrong: webhooks are not signed, and refused", "github-webhook-secret at " + v.web}},
		{`"content_type":"json","insecure_ssl":"0","secret":"********"`, `"insecure_ssl":"1"`, []string{"sent as forms", "not signed", "SSL verification"}},
		{v.hook, "", []string{"wrong: GitHub knows no webhook of the App's; make it active at " + v.web, "with the address " + v.hook}},
	} {
		v.rewrite("/app/hook/config", test.old, test.new)
		v.says("webhook", 1, test.texts...)
	}
	v.Intercept(nil)
	v.SetWebhookURL(v.hook + "/old")
	v.says("webhook", 1, "wrong: GitHub sends webhooks to "+v.hook+"/old, and this server hears them at "+v.hook+"; change the address at "+v.web, "--url")
	// Without a url the address is made of the domain and the port.
	v.SetWebhookURL("http://Preview.localhost:8123/webhooks/github")
	if line, _ := v.doctor("webhook", "--url=", "--listen=127.0.0.1:8123"); !strings.HasPrefix(line, "signed JSON to") {
		t.Errorf("of its own address the doctor says %q", line)
	}
}

func TestDoctorOnDeliveries(t *testing.T) {
	v := newVisited(t)
	before := len(v.Deliveries())
	v.Ping()
	v.says("deliveries", 0, fmt.Sprintf("none of the last %d failed", before+1), "ok")
	v.status.Store(http.StatusServiceUnavailable)
	v.Ping()
	if err := v.Settled(t.Context()); err != nil {
		t.Fatal(err)
	}
	all := v.Deliveries()
	failed := all[len(all)-1]
	said := fmt.Sprintf("1 of the last %d failed, the latest (ping) with 503 (Invalid HTTP Response: 503) at %s", before+2, failed.At.Format("2006-01-02 15:04 UTC"))
	v.says("deliveries", 1, "wrong: "+said+"; events that did not arrive since: 1.", v.web, "settings/apps/vitrine/advanced")
	v.status.Store(http.StatusAccepted)
	if err := v.Redeliver(failed.GUID); err != nil {
		t.Fatal(err)
	}
	v.says("deliveries", 0, strings.Replace(said, fmt.Sprint("last ", before+2), fmt.Sprint("last ", before+3), 1)+"; every event arrived in the end", "ok")
}

func TestDoctorOnNoDeliveries(t *testing.T) {
	v := newVisited(t)
	v.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/api/v3/app/hook/deliveries" {
			return false
		}
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		fmt.Fprint(w, "[]")
		return true
	})
	v.says("deliveries", 0, "GitHub lists none", "ok")
}

func TestSameAddress(t *testing.T) {
	for _, test := range []struct {
		a, b string
		same bool
	}{
		{"https://a.test/x", "https://a.test/x", true},
		{"https://A.test:443/x", "HTTPS://a.test/x", true},
		{"http://a.test:80/x", "http://a.test/x", true},
		{"http://[::1]:80/x", "http://[::1]/x", true},
		{"http://a.test:443/x", "http://a.test/x", false},
		{"http://a.test/x", "https://a.test/x", false},
		{"https://a.test/x", "https://a.test/X", false},
		{"https://a.test/x", "https://b.test/x", false},
		{"https://a.test/x", "https://a.test/x?y", false},
		{"https://a.test:8443/x", "https://a.test/x", false},
		{"::", "https://a.test/x", false},
	} {
		if sameAddress(test.a, test.b) != test.same || sameAddress(test.b, test.a) != test.same {
			t.Errorf("%s and %s: want %t", test.a, test.b, test.same)
		}
	}
}
