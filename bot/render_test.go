package bot

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"vitrine/deployments"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var (
	testNow = time.Date(2024, 11, 21, 14, 0, 0, 0, time.UTC)
	newSHA  = "3f2a91c" + strings.Repeat("0", 33)
	oldSHA  = "81bc0de" + strings.Repeat("0", 33)
)

func previewURL(label string) string { return "https://" + label + ".preview.acme.dev" }

// environment42 is that of pull request 42, up, with one generation that is not settled.
func environment42(change func(*deployments.Environment)) deployments.Environment {
	e := deployments.Environment{
		ID: 1, Name: "shop-pr-42", Origin: deployments.Origin{Repo: "acme/shop", PullRequest: 42},
		Sources: []deployments.Source{{Repo: "acme/shop", Branch: "feature/login", SHA: newSHA}}, Title: "Login",
		Intent: deployments.Up, By: deployments.ByEvent, Cause: "opened 3f2a91c", Generation: 2, Observed: 1,
		Expires: testNow.Add(7 * 24 * time.Hour),
	}
	if change != nil {
		change(&e)
	}
	return e
}

func settled(e *deployments.Environment) { e.Observed = e.Generation }

func attemptIn(phase deployments.Phase, services ...deployments.ServiceState) *deployments.Deployment {
	return &deployments.Deployment{
		ID: 7, Environment: 1, Generation: 2, Source: deployments.Source{Repo: "acme/shop", Branch: "feature/login", SHA: newSHA}, Phase: phase,
		Services: services, CreatedAt: testNow,
	}
}

func liveOne() *deployments.Deployment {
	d := attemptIn(deployments.Ready,
		deployments.ServiceState{Name: "web", Status: "healthy", Host: "shop-pr-42", Answer: 200},
		deployments.ServiceState{Name: "api", Status: "healthy", Host: "api-shop-pr-42", Answer: 404})
	d.LiveAt = testNow.Add(41*time.Second + 205*time.Millisecond)
	d.Timings = []deployments.Timing{
		{Phase: deployments.Fetching, Took: 412 * time.Millisecond},
		{Phase: deployments.Building, Took: 31870 * time.Millisecond},
		{Phase: deployments.Starting, Took: 8923 * time.Millisecond},
		{Phase: deployments.Ready, Took: time.Hour},
	}
	return d
}

// troubled is liveOne in another condition than a good one.
func troubled(c deployments.Condition) *deployments.Deployment {
	d := liveOne()
	d.Backends = []deployments.Backend{{Service: "web", URL: "http://10.213.0.3:8080"}, {Service: "api", URL: "http://10.213.0.4:8080"}}
	d.Condition = c
	return d
}

func before() *deployments.Deployment {
	d := liveOne()
	d.ID, d.Generation, d.Source.SHA = 6, 1, oldSHA
	return d
}

func failedWith(f deployments.Fault) *deployments.Deployment {
	d := attemptIn(deployments.Failed)
	d.Fault = &f
	return d
}

