package showtest

import (
	"maps"
	"time"

	"vitrine/deployments"
)

// The causes of environments that are gone.
const (
	causeClosed = "pull request closed"
	causeMerged = "pull request merged"
)

// Reports returns an environment in every state, by what that is called. They are the caller's to change.
func Reports() map[string]deployments.PendingReport {
	all := make(map[string]deployments.PendingReport)
	for _, some := range []map[string]deployments.PendingReport{underway(), served(), failures(), forks(), ended()} {
		maps.Copy(all, some)
	}
	return all
}

func underway() map[string]deployments.PendingReport {
	building := Building(deployments.Building)
	waits := func(neighbour string) func(*deployments.Environment) {
		return func(e *deployments.Environment) { e.Waiting = "waits for " + neighbour }
	}
	superseded := func(e *deployments.Environment) { e.Generation = 3 }
	return map[string]deployments.PendingReport{
		"queued":         {Environment: Environment(), Latest: Attempt(deployments.Queued)},
		"fetching":       {Environment: Environment(), Latest: Attempt(deployments.Fetching)},
		"building":       {Environment: Environment(), Latest: building},
		"building-again": {Environment: Environment(), Latest: Building(deployments.Building), Live: Before()},
		"starting":       {Environment: Environment(), Latest: Building(deployments.Starting)},
		"superseded":     {Environment: Environment(superseded), Latest: Building(deployments.Superseded)},
		"waiting":        {Environment: Environment(waits("the Docker engine")), Latest: Building(deployments.Cancelled)},
		"waiting-first":  {Environment: Environment(waits("the Docker engine"))},
		"waiting-live":   {Environment: Environment(waits("GitHub")), Live: Before()},
	}
}

func served() map[string]deployments.PendingReport {
	plain := Attempt(deployments.Ready, deployments.ServiceState{Name: "web", Host: "shop-pr-42"})
	plain.LiveAt = Now.Add(870 * time.Millisecond)
	sick := Ready()
	sick.Services[1].Answer, sick.Services[1].Lines = 500, []string{"PG::UndefinedTable: relation \"stock\" does not exist"}
	old := Ready()
	old.CreatedAt, old.LiveAt = old.CreatedAt.AddDate(0, 0, -6), old.LiveAt.AddDate(0, 0, -6)
	branch := Environment(Settled, func(e *deployments.Environment) {
		e.Name, e.Origin, e.Expires = "shop-main", deployments.Origin{Repo: "acme/shop", Branch: "main"}, time.Time{}
	})
	pinned := func(e *deployments.Environment) { e.Pinned = true }
	lasts := func(d time.Duration) func(*deployments.Environment) {
		return func(e *deployments.Environment) { e.Expires = Now.Add(d) }
	}
	unconfirmed := func(e *deployments.Environment) { e.Waiting = "waits for GitHub" }
	return map[string]deployments.PendingReport{
		"ready":             {Environment: Environment(Settled), Latest: Ready(), Live: Ready(), Bookmark: "shop-feature-login"},
		"ready-branch":      {Environment: branch, Latest: Ready(), Live: Ready()},
		"ready-plain":       {Environment: Environment(Settled, lasts(365*24*time.Hour)), Latest: plain, Live: plain},
		"ready-pinned":      {Environment: Environment(Settled, pinned), Latest: Ready(), Live: Ready()},
		"ready-expiring":    {Environment: Environment(Settled, lasts(24*time.Hour)), Latest: old, Live: old, Bookmark: "shop-feature-login"},
		"ready-expiring-on": {Environment: Environment(Settled, lasts(9*time.Hour)), Latest: old, Live: old},
		"ready-for-a-day":   {Environment: Environment(Settled, lasts(20*time.Hour)), Latest: Ready(), Live: Ready()},
		"ready-sick":        {Environment: Environment(Settled), Live: sick},
		"ready-unconfirmed": {Environment: Environment(unconfirmed), Live: Ready(), Latest: Attempt(deployments.Queued)},
		"crashing": {Environment: Environment(Settled), Latest: Ready(), Live: Troubled(deployments.Condition{
			Crashing: []deployments.Fault{{
				Kind: deployments.FaultRun, Service: "api", Excerpt: []string{"panic: no database", "```", "goroutine 1 [running]:"},
				Reason: "is crashing: restarted 5 times within 10 minutes; the last time it exited with status 2",
			}},
			Down: []string{"http://10.213.0.4:8080"},
		})},
		"crashing-both": {Environment: Environment(Settled), Latest: Ready(), Live: Troubled(deployments.Condition{
			Crashing: []deployments.Fault{{Kind: deployments.FaultRun, Service: "api", Reason: "is crashing"}, {Kind: deployments.FaultRun, Service: "web", Reason: "is crashing"}},
		})},
		"down": {Environment: Environment(Settled), Latest: Ready(), Live: Troubled(deployments.Condition{
			Fault: &deployments.Fault{Kind: deployments.FaultStart, Service: "web", Reason: "nothing listens on port 8080 (looked for 60 s)"},
			Down:  []string{"http://10.213.0.3:8080"},
		})},
	}
}

