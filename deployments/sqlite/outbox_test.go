package sqlite

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"vitrine/deployments"
)

func (f *fixture) reports() []deployments.PendingReport {
	f.Helper()
	return must(f.Reports(f.Context(), f.clock.Now(), 1000))
}

// reportAll brings everything outside that is to be reported.
func (f *fixture) reportAll() {
	f.Helper()
	for _, r := range f.reports() {
		f.ok(f.Reported(f.Context(), r.Environment.ID, r.Change, []byte(`{"comment":7}`)))
	}
}

func TestReports(t *testing.T) {
	f := newFixture(t)
	f.accept(push(pull(1), commit(1, "login")))
	list := f.reports()
	if len(list) != 1 || list[0].Environment.Name != "shop-pr-1" || list[0].Latest != nil || list[0].Live != nil || list[0].Bookmark != "" {
		t.Fatalf("reports = %+v", list)
	}
	f.ok(f.Reported(t.Context(), 1, list[0].Change, []byte(`{"comment":77}`)))
	if list := f.reports(); len(list) != 0 {
		t.Errorf("reports after it was reported = %+v", list)
	}
	live, _ := f.deploy(pull(1))
	shown := f.reports()[0]
	f.accept(push(pull(1), commit(2, "login")))
	latest := f.claim(pull(1))
	f.ok(f.Reported(t.Context(), 1, shown.Change, nil)) // what was shown is old by now
	list = f.reports()
	if len(list) != 1 || list[0].Latest.ID != latest.ID || list[0].Live.ID != live.ID || list[0].Bookmark != "shop-login" {
		t.Fatalf("reports = %+v", list)
	}
	if n := string(list[0].Environment.Notes); n != `{"comment":77}` {
		t.Errorf("notes = %s", n)
	}
}

func TestPostponeReport(t *testing.T) {
	f := newFixture(t)
	f.accept(push(pull(1), commit(1, "login")))
	f.ok(f.PostponeReport(t.Context(), 1, start.Add(time.Minute), []byte(`{"comment":8}`)))
	if list := f.reports(); len(list) != 0 {
		t.Errorf("reports = %+v, want it held back", list)
	}
	f.clock.Add(time.Minute)
	if list := f.reports(); len(list) != 1 || list[0].Failures != 1 || string(list[0].Environment.Notes) != `{"comment":8}` {
		t.Errorf("reports = %+v, want one with a failure and the notes", list)
	}
	f.reportAll()
	f.accept(push(pull(1), commit(2, "login")))
	if list := f.reports(); len(list) != 1 || list[0].Failures != 0 {
		t.Errorf("reports = %+v, want one without failures", list)
	}
}

func TestAnExtensionIsReported(t *testing.T) {
	f := newFixture(t)
	f.up(pull(1), commit(1, "login"))
	f.visible(pull(1), "extension", func() {
		f.accept(deployments.Want{Origin: pull(1), Intent: deployments.Keep, Extend: time.Hour})
	})
}

func TestUnpushed(t *testing.T) {
	f := newFixture(t)
	f.up(pull(1), commit(1, "login")) // nothing was built
	f.accept(push(pull(2), commit(2, "other")))
	d := f.claim(pull(2))
	d.Images = []deployments.Image{{Service: "web", ID: "sha256:ab", References: []string{"shop/web:id-ab"}}}
	f.ok(f.Save(t.Context(), d))
	if list := must(f.Unpushed(t.Context())); len(list) != 0 {
		t.Errorf("unpushed before it is live = %+v", list)
	}
	must(f.Reserve(t.Context(), d.Environment, public("web")))
	must(f.Switch(t.Context(), d, backends(d, "web"), start))
	list := must(f.Unpushed(t.Context()))
	if len(list) != 1 || list[0].ID != d.ID {
		t.Fatalf("unpushed = %+v", list)
	}
	pushed := []deployments.Image{{Service: "web", ID: "sha256:ab", References: []string{"shop/web:id-ab"}, Digest: "sha256:cd"}}
	f.ok(f.Pushed(t.Context(), d.ID, pushed, start.Add(time.Second)))
	if list := must(f.Unpushed(t.Context())); len(list) != 0 {
		t.Errorf("unpushed afterwards = %+v", list)
	}
	stored := must(f.Deployment(t.Context(), d.ID))
	if diff := cmp.Diff(pushed, stored.Images); diff != "" || !stored.PushedAt.Equal(start.Add(time.Second)) {
		t.Errorf("pushed at %s (-want +got):\n%s", stored.PushedAt, diff)
	}
}

func TestAPushBeforeTheSwitchKeepsItsDigests(t *testing.T) {
	f := newFixture(t)
	f.accept(push(pull(1), commit(1, "login")))
	d := f.claim(pull(1))
	d.Images = []deployments.Image{{Service: "web", ID: "sha256:ab"}}
	f.ok(f.Save(t.Context(), d))
	f.ok(f.Pushed(t.Context(), d.ID, []deployments.Image{{Service: "web", ID: "sha256:ab", Digest: "sha256:cd"}}, start))
	must(f.Reserve(t.Context(), d.Environment, public("web")))
	must(f.Switch(t.Context(), d, backends(d, "web"), start)) // d knows no digest
	if images := must(f.Deployment(t.Context(), d.ID)).Images; images[0].Digest != "sha256:cd" {
		t.Errorf("images = %+v, want the digest", images)
	}
}

func TestRecord(t *testing.T) {
	f := newFixture(t)
	f.ok(f.Record(t.Context(), "acme/shop#1", "expired after 168h"))
	want := []deployments.Event{{ID: 1, Origin: "acme/shop#1", At: start, Text: "expired after 168h"}}
	if diff := cmp.Diff(want, must(f.Events(t.Context(), "acme/shop#1"))); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
}
