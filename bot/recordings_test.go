package bot

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"vitrine/deployments"
	"vitrine/deployments/sqlite"
)

// recordings is where webhooks lie that GitHub sent. A file is named for its event, up to the first dot.
const recordings = "../../shared/github/webhooks"

// recordedApp is the App of one of the recorded check runs, which the tests take for ours.
const recordedApp = 25811

// An effect is what recorded webhooks must cause.
type effect struct {
	of    string // the row of the table of events, or why there is none
	files []string
	seed  []deployments.Want // what is there already, besides bystanders
	// causes are the changes in the store, in words; see changes. None: the answer says that there is nothing to do.
	causes []string
	// compares says that the records are compared with what GitHub has open.
	compares bool
}

const (
	recordedPR  = "Codertocat/Hello-World#2"
	recordedSHA = "ec26c3e57ca3a959ca5aad62de7213c562f8c821"
)

// bystanders are environments that are there in every test, and that only what is withdrawn from them may change.
func bystanders() []deployments.Want {
	var wants []deployments.Want
	for _, o := range []deployments.Origin{
		{Repo: "Codertocat/Hello-World", PullRequest: 7},
		{Repo: "codertocat/Space", Branch: "main"},
		{Repo: "octocat/Hello-World", PullRequest: 1},
		{Repo: "octocat/Spoon-Knife", PullRequest: 3},
		{Repo: "Octocoders/Hello-World", PullRequest: 5},
		{Repo: "electron/electron", PullRequest: 8},
	} {
		wants = append(wants, there(o))
	}
	return wants
}

func there(o deployments.Origin) deployments.Want {
	source := deployments.Source{Repo: o.Repo, Branch: "b", SHA: strings.Repeat("a", 40)}
	return deployments.Want{Origin: o, Source: source, Intent: deployments.Up, By: deployments.ByEvent, Cause: "seeded"}
}

