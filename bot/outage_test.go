package bot

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"testing"
	"time"

	"vitrine/bot/githubsim"
	"vitrine/deployments"
)

// calls are the ports' calls that ask GitHub.
func (w *world) calls(number int, request deployments.Request) map[string]func(context.Context) error {
	answered := request
	answered.State, answered.Reply = deployments.RequestRefused, "No."
	return map[string]func(context.Context) error{
		"Head": func(ctx context.Context) error { _, err := w.bot.Head(ctx, origin(number)); return err },
		"Head, branch": func(ctx context.Context) error {
			_, err := w.bot.Head(ctx, deployments.Origin{Repo: "acme/shop", Branch: "a"})
			return err
		},
		"Remote":        func(ctx context.Context) error { _, err := w.bot.Remote(ctx, "acme/shop"); return err },
		"Resolve":       func(ctx context.Context) error { _, err := w.bot.Resolve(ctx, request); return err },
		"Answer":        func(ctx context.Context) error { return w.bot.Answer(ctx, answered) },
		"Report":        func(ctx context.Context) error { _, err := w.bot.Report(ctx, reportOf("ready", number, 0)); return err },
		"Login":         func(ctx context.Context) error { w.bot.botted = ""; _, err := w.bot.Login(ctx); return err },
		"Head, unknown": func(ctx context.Context) error { _, err := w.bot.Head(ctx, origin(99)); return err },
	}
}

// Whatever GitHub does instead of answering, each call waits for it and takes nothing for closed, gone or lost; afterwards all is as before. A cold
// Bot has asked nothing yet, a warm one holds its installation and tokens.
func TestEveryCallWaitsForGitHub(t *testing.T) {
	inAMinute := strconv.FormatInt(time.Now().Add(time.Minute).Unix(), 10)
	for name, test := range map[string]struct {
		refuse    func(*world)
		neighbour string
	}{
		"500":              {func(w *world) { w.refuse("", http.StatusInternalServerError, nil) }, waitsForGitHub},
		"503":              {func(w *world) { w.refuse("", http.StatusServiceUnavailable, map[string]string{"Retry-After": "60"}) }, waitsForGitHub},
		"the key is gone":  {func(w *world) { w.refuse("", http.StatusUnauthorized, nil) }, waitsForPermission},
		"429":              {func(w *world) { w.refuse("", http.StatusTooManyRequests, nil) }, waitsForRateLimit},
		"the second limit": {func(w *world) { w.refuse("", http.StatusForbidden, map[string]string{"Retry-After": "60"}) }, waitsForRateLimit},
		"the hour's limit": {func(w *world) {
			w.refuse("", http.StatusForbidden, map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": inAMinute})
		}, waitsForRateLimit},
		"no answer": {(*world).hang, waitsForGitHub},
		"cut off": {func(w *world) {
			w.Intercept(func(http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) })
		}, waitsForGitHub},
		"half an answer": {func(w *world) {
			w.Intercept(func(rw http.ResponseWriter, _ *http.Request) bool {
				rw.Header().Set("Content-Length", "1000")
				_, err := io.WriteString(rw, `{"id":17,"login`)
				return err == nil
			})
		}, waitsForGitHub},
		"connection refused": {func(w *world) {
			w.bot.config.Transport.(*http.Transport).DialContext = func(context.Context, string, string) (net.Conn, error) {
				l, err := net.Listen("tcp", "127.0.0.1:0")
				w.must(err)
				w.must(l.Close())
				return net.Dial("tcp", l.Addr().String())
			}
			w.bot.config.Transport.(*http.Transport).CloseIdleConnections()
		}, waitsForGitHub},
	} {
		for _, warm := range []bool{false, true} {
			t.Run(name+map[bool]string{true: ", warm"}[warm], func(t *testing.T) {
				w := newWorld(t, nil)
				w.loose.Store(true)
				number, _ := w.open("a", "x")
				request := w.commanded(number, "ben", "/deploy")[0]
				calls := w.calls(number, request)
				if warm {
					for call, f := range calls {
						if err := f(t.Context()); err != nil {
							t.Fatalf("%s: %v", call, err)
						}
					}
				}
				test.refuse(w)
				for call, f := range calls {
					err := f(t.Context())
					if call == "Remote" && warm && name != "the key is gone" {
						w.must(err) // a token is at hand
						continue
					}
					if err != nil || call != "Remote" {
						unavailable(t, err, test.neighbour)
					}
				}
				w.refresh()
				for call, f := range calls {
					if err := f(t.Context()); err != nil {
						t.Errorf("%s, when GitHub is back: %v", call, err)
					}
				}
				if h := w.head(origin(number)); !h.Open {
					t.Errorf("%+v", h)
				}
			})
		}
	}
}

