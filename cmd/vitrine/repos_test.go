package main

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/google/go-cmp/cmp"

	"vitrine/deploy"
	"vitrine/deploy/compose"
)

// parsed returns the settings of a command line of serve.
func parsed(t *testing.T, args ...string) settings {
	t.Helper()
	var c cli
	parser, err := kong.New(&c, kong.DefaultEnvars("VITRINE"), kong.Configuration(loadFile), kong.Vars(defaults()))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse(append([]string{"serve"}, args...)); err != nil {
		t.Fatal(err)
	}
	return c.Serve.settings
}

func TestRepositories(t *testing.T) {
	file := writeFile(t, "vitrine.yml", `repos:
  acme/Legacy: {leave_out: [privileged, volumes.driver_opts], memory: 8g, cpus: 6}
  "acme/*": {memory: 512m}
  other/shop: {cpus: 0.5}
`)
	s := parsed(t, "--config", file)
	for repo, want := range map[string]compose.Policy{
		"acme/legacy":     {LeaveOut: []string{"privileged", "volumes.driver_opts"}, Memory: 8 << 30, CPUs: 6},
		"Acme/Shop":       {Memory: 512 << 20},
		"other/shop":      {CPUs: 0.5},
		"other/shop2":     {},
		"evil/acme/shop":  {},
		"someone/anybody": {},
	} {
		if diff := cmp.Diff(want, s.Repos.policy(repo)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", repo, diff)
		}
	}
	if p := parsed(t).Repos.policy("acme/shop"); cmp.Diff(compose.Policy{}, p) != "" {
		t.Errorf("without a file: %+v", p)
	}
}

// The patterns say which repositories are served, wherever they come from: with a map in the file, those of the map.
func TestServedRepositories(t *testing.T) {
	file := writeFile(t, "vitrine.yml", "repos:\n  acme/Legacy: {memory: 8g}\n  \"other/*\": {}\n")
	for name, test := range map[string]struct {
		args     []string
		variable string
		want     map[string]bool
	}{
		"the file":             {args: []string{"--config", file}, want: map[string]bool{"acme/legacy": true, "ACME/Legacy": true, "other/x": true, "acme/shop": false, "another/x": false}},
		"a flag":               {args: []string{"--repos=acme/shop, Other/*"}, want: map[string]bool{"Acme/Shop": true, "other/x": true, "acme/legacy": false}},
		"a flag twice":         {args: []string{"--repos=acme/shop", "--repos=other/*"}, want: map[string]bool{"acme/shop": true, "other/x": true, "acme/x": false}},
		"a variable":           {variable: "acme/*", want: map[string]bool{"acme/shop": true, "other/x": false, "acme/a/b": false}},
		"flag before variable": {args: []string{"--repos=acme/shop"}, variable: "other/*", want: map[string]bool{"acme/shop": true, "other/x": false}},
		"variable before file": {args: []string{"--config", file}, variable: "acme/shop", want: map[string]bool{"acme/shop": true, "acme/legacy": false, "other/x": false}},
	} {
		t.Run(name, func(t *testing.T) {
			if test.variable != "" {
				t.Setenv("VITRINE_REPOS", test.variable)
			}
			serves := parsed(t, test.args...).Repos.serves()
			for repo, want := range test.want {
				if got := serves(repo); got != want {
					t.Errorf("%s is served: %t", repo, got)
				}
			}
		})
	}
	if parsed(t).Repos.serves() != nil {
		t.Error("without a setting it does not depend on the App's owner")
	}
}

