// Package showtest has environments in every state, for the tests of what is shown of them. Only tests import it.
package showtest

import (
	"strings"
	"time"

	"vitrine/deployments"
)

// Now is when Reports are made.
var Now = time.Date(2024, 11, 21, 14, 0, 0, 0, time.UTC)

// The commits of Reports: the head, and the one before it.
var (
	NewSHA = "3f2a91c" + strings.Repeat("0", 33)
	OldSHA = "81bc0de" + strings.Repeat("0", 33)
)

// PreviewURL is the address of a preview by its host's label.
func PreviewURL(label string) string { return "https://" + label + ".preview.acme.dev" }

// Environment is that of pull request 42, up, with one generation that is not settled.
func Environment(changes ...func(*deployments.Environment)) deployments.Environment {
	e := deployments.Environment{
		ID: 1, Name: "shop-pr-42", Origin: deployments.Origin{Repo: "acme/shop", PullRequest: 42},
		Sources: []deployments.Source{{Repo: "acme/shop", Branch: "feature/login", SHA: NewSHA}}, Title: "Login",
		Intent: deployments.Up, By: deployments.ByEvent, Cause: "opened 3f2a91c", Generation: 2, Observed: 1,
		Expires: Now.Add(7 * 24 * time.Hour),
	}
	for _, change := range changes {
		change(&e)
	}
	return e
}

// Settled is a change of an Environment: nothing is due any more.
func Settled(e *deployments.Environment) { e.Observed = e.Generation }

// Fork is a change of an Environment: its commit is a fork's.
func Fork(e *deployments.Environment) { e.Sources[0].Fork = true }

// Held is a change of an Environment: its commit waits for approval.
func Held(e *deployments.Environment) {
	Fork(e)
	Settled(e)
	e.Held = NewSHA
}

// Attempt is one at an Environment's present generation.
func Attempt(phase deployments.Phase, services ...deployments.ServiceState) *deployments.Deployment {
	d := &deployments.Deployment{
		ID: 7, Environment: 1, Generation: 2, Source: deployments.Source{Repo: "acme/shop", Branch: "feature/login", SHA: NewSHA}, Phase: phase,
		Services: services, CreatedAt: Now,
	}
	if !phase.Running() {
		d.EndedAt = Now.Add(9 * time.Second)
	}
	return d
}

// Building is an Attempt with services on their way.
func Building(phase deployments.Phase) *deployments.Deployment {
	return Attempt(phase,
		deployments.ServiceState{Name: "web", Status: "building, step 6 of 11", Host: "shop-pr-42"},
		deployments.ServiceState{Name: "api", Status: "built, cached", Host: "api-shop-pr-42"})
}

// Ready is an Attempt that is live.
func Ready() *deployments.Deployment {
	d := Attempt(deployments.Ready,
		deployments.ServiceState{Name: "web", Status: "healthy", Host: "shop-pr-42", Answer: 200},
		deployments.ServiceState{Name: "api", Status: "healthy", Host: "api-shop-pr-42", Answer: 404})
	d.LiveAt = Now.Add(41*time.Second + 205*time.Millisecond)
	d.Timings = []deployments.Timing{
		{Phase: deployments.Fetching, Took: 412 * time.Millisecond},
		{Phase: deployments.Building, Took: 31870 * time.Millisecond},
		{Phase: deployments.Starting, Took: 8923 * time.Millisecond},
		{Phase: deployments.Ready, Took: time.Hour},
	}
	return d
}

// Troubled is Ready in another condition than a good one.
func Troubled(c deployments.Condition) *deployments.Deployment {
	d := Ready()
	d.Backends = []deployments.Backend{{Service: "web", URL: "http://10.213.0.3:8080"}, {Service: "api", URL: "http://10.213.0.4:8080"}}
	d.Condition = c
	return d
}

// Before is the one that was Ready at the commit before.
func Before() *deployments.Deployment {
	d := Ready()
	d.ID, d.Generation, d.Source.SHA = 6, 1, OldSHA
	return d
}

// Failed is an Attempt that a fault ended.
func Failed(f deployments.Fault) *deployments.Deployment {
	d := Attempt(deployments.Failed)
	d.Fault = &f
	if f.Kind == deployments.FaultBuild || f.Kind == deployments.FaultStart {
		d.Timings = []deployments.Timing{{Phase: deployments.Building, Took: 8100 * time.Millisecond}}
	}
	return d
}
