package compose

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"
	"golang.org/x/tools/txtar"
)

// A resolvedService is what docker-compose and this package have to agree on.
type resolvedService struct {
	Environment map[string]string
	Mounts      []string // where something is mounted or copied to
	DependsOn   []string
}

// comparable are the archives that docker-compose 1.29 can read as well, with the files that it is to read.
func comparable() map[string][]string {
	return map[string][]string{
		"ok-anchors": nil, "ok-volumes": nil, "ok-development": nil,
		"ok-limits": nil, "ok-order-of-files": {"compose.yaml"}, "ok-compare": {"compose.yaml", "compose.preview.yaml"},
	}
}

// What docker-compose makes of a file is what the containers get here.
func TestDockerComposeAgrees(t *testing.T) {
	if testing.Short() {
		t.Skip("docker-compose is slow")
	}
	if _, err := exec.LookPath("docker-compose"); err != nil {
		t.Fatalf("%v; .ci/prepare test installs it", err)
	}
	for name, files := range comparable() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(filepath.Join("testdata", name+".txtar"))
			if err != nil {
				t.Fatal(err)
			}
			dir := unpack(t, archive)
			got := map[string]resolvedService{}
			for _, s := range readStack(t, dir).Services {
				r := resolvedService{Environment: s.Environment}
				for name := range testVars() {
					delete(r.Environment, name)
				}
				for _, m := range s.Mounts {
					r.Mounts = append(r.Mounts, m.Target)
				}
				for _, f := range s.Files {
					r.Mounts = append(r.Mounts, f.Target)
				}
				for _, t := range s.Tmpfs {
					r.Mounts = append(r.Mounts, t.Target)
				}
				for _, d := range s.DependsOn {
					r.DependsOn = append(r.DependsOn, d.Service+" "+string(d.Condition))
				}
				slices.Sort(r.Mounts)
				slices.Sort(r.DependsOn)
				got[s.Name] = r
			}
			if diff := cmp.Diff(composed(t, dir, files), got); diff != "" {
				t.Errorf("docker-compose says - and this package +:\n%s", diff)
			}
		})
	}
}

// composed returns what `docker-compose config` says of the files, none being the usual one.
func composed(t *testing.T, dir string, files []string) map[string]resolvedService {
	t.Helper()
	args := []string{"--project-directory", dir}
	for _, name := range files {
		args = append(args, "-f", filepath.Join(dir, name))
	}
	cmd := exec.CommandContext(t.Context(), "docker-compose", append(args, "config")...)
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "PWD=" + dir}
	for name, value := range testVars() {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("docker-compose config: %v\n%s", err, stderr.String())
	}
	var file struct {
		Services map[string]struct {
			Environment map[string]any `yaml:"environment"`
			Volumes     []any          `yaml:"volumes"`
			Tmpfs       any            `yaml:"tmpfs"`
			DependsOn   any            `yaml:"depends_on"`
		} `yaml:"services"`
	}
	if err := yaml.Unmarshal(out, &file); err != nil {
		t.Fatal(err)
	}
	all := map[string]resolvedService{}
	for name, s := range file.Services {
		r := resolvedService{Environment: map[string]string{}, DependsOn: awaited(s.DependsOn)}
		for key, value := range s.Environment {
			if _, ours := testVars()[key]; value != nil && !ours {
				r.Environment[key] = strings.ReplaceAll(fmt.Sprint(value), "$$", "$")
			}
		}
		tmpfs, _ := s.Tmpfs.([]any)
		if one, ok := s.Tmpfs.(string); ok {
			tmpfs = []any{one}
		}
		for _, v := range append(s.Volumes, tmpfs...) {
			r.Mounts = append(r.Mounts, mountedAt(v))
		}
		slices.Sort(r.Mounts)
		all[name] = r
	}
	return all
}

// mountedAt returns the target of a volume or a tmpfs in either syntax.
func mountedAt(v any) string {
	if m, ok := v.(map[string]any); ok {
		return path.Clean(fmt.Sprint(m["target"]))
	}
	parts := strings.Split(fmt.Sprint(v), ":")
	for _, p := range slices.Backward(parts[min(1, len(parts)-1):]) {
		if path.IsAbs(p) {
			return path.Clean(p)
		}
	}
	return path.Clean(parts[0])
}

// awaited returns a service's dependencies with their conditions.
func awaited(dependsOn any) []string {
	var all []string
	switch d := dependsOn.(type) {
	case []any:
		for _, name := range d {
			all = append(all, fmt.Sprint(name)+" service_started")
		}
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(d)) {
			condition, _ := d[name].(map[string]any)
			all = append(all, name+" "+fmt.Sprint(condition["condition"]))
		}
	}
	slices.Sort(all)
	return all
}
