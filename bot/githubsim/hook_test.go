package githubsim

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-github/v60/github"
)

// listed returns a page of the deliveries' list as "event status", and the links from it.
func (w *world) listed(query string) (items []string, links map[string]string) {
	w.t.Helper()
	client := w.app()
	req, err := client.NewRequest("GET", "app/hook/deliveries"+query, nil)
	w.ok(err)
	var page []*github.HookDelivery
	res, err := client.Do(w.t.Context(), req, &page)
	w.ok(err)
	for _, d := range page {
		items = append(items, strings.TrimSpace(d.GetEvent()+" "+http.StatusText(d.GetStatusCode())))
	}
	links = map[string]string{}
	for link := range strings.SplitSeq(res.Header.Get("Link"), ", ") {
		address, rel, found := strings.Cut(link, `>; rel="`)
		if _, query, hasQuery := strings.Cut(address, "?"); found && hasQuery {
			links[strings.TrimSuffix(rel, `"`)] = "?" + query
		}
	}
	return items, links
}

func TestDeliveriesArePaged(t *testing.T) {
	w := newWorld(t, true)
	for i := range 5 {
		answer := http.StatusAccepted
		if i%2 == 1 {
			answer = http.StatusServiceUnavailable
		}
		w.mu.Lock()
		w.answer = answer
		w.mu.Unlock()
		w.Ping()
		w.hooked()
	}
	first, links := w.listed("?per_page=2")
	second, links2 := w.listed(links["next"])
	third, links3 := w.listed(links2["next"])
	if links["prev"] != "" || links3["next"] != "" {
		t.Errorf("the first page leads back to %q, the last one on to %q", links["prev"], links3["next"])
	}
	back, _ := w.listed(links3["prev"])
	if diff := cmp.Diff([][]string{
		{"ping Accepted", "ping Service Unavailable"}, {"ping Accepted", "ping Service Unavailable"}, {"ping Accepted"}, {"ping Accepted", "ping Service Unavailable"},
	}, [][]string{first, second, third, back}); diff != "" {
		t.Error(diff)
	}
	failed, links := w.listed("?status=failure&per_page=1")
	more, links2 := w.listed(links["next"])
	if len(failed) != 1 || len(more) != 1 || links2["next"] != "" || !strings.Contains(more[0], "Unavailable") {
		t.Errorf("failed are %v and %v", failed, more)
	}
	if well, _ := w.listed("?status=success"); len(well) != 3 {
		t.Errorf("succeeded have %v", well)
	}
	jwt := "Bearer " + w.jwt(nothing)
	for path, want := range map[string]int{
		"/app/hook/deliveries?cursor=7": 400, "/app/hook/deliveries?cursor=v1_x": 400, "/app/hook/deliveries/99": 404,
	} {
		if status, message := w.ask("GET", path, jwt, ""); status != want || message == "" {
			t.Errorf("%s was answered %d %q, want %d", path, status, message, want)
		}
	}
}

func TestNobodyListens(t *testing.T) {
	w := newWorld(t, true)
	receiver := w.hooks.config()["url"].(string)
	w.SetWebhookURL("http://127.0.0.1:1/webhooks/github")
	w.propose("stock")
	w.hooked()
	failed, _ := w.listed("?status=failure")
	if diff := cmp.Diff([]string{"pull_request Bad Gateway", "push Bad Gateway"}, failed); diff != "" {
		t.Fatal(diff)
	}
	w.SetWebhookURL(receiver)
	for _, d := range w.Deliveries() {
		// A client takes 202 for a sign that the result is still being computed.
		if _, res, err := w.app().Apps.RedeliverHookDelivery(t.Context(), d.ID); res == nil || res.StatusCode != http.StatusAccepted {
			t.Fatal(err)
		}
	}
	got := w.hooked()
	all := w.Deliveries()
	if len(got) != 2 || got[0].guid != all[0].GUID || got[1].guid != all[1].GUID || len(all) != 4 || !all[2].Redelivery || all[2].ID == all[0].ID {
		t.Errorf("arrived %v, listed %+v", names(got), all)
	}
	if failed, _ := w.listed("?status=failure"); len(failed) != 2 {
		t.Errorf("the first attempts are listed as %v", failed)
	}
	w.mu.Lock()
	w.clock = func() time.Time { return time.Now().Add(deliveriesKept + time.Minute) }
	w.mu.Unlock()
	if status, _ := w.ask("POST", "/app/hook/deliveries/1/attempts", "Bearer "+w.jwtAt(w.now()), ""); status != 404 || len(w.Deliveries()) != 0 {
		t.Errorf("after three days: %d, %v", status, w.Deliveries())
	}
}

func TestDroppedWebhooksNeverWere(t *testing.T) {
	w := newWorld(t, false)
	number, _ := w.propose("stock")
	w.hooked()
	before := w.Deliveries()
	w.DropWebhooks(true)
	w.ok(w.ClosePullRequest("acme/shop", number, "ana"))
	w.ok(w.Redeliver(before[0].GUID))
	if got := names(w.hooked()); !slices.Equal(got, []string{"push"}) {
		t.Errorf("arrived %v", got)
	}
	w.DropWebhooks(false)
	w.ok(w.ReopenPullRequest(t.Context(), "acme/shop", number, "ana"))
	if got := names(w.hooked()); !slices.Equal(got, []string{"pull_request reopened"}) {
		t.Errorf("then arrived %v", got)
	}
	if n := len(w.Deliveries()); n != len(before)+2 {
		t.Errorf("%d deliveries are listed, want %d", n, len(before)+2)
	}
}

func TestHookConfiguration(t *testing.T) {
	w := newWorld(t, true)
	client, ctx := w.app(), t.Context()
	config, _, err := client.Apps.GetHookConfig(ctx)
	w.ok(err)
	address := w.hooks.config()["url"].(string)
	if config.GetURL() != address || config.GetContentType() != "json" || config.GetSecret() != "********" {
		t.Errorf("the configuration is %v", config)
	}
	config, _, err = client.Apps.UpdateHookConfig(ctx, &github.HookConfig{URL: github.String(address + "/other"), Secret: github.String("new")})
	w.ok(err)
	w.Ping()
	got := w.hooked()
	if config.GetURL() != address+"/other" || len(got) != 1 || github.ValidateSignature(got[0].header.Get("X-Hub-Signature-256"), got[0].body, []byte("new")) != nil {
		t.Errorf("the configuration is %v; arrived %v", config, got)
	}
	for _, wrong := range []string{`{"url":"ftp://x"}`, `{"content_type":"xml"}`} {
		if status, _ := w.ask("PATCH", "/app/hook/config", "Bearer "+w.jwt(nothing), wrong); status != 422 {
			t.Errorf("%s was answered %d", wrong, status)
		}
	}
}
