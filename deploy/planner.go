package deploy

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"path"
	"regexp"
	"slices"
	"time"
)

// What a service gets where nothing else is asked for, and what it gets at most.
const (
	maxServices     = 25
	defaultMemory   = 1 << 30
	maxMemory       = 4 << 30
	defaultCPUs     = 2
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
	Subnet      netip.Prefix // the deployment's own
	Stack       Stack
	Images      map[string]Image // by service; every service needs one
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
// A public service's URL is taken from the service's own variable VITRINE_URL_<SERVICE> (upper case, '_' for anything but letters and digits), else
// VITRINE_URL; where neither is set it stays empty. A public service without a port has the lowest one that its image exposes.
func NewPlan(in PlanInput) (Plan, error) {
	network, err := NewNetwork(in.Instance, in.Deployment, in.Subnet)
	if err != nil {
		return Plan{}, err
	}
	services, err := checked(in.Stack)
	if err != nil {
		return Plan{}, err
	}
	p := Plan{
		Version: PlanVersion, Instance: in.Instance, Environment: in.Environment, Deployment: in.Deployment,
		Network: network, Containers: make([]Container, 0, len(services)),
	}
	for _, v := range in.Stack.Volumes {
		p.Volumes = append(p.Volumes, in.volume(v, baseName(in)+"-"+v))
	}
	ends := awaited(services)
	for i, s := range services {
		image, ok := in.Images[s.Name]
		if !ok || image.ID == "" {
			return Plan{}, fmt.Errorf("plan deployment %d: service %q has no image", in.Deployment, s.Name)
		}
		addr, ok := network.address(i)
		if !ok {
			return Plan{}, fmt.Errorf("plan deployment %d: %s has no room for %d services", in.Deployment, in.Subnet, len(services))
		}
		s.Mounts = slices.Clone(s.Mounts)
		for _, v := range in.declared(s, image) {
			p.Volumes = append(p.Volumes, v.Volume)
			s.Mounts = append(s.Mounts, v.Mount)
		}
		c, err := in.container(s, image, ends[s.Name])
		if err != nil {
			return Plan{}, err
		}
		c.Address = addr
		p.Containers = append(p.Containers, c)
	}
	return p, nil
}

// container returns the service's container but for its address.
func (in PlanInput) container(s Service, image Image, ends bool) (Container, error) {
	if s.Public && s.Port == 0 {
		if len(image.Ports) == 0 {
			return Container{}, &StackError{Service: s.Name, Reason: "it has a host, but neither ports: nor the image's EXPOSE says which port answers there"}
		}
		s.Port = slices.Min(image.Ports)
	}
	if s.Health == nil || len(s.Health.Test) == 0 {
		s.Health = image.Health
	}
	check, err := in.check(s, image.Ports, ends)
	if err != nil {
		return Container{}, err
	}
	c := Container{
		Service: s.Name, Name: baseName(in) + "-" + s.Name, Reference: image.Reference,
		DependsOn: s.DependsOn, Check: check, Port: s.Port, Public: s.Public, Labels: labels(in.Instance, in.Deployment),
		Spec: Spec{
			Image: image.ID, Entrypoint: s.Entrypoint, Command: s.Command, Environment: s.Environment, WorkingDir: s.WorkingDir,
			User: s.User, Aliases: aliases(s), Memory: min(cmp.Or(s.Memory, defaultMemory), maxMemory), CPUs: in.cpus(s), PIDs: pidsLimit,
			Mounts: s.Mounts, Tmpfs: s.Tmpfs, ReadOnly: s.ReadOnly, StopSignal: s.StopSignal, StopGrace: min(s.StopGrace, maxStopGrace),
			Health: watched(s.Health),
		},
	}
	if s.Public {
		c.URL = urlOf(s)
	}
	hash, err := c.hash()
	if err != nil {
		return Container{}, err
	}
	c.Labels[LabelEnvironment], c.Labels[LabelService], c.Labels[LabelConfig] = in.Environment, s.Name, hash
	return c, nil
}

// cpus returns the service's share, cut to what the engine has: more than that is refused by the engine.
func (in PlanInput) cpus(s Service) float64 {
	cpus := cmp.Or(s.CPUs, defaultCPUs)
	if in.MaxCPUs > 0 {
		cpus = min(cpus, in.MaxCPUs)
	}
	return cpus
}

// check returns how to find out that the service is up. Ports that the image exposes may be another service's, where both run one image: nothing has
// to answer there.
func (in PlanInput) check(s Service, exposed []int, ends bool) (Check, error) {
	timeout := cmp.Or(in.StartTimeout, defaultTimeout)
	tested := s.Health != nil && len(s.Health.Test) > 0 && s.Health.Test[0] != "NONE"
	if tested {
		timeout += s.Health.StartPeriod
	}
	timeout = min(cmp.Or(s.StartTimeout, timeout), maxStartTimeout)
	switch {
	case ends:
		return Check{Kind: CheckExit, Timeout: cmp.Or(min(s.StartTimeout, maxStartTimeout), exitTimeout)}, nil
	case tested:
		if (s.Health.Test[0] != "CMD" && s.Health.Test[0] != "CMD-SHELL") || len(s.Health.Test) < 2 {
			return Check{}, &StackError{Service: s.Name, Reason: fmt.Sprintf("healthcheck.test is %q; write [\"CMD\", ...], [\"CMD-SHELL\", \"...\"] or [\"NONE\"]", s.Health.Test)}
		}
		return Check{Kind: CheckExec, Test: s.Health.Test, TestTimeout: cmp.Or(s.Health.Timeout, testTimeout), Timeout: timeout}, nil
	case s.Port != 0:
		return Check{Kind: CheckPort, Port: s.Port, Timeout: timeout}, nil
	default:
		return Check{Kind: CheckRunning, Settle: settleTime, Ports: slices.Sorted(slices.Values(exposed)), Timeout: timeout}, nil
	}
}

// watched returns the check as the engine is to run it. An image's own check would otherwise run as often as the image likes.
func watched(h *Health) *Health {
	if h == nil {
		return nil
	}
	w := *h
	w.Interval = max(w.Interval, watchInterval)
	return &w
}

func (in PlanInput) volume(volume, name string) Volume {
	l := labels(in.Instance, in.Deployment)
	l[LabelEnvironment] = in.Environment
	return Volume{Volume: volume, Name: name, Labels: l}
}

// A mountedVolume is a volume of one container, and where it is mounted.
type mountedVolume struct {
	Volume Volume
	Mount  Mount
}

// declared returns a volume for each folder that the image declares to be one and that nothing else is mounted at. Left to itself the engine makes
// these without a name or a label, and nothing would tell whose they are. The ':' keeps them apart from the stack's own.
func (in PlanInput) declared(s Service, image Image) []mountedVolume {
	taken := make(map[string]bool)
	for _, m := range s.Mounts {
		taken[path.Clean(m.Target)] = true
	}
	for _, t := range s.Tmpfs {
		taken[path.Clean(t.Target)] = true
	}
	var volumes []mountedVolume
	for _, target := range slices.Sorted(slices.Values(image.Volumes)) {
		if target = path.Clean("/" + target); taken[target] {
			continue
		}
		taken[target] = true
		sum := sha256.Sum256([]byte(target))
		volume := s.Name + ":" + target
		name := fmt.Sprintf("%s.%s.%s", baseName(in), s.Name, hex.EncodeToString(sum[:4]))
		volumes = append(volumes, mountedVolume{in.volume(volume, name), Mount{Volume: volume, Target: target}})
	}
	return volumes
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

// objectName is what the engine takes as the name of a container or a volume, and what compose takes as a service's.
var objectName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]*$`)

// checked returns the stack's services in the order to start them, or what is wrong with the stack.
func checked(stack Stack) ([]Service, error) {
	if len(stack.Services) == 0 {
		return nil, &StackError{Reason: "the stack has no services"}
	}
	if len(stack.Services) > maxServices {
		return nil, &StackError{Reason: fmt.Sprintf("the stack has %d services; a preview may have %d", len(stack.Services), maxServices)}
	}
	volumes := make(map[string]bool, len(stack.Volumes))
	for _, v := range stack.Volumes {
		if !objectName.MatchString(v) || volumes[v] {
			return nil, &StackError{Reason: fmt.Sprintf("volume %q is no valid name, or stands there twice", v)}
		}
		volumes[v] = true
	}
	names := make(map[string]bool, len(stack.Services))
	for _, s := range stack.Services {
		if !objectName.MatchString(s.Name) || names[s.Name] {
			return nil, &StackError{Service: s.Name, Reason: "its name is not valid (letters, digits, '_', '.', '-'), or stands there twice"}
		}
		names[s.Name] = true
	}
	services := slices.Clone(stack.Services)
	for i, s := range services {
		deps, err := settled(s, names)
		if err != nil {
			return nil, err
		}
		services[i].DependsOn = deps
		if err := checkMounts(s, volumes); err != nil {
			return nil, err
		}
	}
	return ordered(services)
}

func checkMounts(s Service, volumes map[string]bool) error {
	targets := make(map[string]bool, len(s.Mounts))
	for _, m := range s.Mounts {
		target := path.Clean(m.Target)
		switch {
		case !volumes[m.Volume]:
			return &StackError{Service: s.Name, Reason: fmt.Sprintf("it mounts %q, which is no volume of this stack", m.Volume)}
		case !path.IsAbs(target) || target == "/":
			return &StackError{Service: s.Name, Reason: fmt.Sprintf("it mounts volume %q at %q, which is no absolute path below /", m.Volume, m.Target)}
		case targets[target]:
			return &StackError{Service: s.Name, Reason: fmt.Sprintf("it mounts two volumes at %s", target)}
		}
		targets[target] = true
	}
	return nil
}
