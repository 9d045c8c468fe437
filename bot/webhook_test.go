package bot

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"vitrine/bot/internal/show/showtest"
	"vitrine/deployments"
)

const testSecret = "a webhook secret"

// inbox keeps what it accepts, or refuses with err.
type inbox struct {
	accepted []deployments.Delivery
	err      error
}

func (i *inbox) Accept(_ context.Context, d deployments.Delivery) error {
	if i.err == nil {
		i.accepted = append(i.accepted, d)
	}
	return i.err
}

// quietBot is one that talks to nobody.
func quietBot(t testing.TB) *Bot {
	t.Helper()
	b, err := New(Config{
		AppID: 1, PrivateKey: testPEM(t), WebhookSecret: testSecret, TTL: time.Hour, MaxTTL: time.Hour, PreviewURL: showtest.PreviewURL, States: states{},
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func sign(body []byte, secret string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

func TestWebhooks(t *testing.T) {
	const sha = "7c1e0d2f7c1e0d2f7c1e0d2f7c1e0d2f7c1e0d2f"
	opened := `{"action":"opened","number":1,"repository":{"full_name":"acme/shop"},"pull_request":{"state":"open","head":{"ref":"b","sha":"` + sha + `","repo":{"full_name":"acme/shop"}}}}`
	tests := map[string]struct {
		method, body string
		header       map[string]string // over the right ones; an empty one is left out
		refuse       error             // of the inbox
		status       int
		message      string
		accepted     int
	}{
		"accepted":           {body: opened, status: 202, message: "accepted", accepted: 1},
		"not stored":         {body: opened, refuse: errors.New("disk full"), status: 503, message: "could not be stored"},
		"no signature":       {body: opened, header: map[string]string{"X-Hub-Signature-256": ""}, status: 401, message: "X-Hub-Signature-256 header is missing"},
		"wrong secret":       {body: opened, header: map[string]string{"X-Hub-Signature-256": sign([]byte(opened), "guess")}, status: 401, message: "does not fit"},
		"another body's":     {body: opened, header: map[string]string{"X-Hub-Signature-256": sign([]byte(opened+" "), testSecret)}, status: 401, message: "does not fit"},
		"no secret":          {body: opened, header: map[string]string{"X-Hub-Signature-256": sign([]byte(opened), "")}, status: 401, message: "does not fit"},
		"short signature":    {body: opened, header: map[string]string{"X-Hub-Signature-256": "sha256="}, status: 401, message: "does not fit"},
		"no hex":             {body: opened, header: map[string]string{"X-Hub-Signature-256": "sha256=" + strings.Repeat("z", 64)}, status: 401, message: "does not fit"},
		"of SHA-1":           {body: opened, header: map[string]string{"X-Hub-Signature-256": "sha1=" + strings.Repeat("0", 40)}, status: 401, message: "does not fit"},
		"no event":           {body: opened, header: map[string]string{"X-GitHub-Event": ""}, status: 400, message: "X-GitHub-Event"},
		"no delivery":        {body: opened, header: map[string]string{"X-GitHub-Delivery": ""}, status: 400, message: "X-GitHub-Delivery"},
		"a long delivery":    {body: opened, header: map[string]string{"X-GitHub-Delivery": strings.Repeat("x", 1000)}, status: 400, message: "too long"},
		"not JSON":           {body: "payload=%7B%7D", status: 400, message: "application/json"},
		"empty":              {body: "", status: 400, message: "not JSON"},
		"another shape":      {body: `{"number":"one"}`, status: 400, message: "another shape"},
		"no repository":      {body: `{}`, status: 400, message: "names no repository"},
		"an unknown event":   {body: `{}`, header: map[string]string{"X-GitHub-Event": "marketplace_purchase"}, status: 202, message: "nothing to do"},
		"ping":               {body: `{"zen":"x"}`, header: map[string]string{"X-GitHub-Event": "ping"}, status: 202, message: "nothing to do"},
		"an unhandled kind":  {body: strings.Replace(opened, "opened", "assigned", 1), status: 202, message: "nothing to do"},
		"too large":          {body: strings.Repeat(" ", maxBody+1), status: 413, message: "25 MiB"},
		"large, but allowed": {body: "{}" + strings.Repeat(" ", maxBody-2), header: map[string]string{"X-GitHub-Event": "ping"}, status: 202, message: "nothing to do"},
		"GET":                {method: http.MethodGet, status: 405, message: "POST"},
		"PUT":                {method: http.MethodPut, body: opened, status: 405, message: "POST"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			box := &inbox{err: test.refuse}
			server := httptest.NewServer(quietBot(t).Webhooks(box))
			defer server.Close()
			method := test.method
			if method == "" {
				method = http.MethodPost
			}
			r, err := http.NewRequest(method, server.URL+WebhookPath, strings.NewReader(test.body))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("X-GitHub-Event", "pull_request")
			r.Header.Set("X-GitHub-Delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958")
			r.Header.Set("X-Hub-Signature-256", sign([]byte(test.body), testSecret))
			for k, v := range test.header {
				r.Header.Set(k, v)
				if v == "" {
					r.Header.Del(k)
				}
			}
			answer, err := server.Client().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			text, err := io.ReadAll(answer.Body)
			if err != nil {
				t.Fatal(err)
			}
			if answer.StatusCode != test.status || !strings.Contains(string(text), test.message) {
				t.Errorf("%d %q, want %d with %q", answer.StatusCode, text, test.status, test.message)
			}
			if len(box.accepted) != test.accepted {
				t.Errorf("accepted %v", box.accepted)
			}
			for _, d := range box.accepted {
				if d.GUID != "72d3162e-cc78-11e3-81ab-4c9367dc0958" || d.Event != "pull_request opened" {
					t.Errorf("accepted %+v", d)
				}
			}
		})
	}
}

// A body whose length is not said beforehand is cut off, too.
func TestWebhookOfUnknownLength(t *testing.T) {
	body := bytes.Repeat([]byte(" "), maxBody+1)
	r := httptest.NewRequest(http.MethodPost, WebhookPath, io.MultiReader(bytes.NewReader(body)))
	r.ContentLength = -1
	r.Header.Set("X-Hub-Signature-256", sign(body, testSecret))
	w := httptest.NewRecorder()
	quietBot(t).Webhooks(&inbox{}).ServeHTTP(w, r)
	if w.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func FuzzWebhookBody(f *testing.F) {
	for _, seed := range []string{`{}`, `{"repository":{"full_name":"a/b"},"ref":"refs/heads/x","after":"0000000000000000000000000000000000000000"}`, `null`, `[`, `"x"`} {
		for _, event := range []string{
			"pull_request", "push", "delete", "issue_comment", "check_run", "installation", "installation_repositories", "repository",
		} {
			f.Add(event, []byte(seed))
		}
	}
	b := quietBot(f)
	f.Fuzz(func(t *testing.T, event string, body []byte) {
		box := &inbox{}
		r := httptest.NewRequest(http.MethodPost, WebhookPath, bytes.NewReader(body))
		r.Header.Set("X-GitHub-Event", event)
		r.Header.Set("X-GitHub-Delivery", "guid")
		r.Header.Set("X-Hub-Signature-256", sign(body, testSecret))
		w := httptest.NewRecorder()
		b.Webhooks(box).ServeHTTP(w, r)
		if w.Code != 202 && w.Code != 400 {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		if w.Code == 400 && len(box.accepted) > 0 {
			t.Errorf("refused, but accepted %v", box.accepted)
		}
	})
}

// A storeInbox puts deliveries into a store.
type storeInbox struct {
	store    deployments.Inbox
	compares func() // is called where the records are to be compared with what GitHub has open
}

// Accept implements Inbox.
func (i storeInbox) Accept(ctx context.Context, d deployments.Delivery) error {
	if d.Compare {
		i.compares()
	}
	_, err := i.store.Accept(ctx, d)
	return err
}
