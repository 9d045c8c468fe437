package githubsim

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v4"
)

// ask sends a request as it is and returns the status and the message of the answer.
func (w *world) ask(method, path, authorization, body string) (int, string) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.url+apiPrefix+path, strings.NewReader(body))
	w.ok(err)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	w.t.Cleanup(http.DefaultTransport.(*http.Transport).CloseIdleConnections)
	res, err := http.DefaultClient.Do(req)
	w.ok(err)
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	w.ok(err)
	var message struct{ Message string }
	if err := json.Unmarshal(raw, &message); err != nil && res.StatusCode >= 400 {
		w.t.Errorf("%s %s answered %d with %q", method, path, res.StatusCode, raw)
	}
	if res.Header.Get("X-GitHub-Request-Id") == "" {
		w.t.Errorf("%s %s: the answer has no request id", method, path)
	}
	return res.StatusCode, message.Message
}

func nothing(jwt.MapClaims) {}

func (w *world) jwtAt(now time.Time) string {
	return w.jwt(func(c jwt.MapClaims) { c["iat"], c["exp"] = now.Unix(), now.Add(9*time.Minute).Unix() })
}

func (w *world) jwt(change func(jwt.MapClaims)) string {
	w.t.Helper()
	now := time.Now()
	claims := jwt.MapClaims{"iss": testApp, "iat": now.Add(-time.Minute).Unix(), "exp": now.Add(9 * time.Minute).Unix()}
	change(claims)
	value, err := jwt.NewWithClaims(jwt.SigningMethodRS256, claims).SignedString(w.key)
	w.ok(err)
	return value
}

func TestAppTokensAreChecked(t *testing.T) {
	w := newWorld(t, false)
	foreign, err := GenerateKey()
	w.ok(err)
	forged, err := jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.MapClaims{"iss": testApp, "iat": 1, "exp": time.Now().Add(time.Minute).Unix()}).SignedString(foreign)
	w.ok(err)
	none, err := jwt.NewWithClaims(jwt.SigningMethodNone, jwt.MapClaims{"iss": testApp}).SignedString(jwt.UnsafeAllowNoneSignatureType)
	w.ok(err)
	symmetric, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"iss": testApp}).SignedString([]byte("x"))
	w.ok(err)
	now := time.Now()
	for name, c := range map[string]struct {
		authorization string
		status        int
		message       string
	}{
		"right":           {"Bearer " + w.jwt(nothing), 200, ""},
		"a text as iss":   {"bearer " + w.jwt(func(c jwt.MapClaims) { c["iss"] = "4711" }), 200, ""},
		"nothing":         {"", 401, "Requires authentication"},
		"basic":           {"Basic YTpi", 401, "Bad credentials"},
		"nonsense":        {"Bearer x", 401, "could not be decoded"},
		"another's key":   {"Bearer " + forged, 401, "could not be decoded"},
		"no signature":    {"Bearer " + none, 401, "could not be decoded"},
		"a shared secret": {"Bearer " + symmetric, 401, "could not be decoded"},
		"another App":     {"Bearer " + w.jwt(func(c jwt.MapClaims) { c["iss"] = 1 }), 401, "'Issuer'"},
		"expired":         {"Bearer " + w.jwt(func(c jwt.MapClaims) { c["exp"] = now.Add(-time.Second).Unix() }), 401, "future time"},
		"no expiry":       {"Bearer " + w.jwt(func(c jwt.MapClaims) { delete(c, "exp") }), 401, "future time"},
		"too long":        {"Bearer " + w.jwt(func(c jwt.MapClaims) { c["exp"] = now.Add(11 * time.Minute).Unix() }), 401, "too far"},
		"a fraction":      {"Bearer " + w.jwt(func(c jwt.MapClaims) { c["exp"] = float64(now.Unix()) + 60.5 }), 401, "future time"},
		"from the future": {"Bearer " + w.jwt(func(c jwt.MapClaims) { c["iat"] = now.Add(time.Minute).Unix() }), 401, "'Issued at'"},
	} {
		status, message := w.ask("GET", "/app", c.authorization, "")
		if status != c.status || !strings.Contains(message, c.message) {
			t.Errorf("%s: answered %d %q, want %d %q", name, status, message, c.status, c.message)
		}
	}
}

// newToken asks for an installation token with a body of its own.
func (w *world) newToken(body string) (token string, status int) {
	w.t.Helper()
	return w.tokenFor(w.jwt(nothing), body)
}

func (w *world) newTokenAt(now time.Time) (token string, status int) {
	w.t.Helper()
	return w.tokenFor(w.jwtAt(now), "")
}

func (w *world) tokenFor(jwt, body string) (token string, status int) {
	w.t.Helper()
	path := fmt.Sprintf("%s/app/installations/%d/access_tokens", w.url+apiPrefix, w.InstallationID("acme"))
	req, err := http.NewRequestWithContext(w.t.Context(), "POST", path, strings.NewReader(body))
	w.ok(err)
	req.Header.Set("Authorization", "Bearer "+jwt)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	w.ok(err)
	defer res.Body.Close()
	var answer struct{ Token string }
	w.ok(json.NewDecoder(res.Body).Decode(&answer))
	return answer.Token, res.StatusCode
}

