package deploy

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"time"
)

// What a service gets where nothing else is asked for, and what it gets at most.
const (
	maxContainers   = 25 // of services, replicas counted
	maxJobs         = 25
	defaultMemory   = 1 << 30
	maxMemory       = 4 << 30
	defaultCPUs     = 2
	maxCPUShares    = 1024 // what the engine gives by itself: no service gets more than its neighbours of other previews
	pidsLimit       = 1024
	maxStopGrace    = time.Minute
	defaultTimeout  = 60 * time.Second
	maxStartTimeout = 15 * time.Minute
	exitTimeout     = 10 * time.Minute // of a service that others wait for to end: a migration may take longer than a start
	testTimeout     = 30 * time.Second // the compose specification's default for one run of a health check
	settleTime      = 2 * time.Second
	watchInterval   = 10 * time.Second // the shortest interval of the engine's own health check
)

// A PlanInput is all that a Plan is made of.
type PlanInput struct {
	Instance    string
	Environment string // the environment's name
	Deployment  int64
	// State is the number of the environment's state, that of the deployment that began it; 0: this deployment begins one.
	State int64
	// Live is the plan of what is served, nil for none. It counts where it has the same state.
	Live   *Plan
	Ran    []string     // the keys of the jobs that need to run once for each state and that this one has behind it
	Subnet netip.Prefix // the deployment's own
	Stack  Stack
	Images map[string]Image // by service; every service needs one
	// StartTimeout is how long a service may take to come up that does not say so itself; 0: 60 s.
	StartTimeout time.Duration
	MaxCPUs      float64 // how many the engine has; 0 where that is unknown
}

// An Image is what a service runs, as it lies on the engine.
type Image struct {
	ID        string  // "sha256:<64 hex>"
	Reference string  // what people call it; may be empty
	Health    *Health // the image's own check; nil for none
	Ports     []int   // TCP ports that it exposes
	Volumes   []string
}

// A StackError is what is wrong with a stack, for its author to mend.
type StackError struct {
	Service string // may be empty
	Reason  string // a sentence
}

func (e *StackError) Error() string {
	if e.Service == "" {
		return e.Reason
	}
	return fmt.Sprintf("service %q: %s", e.Service, e.Reason)
}

// NewPlan decides how a stack is brought up. It is pure: the same input gives the same plan. What the author of the stack has to mend is a
// *StackError; every other error is the caller's.
//
// A service that can write to a volume keeps state, and so does one that asks to be replaced in place, unless it is to end by itself. Such a one stays as
// it is where its configuration is that of the live plan, else it takes the place of the one before. Everything else starts anew, beside what is live.
//
// A public service's URL is taken from the service's own variable VITRINE_URL_<SERVICE> (upper case, '_' for anything but letters and digits), else
// VITRINE_URL; where neither is set it stays empty. A public service without a port has the lowest one that its image exposes.
func NewPlan(in PlanInput) (Plan, error) {
	network, err := NewNetwork(in.Instance, in.Deployment, in.Subnet)
	if err != nil {
		return Plan{}, err
	}
	in.State = cmp.Or(in.State, in.Deployment)
	services, err := checked(in.Stack)
	if err != nil {
		return Plan{}, err
	}
	p := Plan{
		Version: PlanVersion, Instance: in.Instance, Environment: in.Environment, Deployment: in.Deployment, State: in.State,
		Network: network, Containers: make([]Container, 0, len(services)),
	}
	for _, v := range in.Stack.Volumes {
		p.Volumes = append(p.Volumes, in.volume(v, in.stateName(0)+"-"+v))
	}
	ends := awaited(services)
	for _, s := range services {
		if err := in.addService(&p, s, ends[s.Name]); err != nil {
			return Plan{}, err
		}
	}
	in.succeed(&p)
	return p, nil
}

