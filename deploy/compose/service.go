package compose

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"math"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/distribution/reference"
	"github.com/moby/sys/signal"

	"vitrine/deploy"
)

const (
	minMemory    = 6 << 20 // the least that the engine accepts
	minCPUs      = 0.01    // the same
	maxStopGrace = time.Minute
	maxMounts    = 50 // of a service
	maxAliases   = 50 // the same
)

var (
	environmentName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*$`)
	networkName     = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,252}$`)
)

// service adds a service to the stack. It takes each field that the rules let through, and looks at its value.
func (r *reading) service(name string, c types.ServiceConfig) {
	s := deploy.Service{
		Name:        name,
		Image:       r.image(name, c),
		Entrypoint:  r.words(name, "entrypoint", c.Entrypoint),
		Command:     r.words(name, "command", c.Command),
		Environment: withVars(r.environment(name, "environment", c.Environment), r.vars),
		WorkingDir:  c.WorkingDir,
		User:        c.User,
		Aliases:     r.aliases(name, c),
		DependsOn:   r.dependsOn(name, c.DependsOn),
		Health:      r.health(name, c.HealthCheck),
		StopSignal:  c.StopSignal,
		StopGrace:   r.stopGrace(name, c.StopGracePeriod),
		ReadOnly:    c.ReadOnly,
	}
	s.Memory, s.CPUs = r.limits(name, c)
	r.mounts(&s, c)
	if s.WorkingDir != "" && !path.IsAbs(s.WorkingDir) {
		r.wrong(name, "working_dir", "it wants an absolute path, such as /app")
	}
	if s.StopSignal != "" {
		if _, err := signal.ParseSignal(s.StopSignal); err != nil {
			r.wrong(name, "stop_signal", "%q is no signal; write one such as SIGINT", shown(s.StopSignal))
		}
	}
	if c.Build != nil {
		r.builds(name, *c.Build)
	}
	r.stack.Services = append(r.stack.Services, s)
}

func (r *reading) image(service string, c types.ServiceConfig) string {
	switch {
	case c.Build != nil:
		if c.Image != "" {
			r.findings.omit(service, "image is left out", "what is built has a name of its own")
		}
		return ""
	case c.Image == "":
		r.wrong(service, "", "it has neither image nor build; add one")
		return ""
	}
	if _, err := reference.ParseNormalizedNamed(c.Image); err != nil {
		r.wrong(service, "image", "%q is no reference of an image: %s", shown(c.Image), err)
	}
	return c.Image
}

// words returns a command line. One that is empty would take the image's away, which a Stack cannot say.
func (r *reading) words(service, field string, words types.ShellCommand) []string {
	if words != nil && len(words) == 0 {
		r.wrong(service, field, "an empty one is not supported yet. Write what is to run, or remove it")
	}
	return words
}

func (r *reading) environment(service, field string, values types.MappingWithEquals) map[string]string {
	all := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if !environmentName.MatchString(name) {
			r.wrong(service, field, "%q is no name of a variable; write NAME=value", shown(name))
			continue
		}
		if v := values[name]; v != nil {
			all[name] = *v
		}
	}
	return all
}

func (r *reading) aliases(service string, c types.ServiceConfig) []string {
	var all []string
	for _, network := range slices.Sorted(maps.Keys(c.Networks)) {
		if network != "default" && r.doc.get("networks").get(network) == nil {
			r.wrong(service, "networks", "there is no network %q; add it under the top-level `networks:`", shown(network))
		}
		if c.Networks[network] == nil {
			continue
		}
		for _, alias := range c.Networks[network].Aliases {
			switch {
			case len(all) == maxAliases:
				r.wrong(service, "networks", "there are more than %d aliases", maxAliases)
				return nil
			case !networkName.MatchString(alias):
				r.wrong(service, "networks."+network, "%q cannot be a name in a network", shown(alias))
			case !slices.Contains(all, alias):
				all = append(all, alias)
			}
		}
	}
	return all
}

