package githubsim

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-github/v60/github"
)

func TestWebhooksTellTheStory(t *testing.T) {
	w := newWorld(t, false)
	ctx := t.Context()
	if got := names(w.hooked()); got != nil {
		t.Fatalf("making repositories sent %v", got)
	}
	number, first := w.propose("stock")
	expect := func(want ...string) []arrival {
		t.Helper()
		got := w.hooked()
		if diff := cmp.Diff(want, names(got)); diff != "" {
			t.Fatalf("webhooks (-want +got):\n%s", diff)
		}
		for _, a := range got {
			if err := github.ValidateSignature(a.header.Get("X-Hub-Signature-256"), a.body, []byte(testSecret)); err != nil {
				t.Errorf("%s: %v", a.event, err)
			}
			if id := a.payload["installation"].(map[string]any)["id"]; id != float64(w.InstallationID("acme")) {
				t.Errorf("%s: installation %v", a.event, id)
			}
		}
		return got
	}
	got := expect("push", "pull_request opened")
	if ref, before := got[0].payload["ref"], got[0].payload["before"]; ref != "refs/heads/stock" || before != noCommit {
		t.Errorf("pushed %v after %v", ref, before)
	}
	if at := dig(got[1].payload, "pull_request", "head", "sha"); at != first {
		t.Errorf("opened at %v, want %s", at, first)
	}

	second, err := w.Commit(ctx, Change{Repository: "acme/shop", Branch: "stock", Author: "ana", Message: "German label", Files: map[string]string{"a": "b"}})
	w.ok(err)
	got = expect("push", "pull_request synchronize")
	if p := got[1].payload; p["before"] != first || p["after"] != second || dig(p, "pull_request", "head", "sha") != second {
		t.Errorf("synchronized from %v to %v", p["before"], p["after"])
	}
	if message := dig(got[0].payload, "head_commit", "message"); message != "German label" {
		t.Errorf("pushed %v", message)
	}
	if diff := cmp.Diff([]any{"a"}, dig(got[0].payload, "head_commit", "added")); diff != "" {
		t.Error(diff)
	}

	id, err := w.Comment("acme/shop", number, "ben", "/extend 3d")
	w.ok(err)
	got = expect("issue_comment created")
	if p := got[0].payload; dig(p, "comment", "id") != float64(id) || dig(p, "comment", "user", "login") != "ben" || dig(p, "issue", "pull_request", "url") == nil {
		t.Errorf("commented %v", p["comment"])
	}
	w.ok(w.DeleteComment("acme/shop", id, "ben"))
	expect("issue_comment deleted")

	w.ok(w.ClosePullRequest("acme/shop", number, "ana"))
	expect("pull_request closed")
	_, err = w.Commit(ctx, Change{Repository: "acme/shop", Branch: "stock", Files: map[string]string{"c": "d"}})
	w.ok(err)
	expect("push")
	w.ok(w.ReopenPullRequest(ctx, "acme/shop", number, "ana"))
	got = expect("pull_request reopened")
	if at := dig(got[0].payload, "pull_request", "head", "sha"); at != w.Branch("acme/shop", "stock") {
		t.Errorf("reopened at %v", at)
	}

	w.ok(w.DeleteBranch(ctx, "acme/shop", "stock", "ana"))
	got = expect("push", "delete", "pull_request closed")
	if p := got[0].payload; p["deleted"] != true || p["after"] != noCommit || p["head_commit"] != nil {
		t.Errorf("deleted by %v", p)
	}
	if p := got[1].payload; p["ref"] != "stock" || p["ref_type"] != "branch" {
		t.Errorf("deleted %v %v", p["ref_type"], p["ref"])
	}
	if err := w.ReopenPullRequest(ctx, "acme/shop", number, "ana"); err == nil {
		t.Error("a pull request without its branch was reopened")
	}
}

func TestOnlySubscribedEvents(t *testing.T) {
	w := newWorld(t, false)
	w.subscribe("pull_request")
	w.propose("stock")
	if diff := cmp.Diff([]string{"pull_request opened"}, names(w.hooked())); diff != "" {
		t.Error(diff)
	}
}

// subscribe changes what the App subscribes to.
func (w *world) subscribe(events ...string) {
	w.Server.mu.Lock()
	defer w.Server.mu.Unlock()
	w.Server.app.Events = events
}