// addService adds the containers of a service and of its jobs to the plan, each replica with an address of its own.
func (in PlanInput) addService(p *Plan, s Service, ends bool) error {
	image, ok := in.Images[s.Name]
	if !ok || image.ID == "" {
		return fmt.Errorf("plan deployment %d: service %q has no image", in.Deployment, s.Name)
	}
	used := make(map[netip.Addr]bool)
	for _, c := range p.Containers {
		used[c.Address] = true
	}
	jobs := in.jobsOf(s.Name)
	for i := range max(1, s.Replicas) {
		one := s
		one.Mounts = slices.Clone(s.Mounts)
		replica := 0
		if i > 0 {
			replica = i + 1
		}
		for _, v := range in.declared(s, image, replica) {
			p.Volumes = append(p.Volumes, v.Volume)
			one.Mounts = append(one.Mounts, v.Mount)
		}
		c, err := in.container(one, image, ends)
		if err != nil {
			return err
		}
		addr, ok := p.Network.address(len(used))
		if !ok {
			return fmt.Errorf("plan deployment %d: %s has no room for so many containers", in.Deployment, in.Subnet)
		}
		used[addr] = true
		c.Replica, c.Address, c.State = replica, addr, keepsState(one, ends)
		if i == 0 {
			if err := in.addJobs(p, c, jobs); err != nil {
				return err
			}
		}
		c.DependsOn = after(c, jobs)
		if err := in.identify(&c); err != nil {
			return err
		}
		p.Containers = append(p.Containers, c)
	}
	return nil
}

// container returns a container of the service, without what tells it from others.
func (in PlanInput) container(s Service, image Image, ends bool) (Container, error) {
	if s.Port == 0 && (s.Public || s.HealthPath != "") && len(image.Ports) > 0 {
		s.Port = slices.Min(image.Ports)
	}
	if s.Public && s.Port == 0 {
		return Container{}, &StackError{Service: s.Name, Reason: "it has a host, but neither ports: nor the image's EXPOSE says which port answers there"}
	}
	if s.Health == nil || len(s.Health.Test) == 0 {
		s.Health = image.Health
	}
	check, err := in.check(s, image.Ports, ends)
	if err != nil {
		return Container{}, err
	}
	c := Container{
		Service: s.Name, Reference: image.Reference, DependsOn: s.DependsOn, Check: check, Port: s.Port, Public: s.Public,
		Spec: Spec{
			Image: image.ID, Entrypoint: s.Entrypoint, Command: s.Command, Environment: s.Environment, WorkingDir: s.WorkingDir,
			User: s.User, Aliases: aliases(s), Memory: min(cmp.Or(s.Memory, defaultMemory), cmp.Or(in.Stack.MaxMemory, maxMemory)), CPUs: in.cpus(s), CPUShares: min(s.CPUShares, maxCPUShares), PIDs: pidsLimit,
			// An engine copies nothing into a container whose file system is read-only.
			Mounts: s.Mounts, Tmpfs: s.Tmpfs, ReadOnly: s.ReadOnly && len(s.Files) == 0, StopSignal: s.StopSignal,
			StopGrace: min(s.StopGrace, maxStopGrace), Files: s.Files, PostStart: s.PostStart, NoInit: s.NoInit, CapDrop: s.CapDrop, Ulimits: s.Ulimits, ShmSize: s.ShmSize,
			ServiceLabels: s.Labels, Health: watched(s.Health),
		},
	}
	if s.Public {
		c.URL = urlOf(s)
	}
	return c, nil
}

// identify gives the container its name and its labels.
func (in PlanInput) identify(c *Container) error {
	hash, err := c.hash()
	if err != nil {
		return err
	}
	if c.State {
		c.Name, c.Labels = in.stateContainerName(*c, hash), stateLabels(in.Instance, in.State)
	} else {
		c.Name, c.Labels = in.name(*c), labels(in.Instance, in.Deployment)
	}
	maps.Copy(c.Labels, map[string]string{LabelEnvironment: in.Environment, LabelService: c.Service, LabelConfig: hash})
	if c.Job > 0 {
		c.Labels[LabelJob] = strconv.Itoa(c.Job)
	}
	return nil
}

// cpus returns the service's share, cut to what it may have and to what the engine has: more than that is refused by the engine.
func (in PlanInput) cpus(s Service) float64 {
	cpus := cmp.Or(s.CPUs, defaultCPUs)
	if in.Stack.MaxCPUs > 0 {
		cpus = min(cpus, in.Stack.MaxCPUs)
	}
	if in.MaxCPUs > 0 {
		cpus = min(cpus, in.MaxCPUs)
	}
	return cpus
}

// aliases returns the names that the service has in the network, each once.
func aliases(s Service) []string {
	names := []string{s.Name}
	for _, a := range s.Aliases {
		if !slices.Contains(names, a) {
			names = append(names, a)
		}
	}
	return names
}

// awaited returns the services that others wait for to end.
func awaited(services []Service) map[string]bool {
	ends := make(map[string]bool)
	for _, s := range services {
		for _, d := range s.DependsOn {
			if d.Condition == Completed {
				ends[d.Service] = true
			}
		}
	}
	return ends
}
