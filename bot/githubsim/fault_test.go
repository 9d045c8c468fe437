package githubsim

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-github/v60/github"
	"pgregory.net/rapid"
)

func TestFaults(t *testing.T) {
	w := newWorld(t, true)
	ctx := t.Context()
	token, _ := w.newToken("")
	client := w.withToken(token)
	get := func() error {
		_, _, err := client.Repositories.Get(ctx, "acme", "shop")
		return err
	}
	w.ok(get())

	w.Fault(Fault{Kind: ServerError, Times: 2})
	for range 2 {
		var answer *github.ErrorResponse
		if err := get(); !errors.As(err, &answer) || answer.Response.StatusCode != 500 || answer.Message != "Server Error" {
			t.Errorf("a server's error: %v", err)
		}
	}
	w.ok(get())

	takeBack := w.Fault(Fault{Kind: PrimaryLimit, Wait: 30 * time.Minute})
	var limited *github.RateLimitError
	if err := get(); !errors.As(err, &limited) || limited.Rate.Remaining != 0 || limited.Rate.Reset.Time.Before(time.Now().Add(29*time.Minute)) ||
		!strings.Contains(limited.Message, fmt.Sprintf("API rate limit exceeded for installation ID %d", w.InstallationID("acme"))) {
		t.Errorf("the primary limit: %v", err)
	}
	takeBack()
	takeBack()
	client = w.withToken(token) // the client waits for the reset by itself
	w.ok(get())

	for _, kind := range []FaultKind{SecondaryLimit, TooManyRequests} {
		want := http.StatusForbidden
		if kind == TooManyRequests {
			want = http.StatusTooManyRequests
		}
		w.Fault(Fault{Kind: kind, Method: "GET", Path: "*/repos/*/pulls", Times: 1, Wait: 7 * time.Second})
		w.ok(get()) // it is for another path
		_, res, err := client.PullRequests.List(ctx, "acme", "shop", nil)
		if res == nil || res.StatusCode != want || res.Header.Get("Retry-After") != "7" || res.Header.Get("X-RateLimit-Remaining") == "0" ||
			!strings.Contains(err.Error(), "secondary rate limit") {
			t.Errorf("the secondary limit: %v", err)
		}
		_, _, err = w.withToken(token).PullRequests.List(ctx, "acme", "shop", nil)
		w.ok(err)
		client = w.withToken(token)
	}
}

// withToken returns a client with an installation's token, and nothing that it remembers.
func (w *world) withToken(token string) *github.Client {
	w.t.Helper()
	return w.client(nil).WithAuthToken(token)
}

func TestHanging(t *testing.T) {
	w := newWorld(t, true)
	token, _ := w.newToken("")
	client := w.withToken(token)
	get := func(ctx context.Context) error {
		_, _, err := client.Repositories.Get(ctx, "acme", "shop")
		return err
	}
	takeBack := w.Fault(Fault{Kind: Hang})
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := get(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a request that hangs ended with %v", err)
	}
	if out, err := gitClientUntil(t, "", 200*time.Millisecond, "ls-remote", w.url+"/acme/shop.git"); err == nil {
		t.Errorf("git did not hang: %s", out)
	}
	answered := make(chan error, 1)
	go func() { answered <- get(t.Context()) }()
	w.waitFor(func() bool {
		requests := w.Requests()
		return len(requests) > 0 && requests[len(requests)-1].Status == 0
	})
	takeBack()
	w.ok(<-answered)

	w.Fault(Fault{Kind: Hang})
	go func() { answered <- get(t.Context()) }()
	before := len(w.Requests())
	w.waitFor(func() bool { return len(w.Requests()) > before })
	w.ok(w.Server.Close())
	if err := <-answered; err == nil {
		t.Error("a request that hung was answered by a closed server")
	}
}

func TestPatternsOfFaults(t *testing.T) {
	for _, c := range []struct {
		pattern, path string
		want          bool
	}{
		{"*", "/anything", true}, {"*", "", true}, {"/a", "/a", true}, {"/a", "/ab", false}, {"/a*", "/ab", true}, {"*b", "/ab", true}, {"*a", "/ab", false},
		{"*/check-runs/*", "/api/v3/repos/o/r/check-runs/7", true}, {"*/check-runs/*", "/api/v3/repos/o/r/check-runs", false}, {"**", "x", true},
		{"/*/x/*/y", "/a/x/b/x/c/y", true}, {"/*/x/*/y", "/a/x/y", false},
	} {
		if got := matches(c.pattern, c.path); got != c.want {
			t.Errorf("%q fits %q: %v", c.path, c.pattern, got)
		}
	}
}

