package compose

import (
	"encoding/json"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"vitrine/deploy"
	"vitrine/deployments"
)

// What the operator has left out takes no effect, and the rest of the policy holds as before.
func TestTheOperatorMayHaveFieldsLeftOut(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "compose.yaml", `services:
  web: {image: a, ports: ["80"], privileged: true, cap_add: [SYS_ADMIN], mem_limit: 8g, volumes: ["data:/data"]}
volumes: {data: {driver_opts: {type: none, o: bind, device: /}}}
`)
	read := func(p Policy) (deployments.Stack, error) {
		policy := func(repo string) Policy {
			if repo == "acme/shop" {
				return p
			}
			return Policy{}
		}
		if f := deployments.FaultOf(second(New(Config{Policy: policy}).Read(t.Context(), "acme/other", dir, deployments.Values{Own: testVars()}))); f == nil || len(f.Violations) != 3 {
			t.Errorf("another repository: %+v", f)
		}
		return New(Config{Policy: policy}).Read(t.Context(), "acme/shop", dir, deployments.Values{Own: testVars()})
	}
	if f := deployments.FaultOf(second(read(Policy{LeaveOut: []string{"privileged", "volumes.driver_opts"}}))); f == nil || len(f.Violations) != 1 || f.Violations[0].Rule != "cap_add" {
		t.Fatalf("%+v", f)
	}
	answer, err := read(Policy{LeaveOut: []string{"privileged", "cap_add", "volumes.driver_opts"}, Memory: 6 << 30, CPUs: 1})
	if err != nil {
		t.Fatal(err)
	}
	var stack deploy.Stack
	if err := json.Unmarshal(answer.JSON, &stack); err != nil {
		t.Fatal(err)
	}
	if s := stack.Services[0]; s.Memory != 6<<30 || strings.Contains(string(answer.JSON), "SYS_ADMIN") || strings.Contains(string(answer.JSON), "privileged") {
		t.Errorf("%s", answer.JSON)
	}
	if !slices.Contains(answer.Notes, "privileged is left out (web): the server's policy for this repository has it left out.") {
		t.Errorf("%q", answer.Notes)
	}
}

// Whatever rule the operator has left out, the file is read to its end, and what is refused then is refused for another rule.
func TestEveryRuleCanBeLeftOut(t *testing.T) {
	archives, err := filepath.Glob("testdata/no-*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	tried := map[string]bool{}
	for _, name := range archives {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		dir := unpack(t, archive)
		read := func(leaveOut []string) *deployments.Fault {
			policy := func(string) Policy { return Policy{LeaveOut: leaveOut} }
			_, err := New(Config{Policy: policy}).Read(t.Context(), "acme/shop", dir, deployments.Values{Own: testVars()})
			f := deployments.FaultOf(err)
			if err != nil && f == nil {
				t.Errorf("%s without %q: %v", name, leaveOut, err)
			}
			return f
		}
		var rules []string
		for _, v := range read(nil).Violations {
			if (Policy{LeaveOut: []string{v.Rule}}).Check() == nil && !slices.Contains(rules, v.Rule) {
				rules, tried[v.Rule] = append(rules, v.Rule), true
			}
		}
		if f := read(rules); f != nil {
			for _, v := range f.Violations {
				if slices.Contains(rules, v.Rule) && strings.Contains(v.Message, "not allowed in a preview") {
					t.Errorf("%s: %s is left out, but: %s", name, v.Rule, v.Message)
				}
			}
		}
	}
	if len(tried) < 30 {
		t.Errorf("only %d rules were tried: %v", len(tried), tried)
	}
}

func TestPolicyThatMakesNoSense(t *testing.T) {
	if err := (Policy{LeaveOut: []string{"cap_add", "volumes.driver_opts", "build.privileged"}, Memory: 8 << 30, CPUs: 0.5}).Check(); err != nil {
		t.Error(err)
	}
	err := Policy{LeaveOut: []string{"privilegd", "everything", ""}, Memory: 1 << 20, CPUs: math.NaN()}.Check()
	want := "leave_out: \"privilegd\" is no rule of the policy, did you mean \"privileged\"?\n" +
		"leave_out: \"everything\" is no rule of the policy; `vitrine check --json` names the rule of each violation\n" +
		"leave_out: \"\" is no rule of the policy; `vitrine check --json` names the rule of each violation\n" +
		"memory: 1m is less than a container needs, 6m\ncpus: NaN is no number of processors"
	if err == nil || err.Error() != want {
		t.Errorf("%v, want:\n%s", err, want)
	}
}

func second[A any](_ A, err error) error { return err }