func TestRepositoriesThatMakeNoSense(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"a list":      {"repos: [acme/shop]\n", "configuration file, line 1: repos: expected repositories and what they get, as in `acme/shop: {memory: 8g}`"},
		"no policy":   {"repos:\n  acme/shop:\n", "line 2: repos: acme/shop: expected leave_out, memory or cpus, as in {memory: 8g}"},
		"no pattern":  {"repos: {shop: {}}\n", `line 1: repos: "shop" is no repository or pattern, as in acme/shop or "acme/*"`},
		"bad pattern": {"repos: {\"acme/[a\": {}}\n", `repos: "acme/[a" is no repository or pattern`},
		"empty":       {"repos: {}\n", "line 1: repos: names no repository, so that none would be served; leave it out to serve those of the App's owner"},
		"twice":       {"repos:\n  acme/shop: {}\n  Acme/Shop: {}\n", `line 3: repos: "Acme/Shop" stands on line 2 already`},
		"hidden":      {"repos:\n  acme/*: {}\n  acme/shop: {}\n", `line 3: repos: "acme/shop" never counts, as "acme/*" on line 2 comes first; write it before that`},
		"unknown key": {"repos: {acme/shop: {privileged: true}}\n", `repos: acme/shop: unknown key "privileged"; there are leave_out, memory and cpus`},
		"key twice":   {"repos: {acme/shop: {cpus: 1, cpus: 2}}\n", "repos: acme/shop: cpus: stands there twice"},
		"all at once": {"repos:\n  acme/shop:\n    leave_out: [privilegd]\n    memory: 1m\n    cpus: .inf\n", strings.Join([]string{
			`configuration file, line 3: repos: acme/shop: leave_out: "privilegd" is no rule of the policy, did you mean "privileged"?`,
			"configuration file, line 4: repos: acme/shop: memory: 1m is less than a container needs, 6m",
			"configuration file, line 5: repos: acme/shop: cpus: expected how many processors",
		}, "\n")},
		"words":          {"repos: {acme/shop: {leave_out: privileged}}\n", "leave_out: expected a list of the policy's rules, as in [privileged, cap_add]"},
		"memory":         {"repos: {acme/shop: {memory: much}}\n", "memory: expected what a service gets at most, as in 8g"},
		"processors":     {"repos: {acme/shop: {cpus: [1]}}\n", "cpus: expected how many processors a service gets at most, as in 6 or 1.5"},
		"few processors": {"repos: {acme/shop: {cpus: 0.001}}\n", "cpus: 0.001 is less than a container needs, 0.01"},
		"infinitely":     {"repos: {acme/shop: {cpus: inf}}\n", "cpus: +Inf is no number of processors"},
	} {
		t.Run(name, func(t *testing.T) {
			command(t, "serve", "--config", writeFile(t, "vitrine.yml", test.text)).says(t, exitUsage, test.want)
		})
	}
	for _, pattern := range []string{"shop", "acme/", "acme/[a", "acme/shop,,other/*", "a/b/c"} {
		command(t, "serve", "--repos="+pattern).says(t, exitUsage, "--repos", `is no repository or pattern, as in acme/shop or "acme/*"`)
	}
	t.Setenv("VITRINE_REPOS", "*")
	command(t, "serve").says(t, exitUsage, `"*" is no repository or pattern`)
}

// What the operator has left out for the repository takes no effect on the engine, and what a service gets at most is what the operator says. The host that
// .vitrine.yml names is the one that visitors, the services and the comment have.
func TestARepositoryOfItsOwn(t *testing.T) {
	t.Parallel()
	config := writeFile(t, "vitrine.yml", "repos:\n  acme/in*: {leave_out: [privileged, cap_add], memory: 5g}\n")
	w := openInputs(t, "VITRINE_CONFIG="+config)
	service := "{image: \"" + w.base + "\", ports: [\"8080\"], command: [\"/vitrine\", \"sample\", \"cache\", \"--listen\", \":8080\"], "
	number := w.propose("hosts", map[string]string{
		".vitrine.yml": "services: {admin: {host: ops}}\n",
		"compose.yaml": "services:\n  web: " + service + "privileged: true, cap_add: [SYS_ADMIN], mem_limit: 6g}\n  admin: " + service + "}\n",
	})
	name := fmt.Sprintf("inputs-pr-%d", number)
	w.eventually("the preview is ready", func() bool { return strings.Contains(w.said(number), "### Preview: ready") })
	if !strings.Contains(w.said(number), "http://ops-"+name+".") {
		t.Errorf("the comment does not link the host:\n%s", w.said(number))
	}
	s, ctx := w.story(), w.bounded(time.Minute)
	for _, host := range []string{name, "ops-" + name} {
		if status, _, err := s.get(ctx, host); err != nil || status != http.StatusOK {
			t.Errorf("%s answers %d, %v", host, status, err)
		}
	}
	engine := w.docker()
	for service, memory := range map[string]int64{"web": 5 << 30, "admin": 1 << 30} {
		found, err := engine.ContainerList(ctx, container.ListOptions{Filters: filters.NewArgs(
			filters.Arg("label", deploy.LabelInstance+"="+w.instance()), filters.Arg("label", deploy.LabelService+"="+service))})
		w.must(err)
		if len(found) != 1 {
			t.Fatalf("%s has %d containers", service, len(found))
		}
		c, err := engine.ContainerInspect(ctx, found[0].ID)
		w.must(err)
		if h := c.HostConfig; h.Privileged || slices.Contains(h.CapAdd, "SYS_ADMIN") || slices.Contains(h.CapAdd, "CAP_SYS_ADMIN") || h.Memory != memory {
			t.Errorf("%s: privileged %t, cap_add %q, %d bytes of memory", service, h.Privileged, h.CapAdd, h.Memory)
		}
		if want := "VITRINE_URL_ADMIN=" + fmt.Sprintf("http://ops-%s.preview.localhost:%d", name, w.port); !slices.Contains(c.Config.Env, want) {
			t.Errorf("%s lacks %s: %q", service, want, c.Config.Env)
		}
	}
}