func TestInstallationTokensAreChecked(t *testing.T) {
	w := newWorld(t, false)
	w.ok(w.CreateRepository(t.Context(), "acme/secret", true, nil))
	w.ok(w.CreateRepository(t.Context(), "globex/vault", true, nil))
	w.ok(w.CreateRepository(t.Context(), "globex/site", false, nil))
	number, _ := w.propose("stock")
	id, err := w.Comment("acme/shop", number, "ana", "hello")
	w.ok(err)
	all, _ := w.newToken("")
	few, _ := w.newToken(`{"repositories":["shop"],"permissions":{"pull_requests":"read"}}`)
	if all == "" || few == "" || all == few {
		t.Fatalf("tokens %q and %q", all, few)
	}
	comments := fmt.Sprintf("/repos/acme/shop/issues/%d/comments", number)
	reactions := fmt.Sprintf("/repos/acme/shop/issues/comments/%d/reactions", id)
	for _, c := range []struct {
		method, path, token, body string
		status                    int
	}{
		{"GET", "/repos/acme/shop", "", "", 401},
		{"GET", "/repos/acme/shop", "ghs_wrong", "", 401},
		{"GET", "/repos/acme/shop", w.jwt(nothing), "", 403},
		{"GET", "/app", all, "", 401},
		{"GET", "/repos/acme/shop", all, "", 200},
		{"GET", "/repos/ACME/Shop", all, "", 200},
		{"GET", "/repos/acme/secret", all, "", 200},
		{"GET", "/repos/acme/secret", few, "", 404},
		{"GET", "/repos/globex/vault", all, "", 404},
		{"GET", "/repos/globex/site", all, "", 200},
		{"GET", "/repos/globex/site/collaborators/ana/permission", all, "", 403},
		{"GET", "/repos/acme/shop/branches/main", few, "", 403},
		{"GET", comments, few, "", 200},
		{"POST", comments, few, `{"body":"x"}`, 403},
		{"POST", comments, all, `{"body":"x"}`, 201},
		{"POST", comments, all, `{"body":""}`, 422},
		{"POST", comments, all, `{}`, 422},
		{"POST", comments, all, `{`, 400},
		{"POST", comments, all, `{"body":"` + strings.Repeat("x", commentLimit+1) + `"}`, 422},
		{"POST", comments, all, `{"body":"` + strings.Repeat("x", bodyLimit) + `"}`, 413},
		{"POST", "/repos/acme/shop/issues/99/comments", all, `{"body":"x"}`, 404},
		{"POST", reactions, all, `{"content":"applause"}`, 422},
		{"DELETE", reactions + "/1", all, "", 404},
		{"GET", "/repos/acme/shop/pulls?state=wrong", all, "", 422},
		{"GET", "/repos/acme/shop/nothing", all, "", 404},
		{"PUT", "/repos/acme/shop", all, "", 404},
		{"GET", "/", "", "", 404},
	} {
		authorization := ""
		if c.token != "" {
			authorization = "token " + c.token
		}
		if status, message := w.ask(c.method, c.path, authorization, c.body); status != c.status || status >= 400 && message == "" {
			t.Errorf("%s %s answered %d %q, want %d", c.method, c.path, status, message, c.status)
		}
	}
	for _, body := range []string{`{"permissions":{"administration":"read"}}`, `{"permissions":{"contents":"write"}}`, `{"repositories":["vault"]}`} {
		if _, status := w.newToken(body); status != 422 {
			t.Errorf("a token for %s: answered %d, want 422", body, status)
		}
	}
	w.mu.Lock()
	w.clock = func() time.Time { return time.Now().Add(tokenLifetime) }
	w.mu.Unlock()
	if status, _ := w.ask("GET", "/repos/acme/shop", "token "+all, ""); status != 401 {
		t.Errorf("an expired token: answered %d, want 401", status)
	}
}

func TestRateLimit(t *testing.T) {
	w := newWorld(t, false)
	start := time.Now()
	at := func(passed time.Duration) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.clock = func() time.Time { return start.Add(passed) }
	}
	at(0)
	value, _ := w.newToken("")
	w.Server.mu.Lock()
	quota := &w.tokens[value].installation.quota
	w.refill(quota)
	quota.used = hourlyLimit - 1
	w.Server.mu.Unlock()
	for i, want := range []int{200, 403} {
		if status, message := w.ask("GET", "/repos/acme/shop", "token "+value, ""); status != want {
			t.Errorf("request %d: answered %d %q, want %d", i+1, status, message, want)
		}
	}
	if status, _ := w.ask("GET", "/rate_limit", "token "+value, ""); status != 200 {
		t.Errorf("asking for the limit answered %d", status)
	}
	at(time.Hour - time.Second)
	if status, _ := w.ask("GET", "/repos/acme/shop", "token "+value, ""); status != 403 {
		t.Errorf("before the hour is over: answered %d", status)
	}
}

func TestCovers(t *testing.T) {
	levels := map[string]int{"": 0, "none": 0, "read": 1, "write": 2, "admin": 3}
	for held := range maps.Keys(levels) {
		for _, wanted := range []string{"read", "write", "admin"} {
			if got, want := covers(held, wanted), levels[held] >= levels[wanted]; got != want {
				t.Errorf("covers(%q, %q) is %v", held, wanted, got)
			}
		}
		if covers(held, "everything") {
			t.Errorf("%q covers what is no level", held)
		}
	}
}
