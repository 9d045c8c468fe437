package show

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"vitrine/bot/internal/show/showtest"
	"vitrine/deployments"
)

// outline writes what GitHub is told beside the comment, for the golden files.
func outline(v View) string {
	var b strings.Builder
	for _, c := range v.Checks() {
		b.WriteString(outlineOf(c))
	}
	for _, d := range v.Deployments() {
		fmt.Fprintf(&b, "deployment %d at %.7s: %s %q %s, fresh %v\n", d.Number, d.SHA, d.State, d.Description, d.URL, d.Fresh)
	}
	return b.String()
}

func outlineOf(c Check) string {
	var b strings.Builder
	fmt.Fprintf(&b, "check of %.7s: %s %s: %s\n", c.SHA, c.Status, c.Conclusion, c.Title)
	for _, at := range []time.Time{c.StartedAt, c.EndedAt} {
		if !at.IsZero() {
			fmt.Fprintf(&b, "at %s\n", at.Format(time.RFC3339))
		}
	}
	if c.URL != "" {
		fmt.Fprintf(&b, "leads to %s\n", c.URL)
	}
	fmt.Fprintf(&b, "--- summary\n%s\n", c.Summary)
	if c.Text != "" {
		fmt.Fprintf(&b, "--- text\n%s\n", c.Text)
	}
	for _, a := range c.Annotations {
		fmt.Fprintf(&b, "--- %s:%d %s\n%s\n", a.Path, a.Line, a.Title, a.Message)
	}
	if c.Deploy {
		b.WriteString("--- with a button\n")
	}
	return b.String()
}

func TestChecks(t *testing.T) {
	for name, report := range showtest.Reports() {
		t.Run(name, func(t *testing.T) {
			v := viewOf(report)
			v.Known = true
			golden(t, name+".check", outline(v))
		})
	}
}

// A repository with nothing to deploy has no check, and so none is made before that is known.
func TestChecksOnWhatIsNotKnown(t *testing.T) {
	silent := map[string]bool{"queued": true, "fetching": true, "waiting-first": true, "nothing": true, "fork-new": true, "fork-approved": true}
	for name, report := range showtest.Reports() {
		v := viewOf(report)
		before := len(v.Checks())
		v.Known = true
		after := len(v.Checks())
		if want := silent[name] && after > 0; want != (before < after) {
			t.Errorf("%s: %d checks, %d of what was shown before", name, before, after)
		}
	}
	undeployable := viewOf(showtest.Reports()["skipped"])
	undeployable.Undeployable = true
	if c := undeployable.Checks(); len(c) != 0 {
		t.Errorf("nothing to deploy: %v", c)
	}
}

// What becomes of a check that nothing is to be said of any more.
func TestEnded(t *testing.T) {
	other := strings.Repeat("a", 40)
	tests := []struct {
		report, sha, conclusion string
		want                    string
	}{
		{"building", other, "", "completed cancelled: Superseded by 3f2a91c"},
		{"building", other, ActionRequired, "completed cancelled: Superseded by 3f2a91c"},
		{"building", other, Success, ""},
		{"building", other, Failure, ""},
		{"fork-pushed", other, "", "completed cancelled: Superseded by 3f2a91c"},
		{"fork-pushed", showtest.NewSHA, "", ""},
		{"removing", showtest.NewSHA, "", "completed cancelled: Cancelled: pull request closed"},
		{"removing", showtest.NewSHA, Success, ""},
		{"gone-closed", showtest.NewSHA, ActionRequired, "completed cancelled: Cancelled: pull request closed"},
		{"gone-expired", showtest.NewSHA, Success, "completed success: Removed: expired after 168h"},
		{"gone-closed", showtest.NewSHA, Failure, ""},
		{"gone-closed", showtest.NewSHA, Cancelled, ""},
		{"gone-closed", other, Success, ""},
		{"skipped", other, "", "completed cancelled: Cancelled: only docs/** changed"},
	}
	for _, test := range tests {
		c, ok := viewOf(showtest.Reports()[test.report]).Ended(test.sha, test.conclusion)
		got := ""
		if ok {
			got = fmt.Sprintf("%s %s: %s", c.Status, c.Conclusion, c.Title)
		}
		if got != test.want || ok && (c.SHA != test.sha || c.Summary == "") {
			t.Errorf("%s, %.7s %q: %q, want %q", test.report, test.sha, test.conclusion, got, test.want)
		}
	}
}

func TestAnnotations(t *testing.T) {
	f := deployments.Fault{Violations: []deployments.Violation{
		{File: "compose.yaml", Line: 7, Rule: "privileged", Message: "services.web.privileged is not allowed", Rewrite: "Take it out."},
		{File: "compose.yaml", Rule: "ports", Message: "no\nline\x1b[31m"},
		{Rule: "files", Message: "of no file"},
		{File: "empty.yaml", Rule: "files"},
	}}
	got := annotations(f)
	want := []Annotation{
		{Path: "compose.yaml", Line: 7, Title: "privileged", Message: "services.web.privileged is not allowed. Take it out."},
		{Path: "compose.yaml", Line: 1, Title: "ports", Message: "no line"},
	}
	if len(got) != len(want) || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("%+v", got)
	}
	f.Violations = make([]deployments.Violation, 1000)
	for i := range f.Violations {
		f.Violations[i] = deployments.Violation{File: "a", Line: i + 1, Rule: "r", Message: "m"}
	}
	if n := len(annotations(f)); n != maxAnnotations {
		t.Errorf("%d annotations", n)
	}
}