func reports() map[string]deployments.PendingReport {
	failed := environment42(func(e *deployments.Environment) { settled(e); e.Failed = true })
	building := []deployments.ServiceState{
		{Name: "web", Status: "building, step 6 of 11", Host: "shop-pr-42"}, {Name: "api", Status: "built, cached", Host: "api-shop-pr-42"},
	}
	gone := func(by deployments.By, cause string, observed int64) deployments.PendingReport {
		return deployments.PendingReport{Environment: environment42(func(e *deployments.Environment) {
			e.Intent, e.By, e.Cause, e.Generation, e.Observed = deployments.Gone, by, cause, 3, observed
		})}
	}
	return map[string]deployments.PendingReport{
		"queued":         {Environment: environment42(nil), Latest: attemptIn(deployments.Queued)},
		"fetching":       {Environment: environment42(nil), Latest: attemptIn(deployments.Fetching)},
		"building":       {Environment: environment42(nil), Latest: attemptIn(deployments.Building, building...)},
		"building-again": {Environment: environment42(nil), Latest: attemptIn(deployments.Building, building...), Live: before()},
		"superseded":     {Environment: environment42(func(e *deployments.Environment) { e.Generation = 3 }), Latest: attemptIn(deployments.Building, building...)},
		"waiting":        {Environment: environment42(func(e *deployments.Environment) { e.Waiting = "waits for the Docker engine" }), Latest: attemptIn(deployments.Cancelled)},
		"removing-waiting": {Environment: environment42(func(e *deployments.Environment) {
			e.Intent, e.Cause, e.Waiting = deployments.Gone, "pull request closed", "waits for the registry's storage"
		}), Live: liveOne()},
		"ready-unconfirmed": {Environment: environment42(func(e *deployments.Environment) { e.Waiting = "waits for GitHub" }), Live: liveOne(), Latest: attemptIn(deployments.Queued)},
		"waiting-live":      {Environment: environment42(func(e *deployments.Environment) { e.Waiting = "waits for GitHub" }), Live: before()},
		"ready":             {Environment: environment42(settled), Latest: liveOne(), Live: liveOne(), Bookmark: "shop-feature-login"},
		"ready-plain": {Environment: environment42(func(e *deployments.Environment) { settled(e); e.Expires = testNow.AddDate(1, 0, 0) }), Live: func() *deployments.Deployment {
			d := attemptIn(deployments.Ready, deployments.ServiceState{Name: "web", Host: "shop-pr-42"})
			d.LiveAt = testNow.Add(870 * time.Millisecond)
			return d
		}()},
		"crashing": {Environment: environment42(settled), Latest: liveOne(), Live: troubled(deployments.Condition{
			Crashing: []deployments.Fault{{
				Kind: deployments.FaultRun, Service: "api", Excerpt: []string{"panic: no database", "```", "goroutine 1 [running]:"},
				Reason: "is crashing: restarted 5 times within 10 minutes; the last time it exited with status 2",
			}},
			Down: []string{"http://10.213.0.4:8080"},
		})},
		"crashing-both": {Environment: environment42(settled), Latest: liveOne(), Live: troubled(deployments.Condition{
			Crashing: []deployments.Fault{{Kind: deployments.FaultRun, Service: "api", Reason: "is crashing"}, {Kind: deployments.FaultRun, Service: "web", Reason: "is crashing"}},
		})},
		"down": {Environment: environment42(settled), Latest: liveOne(), Live: troubled(deployments.Condition{
			Fault: &deployments.Fault{Kind: deployments.FaultStart, Service: "web", Reason: "nothing listens on port 8080 (looked for 60 s)"},
			Down:  []string{"http://10.213.0.3:8080"},
		})},
		"ready-sick": {Environment: environment42(settled), Live: func() *deployments.Deployment {
			d := liveOne()
			d.Services[1].Answer, d.Services[1].Lines = 500, []string{"PG::UndefinedTable: relation \"stock\" does not exist"}
			return d
		}()},
		"failed-build": {Environment: failed, Live: before(), Latest: failedWith(deployments.Fault{
			Kind: deployments.FaultBuild, Service: "api", Where: "api/Dockerfile:12", Reason: "`RUN npm ci` exited 1 after 8.1 s",
			Excerpt: []string{"npm error Missing: left-pad@1.3.0 from lock file"},
		})},
		"failed-start": {Environment: failed, Latest: failedWith(deployments.Fault{
			Kind: deployments.FaultStart, Service: "web", Reason: "Nothing listens on port 8080 after 60 s.", Excerpt: []string{"listening on 3000"},
		})},
		"failed-config": {Environment: failed, Latest: failedWith(deployments.Fault{
			Kind: deployments.FaultConfig, Where: "compose.yaml:7", Reason: `services.web.privileged is not allowed; take it out.`,
		})},
		"nothing": {Environment: failed, Latest: failedWith(deployments.Fault{
			Kind: deployments.FaultNothing, Reason: "There is neither a compose file nor a Dockerfile: `compose.yaml`, `Dockerfile`.",
		})},
		"removing":     gone(deployments.ByEvent, causeClosed, 2),
		"gone-closed":  gone(deployments.ByEvent, causeClosed, 3),
		"gone-merged":  gone(deployments.ByEvent, causeMerged, 3),
		"gone-expired": gone(deployments.ByExpiry, "expired after 168h", 3),
		"gone-destroy": gone(deployments.ByHand, "/destroy by ana", 3),
	}
}

