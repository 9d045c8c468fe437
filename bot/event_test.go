package bot

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"vitrine/deployments"
)

func TestDeliveryOf(t *testing.T) {
	const sha = "7c1e0d2f7c1e0d2f7c1e0d2f7c1e0d2f7c1e0d2f"
	at := time.Date(2024, 11, 21, 14, 0, 0, 0, time.UTC)
	pullRequest := func(action, state, title, headRepo, ref, extra string) string {
		return `{"action":"` + action + `","number":42,"repository":{"full_name":"acme/shop"}` + extra + `,"pull_request":{"state":"` + state +
			`","updated_at":"2024-11-21T14:00:00Z","title":` + quote(title) + `,"head":{"ref":` + quote(ref) + `,"sha":"` + sha + `","repo":` + headRepo + `}}}`
	}
	const own = `{"full_name":"acme/shop"}`
	pr := deployments.Origin{Repo: "acme/shop", PullRequest: 42}
	upFrom := func(fork bool, title, branch, cause string) deployments.Delivery {
		return deployments.Delivery{Wants: []deployments.Want{{
			Origin: pr, Source: deployments.Source{Repo: "acme/shop", Branch: branch, SHA: sha, Fork: fork}, Title: title,
			Intent: deployments.Up, By: deployments.ByEvent, Cause: cause, SeenAt: at,
		}}}
	}
	up := func(title, branch, cause string) deployments.Delivery { return upFrom(false, title, branch, cause) }
	unseen := func(d deployments.Delivery) deployments.Delivery {
		d.Wants[0].SeenAt = time.Time{}
		return d
	}
	gone := func(o deployments.Origin, title, cause string) deployments.Delivery {
		return deployments.Delivery{Wants: []deployments.Want{{Origin: o, Title: title, Intent: deployments.Gone, By: deployments.ByEvent, Cause: cause}}}
	}
	asks := func(o deployments.Origin, payloads ...string) deployments.Delivery {
		var d deployments.Delivery
		for _, p := range payloads {
			d.Requests = append(d.Requests, deployments.Request{Origin: o, State: deployments.RequestPending, Payload: json.RawMessage(p)})
		}
		return d
	}
	comment := func(action, body, user, extra string) string {
		return `{"action":"` + action + `","repository":{"full_name":"acme/shop"},"issue":{"number":42,"pull_request":{}},"comment":{"id":7,"body":` +
			quote(body) + `,"created_at":"2024-11-21T14:00:00Z","user":` + user + extra + `}}`
	}
	const ana = `{"login":"ana","type":"User"}`
	asked := func(line, command string) string {
		return `{"version":1,"comment":{"id":7,"at":"` + at.Format(time.RFC3339) + `","user":"ana","line":` + line + `,"command":` + command + `}}`
	}
	branch := deployments.Origin{Repo: "acme/shop", Branch: "feature/login"}

	changed := func(action string) deployments.Delivery {
		return asks(pr, `{"version":1,"change":{"action":"`+action+`"}}`)
	}
	checked := func(app, external, head, base, sender string) string {
		return `{"action":"rerequested","repository":{"id":1,"full_name":"acme/shop"},"sender":{"login":"` + sender + `"},"check_run":{"app":{"id":` + app +
			`},"head_sha":"` + sha + `","external_id":"` + external + `","pull_requests":[{"number":42,"head":{"repo":{"id":` + head + `}},"base":{"repo":{"id":` +
			base + `}}}]}}`
	}
	pressed := func(body, identifier string) string {
		return strings.Replace(body, `"rerequested"`, `"requested_action","requested_action":{"identifier":"`+identifier+`"}`, 1)
	}
	button := func(action string) string {
		return `{"version":1,"button":{"action":"` + action + `","sha":"` + sha + `","user":"ana"}}`
	}
	again := asks(pr, button("rerequested"))
	type delivery struct {
		event, body string
		want        deployments.Delivery
	}
	tests := map[string]delivery{
		"opened":                    {"pull_request", pullRequest("opened", "open", "Stock", own, "stock", ""), up("Stock", "stock", "opened 7c1e0d2")},
		"from a fork":               {"pull_request", pullRequest("opened", "open", "x", `{"full_name":"mallory/shop"}`, "b", ""), upFrom(true, "x", "b", "opened 7c1e0d2")},
		"from a deleted fork":       {"pull_request", pullRequest("synchronize", "open", "x", `null`, "b", ""), upFrom(true, "x", "b", "push 7c1e0d2")},
		"a fork's, closed":          {"pull_request", pullRequest("closed", "closed", "x", `null`, "b", ""), gone(pr, "x", causeClosed)},
		"skipped by its title":      {"pull_request", pullRequest("opened", "open", "x [Skip Preview]", own, "b", ""), up("x [Skip Preview]", "b", "opened 7c1e0d2")},
		"merged":                    {"pull_request", strings.Replace(pullRequest("closed", "closed", "x", own, "b", ""), `"state"`, `"merged":true,"state"`, 1), gone(pr, "x", causeMerged)},
		"edited":                    {"pull_request", pullRequest("edited", "open", "x", own, "b", `,"changes":{"title":{"from":"y"}}`), deployments.Delivery{}},
		"edited, base":              {"pull_request", pullRequest("edited", "open", "x", own, "b", `,"changes":{"base":{"ref":{"from":"main"}}}`), changed("edited")},
		"edited, to skip":           {"pull_request", pullRequest("edited", "open", "x [skip preview]", own, "b", `,"changes":{"title":{"from":"x"}}`), changed("edited")},
		"edited, to skip no more":   {"pull_request", pullRequest("edited", "open", "x", own, "b", `,"changes":{"title":{"from":"[SKIP preview]"}}`), changed("edited")},
		"edited, skipped as before": {"pull_request", pullRequest("edited", "open", "y [skip preview]", own, "b", `,"changes":{"title":{"from":"x [skip preview]"}}`), deployments.Delivery{}},
		"labelled":                  {"pull_request", pullRequest("labeled", "open", "x", own, "b", ""), changed("labeled")},
		"labelled no more":          {"pull_request", pullRequest("unlabeled", "open", "x", own, "b", ""), changed("unlabeled")},
		"ready for review":          {"pull_request", pullRequest("ready_for_review", "open", "x", own, "b", ""), changed("ready_for_review")},
		"reopened":                  {"pull_request", pullRequest("reopened", "open", "x", own, "b", ""), up("x", "b", "reopened 7c1e0d2")},
		"opened by an older GitHub": {"pull_request", strings.Replace(pullRequest("opened", "open", "x", own, "b", ""), `"updated_at"`, `"x"`, 1), unseen(up("x", "b", "opened 7c1e0d2"))},
		"labelled when closed":      {"pull_request", pullRequest("labeled", "closed", "x", own, "b", ""), deployments.Delivery{}},
		"converted to a draft":      {"pull_request", pullRequest("converted_to_draft", "open", "x", own, "b", ""), changed("converted_to_draft")},
		"branch --upload-pack=x":    {"pull_request", pullRequest("opened", "open", "x", own, "--upload-pack=x", ""), up("x", "--upload-pack=x", "opened 7c1e0d2")},
		"branch a;b":                {"pull_request", pullRequest("opened", "open", "x", own, "a;b", ""), up("x", "a;b", "opened 7c1e0d2")},
		"branch in Cyrillic":        {"pull_request", pullRequest("opened", "open", "x", own, "витрина", ""), up("x", "витрина", "opened 7c1e0d2")},
		"a long branch":             {"pull_request", pullRequest("opened", "open", "x", own, strings.Repeat("b", 200), ""), up("x", strings.Repeat("b", 200), "opened 7c1e0d2")},
		"a long title":              {"pull_request", pullRequest("opened", "open", strings.Repeat("ы", 300), own, "b", ""), up(strings.Repeat("ы", 255)+"…", "b", "opened 7c1e0d2")},
		"a title of many lines":     {"pull_request", pullRequest("opened", "open", "a\n\u202eb", own, "b", ""), up("a b", "b", "opened 7c1e0d2")},

		"push":                     {"push", `{"ref":"refs/heads/feature/login","after":"` + sha + `","repository":{"full_name":"acme/shop"}}`, asks(branch, `{"version":1,"push":{"sha":"`+sha+`"}}`)},
		"push of a tag":            {"push", `{"ref":"refs/tags/v1","after":"` + sha + `","repository":{"full_name":"acme/shop"}}`, deployments.Delivery{}},
		"push that deletes":        {"push", `{"ref":"refs/heads/feature/login","deleted":true,"repository":{"full_name":"acme/shop"}}`, gone(branch, "", "branch deleted")},
		"delete of a branch":       {"delete", `{"ref":"feature/login","ref_type":"branch","repository":{"full_name":"acme/shop"}}`, gone(branch, "", "branch deleted")},
		"delete of a tag":          {"delete", `{"ref":"v1","ref_type":"tag","repository":{"full_name":"acme/shop"}}`, deployments.Delivery{}},
		"comment":                  {"issue_comment", comment("created", "Nice", ana, ""), deployments.Delivery{}},
		"command":                  {"issue_comment", comment("created", "/deploy", ana, ""), asks(pr, asked("0", `{"verb":"deploy"}`))},
		"commands":                 {"issue_comment", comment("created", "/deploy\r\n/extend 3d", ana, ""), asks(pr, asked("0", `{"verb":"deploy"}`), asked("1", `{"verb":"extend","argument":"3d"}`))},
		"edited comment":           {"issue_comment", comment("edited", "/deploy", ana, ""), deployments.Delivery{}},
		"command on an issue":      {"issue_comment", strings.Replace(comment("created", "/deploy", ana, ""), `,"pull_request":{}`, "", 1), deployments.Delivery{}},
		"command of a bot":         {"issue_comment", comment("created", "/deploy", `{"login":"x[bot]","type":"Bot"}`, ""), deployments.Delivery{}},
		"command by our App":       {"issue_comment", comment("created", "/deploy", ana, `,"performed_via_github_app":{"id":99}`), deployments.Delivery{}},
		"command by no App":        {"issue_comment", comment("created", "/help", ana, `,"performed_via_github_app":null`), asks(pr, asked("0", `{"verb":"help"}`))},
		"check run":                {"check_run", checked("99", "acme/shop#42", "1", "1", "ana"), again},
		"check run of a fork":      {"check_run", strings.Replace(checked("99", "acme/shop#42", "1", "1", "ana"), `"pull_requests"`, `"x"`, 1), again},
		"check run, renamed":       {"check_run", checked("99", "Acme/old#42", "1", "1", "ana"), again},
		"check run of a branch":    {"check_run", checked("99", "acme/shop@feature/login", "1", "1", "ana"), asks(branch, button("rerequested"))},
		"check run of branch a#1":  {"check_run", checked("99", "acme/shop@a#1", "1", "1", "ana"), asks(deployments.Origin{Repo: "acme/shop", Branch: "a#1"}, button("rerequested"))},
		"check run without a name": {"check_run", checked("99", "", "1", "1", "ana"), again},
		"check run of number 0":    {"check_run", checked("99", "acme/shop#0", "1", "1", "ana"), deployments.Delivery{}},
		"check run of no number":   {"check_run", checked("99", "acme/shop#x", "1", "1", "ana"), deployments.Delivery{}},
		"another App's":            {"check_run", checked("98", "acme/shop#42", "1", "1", "ana"), deployments.Delivery{}},
		"check run from a fork":    {"check_run", checked("99", "", "2", "1", "ana"), deployments.Delivery{}},
		"check run for a parent":   {"check_run", checked("99", "", "1", "2", "ana"), deployments.Delivery{}},
		"check run of nothing":     {"check_run", strings.Replace(checked("99", "", "1", "1", "ana"), `"pull_requests"`, `"x"`, 1), deployments.Delivery{}},
		"check run that began":     {"check_run", strings.Replace(checked("99", "acme/shop#42", "1", "1", "ana"), "rerequested", "created", 1), deployments.Delivery{}},
		"check, Deploy":            {"check_run", pressed(checked("99", "acme/shop#42", "1", "1", "ana"), "deploy"), asks(pr, button("requested_action"))},
		"check, another button":    {"check_run", pressed(checked("99", "acme/shop#42", "1", "1", "ana"), "lgtm"), deployments.Delivery{}},
		"installed":                {"installation", `{"action":"created","installation":{"account":{"login":"acme"}}}`, deployments.Delivery{Compare: true}},
		"suspended no more":        {"installation", `{"action":"unsuspend","installation":{"account":{"login":"acme"}}}`, deployments.Delivery{Compare: true}},
		"repositories added":       {"installation_repositories", `{"action":"added","repositories_added":[{"full_name":"acme/shop"}]}`, deployments.Delivery{Compare: true}},
		"repository unarchived":    {"repository", `{"action":"unarchived","repository":{"full_name":"acme/shop"}}`, deployments.Delivery{Compare: true}},
		"repository renamed": {"repository", `{"action":"renamed","repository":{"full_name":"acme/shop"},"changes":{"repository":{"name":{"from":"store"}}}}`,
			deployments.Delivery{Renames: []deployments.Rename{{From: "acme/store", To: "acme/shop"}}}},
		"renamed to what it was": {"repository", `{"action":"renamed","repository":{"full_name":"acme/shop"},"changes":{"repository":{"name":{"from":"shop"}}}}`, deployments.Delivery{}},
		"transferred by a user": {"repository", `{"action":"transferred","repository":{"full_name":"acme/shop"},"changes":{"owner":{"from":{"user":{"login":"ana"}}}}}`,
			deployments.Delivery{Renames: []deployments.Rename{{From: "ana/shop", To: "acme/shop"}}}},
		"transferred by others": {"repository", `{"action":"transferred","repository":{"full_name":"acme/shop"},"changes":{"owner":{"from":{"organization":{"login":"other"}}}}}`,
			deployments.Delivery{Renames: []deployments.Rename{{From: "other/shop", To: "acme/shop"}}}},
		"an event of another":    {"marketplace_purchase", `{"action":"deleted"}`, deployments.Delivery{}},
		"an event of the future": {"pull_request_v2", `[]`, deployments.Delivery{}},
	}
	for action, cause := range map[string]string{"deleted": "repository deleted", "archived": "repository archived"} {
		tests["repository "+action] = delivery{"repository", `{"action":"` + action + `","repository":{"full_name":"acme/shop"}}`, deployments.Delivery{
			Withdrawals: []deployments.Withdrawal{{Owner: "acme", Name: "shop", Cause: cause}},
		}}
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			d, err := deliveryOf(test.event, "guid", []byte(test.body), 99)
			if err != nil {
				t.Fatal(err)
			}
			test.want.GUID, test.want.Event = "guid", d.Event
			if diff := cmp.Diff(test.want, d); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if !strings.HasPrefix(d.Event, test.event) {
				t.Errorf("event %q", d.Event)
			}
		})
	}
}

