package main

import (
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"

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

func TestRepositoriesThatMakeNoSense(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"a list":      {"repos: [acme/shop]\n", "configuration file, line 1: repos: expected repositories and what they get, as in `acme/shop: {memory: 8g}`"},
		"no policy":   {"repos:\n  acme/shop:\n", "line 2: repos: acme/shop: expected leave_out, memory or cpus, as in {memory: 8g}"},
		"no pattern":  {"repos: {shop: {}}\n", `line 1: repos: "shop" is no repository or pattern, as in acme/shop or "acme/*"`},
		"bad pattern": {"repos: {\"acme/[a\": {}}\n", `repos: "acme/[a" is no repository or pattern`},
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
	command(t, "serve", "--repos=acme/shop").says(t, exitUsage, "--repos: it can only be set in the file that --config names")
	t.Setenv("VITRINE_REPOS", "acme/shop")
	command(t, "serve").says(t, exitUsage, "it can only be set in the file that --config names")
}
