package sqlite

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"vitrine/deployments"
)

func TestFare(t *testing.T) {
	f := newFixture(t)
	f.accept(push(pull(1), commit(1, "login")))
	d, before := f.deploy(pull(1), "web", "api")
	const web, api = "http://10.213.0.2:8080", "http://10.213.0.3:8080"
	fare := func(c deployments.Condition) []deployments.Route { return must(f.Fare(t.Context(), d.ID, c)) }
	crashing := deployments.Fault{Kind: deployments.FaultRun, Service: "web", Reason: "is crashing", Excerpt: []string{"panic"}}

	same := fare(deployments.Condition{Crashing: []deployments.Fault{crashing}})
	f.wantTable("it crashes and answers", same, "shop-pr-1 -> shop-pr-1 "+web, "api-shop-pr-1 -> shop-pr-1 "+api, "shop-login -> shop-pr-1 "+web)
	for i, r := range same {
		if r.Revision != before[i].Revision {
			t.Errorf("the record of %s has revision %d, want %d", r.Host, r.Revision, before[i].Revision)
		}
	}
	down := deployments.Condition{Crashing: []deployments.Fault{crashing}, Down: []string{web}}
	f.wantTable("down", fare(down), "shop-pr-1 -> shop-pr-1 lobby", "api-shop-pr-1 -> shop-pr-1 "+api, "shop-login -> shop-pr-1 lobby")
	for _, label := range []string{"shop-pr-1", "shop-login"} {
		want := deployments.HostState{Status: deployments.HostDown, Name: "shop-pr-1", Detail: "web is crashing"}
		if diff := cmp.Diff(want, must(f.HostState(t.Context(), label))); diff != "" {
			t.Errorf("the state of %s (-want +got):\n%s", label, diff)
		}
	}
	if s := must(f.HostState(t.Context(), "api-shop-pr-1")); s.Status != deployments.HostReady {
		t.Errorf("api is %+v", s)
	}
	if diff := cmp.Diff(down, must(f.Deployment(t.Context(), d.ID)).Condition); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
	list := must(f.Reports(t.Context(), f.clock.Now(), 10))
	if len(list) != 1 || list[0].Live == nil || len(list[0].Live.Condition.Crashing) != 1 {
		t.Errorf("to be reported: %+v", list)
	}

	// The lobby of what builds leaves the others where they are.
	f.accept(push(pull(1), commit(2, "login")))
	f.wantTable("while the next one builds", f.lobby(pull(1)), "shop-pr-1 -> shop-pr-1 lobby", "shop-login -> shop-pr-1 lobby")
	f.wantTable("back", fare(deployments.Condition{}), "shop-pr-1 -> shop-pr-1 "+web, "api-shop-pr-1 -> shop-pr-1 "+api, "shop-login -> shop-pr-1 "+web)

	f.deploy(pull(1), "web", "api")
	if _, err := f.Fare(t.Context(), d.ID, down); !errors.Is(err, deployments.ErrSuperseded) {
		t.Errorf("what was replaced: %v, want ErrSuperseded", err)
	}
	if s := must(f.HostState(t.Context(), "shop-pr-1")); s.Status != deployments.HostReady {
		t.Errorf("the new version is %+v", s)
	}
}

// A backend of several leaves the record while the others answer.
func TestFareOfReplicas(t *testing.T) {
	f := newFixture(t)
	f.accept(push(pull(1), commit(1, "login")))
	d := f.claim(pull(1))
	f.ok(f.Adopt(t.Context(), d, deployments.Head{Open: true, Source: f.of(pull(1)).Source()}))
	d.Services = []deployments.ServiceState{{Name: "web", Host: must(f.Reserve(t.Context(), d.Environment, public("web")))[0]}}
	must(f.Switch(t.Context(), d, []deployments.Backend{{Service: "web", URL: "http://a"}, {Service: "web", URL: "http://b"}}, f.clock.Now()))
	routes := must(f.Fare(t.Context(), d.ID, deployments.Condition{Down: []string{"http://a"}}))
	f.wantTable("one is down", routes, "shop-pr-1 -> shop-pr-1 http://b", "shop-login -> shop-pr-1 http://b")
	if s := must(f.HostState(t.Context(), "shop-pr-1")); s.Status != deployments.HostReady {
		t.Errorf("the host is %+v", s)
	}
}

func TestEnvironmentNamed(t *testing.T) {
	f := newFixture(t)
	f.accept(push(pull(1), commit(1, "login")))
	if e := must(f.EnvironmentNamed(t.Context(), "shop-pr-1")); e.Origin != pull(1) {
		t.Errorf("got %+v", e)
	}
	if _, err := f.EnvironmentNamed(t.Context(), "shop-pr-2"); !errors.Is(err, deployments.ErrNotFound) {
		t.Errorf("of nobody: %v, want ErrNotFound", err)
	}
}
