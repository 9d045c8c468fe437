package compose

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
	"golang.org/x/tools/txtar"

	"vitrine/deploy"
	"vitrine/deployments"
	"vitrine/deployments/repoconfig"
)

// passes are the fields of a service that may be in a file that is read. The list is a second one on purpose.
var passes = strings.Fields(`image build command entrypoint environment env_file label_file labels depends_on extends profiles links healthcheck expose
	ports volumes configs secrets tmpfs working_dir user init mem_limit cpus shm_size ulimits scale deploy stop_signal stop_grace_period post_start read_only cap_drop
	networks security_opt tty stdin_open attach hostname domainname container_name platform pull_policy develop logging restart extra_hosts cpu_shares
	cpu_quota cpu_period cpu_count cpu_percent mem_reservation memswap_limit pids_limit`)

// harmless are further fields that pass with these values.
var harmless = map[string][]string{
	"privileged": {"false"}, "network_mode": {"bridge", "default"}, "ipc": {"private", "shareable"}, "cgroup": {"private"},
	"oom_kill_disable": {"false"}, "use_api_socket": {"false"},
}

func FuzzRead(f *testing.F) {
	archives, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range archives {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range repoconfig.ComposeFiles() {
			if content := fileOf(archive, file); content != nil {
				f.Add(content)
			}
		}
	}
	outside := f.TempDir()
	dir := filepath.Join(outside, "checkout")
	for name, content := range map[string]string{
		"Dockerfile": "FROM scratch\n", "app/Dockerfile": "FROM scratch\n", "a.env": "A=1\n", "conf/a": "a", "b.yaml": "services: {b: {image: b, privileged: true}}\n",
		"../canary": canary, "../.env": "CANARY=" + canary, "../compose.yaml": "services: {web: {image: " + canary + "}}",
	} {
		to := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			f.Fatal(err)
		}
		if err := os.WriteFile(to, []byte(content), 0o644); err != nil {
			f.Fatal(err)
		}
	}
	if err := os.Symlink(outside, filepath.Join(dir, "link")); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		if err := os.WriteFile(filepath.Join(dir, "compose.yaml"), content, 0o644); err != nil {
			t.Fatal(err)
		}
		stack, err := New(Config{}).Read(t.Context(), "acme/shop", dir, deployments.Values{Own: testVars()})
		if err != nil {
			fault := deployments.FaultOf(err)
			if fault == nil || fault.Reason == "" || len(fault.Excerpt) == 0 || len(fault.Excerpt) > maxListed+1 {
				t.Fatalf("not a fault that can be shown: %v", err)
			}
			if strings.Contains(err.Error(), "cannot be understood") {
				t.Fatalf("a library panics: %v", err)
			}
			return
		}
		checkPassed(t, content, stack)
		checkStack(t, stack)
	})
}

// checkPassed reads the file another way, and looks for what should not have passed. Services that stay out are not looked at, nor are files with
// extends, include and tags, whose parts cannot be told apart here: the stack is what counts of these.
func checkPassed(t *testing.T, content []byte, answer deployments.Stack) {
	var stack deploy.Stack
	if err := json.Unmarshal(answer.JSON, &stack); err != nil {
		t.Fatal(err)
	}
	var file struct {
		Services map[string]map[string]any `yaml:"services"`
		Rest     map[string]any            `yaml:",inline"`
	}
	if err := yaml.Unmarshal(content, &file); err != nil {
		if bytes.Contains(content, []byte("!reset")) || bytes.Contains(content, []byte("!override")) {
			return
		}
		t.Fatalf("read, but the YAML library does not: %v", err)
	}
	for name := range file.Rest {
		if !slices.Contains(strings.Fields("name version include volumes networks configs secrets"), name) && !strings.HasPrefix(name, "x-") {
			t.Fatalf("%q passed", name)
		}
	}
	for _, s := range stack.Services {
		for name, value := range file.Services[s.Name] {
			if !slices.Contains(passes, name) && !strings.HasPrefix(name, "x-") && !slices.Contains(harmless[name], fmt.Sprint(value)) {
				t.Fatalf("%q passed", name)
			}
		}
	}
}