func TestDeliveryOfRefuses(t *testing.T) {
	tests := map[string]struct{ event, body, want string }{
		"no repository":       {"pull_request", `{}`, "names no repository"},
		"repository as path":  {"push", `{"repository":{"full_name":"../x"}}`, "names no repository"},
		"repository, 3 parts": {"push", `{"repository":{"full_name":"a/b/c"}}`, "names no repository"},
		"another shape":       {"push", `{"ref":7}`, "another shape"},
		"an array":            {"push", `[]`, "another shape"},
		"no pull request":     {"pull_request", `{"action":"opened","number":1,"repository":{"full_name":"acme/shop"}}`, "no pull_request"},
		"no commit":           {"push", `{"ref":"refs/heads/x","after":"--help","repository":{"full_name":"acme/shop"}}`, "no commit"},
		"no user":             {"issue_comment", `{"action":"created","issue":{"number":1,"pull_request":{}},"comment":{"id":1,"body":"/help"},"repository":{"full_name":"acme/shop"}}`, "its user"},
		"no account":          {"installation", `{"action":"deleted"}`, "no account"},
		"account as path":     {"installation", `{"action":"suspend","installation":{"account":{"login":"../x"}}}`, "no account"},
		"removed as path":     {"installation_repositories", `{"action":"removed","repositories_removed":[{"full_name":"acme/.."}]}`, "no repository"},
		"nothing deleted":     {"repository", `{"action":"deleted"}`, "names no repository"},
		"no check run":        {"check_run", `{"action":"rerequested","repository":{"id":1,"full_name":"acme/shop"}}`, "lacks the check run"},
		"check run of no App": {"check_run", `{"action":"rerequested","repository":{"id":1,"full_name":"acme/shop"},"check_run":{}}`, "its App's id"},
		"check run, no id":    {"check_run", `{"action":"rerequested","repository":{"full_name":"acme/shop"},"check_run":{"app":{"id":99}}}`, "the repository's"},
		"check run, no head":  {"check_run", `{"action":"rerequested","repository":{"id":1,"full_name":"acme/shop"},"sender":{"login":"a"},"check_run":{"app":{"id":99}}}`, "the commit"},
		"check run by nobody": {"check_run", `{"action":"rerequested","repository":{"id":1,"full_name":"acme/shop"},"check_run":{"app":{"id":99},"head_sha":"7c1e0d2f7c1e0d2f7c1e0d2f7c1e0d2f7c1e0d2f"}}`, "its sender"},
		"renamed from what":   {"repository", `{"action":"renamed","repository":{"full_name":"acme/shop"}}`, "does not say what was renamed"},
		"transferred by whom": {"repository", `{"action":"transferred","repository":{"full_name":"acme/shop"},"changes":{}}`, "does not say what was transferred"},
		"a user as path":      {"issue_comment", `{"action":"created","issue":{"number":1,"pull_request":{}},"comment":{"id":1,"body":"/help","user":{"login":"a/../b"}},"repository":{"full_name":"acme/shop"}}`, "its user"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			d, err := deliveryOf(test.event, "guid", []byte(test.body), 99)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %+v, %v; want an error with %q", d, err, test.want)
			}
		})
	}
}