// effects has every recording once.
func effects() []effect {
	pr := there(deployments.Origin{Repo: "Codertocat/Hello-World", PullRequest: 2})
	asks := func(action string) []string {
		return []string{recordedPR + ` asks {"version":1,"change":{"action":"` + action + `"}}`}
	}
	up := func(cause string) []string {
		return []string{
			recordedPR + " up at " + recordedSHA + " by event: " + cause,
			recordedPR + " event: " + cause,
		}
	}
	return []effect{
		{of: "pull_request opened: Up at the head", files: []string{
			"pull_request.opened.json", "pull_request.opened.with-null-body.json", "pull_request.opened.with-organization.json",
		}, causes: up("opened ec26c3e")},
		{of: "pull_request reopened: Up at the head", files: []string{
			"pull_request.reopened.json", "pull_request.reopened.with-organization.json",
		}, causes: up("reopened ec26c3e")},
		{of: "pull_request ready_for_review: a request, which asks what the rules say", files: []string{
			"pull_request.ready_for_review.json", "pull_request.ready_for_review.with-installation.json",
			"pull_request.ready_for_review.with-organization.json",
		}, causes: asks("ready_for_review")},
		{of: "pull_request synchronize: Up at the head, instead of the commit before", seed: []deployments.Want{pr}, files: []string{
			"pull_request.synchronize.json",
		}, causes: up("push ec26c3e")},
		{of: "pull_request labeled: the same", files: []string{
			"pull_request.labeled.json", "pull_request.labeled.with-organization.json",
		}, causes: asks("labeled")},
		{of: "pull_request unlabeled: the same", files: []string{
			"pull_request.unlabeled.json", "pull_request.unlabeled.with-organization.json",
		}, causes: asks("unlabeled")},
		{of: "pull_request closed: Gone", seed: []deployments.Want{pr}, files: []string{
			"pull_request.closed.json", "pull_request.closed.with-organization.json",
		}, causes: []string{
			recordedPR + " gone at " + strings.Repeat("a", 40) + " by event: pull request closed",
			recordedPR + " event: pull request closed",
		}},
		{of: "pull_request converted_to_draft: the same", seed: []deployments.Want{pr}, files: []string{
			"pull_request.converted_to_draft.json", "pull_request.converted_to_draft.with-installation.json",
			"pull_request.converted_to_draft.with-organization.json",
		}, causes: asks("converted_to_draft")},
		{of: "other actions on a pull request are in no row", seed: []deployments.Want{pr}, files: []string{
			"pull_request.assigned.json", "pull_request.assigned.with-organization.json",
			"pull_request.locked.json", "pull_request.locked.with-organization.json",
			"pull_request.review_request_removed.json", "pull_request.review_requested.json",
			"pull_request.unassigned.json", "pull_request.unassigned.with-organization.json",
			"pull_request.unlocked.json", "pull_request.unlocked.with-organization.json",
		}},
		{of: "push to a branch: a request, which asks whether it is tracked", files: []string{
			"push.with-new-branch.json", "push.with-no-username-committer.json",
		}, causes: []string{`Codertocat/Hello-World@master asks {"version":1,"push":{"sha":"6113728f27ae82c7b1a177c8d03f9e96e0adf246"}}`}},
		{of: "push of a tag is in no row", files: []string{
			"push.1.json", "push.default.json", "push.with-installation.json", "push.with-organization.json",
		}},
		{of: "delete of a tag is in no row; of a branch: Gone", files: []string{
			"delete.default.json", "delete.with-installation.json", "delete.with-organization.json",
		}},
		{of: "issue_comment created counts on a pull request, with a command", files: []string{
			"issue_comment.created.1.json", "issue_comment.created.json", "issue_comment.created.with-installation.json",
			"issue_comment.created.with-organization.json",
		}},
		{of: "issue_comment edited or deleted is in no row", files: []string{
			"issue_comment.deleted.json", "issue_comment.deleted.with-organization.json", "issue_comment.edited.json",
			"issue_comment.edited.with-organization.json",
		}},
		{of: "check_run requested_action: deploy again, where the button is ours", files: []string{"check_run.requested_action.json"}},
		{of: "check_run rerequested: deploy again, but not for another App's", files: []string{
			"check_run.rerequested.json", "check_run.rerequested.with-organization.json",
		}},
		{of: "other actions on a check run are in no row", files: []string{
			"check_run.completed.1.json", "check_run.completed.json", "check_run.completed.with-organization.json",
			"check_run.created.json", "check_run.created.with-organization.json",
		}},
		{of: "installation deleted: everything of the account Gone", files: []string{"installation.deleted.json"}, causes: append(
			withdrawn("octocat/Hello-World#1", "the App was uninstalled"), withdrawn("octocat/Spoon-Knife#3", "the App was uninstalled")...,
		)},
		{of: "installation suspended: everything of the account Gone", files: []string{"installation.suspend.json"}, causes: append(
			withdrawn("Codertocat/Hello-World#7", "the App was suspended"), withdrawn("codertocat/Space@main", "the App was suspended")...,
		)},
		{of: "installation created or suspended no more: what is open is compared with the records", compares: true, files: []string{
			"installation.created.json", "installation.created.with-requester.json", "installation.unsuspend.json",
		}},
		{of: "other actions on an installation are in no row", files: []string{"installation.new_permissions_accepted.json"}},
		{of: "installation_repositories removed: everything of those repositories Gone", files: []string{"installation_repositories.removed.json"},
			causes: withdrawn("octocat/Hello-World#1", "the App was taken away from the repository")},
		{of: "installation_repositories added: what is open is compared with the records", compares: true, files: []string{"installation_repositories.added.json"}},
		{of: "repository renamed: follows; the recorded one has its own name again", files: []string{"repository.renamed.json"}},
		{of: "repository transferred: follows; what had the name before gives way", files: []string{
			"repository.transferred.json", "repository.transferred.with-installation.json", "repository.transferred.with-organization.json",
		}, causes: []string{
			"Octocoders/Hello-World#1 up at " + strings.Repeat("a", 40) + " by event: seeded",
			"Octocoders/Hello-World#1 event: seeded",
			"Octocoders/Hello-World~1#5 gone at " + strings.Repeat("a", 40) + " by hand: another repository has its name now",
			"Octocoders/Hello-World~1#5 event: seeded",
			"Octocoders/Hello-World~1#5 event: another repository has its name now",
		}},
		{of: "other actions on a repository are in no row", files: []string{
			"repository.created.json", "repository.created.with-installation.json", "repository.edited.json",
			"repository.edited.with-default_branch-edit.json", "repository.privatized.json", "repository.privatized.with-organization.json",
			"repository.publicized.json", "repository.publicized.with-organization.json",
		}},
		{of: "ping is answered", files: []string{"ping.default.json", "ping.with-app_id.json", "ping.with-organization.json"}},
		{of: "events that the App does not subscribe to", files: []string{
			"check_suite.completed.1.json", "check_suite.completed.json", "check_suite.completed.with-organization.json",
			"check_suite.requested.json", "check_suite.requested.payload.with-email-with-special-characters.json",
			"check_suite.requested.with-organization.json", "check_suite.rerequested.json", "check_suite.rerequested.with-organization.json",
			"create.default.json", "create.with-description.json", "create.with-installation.json", "create.with-organization.json",
			"deployment_status.default.json", "deployment_status.gh-pages.json", "deployment_status.with-installation.json",
			"issues.assigned.json", "issues.assigned.with-installation.json", "issues.assigned.with-organization.json", "issues.deleted.json",
			"issues.demilestoned.json", "issues.demilestoned.with-organization.json", "issues.edited.json", "issues.edited.with-organization.json",
			"issues.labeled.json", "issues.labeled.with-organization.json", "issues.locked.json", "issues.locked.with-organization.json",
			"issues.milestoned.json", "issues.milestoned.with-organization.json", "issues.opened.json", "issues.opened.with-empty-body.json",
			"issues.opened.with-organization.json", "issues.opened.with-transfer.json", "issues.pinned.json", "issues.reopened.json",
			"issues.transferred.json", "issues.unassigned.json", "issues.unassigned.with-organization.json", "issues.unlabeled.json",
			"issues.unlabeled.with-organization.json", "issues.unlocked.json", "issues.unlocked.with-organization.json", "issues.unpinned.json",
			"label.created.1.json", "label.created.json", "label.created.with-installation.json", "label.deleted.json", "label.edited.json",
			"pull_request_review.dismissed.json", "pull_request_review.submitted.json", "pull_request_review.submitted.with-organization.json",
			"pull_request_review_comment.created.json", "pull_request_review_comment.created.with-organization.json",
			"pull_request_review_comment.deleted.json", "pull_request_review_comment.edited.json",
		}},
	}
}

