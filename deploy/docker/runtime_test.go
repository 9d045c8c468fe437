package docker

import (
	"encoding/json"
	"maps"
	"net/url"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/versions"
	"github.com/docker/docker/api/types/volume"
	"github.com/google/go-cmp/cmp"

	"vitrine/deploy"
	"vitrine/deployments"
)

func TestPing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if version, err := b.Ping(t.Context()); err != nil || version == "" {
		t.Errorf("got version %q, %v", version, err)
	}
}

func TestPingNoEngine(t *testing.T) {
	host := "unix://" + t.TempDir() + "/none.sock"
	r, err := New(Config{Instance: "test", Host: host})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	_, err = r.Ping(t.Context())
	for _, part := range []string{"no Docker engine answers at " + host, "start it, or name another with --docker-host"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("got %v, want an error that says %q", err, part)
		}
	}
	if _, err := r.Inventory(t.Context()); err == nil || deployments.FaultOf(err) != nil {
		t.Errorf("got %v for an inventory without an engine, want an error that is no Fault", err)
	}
}

func TestNewWithoutInstance(t *testing.T) {
	if _, err := New(Config{}); err == nil {
		t.Error("a Runtime without an instance was made")
	}
}

// TestConfinement looks at a container from inside.
func TestConfinement(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	small := web("web")
	small.Memory, small.CPUs, small.ReadOnly, small.Tmpfs = 64<<20, 0.5, true, []deploy.Tmpfs{{Target: "/tmp"}}
	stack := deploy.Stack{Services: []deploy.Service{small}}
	d := b.deployment(1, stack)
	backend := b.up(d, stack)["web"]

	status := b.get(backend, "/read", url.Values{"path": {"/proc/self/status"}})
	// CHOWN 0, DAC_OVERRIDE 1, FOWNER 3, FSETID 4, KILL 5, SETGID 6, SETUID 7, SETPCAP 8, NET_BIND_SERVICE 10 (linux/capability.h).
	for _, line := range []string{"CapEff:\t00000000000005fb", "CapBnd:\t00000000000005fb", "NoNewPrivs:\t1", "Seccomp:\t2"} {
		if !strings.Contains(status, line+"\n") {
			t.Errorf("%q is missing in the process's status:\n%s", line, status)
		}
	}
	for what, test := range map[string]struct {
		paths []string
		want  string
	}{
		"memory":    {[]string{"/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory.max"}, "67108864"},
		"processes": {[]string{"/sys/fs/cgroup/pids/pids.max", "/sys/fs/cgroup/pids.max"}, "1024"},
		"CPU":       {[]string{"/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "/sys/fs/cgroup/cpu.max"}, "50000"},
		"init":      {[]string{"/proc/1/comm"}, "docker-init"},
	} {
		if got := strings.Fields(b.get(backend, "/read", url.Values{"path": test.paths}))[0]; got != test.want {
			t.Errorf("%s: got %s, want %s", what, got, test.want)
		}
	}
	b.get(backend, "/write", url.Values{"path": {"/tmp/x"}})

	c := b.inspect(d, "web")
	if len(c.HostConfig.PortBindings) != 0 || c.HostConfig.Privileged || c.HostConfig.PidMode != "" || c.HostConfig.UTSMode != "" {
		t.Errorf("the container has ports, privileges or a namespace of the host: %+v", c.HostConfig)
	}
	if c.HostConfig.IpcMode != "private" || c.HostConfig.CgroupnsMode != "private" || !c.HostConfig.ReadonlyRootfs {
		t.Errorf("the container is not on its own: %+v", c.HostConfig)
	}
	if got := c.HostConfig.LogConfig; got.Type != "json-file" || got.Config["max-size"] == "" {
		t.Errorf("the container's log is not bounded: %+v", got)
	}
}

// TestLabels holds whose everything is: what keeps data is the state's, the rest the deployment's.
func TestLabels(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	db := job("db", "-listen", "none")
	db.Mounts = []deploy.Mount{{Volume: "files", Target: "/files"}}
	stack := deploy.Stack{Services: []deploy.Service{web("web"), db}, Volumes: []string{"files"}}
	d := b.deployment(12, stack)
	d.Images[1].ID = b.engine.keeper
	b.up(d, stack)

	common := map[string]string{"vitrine.instance": b.instance, "vitrine.environment": "shop-pr-42"}
	for service, own := range map[string]string{"web": "vitrine.deployment", "db": "vitrine.state"} {
		labels := b.inspect(d, service).Config.Labels
		if labels["vitrine.config"] == "" {
			t.Errorf("the container of %s has no vitrine.config", service)
		}
		delete(labels, "vitrine.config")
		want := maps.Clone(common)
		want["vitrine.service"], want[own] = service, "12"
		if diff := cmp.Diff(want, labels); diff != "" {
			t.Errorf("labels of the container of %s (-want +got):\n%s", service, diff)
		}
	}
	networks, err := b.client.NetworkList(t.Context(), network.ListOptions{Filters: b.labelled(12)})
	if err != nil || len(networks) != 1 {
		t.Fatalf("networks: %v, %v", networks, err)
	}
	n := networks[0]
	if n.Name != n.Options["com.docker.network.bridge.name"] || !strings.HasPrefix(n.Name, "vt-") || len(n.Name) > 15 || n.EnableIPv6 {
		t.Errorf("the network is not as it should be: %+v", n)
	}
	volumes, err := b.client.VolumeList(t.Context(), volume.ListOptions{Filters: filters.NewArgs(b.ours(), ofState(12))})
	if err != nil || len(volumes.Volumes) != 2 {
		t.Errorf("got volumes %v, %v; want the stack's and the image's", volumes.Volumes, err)
	}
	if mounts := b.inspect(d, "db").Mounts; len(mounts) != 2 {
		t.Errorf("the container has the mounts %+v, want two named ones", mounts)
	}
	if err := b.Runtime.Down(t.Context(), 12); err != nil {
		t.Fatal(err)
	}
	if n := b.left(12); n != 3 {
		t.Errorf("%d objects are left, want the state's container and its two volumes", n)
	}
	for range 2 {
		if err := b.Clear(t.Context(), 12); err != nil {
			t.Fatal(err)
		}
	}
	if n := b.left(12); n != 0 {
		t.Errorf("%d objects are left", n)
	}
}

func TestPrepareTwice(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	d := b.deployment(1, deploy.Stack{})
	for range 2 {
		if err := b.Prepare(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	if n := b.left(1); n != 1 {
		t.Errorf("%d objects were made, want one network", n)
	}
	other := b.deployment(1, deploy.Stack{})
	if err := b.Prepare(t.Context(), other); err == nil {
		t.Error("a network in another subnet was taken for the deployment's")
	}
}

// An engine that came back with fewer processors refuses, once, what was planned for more.
// An engine mounts a folder of a volume where it can. Where it would mount all of it, that is a Fault before anything starts.
func TestFolderOfAVolume(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	s := web("web")
	s.Mounts = []deploy.Mount{{Volume: "data", Target: "/uploads", Subpath: "shop/uploads"}}
	stack := deploy.Stack{Services: []deploy.Service{s}, Volumes: []string{"data"}}
	d := b.deployment(1, stack)
	encoded, err := json.Marshal(stack)
	if err != nil {
		t.Fatal(err)
	}
	planned, err := b.Plan(t.Context(), deployments.PlanRequest{Environment: testEnvironment, Deployment: d, Stack: deployments.Stack{JSON: encoded}})
	if versions.LessThan(b.client.ClientVersion(), subpathVersion) {
		f := deployments.FaultOf(err)
		if f == nil || f.Kind != deployments.FaultConfig || f.Service != "web" || !strings.Contains(f.Reason, "Docker 26 or newer") {
			t.Fatalf("got %v, want a Fault that names the version", err)
		}
		if planned, err = b.anyway(d, stack); err != nil {
			t.Fatal(err)
		}
	}
	plan, err := deploy.ParsePlan(planned.JSON)
	if err != nil {
		t.Fatal(err)
	}
	if got := mountsOf(plan, plan.Containers[0])[0].VolumeOptions; got == nil || got.Subpath != "shop/uploads" || got.NoCopy {
		t.Errorf("the engine is asked for %+v", got)
	}
}

// anyway plans a stack of services of the test image whatever the engine can do.
func (b *bench) anyway(d deployments.Deployment, stack deploy.Stack) (deployments.Plan, error) {
	images := map[string]deploy.Image{}
	for _, s := range stack.Services {
		images[s.Name] = deploy.Image{ID: b.engine.image}
	}
	plan, err := deploy.NewPlan(deploy.PlanInput{
		Instance: b.instance, Environment: testEnvironment.Name, Deployment: d.ID, Subnet: d.Subnet, Stack: stack, Images: images,
	})
	if err != nil {
		return deployments.Plan{}, err
	}
	encoded, err := json.Marshal(plan)
	return deployments.Plan{JSON: encoded}, err
}

func TestSizeIsAskedAnew(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	s := web("web")
	s.CPUs, s.CPUShares = 1000, 73
	stack := deploy.Stack{Services: []deploy.Service{s}}
	b.processors.Store(999)
	d := b.deployment(1, stack)
	_, err := b.Up(t.Context(), d, b.plan(d, stack), b.progress)
	if f := deployments.FaultOf(err); f == nil || f.Kind != deployments.FaultStart {
		t.Errorf("got %v, want a fault of the start", f)
	}
	if err := b.Down(t.Context(), d.ID); err != nil {
		t.Fatal(err)
	}
	engine, err := b.client.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	d = b.deployment(2, stack)
	b.up(d, stack)
	if got, want := b.inspect(d, "web").HostConfig.NanoCPUs, int64(engine.NCPU)*1e9; got != want {
		t.Errorf("web got %d billionths of a processor, want %d", got, want)
	}
	if got := b.inspect(d, "web").HostConfig.CPUShares; got != 73 {
		t.Errorf("web has the weight %d, want 73", got)
	}
}