// A caller that is not interested any more waits for nobody.
func TestCallsSayWhyTheyEnd(t *testing.T) {
	w := newWorld(t, nil)
	number, _ := w.open("a", "x")
	calls := w.calls(number, w.commanded(number, "ben", "/deploy")[0])
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(deployments.ErrSuperseded)
	for call, f := range calls {
		if err := f(ctx); !errors.Is(err, deployments.ErrSuperseded) {
			t.Errorf("%s: %v", call, err)
		}
	}
}

// A rate limit stops the requests of its installation, and those alone.
func TestARateLimitIsAnInstallations(t *testing.T) {
	w := newWorld(t, nil)
	w.bot.config.Serves = func(string) bool { return true }
	w.must(w.CreateRepository(t.Context(), "other/thing", true, nil))
	w.must(w.SetPermission("other/thing", "ana", "admin"))
	number, _ := w.open("a", "x")
	w.head(origin(number))
	w.refuse("/repos/acme/shop/", http.StatusForbidden, map[string]string{"Retry-After": "60"})
	for range 3 {
		_, err := w.bot.Head(t.Context(), origin(number))
		u := unavailable(t, err, waitsForRateLimit)
		if left := u.Until.Sub(w.now()); left <= 0 || left > time.Minute {
			t.Errorf("waits for %s", left)
		}
	}
	if n := w.requests.count(http.MethodGet, "/shop/pulls/"); n != 2 {
		t.Errorf("asked %d times, want once before the limit and once into it", n)
	}
	if h, err := w.bot.Head(t.Context(), deployments.Origin{Repo: "other/thing", PullRequest: 1}); err != nil || h.Open {
		t.Errorf("another installation: %+v, %v", h, err)
	}
	if _, err := w.bot.Remote(t.Context(), "acme/shop"); err != nil {
		t.Errorf("a token counts against the App's limit: %v", err)
	}
}

// Git goes on while the API is away, with the token that is at hand.
func TestRemoteWhileGitHubIsAway(t *testing.T) {
	w := newWorld(t, nil)
	remote, err := w.bot.Remote(t.Context(), "acme/shop")
	w.must(err)
	w.hang()
	for _, left := range []time.Duration{59 * time.Minute, 11 * time.Minute} {
		w.mu.Lock()
		w.clock = time.Now().Add(time.Hour - left)
		w.mu.Unlock()
		if again, err := w.bot.Remote(t.Context(), "acme/shop"); err != nil || again != remote {
			t.Errorf("%s before its token ends: %v", left, err)
		}
	}
	w.pass(2 * time.Minute)
	_, err = w.bot.Remote(t.Context(), "acme/shop")
	unavailable(t, err, waitsForGitHub)
}

// A 404 in an incident closes nothing: GitHub has to say the same of the repository.
func TestHeadConfirmsWhatIsMissing(t *testing.T) {
	w := newWorld(t, nil)
	w.commit("main", ".vitrine.yml", "branches: [a]\n")
	number, _ := w.open("a", "x")
	branch := deployments.Origin{Repo: "acme/shop", Branch: "a"}
	for _, o := range []deployments.Origin{origin(number), branch} {
		w.head(o)
		for part, closed := range map[string]bool{
			"/acme/shop":              true, // with the answer to the App that it is not installed
			"/acme/shop/installation": false,
			"/pulls/":                 o.PullRequest != 0,
			"/contents/":              o.Branch != "",
			"/branches/":              o.Branch != "",
		} {
			w.refuse(part, http.StatusNotFound, nil)
			if h, err := w.bot.Head(t.Context(), o); err != nil || h.Open == closed {
				t.Errorf("%s, 404 of %s: %+v, %v", o.Key(), part, h, err)
			}
			w.Intercept(nil)
			if h := w.head(o); !h.Open {
				t.Errorf("%s: %+v", o.Key(), h)
			}
		}
		w.Intercept(func(rw http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == "/api/v3/repos/acme/shop/installation" || r.Method == http.MethodPost {
				return false
			}
			fail(rw, http.StatusNotFound, "Not Found")
			return true
		})
		h, err := w.bot.Head(t.Context(), o)
		if unavailable(t, err, waitsForGitHub); h.Open {
			t.Errorf("%+v", h)
		}
		w.Intercept(nil)
		w.head(o)
	}
}