func failures() map[string]deployments.PendingReport {
	failed := Environment(Settled, func(e *deployments.Environment) { e.Failed = true })
	return map[string]deployments.PendingReport{
		"failed-build": {Environment: failed, Live: Before(), Latest: Failed(deployments.Fault{
			Kind: deployments.FaultBuild, Service: "api", Where: "api/Dockerfile:12", Reason: "`RUN npm ci` exited 1 after 8.1 s",
			Excerpt: []string{"npm error Missing: left-pad@1.3.0 from lock file"},
		})},
		"failed-start": {Environment: failed, Latest: Failed(deployments.Fault{
			Kind: deployments.FaultStart, Service: "web", Reason: "Nothing listens on port 8080 after 60 s.", Excerpt: []string{"listening on 3000"},
		})},
		"failed-config": {Environment: failed, Latest: Failed(deployments.Fault{
			Kind: deployments.FaultConfig, Where: "compose.yaml:7", Reason: "services.web.privileged is not allowed. Take it out.",
			Excerpt: []string{"compose.yaml:7: services.web.privileged is not allowed. Take it out.", ".vitrine.yml: unknown key tll"},
			Violations: []deployments.Violation{
				{File: "compose.yaml", Line: 7, Column: 5, Rule: "privileged", Message: "services.web.privileged is not allowed", Rewrite: "Take it out."},
				{File: ".vitrine.yml", Rule: "configuration", Message: "unknown key tll"},
			},
		})},
		"nothing": {Environment: failed, Latest: Failed(deployments.Fault{
			Kind: deployments.FaultNothing, Reason: "There is neither a compose file nor a Dockerfile: `compose.yaml`, `Dockerfile`.",
		})},
	}
}

func forks() map[string]deployments.PendingReport {
	approved := func(sha string) func(*deployments.Environment) {
		return func(e *deployments.Environment) { e.Approved = sha }
	}
	before := Before()
	before.Source.Fork = true
	cancelled := Attempt(deployments.Cancelled)
	return map[string]deployments.PendingReport{
		"fork-new":      {Environment: Environment(Fork), Latest: Attempt(deployments.Queued)},
		"fork-held":     {Environment: Environment(Held), Latest: cancelled},
		"fork-again":    {Environment: Environment(Held, approved(OldSHA)), Latest: cancelled, Live: before},
		"fork-pushed":   {Environment: Environment(Fork, approved(OldSHA)), Latest: Attempt(deployments.Queued), Live: before},
		"fork-approved": {Environment: Environment(Fork, approved(NewSHA)), Latest: Attempt(deployments.Queued)},
	}
}

func ended() map[string]deployments.PendingReport {
	gone := func(by deployments.By, cause string, observed int64, changes ...func(*deployments.Environment)) deployments.PendingReport {
		return deployments.PendingReport{Environment: Environment(append(changes, func(e *deployments.Environment) {
			e.Intent, e.By, e.Cause, e.Generation, e.Observed = deployments.Gone, by, cause, 3, observed
		})...)}
	}
	const rule = "only docs/** changed"
	skipped := func(e *deployments.Environment) { e.Skipped = rule }
	removing := gone(deployments.ByEvent, causeClosed, 2)
	removing.Environment.Waiting, removing.Live = "waits for the registry's storage", Ready()
	return map[string]deployments.PendingReport{
		"removing":         gone(deployments.ByEvent, causeClosed, 2),
		"removing-waiting": removing,
		"gone-closed":      gone(deployments.ByEvent, causeClosed, 3),
		"gone-merged":      gone(deployments.ByEvent, causeMerged, 3),
		"gone-expired":     gone(deployments.ByExpiry, "expired after 168h", 3),
		"gone-destroy":     gone(deployments.ByHand, "/destroy by ana", 3),
		"skipping":         gone(deployments.ByEvent, "skipped: "+rule, 2, skipped),
		"skipped":          gone(deployments.ByEvent, "skipped: "+rule, 3, skipped),
	}
}
