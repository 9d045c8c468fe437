package compose

import (
	"encoding/json"
	"maps"
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
)

// passes are the fields of a service that may be in a file that is read. The list is a second one on purpose.
var passes = strings.Fields(`image build command entrypoint environment depends_on healthcheck expose ports volumes tmpfs working_dir user mem_limit
	cpus deploy stop_signal stop_grace_period read_only networks security_opt tty stdin_open hostname container_name platform pull_policy develop
	logging restart cap_drop init`)

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
		for _, file := range usual {
			if content := fileOf(archive, file); content != nil {
				f.Add(content)
			}
		}
	}
	dir := f.TempDir()
	for name, content := range map[string]string{"Dockerfile": "FROM scratch\n", "app/Dockerfile": "FROM scratch\n"} {
		to := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			f.Fatal(err)
		}
		if err := os.WriteFile(to, []byte(content), 0o644); err != nil {
			f.Fatal(err)
		}
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		if err := os.WriteFile(filepath.Join(dir, "compose.yaml"), content, 0o644); err != nil {
			t.Fatal(err)
		}
		stack, err := New(Config{}).Read(t.Context(), dir, deployments.Values{Own: testVars()})
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
		checkPassed(t, content)
		checkStack(t, stack)
	})
}

// checkPassed reads the file another way, and looks for what should not have passed.
func checkPassed(t *testing.T, content []byte) {
	var file struct {
		Services map[string]map[string]any `yaml:"services"`
		Volumes  map[string]map[string]any `yaml:"volumes"`
		Networks map[string]map[string]any `yaml:"networks"`
		Rest     map[string]any            `yaml:",inline"`
	}
	if err := yaml.Unmarshal(content, &file); err != nil {
		t.Fatalf("read, but the YAML library does not: %v", err)
	}
	foreign := func(names []string, known ...string) {
		for _, name := range names {
			if !slices.Contains(known, name) && !strings.HasPrefix(name, "x-") {
				t.Fatalf("%q passed", name)
			}
		}
	}
	foreign(slices.Collect(maps.Keys(file.Rest)), "name", "version")
	for _, s := range file.Services {
		foreign(slices.Collect(maps.Keys(s)), passes...)
	}
	for _, m := range []map[string]map[string]any{file.Volumes, file.Networks} {
		for _, v := range m {
			foreign(slices.Collect(maps.Keys(v)))
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
		if s.Memory < 0 || s.Memory > maxMemory || s.CPUs < 0 || s.CPUs > maxCPUs || s.Port < 0 || s.Port > 65535 || s.Public != (s.Port != 0) {
			t.Fatalf("%+v", s)
		}
		for _, m := range s.Mounts {
			if !slices.Contains(stack.Volumes, m.Volume) || strings.ContainsAny(m.Volume, "/\\:") || !path.IsAbs(m.Target) {
				t.Fatalf("%+v", m)
			}
		}
		if s.Image == "" && !slices.ContainsFunc(answer.Builds, func(b deployments.Build) bool { return b.Service == s.Name }) {
			t.Fatalf("neither image nor build: %+v", s)
		}
	}
	for _, b := range answer.Builds {
		if !filepath.IsLocal(b.Context) || b.Inline == "" && !filepath.IsLocal(b.Dockerfile) {
			t.Fatalf("%+v", b)
		}
	}
}

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