func (r *reading) health(service string, c *types.HealthCheckConfig) *deploy.Health {
	if c == nil || c.Disable {
		return nil
	}
	if len(c.Test) == 0 {
		r.findings.omit(service, "healthcheck is left out", "it has no test of its own")
		return nil
	}
	switch {
	case c.Test[0] == "NONE":
		return nil
	case c.Test[0] != "CMD" && c.Test[0] != "CMD-SHELL":
		r.wrong(service, "healthcheck.test", "a list begins with CMD, CMD-SHELL or NONE, not with %q", shown(c.Test[0]))
	case len(c.Test) == 1 || c.Test[0] == "CMD-SHELL" && len(c.Test) != 2:
		r.wrong(service, "healthcheck.test", "it wants a command, such as [\"CMD\", \"pg_isready\"] or [\"CMD-SHELL\", \"pg_isready -U shop\"]")
	}
	h := &deploy.Health{Test: c.Test}
	h.Interval = r.duration(service, "healthcheck.interval", c.Interval)
	h.Timeout = r.duration(service, "healthcheck.timeout", c.Timeout)
	h.StartPeriod = r.duration(service, "healthcheck.start_period", c.StartPeriod)
	if c.Retries != nil {
		h.Retries = int(min(*c.Retries, 1000))
	}
	return h
}

func (r *reading) duration(service, field string, d *types.Duration) time.Duration {
	if d == nil {
		return 0
	}
	if *d < 0 || time.Duration(*d) > 24*time.Hour {
		r.wrong(service, field, "it wants a time between 0 and 24h, such as 30s")
	}
	return time.Duration(*d)
}

func (r *reading) stopGrace(service string, d *types.Duration) time.Duration {
	grace := r.duration(service, "stop_grace_period", d)
	if grace > maxStopGrace {
		r.findings.omit(service, "stop_grace_period is cut to 1m", "a preview is stopped within a minute")
		return maxStopGrace
	}
	return grace
}

// limits returns memory and processors, of deploy.resources.limits where it has them, else of the older fields.
func (r *reading) limits(service string, c types.ServiceConfig) (memory int64, cpus float64) {
	memory, cpus = int64(c.MemLimit), float64(c.CPUS)
	memoryField, cpusField := "mem_limit", "cpus"
	if c.Deploy != nil && c.Deploy.Resources.Limits != nil {
		l := c.Deploy.Resources.Limits
		if l.MemoryBytes != 0 {
			memory, memoryField = int64(l.MemoryBytes), "deploy.resources.limits.memory"
		}
		if l.NanoCPUs != 0 {
			cpus, cpusField = float64(l.NanoCPUs.Value()), "deploy.resources.limits.cpus"
		}
	}
	switch {
	case memory != 0 && memory < minMemory:
		r.wrong(service, memoryField, "a container needs 6m at least")
	case memory > maxMemory:
		r.findings.omit(service, memoryField+" is cut to 4g", "it is the most that a service gets")
		memory = maxMemory
	}
	// compose-go keeps 32 bits, which print badly.
	cpus = math.Round(cpus*1000) / 1000
	switch {
	case math.IsNaN(cpus) || cpus < 0 || cpus != 0 && cpus < minCPUs:
		r.wrong(service, cpusField, "a container needs 0.01 at least")
	case cpus > maxCPUs:
		r.findings.omit(service, cpusField+" is cut to 4", "it is the most that a service gets")
		cpus = maxCPUs
	}
	return memory, cpus
}