func withdrawn(origin, cause string) []string {
	return []string{origin + " gone at " + strings.Repeat("a", 40) + " by event: " + cause, origin + " event: " + cause}
}

// Every webhook that was recorded, signed, through the endpoint into a store. Each is sent twice, as GitHub may.
func TestRecordedWebhooks(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(recordings, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Skipf("skipped: the recorded webhooks are not at %s", recordings)
	}
	unruled := map[string]bool{}
	for _, file := range files {
		unruled[filepath.Base(file)] = true
	}
	total := 0
	for _, e := range effects() {
		total += len(e.files)
		for _, file := range e.files {
			if !unruled[file] {
				t.Errorf("%s is in the table twice, or was not recorded", file)
			}
			delete(unruled, file)
			t.Run(file, func(t *testing.T) { testRecording(t, e, file) })
		}
	}
	if len(files) != total || len(unruled) > 0 {
		t.Errorf("%d are recorded and %d in the table; without a rule: %v", len(files), total, unruled)
	}
}

func testRecording(t *testing.T, e effect, file string) {
	body, err := os.ReadFile(filepath.Join(recordings, file))
	if err != nil {
		t.Fatal(err)
	}
	store := openStore(t)
	if _, err := store.Accept(t.Context(), deployments.Delivery{Wants: append(bystanders(), e.seed...)}); err != nil {
		t.Fatal(err)
	}
	b := quietBot(t)
	b.config.AppID = recordedApp
	compared := 0
	endpoint := httptest.NewServer(b.Webhooks(storeInbox{store, func() { compared++ }}))
	defer endpoint.Close()
	event, _, _ := strings.Cut(file, ".")
	answer := "accepted"
	if e.causes == nil && !e.compares {
		answer = "nothing to do for " + event
	}
	before := snapshot(t, store)
	for _, again := range []bool{false, true} {
		status, text := post(t, endpoint, event, body)
		if status != http.StatusAccepted || !strings.HasPrefix(text, answer) {
			t.Errorf("%s (sent again: %t): answered %d %q", e.of, again, status, text)
		}
		if diff := cmp.Diff(e.causes, changes(before, snapshot(t, store))); diff != "" {
			t.Errorf("%s (sent again: %t): (-want +got)\n%s", e.of, again, diff)
		}
		if compares := compared > 0; compares != e.compares {
			t.Errorf("%s (sent again: %t): the records are compared: %t", e.of, again, compares)
		}
	}
}

func openStore(t *testing.T) *sqlite.Store {
	t.Helper()
	store, err := sqlite.Open(t.Context(), t.TempDir(), sqlite.Options{Lifetime: deployments.Lifetime{TTL: time.Hour, Max: time.Hour}, Domain: "preview.test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}

// post sends a signed webhook and returns the answer.
func post(t *testing.T, endpoint *httptest.Server, event string, body []byte) (status int, text string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, endpoint.URL+WebhookPath, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-GitHub-Event", event)
	r.Header.Set("X-GitHub-Delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958")
	r.Header.Set("X-Hub-Signature-256", sign(body, testSecret))
	answer, err := endpoint.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	all, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(all)
}

// snapshot says in words what is in the store: every environment, every pending request and every event. Nothing is settled, so that all environments
// are unsettled.
func snapshot(t *testing.T, store *sqlite.Store) []string {
	t.Helper()
	environments, err := store.Unsettled(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range environments {
		forced := ""
		if e.Force {
			forced = ", forced"
		}
		all = append(all, fmt.Sprintf("%s %s at %s by %s%s: %s", e.Origin.Key(), e.Intent, e.Source().SHA, e.By, forced, e.Cause))
		events, err := store.Events(t.Context(), e.Origin.Key())
		if err != nil {
			t.Fatal(err)
		}
		for _, event := range events {
			all = append(all, e.Origin.Key()+" event: "+event.Text)
		}
	}
	requests, err := store.Requests(t.Context(), time.Now(), 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range requests {
		all = append(all, r.Origin.Key()+" asks "+string(json.RawMessage(r.Payload)))
	}
	return all
}

// changes are the lines of a snapshot that the one before does not have.
func changes(before, after []string) []string {
	old := map[string]bool{}
	for _, line := range before {
		old[line] = true
	}
	var added []string
	for _, line := range after {
		if !old[line] {
			added = append(added, line)
		}
	}
	return added
}
