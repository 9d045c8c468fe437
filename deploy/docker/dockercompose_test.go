package docker

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"
)

// runnable are the archives that docker-compose 1.29 can run as well, with the files that it is to read where they are not those that it finds by itself.
// It has no defaults inside of defaults, and gives no more processors than the machine has.
func runnable() map[string][]string {
	return map[string][]string{
		"as-people-write-them": nil, "process": nil, "ok-anchors": nil, "ok-commands": nil, "ok-development": nil, "ok-image": nil,
		"ok-links": nil, "ok-networks": nil, "ok-volumes": nil,
		"ok-compare": {"compose.yaml", "compose.preview.yaml"}, "ok-order-of-files": {"compose.yaml"},
	}
}

// What the containers see is what they see where docker-compose brings the same file up, in the same order.
func TestDockerComposeRunsTheSame(t *testing.T) {
	t.Parallel()
	compareAll(t, map[string][]string{"as-people-write-them": nil, "process": nil})
}

func TestSoakDockerComposeRunsTheSame(t *testing.T) { compareAll(t, runnable()) }

func compareAll(t *testing.T, names map[string][]string) {
	if testing.Short() {
		t.Skip("needs a Docker engine")
	}
	if _, err := exec.LookPath("docker-compose"); err != nil {
		t.Fatalf("%v; .ci/prepare test installs it", err)
	}
	archives := composeFiles(t)
	for name, files := range names {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // it waits for most of its time
			c := newComposed(t, archives[name])
			ours := c.deploy()
			theirs, found := c.compose(files)
			for name, r := range ours.Containers {
				if diff := cmp.Diff(alike(theirs.Containers[name], false), alike(r, capped(theirs.Containers[name]))); diff != "" {
					t.Errorf("%s sees with docker-compose - and here +:\n%s", name, diff)
				}
			}
			if len(theirs.Containers) != len(ours.Containers) {
				t.Errorf("docker-compose has %d containers, and here are %d", len(theirs.Containers), len(ours.Containers))
			}
			for name, hosts := range found {
				for host, containers := range hosts {
					if diff := cmp.Diff(containers, ours.Names[host]); diff != "" {
						t.Errorf("%s finds behind %s with docker-compose - and here +:\n%s", name, host, diff)
					}
				}
			}
		})
	}
}

// capped returns whether docker-compose gives the container more memory than any has here.
func capped(theirs report) bool {
	return len(theirs.Memory) > len("4294967296") || len(theirs.Memory) == len("4294967296") && theirs.Memory > "4294967296"
}

// alike returns the report without what differs by design: Vitrine's own variables, the owners and permissions of files, and the sizes that it bounds. What
// docker-compose mounts from the checkout is copied here, so that it counts as files.
func alike(r report, bounded bool) report {
	clean := report{Args: r.Args, Dir: r.Dir, User: r.User, Open: r.Open, Memory: r.Memory, Env: map[string]string{}, Mounts: map[string]string{}, Files: map[string]string{}}
	if bounded || capped(r) {
		clean.Memory = "bounded"
	}
	for name, value := range r.Env {
		if !strings.HasPrefix(name, "VITRINE_") {
			clean.Env[name] = value
		}
	}
	for at, what := range r.Mounts {
		if !strings.HasPrefix(what, "bind ") {
			clean.Mounts[at] = what
		}
	}
	for name, what := range r.Files {
		if parts := strings.SplitN(what, " ", 3); len(parts) == 3 {
			what = parts[2]
		}
		clean.Files[name] = what
	}
	return clean
}

// compose brings the files up with docker-compose, and returns what the containers see and which names they find. Nothing is published, as the host's ports
// are everybody's, and each network has a place in the pool of these tests.
func (c *composed) compose(files []string) (sighting, map[string]map[string][]string) {
	c.t.Helper()
	project := "vitrine-test-" + random()
	args := []string{"--project-name", project, "--project-directory", c.dir}
	for _, name := range files {
		args = append(args, "-f", filepath.Join(c.dir, name))
	}
	var file map[string]any
	if err := yaml.Unmarshal(c.run(c.t.Context(), append(args, "config")...), &file); err != nil {
		c.t.Fatal(err)
	}
	c.adapt(file)
	b, err := yaml.Marshal(file)
	if err != nil {
		c.t.Fatal(err)
	}
	adapted := filepath.Join(c.t.TempDir(), "adapted.yaml")
	if err := os.WriteFile(adapted, b, 0o600); err != nil {
		c.t.Fatal(err)
	}
	args = []string{"--project-name", project, "--project-directory", c.dir, "-f", adapted}
	c.t.Cleanup(func() { c.run(context.Background(), append(args, "down", "--volumes", "--timeout", "2")...) })
	c.run(c.t.Context(), append(args, "up", "--detach", "--no-build")...)

	by := filters.NewArgs(filters.Arg("label", "com.docker.compose.project="+project))
	made, err := c.client.ContainerList(c.t.Context(), container.ListOptions{All: true, Filters: by})
	if err != nil {
		c.t.Fatal(err)
	}
	ids := map[string]string{}
	for _, one := range made {
		name := one.Labels["com.docker.compose.service"]
		if n := one.Labels["com.docker.compose.container-number"]; n != "1" {
			name += "." + n
		}
		ids[name] = one.ID
	}
	seen, found, lives := c.see(ids)
	for _, s := range c.Services {
		for _, d := range s.DependsOn {
			c.follows(lives, s.Name, d.Service, d.Condition)
		}
	}
	return seen, found
}

// adapt makes what docker-compose has read run here.
func (c *composed) adapt(file map[string]any) {
	services, _ := file["services"].(map[string]any)
	for name, s := range services {
		service, _ := s.(map[string]any)
		for _, key := range []string{"ports", "build", "container_name", "hostname", "tty"} {
			delete(service, key)
		}
		service["image"] = theEngine().tag + "-" + probeNames()[0]
		if c.ends(name) {
			service["image"] = theEngine().tag + "-" + probeNames()[1]
		}
	}
	networks, _ := file["networks"].(map[string]any)
	if networks == nil {
		networks = map[string]any{}
	}
	if _, there := networks["default"]; !there {
		networks["default"] = nil
	}
	for name := range networks {
		networks[name] = map[string]any{"ipam": map[string]any{"config": []any{map[string]any{"subnet": newSubnet().String()}}}}
	}
	file["networks"] = networks
}

// run runs docker-compose and returns what it prints.
func (c *composed) run(ctx context.Context, args ...string) []byte {
	c.t.Helper()
	cmd := exec.CommandContext(ctx, "docker-compose", args...)
	cmd.Dir = c.dir
	cmd.Env = append(os.Environ(), "PWD="+c.dir)
	for name, value := range testValues() {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		c.t.Errorf("docker-compose %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return out
}
