package bot

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"vitrine/bot/githubsim"
	"vitrine/deployments"
)

// Nothing is stored of a repository that is not served by an explicit setting; what takes something away counts all the same.
func TestUnservedWebhooks(t *testing.T) {
	const sha = "7c1e0d2f7c1e0d2f7c1e0d2f7c1e0d2f7c1e0d2f"
	body := func(repo string) string {
		return `{"action":"opened","number":1,"repository":{"id":1,"full_name":"` + repo + `"},"pull_request":{"state":"open","head":{"ref":"b","sha":"` + sha + `","repo":{"full_name":"` + repo + `"}}}}`
	}
	comment := func(repo string) string {
		return `{"action":"created","repository":{"full_name":"` + repo + `"},"issue":{"number":42,"pull_request":{}},"comment":{"id":7,"body":"/deploy","user":{"login":"ana"}}}`
	}
	owner := "acme"
	for name, test := range map[string]struct {
		serves      func(string) bool
		owner       *string // of the App, as far as it is known
		event, body string
		accepted    bool
	}{
		"served":                     {serves: only1, event: "pull_request", body: body("acme/shop"), accepted: true},
		"not served":                 {serves: only1, event: "pull_request", body: body("acme/other")},
		"a command, not served":      {serves: only1, event: "issue_comment", body: comment("acme/other")},
		"a push, not served":         {serves: only1, event: "push", body: `{"ref":"refs/heads/x","after":"` + sha + `","repository":{"full_name":"acme/other"}}`},
		"the owner's":                {owner: &owner, event: "pull_request", body: body("Acme/anything"), accepted: true},
		"another's":                  {owner: &owner, event: "pull_request", body: body("other/anything")},
		"the owner is not known yet": {event: "pull_request", body: body("other/anything"), accepted: true},
		"renamed":                    {serves: only1, event: "repository", body: `{"action":"renamed","repository":{"full_name":"acme/other"},"changes":{"repository":{"name":{"from":"shop"}}}}`, accepted: true},
		"withdrawn":                  {serves: only1, event: "repository", body: `{"action":"deleted","repository":{"full_name":"acme/other"}}`, accepted: true},
	} {
		t.Run(name, func(t *testing.T) {
			b, box := quietBot(t), &inbox{}
			b.config.Serves, b.owner = test.serves, test.owner
			endpoint := httptest.NewServer(b.Webhooks(box))
			defer endpoint.Close()
			status, text := post(t, endpoint, test.event, []byte(test.body))
			if status != http.StatusAccepted || strings.HasPrefix(text, "nothing to do") == test.accepted || (len(box.accepted) == 1) != test.accepted {
				t.Errorf("answered %d %q, and accepted %+v", status, text, box.accepted)
			}
		})
	}
}

// only1 serves one repository.
func only1(repo string) bool { return repo == "acme/shop" }

// By default those of the App's owner are served, whom GitHub is asked for once.
func TestServedByDefault(t *testing.T) {
	w := newWorld(t, nil)
	w.must(w.CreateRepository(t.Context(), "other/thing", true, map[string]string{"Dockerfile": "FROM scratch\n"}))
	w.must(w.SetPermission("other/thing", "ben", "write"))
	_, err := w.Commit(t.Context(), githubsim.Change{Repository: "other/thing", Branch: "b", Files: map[string]string{"x": "y"}})
	w.must(err)
	_, err = w.OpenPullRequest(t.Context(), githubsim.PullRequest{Repository: "other/thing", Head: "b", Title: "x", Author: "ben"})
	w.must(err)
	number, _ := w.open("a", "x")
	o := deployments.Origin{Repo: "other/thing", PullRequest: 1}
	for range 3 {
		if h := w.head(o); h.Open || h.Cause != causeUnserved {
			t.Errorf("another's: %+v", h)
		}
		if h := w.head(origin(number)); !h.Open {
			t.Errorf("the owner's: %+v", h)
		}
	}
	if n := w.requests.count("GET", "/api/v3/app"); n-w.requests.count("GET", "/api/v3/app/") != 1 {
		t.Errorf("asked %d times for the App", n)
	}
	var d deployments.Delivery
	w.must(ask(&d, o, question{Comment: &comment{ID: 7, User: "ben", Command: command{Verb: deploy}}}))
	if r, err := w.bot.Resolve(t.Context(), d.Requests[0]); err != nil || r.State != deployments.RequestIgnored || r.Reply != "" {
		t.Errorf("a command in another's: %+v, %v", r, err)
	}
	// An App of nobody's serves nobody.
	nobody := ""
	w.bot.owner = &nobody
	if h := w.head(origin(number)); h.Open {
		t.Errorf("without an owner: %+v", h)
	}
}