func TestTheRateLimitIsCounted(t *testing.T) {
	w := newWorld(t, true)
	w.ok(w.SetRateLimit(5))
	if err := w.SetRateLimit(0); err == nil {
		t.Error("a limit of 0 was taken")
	}
	value, _ := w.newToken("")
	other, _ := w.newToken("") // of the same installation
	get := func(token, tag string) (status int, left string, header http.Header) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), "GET", w.url+apiPrefix+"/repos/acme/shop", nil)
		w.ok(err)
		req.Header.Set("Authorization", "token "+token)
		if tag != "" {
			req.Header.Set("If-None-Match", tag)
		}
		res, err := http.DefaultClient.Do(req)
		w.ok(err)
		w.ok(res.Body.Close())
		return res.StatusCode, res.Header.Get("X-RateLimit-Remaining"), res.Header
	}
	status, left, header := get(value, "")
	tag := header.Get("ETag")
	if status != 200 || left != "4" || header.Get("X-RateLimit-Limit") != "5" || header.Get("X-RateLimit-Used") != "1" || !strings.HasPrefix(tag, `W/"`) {
		t.Fatalf("answered %d with %v", status, header)
	}
	for range 10 {
		if status, left, header := get(value, `"x", `+tag); status != 304 || left != "4" || header.Get("ETag") != tag {
			t.Fatalf("what has not changed was answered %d with %v", status, header)
		}
	}
	if status, left, _ := get(other, tag); status != 200 || left != "3" {
		t.Errorf("another token's tag was answered %d, with %s left", status, left)
	}
	w.ok(w.SetPermission("acme/shop", "mallory", "write"))
	w.propose("stock") // the repository has changed
	for i, want := range []string{"200 2", "200 1", "200 0", "403 0", "403 0"} {
		status, left, header := get(value, tag)
		if got := fmt.Sprint(status, " ", left); got != want {
			t.Errorf("request %d was answered %s, want %s", i, got, want)
		}
		if reset, err := strconv.ParseInt(header.Get("X-RateLimit-Reset"), 10, 64); err != nil || reset < time.Now().Add(59*time.Minute).Unix() {
			t.Errorf("it resets at %s", header.Get("X-RateLimit-Reset"))
		}
	}
	rates, _, err := w.withToken(other).RateLimit.Get(t.Context())
	w.ok(err)
	if rates.Core.Limit != 5 || rates.Core.Remaining != 0 {
		t.Errorf("the limits are %v", rates.Core)
	}
	w.mu.Lock()
	w.clock = func() time.Time { return time.Now().Add(time.Hour) }
	w.mu.Unlock()
	again, _ := w.newTokenAt(w.now())
	if status, left, _ := get(again, ""); status != 200 || left != "4" {
		t.Errorf("an hour later: %d, %s left", status, left)
	}
}

func TestRequestsAreListed(t *testing.T) {
	w := newWorld(t, true)
	token, _ := w.newToken("")
	client := w.withToken(token)
	number, _ := w.propose("stock")
	made, _, err := client.Issues.CreateComment(t.Context(), "acme", "shop", number, &github.IssueComment{Body: github.String("x")})
	w.ok(err)
	for range 2 {
		_, _, err := client.Issues.EditComment(t.Context(), "acme", "shop", made.GetID(), &github.IssueComment{Body: github.String("y")})
		w.ok(err)
	}
	if _, _, err := client.Issues.GetComment(t.Context(), "acme", "shop", 1); err == nil {
		t.Error("a missing comment is there")
	}
	mustGit(t, "", "ls-remote", w.url+"/acme/shop.git")
	w.get("/acme/shop") // a page
	w.Fault(Fault{Kind: ServerError, Times: 1})
	if _, err := gitClient(t, "", "ls-remote", w.url+"/acme/shop.git"); err == nil {
		t.Error("git did not meet the fault")
	}
	id := w.InstallationID("acme")
	var got []string
	for _, r := range w.Requests() {
		if r.At.IsZero() {
			t.Errorf("recorded %+v", r)
		}
		got = append(got, fmt.Sprintf("%s %s %d %v", r.Method, strings.ReplaceAll(r.Path, fmt.Sprint(made.GetID()), "ID"), r.Status, r.Installation == id))
	}
	api := "/api/v3/repos/acme/shop/issues/"
	want := []string{
		fmt.Sprintf("POST /api/v3/app/installations/%d/access_tokens 201 false", id),
		"POST " + api + "1/comments 201 true", "PATCH " + api + "comments/ID 200 true", "PATCH " + api + "comments/ID 200 true",
		"GET " + api + "comments/1 404 true", "GET /acme/shop.git/info/refs 200 false", "POST /acme/shop.git/git-upload-pack 200 false",
		"GET /acme/shop.git/info/refs 500 false",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestTheLogForgets fills the log and looks that the newest requests are there, in order.
func TestTheLogForgets(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(0, 3*requestsKept).Draw(rt, "n")
		var l requestLog
		for i := range n {
			l.add(&Request{Status: i})
		}
		kept := min(n, requestsKept)
		if len(l.all) < kept || len(l.all) > 2*requestsKept {
			rt.Fatalf("%d of %d are kept", len(l.all), n)
		}
		if !slices.IsSortedFunc(l.all, func(a, b *Request) int { return a.Status - b.Status }) || n > 0 && l.all[len(l.all)-1].Status != n-1 {
			rt.Fatal("the newest are not at the end")
		}
	})
}