func quote(s string) string {
	b, _ := json.Marshal(s) // a string always has an encoding
	return string(b)
}

func FuzzDeliveryOf(f *testing.F) {
	for _, event := range []string{"pull_request", "push", "delete", "issue_comment", "check_run", "installation", "installation_repositories", "repository", "ping"} {
		f.Add(event, []byte(`{"action":"deleted","repository":{"id":1,"full_name":"a/b"},"installation":{"account":{"login":"a"}}}`))
		f.Add(event, []byte(`{"action":"renamed","repository":{"id":1,"full_name":"a/b"},"changes":{"repository":{"name":{"from":"c"}},"owner":{"from":{"user":{"login":"d"}}}}}`))
		f.Add(event, []byte(`{"action":"rerequested","repository":{"id":1,"full_name":"a/b"},"sender":{"login":"c"},"check_run":{"app":{"id":99},"external_id":"a/b#1","head_sha":"7c1e0d2f7c1e0d2f7c1e0d2f7c1e0d2f7c1e0d2f"}}`))
		f.Add(event, []byte(`{"action":"removed","repositories_removed":[{"full_name":"a/b"}]}`))
		f.Add(event, []byte(`{"action":"opened","number":1,"ref":"refs/heads/x","repository":{"full_name":"a/b"},"pull_request":{"state":"open"}}`))
		f.Add(event, []byte(`{"action":"created","ref":"x","ref_type":"branch","issue":{"number":1,"pull_request":{}},"comment":{"id":1,"body":"/deploy","user":{"login":"a"}},"repository":{"full_name":"a/b"}}`))
	}
	if files, err := filepath.Glob(recordings + "/*.json"); err == nil {
		for _, file := range files {
			body, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			event, _, _ := strings.Cut(filepath.Base(file), ".")
			f.Add(event, body)
		}
	}
	f.Fuzz(func(t *testing.T, event string, body []byte) {
		d, err := deliveryOf(event, "guid", body, 99)
		if err != nil {
			return
		}
		for _, w := range d.Wants {
			if _, _, err := split(w.Origin.Repo); err != nil {
				t.Errorf("origin: %v", err)
			}
			if w.Intent == deployments.Up && !commitSHA.MatchString(w.Source.SHA) {
				t.Errorf("commit %q", w.Source.SHA)
			}
		}
		for _, w := range d.Withdrawals {
			if _, _, err := split(w.Owner + "/" + w.Name); err != nil && (w.Name != "" || !loginName.MatchString(w.Owner)) || w.Cause == "" {
				t.Errorf("withdraws %+v", w)
			}
		}
		for _, r := range d.Renames {
			_, _, from := split(r.From)
			_, _, to := split(r.To)
			if from != nil || to != nil {
				t.Errorf("renames %+v", r)
			}
		}
		for _, r := range d.Requests {
			if _, _, err := split(r.Origin.Repo); err != nil || r.Origin.PullRequest < 0 {
				t.Errorf("asks about %+v", r.Origin)
			}
			if _, err := questionOf(r); err != nil {
				t.Error(err)
			}
		}
	})
}
