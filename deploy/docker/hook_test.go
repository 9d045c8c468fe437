package docker

import (
	"context"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"

	"vitrine/deploy"
	"vitrine/deployments"
)

// hooked is a service whose hooks add lines to a file of its own.
func hooked() deploy.Service {
	s := web("web")
	s.PostStart = []deploy.Hook{
		{Command: []string{"/server", "append", "/data/hooks", "first $MODE of $NAME"}, Environment: map[string]string{"MODE": "warm"}},
		{Command: []string{"/server", "append", "hooks", "second"}, WorkingDir: "/data"},
	}
	return s
}

// Hooks run in their order, in the service's container, with what they add to its environment: before the service is up, and again when it is started again.
func TestPostStartHooks(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	d, of := b.live(1, deploy.Stack{Services: []deploy.Service{hooked()}})
	const once = "first warm of web\nsecond\n"
	ran := func(what, want string) {
		t.Helper()
		if got := b.get(of["web"], "/read", url.Values{"path": {"/data/hooks"}}); got != want {
			t.Errorf("%s the hooks have written %q, want %q", what, got, want)
		}
	}
	ran("at first", once)
	if err := b.Restore(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	ran("while it runs", once)
	if err := b.client.ContainerStop(t.Context(), b.inspect(d, "web").ID, container.StopOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := b.Restore(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	ran("started again", once+once)
}

// A container that stays for the next version is not started, so its hooks do not run either.
func TestPostStartHooksOfWhatStays(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	s := hooked()
	s.InPlace = true
	stack := deploy.Stack{Services: []deploy.Service{s, web("front")}}
	first, _ := b.live(1, stack)
	second := b.deployment(2, stack)
	second.State = first.ID
	if err := b.Prepare(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	encoded, err := json.Marshal(stack)
	if err != nil {
		t.Fatal(err)
	}
	p, err := b.Plan(t.Context(), deployments.PlanRequest{
		Environment: testEnvironment, Deployment: second, Live: &first, Stack: deployments.Stack{JSON: encoded},
	})
	if err != nil {
		t.Fatal(err)
	}
	backends, err := b.Up(t.Context(), second, p, b.progress)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(backends, func(b deployments.Backend) bool { return b.Service == "web" })
	if got := b.get(backends[i], "/read", url.Values{"path": {"/data/hooks"}}); strings.Count(got, "second") != 1 {
		t.Errorf("the hooks have written %q, want that once", got)
	}
}

func TestPostStartHooksFail(t *testing.T) {
	t.Parallel()
	const secret = "hunter2-first"
	with := func(s deploy.Service, command ...string) deploy.Service {
		s.PostStart = []deploy.Hook{{Command: []string{"/server", "append", "/data/hooks", "x"}}, {Command: command}}
		return s
	}
	brief := web("web")
	brief.StartTimeout = 2 * time.Second
	for name, test := range map[string]struct {
		service deploy.Service
		reason  string
		excerpt string
	}{
		"with a status":    {with(web("web"), "/server", "fail", strings.Repeat("x", outputLimit)+"\nno luck with "+secret), `its post_start hook "/server fail xxx`, "no luck with ***"},
		"without an end":   {with(brief, "/server", "hang"), `its post_start hook "/server hang" has not ended after 2 s`, ""},
		"not there":        {with(web("web"), "/nowhere"), `its post_start hook "/nowhere" `, ""},
		"of one that ends": {with(web("web", "-listen", "none", "-after", "200ms", "-exit", "3"), "/server", "hang"), "exited with status 3", "exiting with 3"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, func(c *Config) {
				c.Secrets = func(context.Context, string) ([]string, error) { return []string{secret}, nil }
			})
			stack := deploy.Stack{Services: []deploy.Service{test.service}}
			fault := b.fails(b.deployment(1, stack), stack)
			if fault.Service != "web" || !strings.Contains(fault.Reason, test.reason) {
				t.Errorf("got %q of %s, want %q", fault.Reason, fault.Service, test.reason)
			}
			if test.excerpt != "" && !slices.Contains(fault.Excerpt, test.excerpt) {
				t.Errorf("the excerpt %q has no line %q", fault.Excerpt, test.excerpt)
			}
		})
	}
}
