package docker

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"vitrine/deploy"
	"vitrine/deploy/compose"
	"vitrine/deployments"
)

var update = flag.Bool("update", false, "write what containers see into the files of testdata/compose")

// composeFiles are archives of checkouts: those that package compose reads in its tests, and those of these tests alone.
func composeFiles(t *testing.T) map[string]*txtar.Archive {
	t.Helper()
	archives := map[string]*txtar.Archive{}
	for _, pattern := range []string{"../compose/testdata/ok-*.txtar", "testdata/compose/*.txtar"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("no archives at %s: %v", pattern, err)
		}
		for _, name := range found {
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			archives[strings.TrimSuffix(filepath.Base(name), ".txtar")] = archive
		}
	}
	return archives
}

// unpacked writes the archive's checkout into a folder.
func unpacked(t *testing.T, archive *txtar.Archive) string {
	t.Helper()
	dir := t.TempDir()
	for _, f := range archive.Files {
		if f.Name == "want" {
			continue // what package compose makes of it
		}
		to := filepath.Join(dir, f.Name)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, f.Data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// testValues stand for what the server knows of an environment.
func testValues() map[string]string {
	return map[string]string{"VITRINE_ENVIRONMENT": "shop-pr-42", "VITRINE_SHA": "3f2a91c"}
}

// A report is what testdata/probe says.
type report struct {
	Args   []string          `json:"args"`
	Env    map[string]string `json:"env"`
	Dir    string            `json:"dir"`
	User   string            `json:"user"`
	Mounts map[string]string `json:"mounts"`
	Files  map[string]string `json:"files"`
	Memory string            `json:"memory"`
	Open   uint64            `json:"open,omitempty"` // the hard limit; 0 where the stack has none, as it is the engine's then
}

// A sighting is what the containers of a stack see. They are called as their services, further replicas "worker.2", and jobs "web job 1".
type sighting struct {
	Containers map[string]report `json:"containers"`
	// Names are the containers that each name leads to.
	Names map[string][]string `json:"names"`
}

// A life is when a container began, was ready, and ended, as the engine has it.
type life struct{ started, ready, finished time.Time }

// telling are the archives that show most of what there is to see; the rest is for the longer scenarios.
func telling() []string {
	return []string{
		"as-people-write-them", "process", "ok-configs-secrets", "ok-configured-files", "ok-depends-on", "ok-development", "ok-env-file", "ok-include", "ok-links",
		"ok-volumes",
	}
}

// Compose files as people write them are read, planned and brought up as the server does it, and the containers say what they see. What that is lies in
// testdata/compose; -update writes it.
func TestComposeFiles(t *testing.T) {
	t.Parallel()
	seeAll(t, telling())
}

func TestSoakComposeFiles(t *testing.T) {
	var rest []string
	for name := range composeFiles(t) {
		// Memory locked without limit is not every engine's to give; testdata/compose/process.txtar is like ok-process otherwise. A folder of a volume
		// is not either.
		if name != "ok-process" && name != "ok-subpath" && !slices.Contains(telling(), name) {
			rest = append(rest, name)
		}
	}
	seeAll(t, rest)
}

// seeAll holds what the containers of each archive see against what is written of it.
func seeAll(t *testing.T, names []string) {
	if testing.Short() {
		t.Skip("needs a Docker engine")
	}
	archives := composeFiles(t)
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // it waits for most of its time
			text := indented(t, newComposed(t, archives[name]).deploy())
			golden := filepath.Join("testdata", "compose", name+".json")
			if *update {
				if err := os.WriteFile(golden, text, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(text)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func indented(t *testing.T, v any) []byte {
	t.Helper()
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// A composed is a checkout with a compose file, and the stack that it asks for.
type composed struct {
	*bench
	dir   string
	stack deployments.Stack
	deploy.Stack
}

func newComposed(t *testing.T, archive *txtar.Archive) *composed {
	t.Helper()
	c := &composed{bench: newBench(t, func(c *Config) { c.StartTimeout = time.Minute }), dir: unpacked(t, archive)}
	var err error
	if c.stack, err = compose.New(compose.Config{}).Read(t.Context(), "acme/shop", c.dir, deployments.Values{Own: testValues()}); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(c.stack.JSON, &c.Stack); err != nil {
		t.Fatal(err)
	}
	return c
}

// deploy brings the stack up, each service with an image of the probe, and returns what its containers see.
func (c *composed) deploy() sighting {
	c.t.Helper()
	lasting, ending := probes(c.t)
	d := deployments.Deployment{ID: 1, State: 1, Subnet: newSubnet()}
	for _, s := range c.Services {
		image := lasting
		if c.ends(s.Name) {
			image = ending
		}
		d.Images = append(d.Images, deployments.Image{Service: s.Name, ID: image})
	}
	if err := c.Prepare(c.t.Context(), d); err != nil {
		c.t.Fatal(err)
	}
	p, err := c.Plan(c.t.Context(), deployments.PlanRequest{Environment: testEnvironment, Deployment: d, Stack: c.stack})
	if err != nil {
		c.t.Fatal(err)
	}
	if _, err := c.Runtime.Up(c.t.Context(), d, deployments.Start{Plan: p, Dir: c.dir, Progress: c.progress}); err != nil {
		c.t.Fatal(err)
	}
	plan, err := deploy.ParsePlan(p.JSON)
	if err != nil {
		c.t.Fatal(err)
	}
	ids := map[string]string{}
	for _, container := range plan.Containers {
		ids[calledIn(container)] = container.Name
	}
	seen, names, lives := c.see(ids)
	c.inOrder(plan.Containers, lives)
	for name, found := range names {
		if seen.Names == nil {
			seen.Names = found
		}
		if diff := cmp.Diff(seen.Names, found); diff != "" {
			c.t.Errorf("%s finds other names than the rest:\n%s", name, diff)
		}
	}
	return seen
}

// calledIn returns what a sighting calls the container.
func calledIn(c deploy.Container) string {
	switch {
	case c.Job > 0:
		return fmt.Sprintf("%s job %d", c.Service, c.Job)
	case c.Replica > 1:
		return fmt.Sprintf("%s.%d", c.Service, c.Replica)
	}
	return c.Service
}

// ends returns whether another service waits for the end of this one.
func (c *composed) ends(service string) bool {
	return slices.ContainsFunc(c.Services, func(s deploy.Service) bool {
		return slices.ContainsFunc(s.DependsOn, func(d deploy.Dependency) bool { return d.Service == service && d.Condition == deploy.Completed })
	})
}

// inOrder holds the lives of the containers against what they depend on.
func (c *composed) inOrder(containers []deploy.Container, lives map[string]life) {
	c.t.Helper()
	for _, of := range containers {
		for _, d := range of.DependsOn {
			on := d.Service
			if d.Job > 0 {
				on = fmt.Sprintf("%s job %d", d.Service, d.Job)
			}
			c.follows(lives, calledIn(of), on, d.Condition)
		}
	}
}

// follows checks that a container began when the one that it depends on was in the condition.
func (c *composed) follows(lives map[string]life, name, on string, condition deploy.Condition) {
	c.t.Helper()
	from := map[deploy.Condition]time.Time{
		deploy.Started: lives[on].started, deploy.Healthy: lives[on].ready, deploy.Completed: lives[on].finished,
	}[condition]
	if from.IsZero() || lives[name].started.Before(from) {
		c.t.Errorf("%s started at %s, and the %s of %s was at %s", name, lives[name].started, condition, on, from)
	}
}

// see asks the containers of these names or IDs what they see, and those of them that go on what they find behind the stack's names.
func (c *composed) see(ids map[string]string) (seen sighting, names map[string]map[string][]string, lives map[string]life) {
	c.t.Helper()
	seen.Containers, names, lives = map[string]report{}, map[string]map[string][]string{}, map[string]life{}
	at := map[string]string{} // the containers by their addresses
	var running []string
	for name, id := range ids {
		r, l, inspected := c.told(id)
		if len(inspected.HostConfig.Ulimits) == 0 {
			r.Open = 0
		}
		seen.Containers[name], lives[name] = r, l
		for _, network := range inspected.NetworkSettings.Networks {
			at[network.IPAddress] = name
		}
		if inspected.State.Running {
			running = append(running, name)
		}
	}
	var asked []string
	for _, s := range c.Services {
		asked = append(append(asked, s.Name), s.Aliases...)
	}
	for _, name := range running {
		found := map[string][]string{}
		for host, addresses := range c.resolved(ids[name], asked) {
			for _, address := range addresses {
				found[host] = append(found[host], at[address])
			}
			slices.Sort(found[host])
		}
		names[name] = found
	}
	return seen, names, lives
}

// told returns what the container has said, once it has said everything.
func (c *composed) told(id string) (r report, l life, inspected container.InspectResponse) {
	c.t.Helper()
	var lines []string
	c.eventually("container "+id+" says what it sees", func() bool {
		var err error
		inspected, err = c.client.ContainerInspect(c.t.Context(), id)
		if err != nil {
			c.t.Fatal(err)
		}
		lines = c.printed(id)
		return len(lines) > 1 || len(lines) > 0 && !inspected.State.Running
	})
	_, said, _ := strings.Cut(lines[0], " ")
	if err := json.Unmarshal([]byte(said), &r); err != nil {
		c.t.Fatalf("container %s says %q: %v", id, lines, err)
	}
	delete(r.Env, "HOSTNAME") // the container's ID
	if len(lines) > 1 {
		stamp, _, _ := strings.Cut(lines[1], " ")
		l.ready = c.time(stamp)
	}
	l.started = c.time(inspected.State.StartedAt)
	if !inspected.State.Running {
		l.finished = c.time(inspected.State.FinishedAt)
	}
	return r, l, inspected
}

// eventually waits until done says so.
func (b *bench) eventually(what string, done func() bool) {
	b.t.Helper()
	for deadline := time.Now().Add(time.Minute); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.t.Fatalf("%s: not after a minute", what)
		}
	}
}

func (b *bench) time(text string) time.Time {
	b.t.Helper()
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		b.t.Fatal(err)
	}
	return at
}

// printed returns the lines of the container, each with its time before it.
func (b *bench) printed(id string) []string {
	b.t.Helper()
	stream, err := b.client.ContainerLogs(b.t.Context(), id, container.LogsOptions{ShowStdout: true, ShowStderr: true, Timestamps: true})
	if err != nil {
		b.t.Fatal(err)
	}
	defer stream.Close()
	var out bytes.Buffer
	if _, err := stdcopy.StdCopy(&out, &out, stream); err != nil {
		b.t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(out.String()), "\n")[:bytes.Count(out.Bytes(), []byte("\n"))]
}

// resolved returns the addresses of each of the names that the container finds.
func (b *bench) resolved(id string, names []string) map[string][]string {
	b.t.Helper()
	status, output, err := b.exec(b.t.Context(), id, append([]string{"/bin/resolve"}, names...), nil)
	if err != nil || status != 0 {
		b.t.Fatalf("resolve %q in %s: status %d: %s: %v", names, id, status, output, err)
	}
	found := map[string][]string{}
	if err := json.Unmarshal(output, &found); err != nil {
		b.t.Fatalf("resolve %q in %s: %q: %v", names, id, output, err)
	}
	return found
}