// checkStack holds what was read against what a runtime may rely on.
func checkStack(t *testing.T, answer deployments.Stack) {
	var stack deploy.Stack
	if err := json.Unmarshal(answer.JSON, &stack); err != nil {
		t.Fatal(err)
	}
	if len(stack.Services) == 0 || len(stack.Services) > maxServices || len(answer.Public) == 0 || len(stack.Volumes) > maxVolumes {
		t.Fatalf("%s", answer.JSON)
	}
	for _, s := range stack.Services {
		if s.Memory < 0 || s.Memory > maxMemory || s.CPUs < 0 || s.CPUs > maxCPUs || s.CPUShares < 0 || s.CPUShares > maxShares || s.Port < 0 || s.Port > 65535 || s.Public != (s.Port != 0) {
			t.Fatalf("%+v", s)
		}
		for _, m := range s.Mounts {
			if !slices.Contains(stack.Volumes, m.Volume) || strings.ContainsAny(m.Volume, "/\\:") || !path.IsAbs(m.Target) {
				t.Fatalf("%+v", m)
			}
		}
		for _, f := range s.Files {
			if !path.IsAbs(f.Target) || f.Source != "" && !filepath.IsLocal(f.Source) || strings.Contains(string(f.Content), canary) {
				t.Fatalf("%+v", f)
			}
		}
		for name, value := range s.Environment {
			if strings.Contains(value, canary) {
				t.Fatalf("%s came from outside", name)
			}
		}
		for label := range s.Labels {
			if strings.HasPrefix(label, "vitrine.") {
				t.Fatalf("the label %s passed", label)
			}
		}
		if s.Image == "" && !slices.ContainsFunc(answer.Builds, func(b deployments.Build) bool { return b.Service == s.Name }) {
			t.Fatalf("neither image nor build: %+v", s)
		}
	}
	checkPlan(t, stack)
	for _, b := range answer.Builds {
		if !filepath.IsLocal(b.Context) || b.Inline == "" && !filepath.IsLocal(b.Dockerfile) {
			t.Fatalf("%+v", b)
		}
	}
}

// checkPlan plans the stack with images that are made up. Whatever it says is either planned or a fault of the stack's author.
func checkPlan(t *testing.T, stack deploy.Stack) {
	in := deploy.PlanInput{
		Instance: "fuzz", Environment: "shop-pr-42", Deployment: 1, Subnet: netip.MustParsePrefix("10.213.0.0/24"), Stack: stack, Images: map[string]deploy.Image{},
	}
	for _, s := range stack.Services {
		in.Images[s.Name] = deploy.Image{ID: "sha256:" + strings.Repeat("0", 64)}
	}
	plan, err := deploy.NewPlan(in)
	if err != nil {
		if _, ok := errors.AsType[*deploy.StackError](err); !ok {
			t.Fatalf("the plan fails otherwise than by the stack: %v", err)
		}
		return
	}
	for _, c := range plan.Containers {
		if c.Labels[deploy.LabelInstance] != "fuzz" || c.Memory <= 0 || c.Memory > maxMemory || c.CPUs <= 0 || c.CPUs > maxCPUs {
			t.Fatalf("%+v", c)
		}
		for _, m := range c.Mounts {
			if plan.VolumeName(m.Volume) == "" {
				t.Fatalf("%+v is no volume of the plan", m)
			}
		}
	}
}

// canary lies beside the checkout, where nothing may be read.
const canary = "canary-6f1d"

func FuzzDockerfile(f *testing.F) {
	for _, seed := range []string{
		"FROM scratch\nEXPOSE 80", "FROM a AS b\nEXPOSE 1 2/udp\nFROM b\n", "ARG P=1\nFROM a\nENV Q=${P:-2} R=\"x y\"\nEXPOSE $Q/tcp",
		"FROM a\nRUN <<E\nE\nEXPOSE 0-9", "# escape=`\nFROM a\nEXPOSE 8`\n0", "ENV", "EXPOSE ${",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		found := &findings{files: []string{"Dockerfile"}}
		port := exposed(content, found)
		if err := found.fault(); (err == nil) != (port > 0 && port < 1<<16) || err != nil && strings.Contains(err.Error(), "cannot be understood") {
			t.Fatalf("port %d, %v", port, err)
		}
	})
}
