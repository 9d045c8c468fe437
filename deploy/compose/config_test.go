package compose

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

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
	read := func(c Config) (deployments.Stack, error) {
		return New(c).Read(t.Context(), dir, deployments.Values{Own: testVars()})
	}
	if f := deployments.FaultOf(second(read(Config{LeaveOut: []string{"privileged", "volumes.driver_opts"}}))); f == nil || len(f.Violations) != 1 || f.Violations[0].Rule != "cap_add" {
		t.Fatalf("%+v", f)
	}
	answer, err := read(Config{LeaveOut: []string{"privileged", "cap_add", "volumes.driver_opts"}, Memory: 6 << 30, CPUs: 1})
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

func second[A any](_ A, err error) error { return err }