func TestMergingCloses(t *testing.T) {
	w := newWorld(t, false)
	number, sha := w.propose("stock")
	w.hooked()
	r, err := w.repository("acme/shop")
	w.ok(err)
	w.ok(w.receive(t.Context(), r, w.users["ana"], func() error {
		_, err := w.git.run(t.Context(), r.dir, nil, "update-ref", "refs/heads/main", sha)
		return err
	}))
	got := w.hooked()
	if diff := cmp.Diff([]string{"push", "pull_request closed"}, names(got)); diff != "" {
		t.Fatal(diff)
	}
	if dig(got[1].payload, "pull_request", "merged") != true {
		t.Error("it is not merged")
	}
	if p, err := w.PullRequest("acme/shop", number); err != nil || !p.Merged || p.Open {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestForksAreFollowed(t *testing.T) {
	w := newWorld(t, false)
	ctx := t.Context()
	fork, err := w.Fork(ctx, "acme/shop", "mallory")
	w.ok(err)
	_, err = w.Commit(ctx, Change{Repository: fork, Branch: "mine", Author: "mallory", Files: map[string]string{"x": "1"}})
	w.ok(err)
	number, err := w.OpenPullRequest(ctx, PullRequest{Repository: "acme/shop", Head: "mallory:mine", Title: "Mine", Author: "mallory"})
	w.ok(err)
	sha, err := w.Commit(ctx, Change{Repository: fork, Branch: "mine", Author: "mallory", Files: map[string]string{"x": "2"}})
	w.ok(err)
	got := w.hooked() // the App is not installed in mallory's account, so pushes there are not told
	if diff := cmp.Diff([]string{"pull_request opened", "pull_request synchronize"}, names(got)); diff != "" {
		t.Fatal(diff)
	}
	p := got[1].payload
	if dig(p, "pull_request", "head", "repo", "full_name") != "mallory/shop" || dig(p, "pull_request", "head", "repo", "fork") != true ||
		dig(p, "pull_request", "base", "repo", "full_name") != "acme/shop" {
		t.Errorf("the payload's repositories: %v", p["pull_request"])
	}
	base, err := w.repository("acme/shop")
	w.ok(err)
	if at := w.commitOf(base, "pull/1/head"); at != sha {
		t.Errorf("refs/pull/%d/head is %s, want %s", number, at, sha)
	}
}

func TestDeliveriesAreRecordedAndRepeatedOnlyOnDemand(t *testing.T) {
	w := newWorld(t, true)
	w.mu.Lock()
	w.answer = http.StatusServiceUnavailable
	w.mu.Unlock()
	w.Ping()
	w.propose("stock")
	if n := len(w.hooked()); n != 3 {
		t.Fatalf("%d webhooks arrived, want 3", n)
	}
	client := w.app()
	ctx := t.Context()
	list, res, err := client.Apps.ListHookDeliveries(ctx, &github.ListCursorOptions{PerPage: 2})
	w.ok(err)
	if len(list) != 2 || list[0].GetEvent() != "pull_request" || list[0].GetStatusCode() != 503 || list[0].GetAction() != "opened" || res.Cursor == "" {
		t.Fatalf("listed %v, cursor %q", list, res.Cursor)
	}
	rest, res, err := client.Apps.ListHookDeliveries(ctx, &github.ListCursorOptions{PerPage: 2, Cursor: res.Cursor})
	w.ok(err)
	if len(rest) != 1 || rest[0].GetEvent() != "ping" || res.Cursor != "" || !strings.Contains(res.Header.Get("Link"), `rel="prev"`) {
		t.Fatalf("then listed %v, cursor %q", rest, res.Cursor)
	}
	full, _, err := client.Apps.GetHookDelivery(ctx, list[0].GetID())
	w.ok(err)
	if !strings.HasPrefix(full.GetRequest().Headers["X-Hub-Signature-256"], "sha256=") || full.GetRequest().RawPayload == nil {
		t.Errorf("the delivery's request: %v", full.GetRequest())
	}

	w.mu.Lock()
	w.answer = http.StatusAccepted
	w.mu.Unlock()
	// The answer is 202, which the client takes for a sign that the result is still being computed.
	var accepted *github.AcceptedError
	if _, _, err := client.Apps.RedeliverHookDelivery(ctx, list[0].GetID()); err != nil && !errors.As(err, &accepted) {
		t.Fatal(err)
	}
	got := w.hooked()
	if len(got) != 1 || got[0].guid != list[0].GetGUID() {
		t.Fatalf("redelivered %v", names(got))
	}
	w.ok(w.Redeliver(rest[0].GetGUID()))
	if got := names(w.hooked()); !slices.Equal(got, []string{"ping"}) {
		t.Errorf("redelivered %v", got)
	}
	last := w.Deliveries()[len(w.Deliveries())-1]
	if !last.Redelivery || last.Status != http.StatusAccepted || last.Outcome != "OK" {
		t.Errorf("recorded %+v", last)
	}
}

func TestFailedDeliveries(t *testing.T) {
	w := newWorld(t, false)
	for address, want := range map[string]struct {
		status  int
		outcome string
	}{
		"http://127.0.0.1:1/":         {failedToConnect, "failed to connect to host"},
		"http://preview.localhost:1/": {failedToConnect, "failed to connect to host"},
		"http://192.0.2.1/":           {failedToConnect, errForeign.Error()},
	} {
		w.SetWebhookURL(address)
		w.Ping()
		w.hooked()
		last := w.Deliveries()[len(w.Deliveries())-1]
		if last.Status != want.status || last.Outcome != want.outcome || !last.Done {
			t.Errorf("%s: %d %s", address, last.Status, last.Outcome)
		}
	}
	w.mu.Lock()
	w.clock = func() time.Time { return time.Now().Add(deliveriesKept + time.Hour) }
	w.mu.Unlock()
	w.Ping()
	w.hooked()
	if n := len(w.Deliveries()); n != 1 {
		t.Errorf("%d deliveries are kept after three days, want 1", n)
	}
}

// TestPayloadsHaveTheRecordedFields holds our payloads against GitHub's recorded ones.
func TestPayloadsHaveTheRecordedFields(t *testing.T) {
	w := newWorld(t, false)
	number, _ := w.propose("stock")
	id, err := w.Comment("acme/shop", number, "ana", "hello")
	w.ok(err)
	w.ok(w.DeleteComment("acme/shop", id, "ana"))
	_, err = w.Commit(t.Context(), Change{Repository: "acme/shop", Branch: "stock", Files: map[string]string{"a": "b"}})
	w.ok(err)
	w.ok(w.ClosePullRequest("acme/shop", number, "ana"))
	w.ok(w.ReopenPullRequest(t.Context(), "acme/shop", number, "ana"))
	w.ok(w.DeleteBranch(t.Context(), "acme/shop", "stock", "ana"))
	w.compareWithRecorded(map[string]string{
		"pull_request opened": "pull_request.opened.json", "pull_request synchronize": "pull_request.synchronize.json",
		"pull_request closed": "pull_request.closed.json", "pull_request reopened": "pull_request.reopened.json",
		"push": "push.with-new-branch.json", "delete": "delete.with-installation.json",
		"issue_comment created": "issue_comment.created.with-installation.json", "issue_comment deleted": "issue_comment.deleted.json",
	})
}

// compareWithRecorded holds the first webhook of each name that has arrived against a recorded one, but for the fields that are left.
func (w *world) compareWithRecorded(files map[string]string, left ...string) {
	w.t.Helper()
	dir := filepath.Join("..", "..", "..", "shared", "github", "webhooks")
	if _, err := os.Stat(dir); err != nil {
		w.t.Skipf("GitHub's recorded webhooks are not there: %v", err)
	}
	arrived := w.hooked()
	for name, file := range files {
		i := slices.IndexFunc(arrived, func(a arrival) bool { return names([]arrival{a})[0] == name })
		if i < 0 {
			w.t.Errorf("no %s has arrived", name)
			continue
		}
		raw, err := os.ReadFile(filepath.Join(dir, file))
		w.ok(err)
		var recorded any
		w.ok(json.Unmarshal(raw, &recorded))
		missing(w.t, name, recorded, arrived[i].payload, left)
	}
}

// missing reports the fields that the recorded payload has and ours has not. What only repositories of organisations have, or what was added to
// a repository's settings by its owner, is no part of the simulation.
func missing(t *testing.T, path string, recorded, ours any, left []string) {
	t.Helper()
	theirs, isObject := recorded.(map[string]any)
	if !isObject || ours == nil {
		return
	}
	mine, isObject := ours.(map[string]any)
	if !isObject {
		t.Errorf("%s is %T, recorded is an object", path, ours)
		return
	}
	never := []string{"organization", "custom_properties", "assignee", "milestone", "requested_reviewers", "permissions"}
	for field, value := range theirs {
		if slices.Contains(never, field) || slices.Contains(left, field) {
			continue
		}
		own, there := mine[field]
		if !there {
			t.Errorf("%s.%s is missing", path, field)
			continue
		}
		missing(t, path+"."+field, value, own, left)
	}
}

// dig returns what lies below the keys, nil for nothing.
func dig(v any, keys ...string) any {
	for _, key := range keys {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[key]
	}
	return v
}