// mounts adds the service's volumes and tmpfs.
func (r *reading) mounts(s *deploy.Service, c types.ServiceConfig) {
	if n := len(c.Volumes) + len(c.Tmpfs); n > maxMounts {
		r.wrong(s.Name, "volumes", "there are %d mounts; a service may have %d", n, maxMounts)
		return
	}
	targets := map[string]bool{}
	take := func(field, target string) bool {
		target = path.Clean(target)
		switch {
		case !path.IsAbs(target) || target == "/":
			r.wrong(s.Name, field, "it wants an absolute path in the container, other than /, such as /data")
		case targets[target]:
			r.wrong(s.Name, field, "%s is mounted twice; keep one", shown(target))
		default:
			targets[target] = true
			return true
		}
		return false
	}
	for i, t := range c.Tmpfs {
		target, options, _ := strings.Cut(t, ":")
		if options != "" {
			r.findings.omit(s.Name, "options of tmpfs are left out", "only paths are supported yet")
		}
		if take(r.item(s.Name, "tmpfs", i, len(c.Tmpfs)), target) {
			s.Tmpfs = append(s.Tmpfs, deploy.Tmpfs{Target: path.Clean(target)})
		}
	}
	for i, v := range c.Volumes {
		field := r.item(s.Name, "volumes", i, len(c.Volumes))
		if !r.allowed(s.Name, field, v) || !take(field, v.Target) {
			continue
		}
		if v.Type == types.VolumeTypeTmpfs {
			s.Tmpfs = append(s.Tmpfs, deploy.Tmpfs{Target: path.Clean(v.Target)})
			continue
		}
		name := v.Source
		if name == "" {
			name = anonymous(s.Name, path.Clean(v.Target))
		}
		if !slices.Contains(r.stack.Volumes, name) {
			r.stack.Volumes = append(r.stack.Volumes, name)
		}
		s.Mounts = append(s.Mounts, deploy.Mount{Volume: name, Target: path.Clean(v.Target), ReadOnly: v.ReadOnly})
	}
}

// allowed holds a volume against the policy: volumes of the stack, anonymous ones and tmpfs pass.
func (r *reading) allowed(service, field string, v types.ServiceVolumeConfig) bool {
	source := shown(v.Source)
	switch {
	case v.Type == types.VolumeTypeBind && outside(r.folder, v.Source):
		r.wrong(service, field, "%s would mount a folder of the host, which is not allowed in a preview. Use a volume, or COPY the files in the Dockerfile", source)
	case v.Type == types.VolumeTypeBind:
		r.wrong(service, field, "mounting %s of the repository is not supported yet. COPY it in the Dockerfile and remove the mount", source)
	case v.Type == types.VolumeTypeTmpfs && v.Source != "":
		r.wrong(service, field, "a tmpfs has no source. Remove it")
	case v.Type != types.VolumeTypeVolume && v.Type != types.VolumeTypeTmpfs:
		r.wrong(service, field, "the type %q is not allowed in a preview: only volume and tmpfs are", shown(v.Type))
	case v.Bind != nil || v.Image != nil || v.Tmpfs != nil || v.Consistency != "" || v.Volume != nil && (v.Volume.NoCopy || v.Volume.Subpath != "" || len(v.Volume.Labels) > 0):
		r.wrong(service, field, "of the options only ro and rw are supported. Remove the others")
	case v.Source != "" && (!networkName.MatchString(v.Source) || r.doc.get("volumes").get(v.Source) == nil):
		r.wrong(service, field, "there is no volume %q; add it under the top-level `volumes:`", source)
	default:
		return true
	}
	return false
}

// outside reports whether a bind's source, as it is written, leaves the checkout.
func outside(folder, source string) bool {
	if path.IsAbs(source) || strings.HasPrefix(source, "~") || strings.Contains(source, `\`) {
		return true
	}
	at := path.Join(folder, source)
	return at == ".." || strings.HasPrefix(at, "../")
}

// anonymous names a volume for where it is mounted, so that it keeps its name from one deploy to the next.
func anonymous(service, target string) string {
	sum := sha256.Sum256([]byte(target))
	return fmt.Sprintf("%s.anonymous-%s", service, hex.EncodeToString(sum[:4]))
}
