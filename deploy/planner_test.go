package deploy

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const someID = "sha256:9b2a1f0c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708"

// input returns the input of a plan for the services, each with the image someID.
func input(services ...Service) PlanInput {
	in := PlanInput{
		Instance: "a1b2c3", Environment: "shop-pr-42", Deployment: 17, Subnet: netip.MustParsePrefix("10.213.0.32/27"),
		Stack: Stack{Services: services}, Images: make(map[string]Image),
	}
	for _, s := range services {
		in.Images[s.Name] = Image{ID: someID, Reference: s.Image}
	}
	return in
}

func TestStackErrors(t *testing.T) {
	on := func(names ...string) (deps []Dependency) {
		for _, n := range names {
			deps = append(deps, Dependency{Service: n, Condition: Started})
		}
		return deps
	}
	many := make([]Service, 26)
	for i := range many {
		many[i].Name = fmt.Sprintf("s%d", i)
	}
	tests := map[string]struct {
		services []Service
		want     string
	}{
		"none":               {nil, "no services"},
		"too many":           {many, "26 containers, replicas counted; a preview may have 25"},
		"twice":              {[]Service{{Name: "web"}, {Name: "web"}}, "twice"},
		"bad name":           {[]Service{{Name: "../web"}}, "not valid"},
		"needs itself":       {[]Service{{Name: "web", DependsOn: on("web")}}, "itself"},
		"needs a stranger":   {[]Service{{Name: "web", DependsOn: on("db")}}, `"db", which is no service`},
		"circle":             {[]Service{{Name: "x", DependsOn: on("a")}, {Name: "a", DependsOn: on("b")}, {Name: "b", DependsOn: on("c")}, {Name: "c", DependsOn: on("a")}}, "a -> b -> c -> a"},
		"unknown condition":  {[]Service{{Name: "web", DependsOn: []Dependency{{Service: "db", Condition: "tired"}}}, {Name: "db"}}, `"tired"`},
		"host without port":  {[]Service{{Name: "web", Public: true}}, "which port"},
		"unknown volume":     {[]Service{{Name: "web", Mounts: []Mount{{Volume: "other", Target: "/x"}}}}, "no volume of this stack"},
		"relative target":    {[]Service{{Name: "web", Mounts: []Mount{{Volume: "v", Target: "x"}}}}, "no absolute path"},
		"root target":        {[]Service{{Name: "web", Mounts: []Mount{{Volume: "v", Target: "/x/.."}}}}, "no absolute path"},
		"two at one target":  {[]Service{{Name: "web", Mounts: []Mount{{Volume: "v", Target: "/x"}, {Volume: "v", Target: "/x/"}}}}, "two volumes at /x"},
		"unknown check form": {[]Service{{Name: "web", Health: &Health{Test: []string{"true"}}}}, "healthcheck.test"},
		"replicas":           {[]Service{{Name: "web", Replicas: 26}}, "26 containers, replicas counted"},
		"file over all":      {[]Service{{Name: "web", Files: []File{{Target: "/", Source: "."}}}}, "no absolute path"},
		"file from outside":  {[]Service{{Name: "web", Files: []File{{Target: "/x", Source: "../x"}}}}, "no path in the checkout"},
		"path without port":  {[]Service{{Name: "web", HealthPath: "/healthz"}}, "on which port"},
		"check without args": {[]Service{{Name: "web", Health: &Health{Test: []string{"CMD"}}}}, "healthcheck.test"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			in := input(test.services...)
			in.Stack.Volumes = []string{"v"}
			_, err := NewPlan(in)
			var wrong *StackError
			if !errors.As(err, &wrong) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want a StackError that says %q", err, test.want)
			}
		})
	}
}

func TestJobErrors(t *testing.T) {
	for want, jobs := range map[string][]Job{
		`"db", which is no service`: {{Service: "db", Run: []string{"x"}}},
		"nothing to run":            {{Service: "web"}},
		"26 init jobs":              slices.Repeat([]Job{{Service: "web", Run: []string{"x"}}}, 26),
	} {
		in := input(Service{Name: "web"})
		in.Stack.Jobs = jobs
		_, err := NewPlan(in)
		var wrong *StackError
		if !errors.As(err, &wrong) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want a StackError that says %q", err, want)
		}
	}
}

// TestCallerErrors holds that what is not the stack's fault is no StackError.
func TestCallerErrors(t *testing.T) {
	for name, change := range map[string]func(*PlanInput){
		"no image":     func(in *PlanInput) { delete(in.Images, "web") },
		"no subnet":    func(in *PlanInput) { in.Subnet = netip.Prefix{} },
		"IPv6":         func(in *PlanInput) { in.Subnet = netip.MustParsePrefix("fd00::/64") },
		"small subnet": func(in *PlanInput) { in.Subnet = netip.MustParsePrefix("10.0.0.0/30") },
		"no instance":  func(in *PlanInput) { in.Instance = "" },
		"no room": func(in *PlanInput) {
			in.Subnet = netip.MustParsePrefix("10.0.0.0/29")
			*in = func() PlanInput {
				full := input(Service{Name: "a"}, Service{Name: "b"}, Service{Name: "c"})
				full.Subnet = in.Subnet
				return full
			}()
		},
	} {
		t.Run(name, func(t *testing.T) {
			in := input(Service{Name: "web"})
			change(&in)
			_, err := NewPlan(in)
			var wrong *StackError
			if err == nil || errors.As(err, &wrong) {
				t.Errorf("got %v, want an error that is no StackError", err)
			}
		})
	}
}