func TestHeadOfAnArchivedRepository(t *testing.T) {
	w := newWorld(t, nil)
	w.commit("main", ".vitrine.yml", "branches: [a]\n")
	number, _ := w.open("a", "x")
	w.rewrite("/pulls/"+strconv.Itoa(number), `"archived":false`, `"archived":true`)
	if h := w.head(origin(number)); h.Skip != skipArchived {
		t.Errorf("%+v", h)
	}
	w.rewrite("/repos/acme/shop", `"archived":false`, `"archived":true`)
	if h := w.head(deployments.Origin{Repo: "acme/shop", Branch: "a"}); h.Skip != skipArchived {
		t.Errorf("%+v", h)
	}
}

// A repository that GitHub has withdrawn is looked for anew, although what is public could still be read.
func TestHeadAfterAWithdrawal(t *testing.T) {
	for name, w := range map[string]deployments.Withdrawal{
		"of the repository": {Owner: "Acme", Name: "Shop"},
		"of the account":    {Owner: "ACME"},
	} {
		t.Run(name, func(t *testing.T) {
			world := newWorld(t, nil)
			number, _ := world.open("a", "x")
			world.head(origin(number))
			world.refuse("/shop/installation", http.StatusNotFound, nil)
			world.bot.apps.withdraw([]deployments.Withdrawal{{Owner: "acm"}, {Owner: "acme", Name: "shopper"}})
			if h := world.head(origin(number)); !h.Open {
				t.Errorf("others were withdrawn: %+v", h)
			}
			world.bot.apps.withdraw([]deployments.Withdrawal{w})
			if h := world.head(origin(number)); h.Open {
				t.Errorf("%+v", h)
			}
		})
	}
}

func TestHeadOfASuspendedInstallation(t *testing.T) {
	w := newWorld(t, nil)
	number, _ := w.open("a", "x")
	w.rewrite("/installation", `"suspended_at":null`, `"suspended_at":"2026-11-21T14:00:00Z"`)
	if h := w.head(origin(number)); h.Open {
		t.Errorf("%+v", h)
	}
	_, err := w.bot.Remote(t.Context(), "acme/shop")
	unavailable(t, err, waitsForInstallation)
}

// A token that GitHub does not take any more is forgotten with the installation, which may be another one by now.
func TestATokenIsRevoked(t *testing.T) {
	w := newWorld(t, nil)
	number, _ := w.open("a", "x")
	w.head(origin(number))
	w.refuse("/pulls/", http.StatusUnauthorized, nil)
	_, err := w.bot.Head(t.Context(), origin(number))
	unavailable(t, err, waitsForPermission)
	w.Intercept(nil)
	if h := w.head(origin(number)); !h.Open {
		t.Errorf("%+v", h)
	}
	if n := w.requests.count(http.MethodPost, "/access_tokens"); n != 2 {
		t.Errorf("asked for %d tokens", n)
	}
	if n := w.requests.count(http.MethodGet, "/acme/shop/installation"); n != 2 {
		t.Errorf("asked %d times for the installation", n)
	}
}

// commit puts a file on a branch and forgets the webhooks of it.
func (w *world) commit(branch, file, content string) {
	w.t.Helper()
	_, err := w.Commit(w.t.Context(), githubsim.Change{Repository: "acme/shop", Branch: branch, Author: "ana", Files: map[string]string{file: content}})
	w.must(err)
	w.deliveries()
}