func TestRender(t *testing.T) {
	for name, report := range reports() {
		t.Run(name, func(t *testing.T) {
			got := view{PendingReport: report, url: previewURL, now: testNow}.render() + "\n"
			file := filepath.Join("testdata", name+".md")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestRenderNothing(t *testing.T) {
	for name, e := range map[string]deployments.Environment{
		"never wanted":             environment42(func(e *deployments.Environment) { e.Generation, e.Observed = 0, 0 }),
		"settled without anything": environment42(settled),
	} {
		if got := (view{PendingReport: deployments.PendingReport{Environment: e}, url: previewURL, now: testNow}).render(); got != "" {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestWorthAComment(t *testing.T) {
	want := map[string]bool{
		"queued": false, "fetching": false, "building": true, "building-again": true, "superseded": true, "waiting": true, "waiting-live": true, "ready-unconfirmed": true, "removing-waiting": false,
		"ready": true, "ready-plain": true, "ready-sick": true, "crashing": true, "crashing-both": true, "down": true, "failed-build": true, "failed-start": true, "failed-config": true, "nothing": false,
		"removing": false, "gone-closed": false, "gone-merged": false, "gone-expired": false, "gone-destroy": false,
	}
	for name, report := range reports() {
		if got := (view{PendingReport: report}).worthAComment(); got != want[name] {
			t.Errorf("%s: %v, want %v", name, got, want[name])
		}
		report.Environment.By = deployments.ByHand
		if got := (view{PendingReport: report}).worthAComment(); got != (report.Environment.Intent == deployments.Up) {
			t.Errorf("%s, by hand: %v", name, got)
		}
	}
}

// What strangers write cannot change what the rest of the comment says, wherever it stands.
func TestRenderIsHarmless(t *testing.T) {
	harmless := func(t *testing.T, r deployments.PendingReport, s string) {
		t.Helper()
		body := view{PendingReport: r, url: func(string) string { return "" }, now: testNow}.render()
		html := codeTags.ReplaceAllString(reading(t, body), "")
		for _, ours := range []string{`<h3>`, `<a href="">`, `<strong>`, `<table>`} {
			html = strings.ReplaceAll(html, ours, "")
		}
		if found := harm.FindString(html); found != "" {
			t.Fatalf("%q: %q in\n%s", s, found, body)
		}
	}
	for _, s := range hostile {
		for _, r := range reports() {
			for _, d := range []*deployments.Deployment{r.Latest, r.Live} {
				if d == nil {
					continue
				}
				for i := range d.Services {
					d.Services[i].Name, d.Services[i].Status = s, s
				}
				if d.Fault != nil {
					d.Fault.Service, d.Fault.Where, d.Fault.Reason, d.Fault.Excerpt = s, s, s, []string{s, s}
				}
			}
			if r.Live != nil {
				c := &r.Live.Condition
				for i := range c.Crashing {
					c.Crashing[i] = deployments.Fault{Kind: deployments.FaultRun, Service: s, Reason: s, Excerpt: []string{s, s}}
				}
				if c.Fault != nil {
					c.Fault = &deployments.Fault{Kind: deployments.FaultStart, Service: s, Reason: s, Excerpt: []string{s, s}}
				}
			}
			r.Environment.Title, r.Environment.Cause, r.Bookmark = s, s, ""
			if r.Environment.Waiting != "" {
				r.Environment.Waiting = s
			}
			harmless(t, r, s)
		}
	}
}

func TestRenderFits(t *testing.T) {
	long := strings.Repeat("|*`@", 5_000)
	services := make([]deployments.ServiceState, 500)
	for i := range services {
		services[i] = deployments.ServiceState{Name: strings.Repeat("s", 63), Status: strings.Repeat("b", 100), Host: strings.Repeat("h", 63), Answer: 200}
	}
	excerpt := make([]string, 100)
	for i := range excerpt {
		excerpt[i] = long
	}
	for name, r := range reports() {
		for _, d := range []*deployments.Deployment{r.Latest, r.Live} {
			if d == nil {
				continue
			}
			d.Services = services
			if d.Fault != nil {
				d.Fault.Service, d.Fault.Where, d.Fault.Reason, d.Fault.Excerpt = long, long, long, excerpt
			}
		}
		r.Environment.Cause = long
		if got := len(view{PendingReport: r, url: previewURL, now: testNow}.render()); got >= 65_000 {
			t.Errorf("%s: %d bytes", name, got)
		}
	}
}

func TestSeconds(t *testing.T) {
	for d, want := range map[time.Duration]string{
		870 * time.Millisecond: "0.9 s", 9949 * time.Millisecond: "9.9 s", 9951 * time.Millisecond: "10 s",
		41205 * time.Millisecond: "41 s", 125 * time.Second: "2 min 5 s",
	} {
		if got := seconds(d); got != want {
			t.Errorf("seconds(%v) = %q, want %q", d, got, want)
		}
	}
}