func TestChecks(t *testing.T) {
	health := func(test ...string) *Health { return &Health{Test: test, StartPeriod: 5 * time.Second} }
	tests := map[string]struct {
		service Service
		image   Image
		want    Check
	}{
		"running":            {Service{}, Image{}, Check{Kind: CheckRunning, Settle: 2 * time.Second, Timeout: time.Minute}},
		"image exposes":      {Service{}, Image{Ports: []int{5672, 4369}}, Check{Kind: CheckRunning, Settle: 2 * time.Second, Ports: []int{4369, 5672}, Timeout: time.Minute}},
		"port":               {Service{Port: 80}, Image{}, Check{Kind: CheckPort, Port: 80, Timeout: time.Minute}},
		"own time":           {Service{Port: 80, StartTimeout: 5 * time.Second}, Image{}, Check{Kind: CheckPort, Port: 80, Timeout: 5 * time.Second}},
		"too much time":      {Service{Port: 80, StartTimeout: time.Hour}, Image{}, Check{Kind: CheckPort, Port: 80, Timeout: 15 * time.Minute}},
		"check before port":  {Service{Port: 80, Health: health("CMD", "x")}, Image{}, Check{Kind: CheckExec, Test: []string{"CMD", "x"}, TestTimeout: 30 * time.Second, Timeout: 65 * time.Second}},
		"path before port":   {Service{Port: 80, HealthPath: "/up", Environment: map[string]string{"VITRINE_URL": "https://shop"}}, Image{}, Check{Kind: CheckHTTP, Port: 80, Path: "/up", URL: "https://shop", Timeout: time.Minute}},
		"path, image's port": {Service{HealthPath: "/up"}, Image{Ports: []int{90, 81}}, Check{Kind: CheckHTTP, Port: 81, Path: "/up", Timeout: time.Minute}},
		"check of image":     {Service{Port: 80}, Image{Health: health("CMD-SHELL", "x")}, Check{Kind: CheckExec, Test: []string{"CMD-SHELL", "x"}, TestTimeout: 30 * time.Second, Timeout: 65 * time.Second}},
		"check put off":      {Service{Port: 80, Health: health("NONE")}, Image{Health: health("CMD", "x")}, Check{Kind: CheckPort, Port: 80, Timeout: time.Minute}},
		"image has none":     {Service{}, Image{Health: health("NONE")}, Check{Kind: CheckRunning, Settle: 2 * time.Second, Timeout: time.Minute}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			test.service.Name, test.image.ID = "web", someID
			in := input(test.service)
			in.Images["web"] = test.image
			p, err := NewPlan(in)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, p.Containers[0].Check); diff != "" {
				t.Errorf("check (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLimits(t *testing.T) {
	for _, test := range []struct {
		memory, wantMemory     int64
		cpus, engine, wantCPUs float64
		maxMemory              int64
		maxCPUs                float64
		shares, wantShares     int64
	}{
		{0, 1 << 30, 0, 0, 2, 0, 0, 0, 0},
		{0, 1 << 30, 0, 1, 1, 0, 0, 2, 2},
		{64 << 20, 64 << 20, 0.5, 4, 0.5, 0, 0, 1024, 1024},
		{8 << 30, 4 << 30, 8, 4, 4, 0, 0, 1025, 1024},
		{8 << 30, 6 << 30, 8, 16, 6, 6 << 30, 6, 0, 0},
		{0, 1 << 30, 0, 16, 2, 6 << 30, 6, 0, 0},
		{0, 512 << 20, 0, 16, 1, 512 << 20, 1, 0, 0},
	} {
		in := input(Service{Name: "web", Memory: test.memory, CPUs: test.cpus, CPUShares: test.shares})
		in.MaxCPUs, in.Stack.MaxMemory, in.Stack.MaxCPUs = test.engine, test.maxMemory, test.maxCPUs
		p, err := NewPlan(in)
		if err != nil {
			t.Fatal(err)
		}
		if c := p.Containers[0]; c.Memory != test.wantMemory || c.CPUs != test.wantCPUs || c.CPUShares != test.wantShares || c.PIDs <= 0 {
			t.Errorf("%+v: got %d bytes, %g CPUs, weight %d, %d processes", test, c.Memory, c.CPUs, c.CPUShares, c.PIDs)
		}
	}
}

// TestConfigHash holds what makes another configuration of a service, and what does not.
// TestPlanProperties makes stacks of services that depend on each other as it comes. A plan either holds what a plan promises, or there is a circle.
// holds fails unless every container stands behind its dependencies and has an address of its own.
// circular reports, by another way than the planner's, whether a service leads back to itself.

// The hooks of a service belong to its own containers, all of them, and not to those of its jobs.
func TestHooksAreNotForJobs(t *testing.T) {
	in := input(Service{Name: "web", Replicas: 2, PostStart: []Hook{{Command: []string{"bin/warm"}}}})
	in.Stack.Jobs = []Job{{Service: "web", Run: []string{"bin/migrate"}}}
	p, err := NewPlan(in)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range p.Containers {
		if hooks := len(c.PostStart); (c.Job > 0) != (hooks == 0) {
			t.Errorf("job %d, replica %d has %d hooks", c.Job, c.Replica, hooks)
		}
	}
	in.Stack.Services[0].PostStart = []Hook{{}}
	var wrong *StackError
	if _, err := NewPlan(in); !errors.As(err, &wrong) || wrong.Service != "web" {
		t.Errorf("got %v for a hook without a command", err)
	}
}
