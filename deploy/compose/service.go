package compose

import (
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
	maxStopGrace = time.Minute
	maxHooks     = 25 // of a service
)

// translate adds a service to the stack. It takes each field that the rules let through, and looks at its value.
func (r *reading) translate(name string, project *types.Project) {
	c := project.Services[name]
	s := deploy.Service{
		Name:        name,
		Image:       r.image(name, c),
		Entrypoint:  commandLine(c.Entrypoint),
		Command:     commandLine(c.Command),
		Environment: r.environment(name, c),
		Labels:      r.labels(name, c),
		WorkingDir:  c.WorkingDir,
		User:        c.User,
		Aliases:     r.aliases(name, c),
		DependsOn:   r.dependsOn(name, c.DependsOn),
		Health:      r.health(name, c.HealthCheck),
		NoInit:      c.Init != nil && !*c.Init,
		CapDrop:     r.capDrop(name, c.CapDrop),
		Ulimits:     r.ulimits(name, c.Ulimits),
		ShmSize:     r.shmSize(name, int64(c.ShmSize)),
		Replicas:    r.replicas(name, c),
		PostStart:   r.postStart(name, c.PostStart),
		StopSignal:  c.StopSignal,
		StopGrace:   r.stopGrace(name, c.StopGracePeriod),
		ReadOnly:    c.ReadOnly,
	}
	s.Memory, s.CPUs = r.limits(name, c)
	s.CPUShares = r.shares(name, c.CPUShares)
	r.mounts(&s, c)
	r.configs(&s, project, c)
	r.secrets(&s, project, c)
	r.settle(&s, c)
	if s.WorkingDir != "" && !path.IsAbs(s.WorkingDir) {
		r.wrong(r.field(name, "working_dir"), "Write it from the root, such as /app", "it wants an absolute path")
	}
	if s.StopSignal != "" {
		if _, err := signal.ParseSignal(s.StopSignal); err != nil {
			r.wrong(r.field(name, "stop_signal"), "Write one such as SIGINT", "%q is no signal", shown(s.StopSignal))
		}
	}
	if c.Build != nil {
		r.builds(name, project, *c.Build)
	}
	r.stack.Services = append(r.stack.Services, s)
}

func (r *reading) image(service string, c types.ServiceConfig) string {
	switch {
	case c.Build != nil:
		if c.Image != "" {
			r.findings.LeaveOut(service, "image is left out", "what is built has a name of its own")
		}
		return ""
	case c.Image == "":
		r.wrong(r.field(service, ""), "Add one", "it has neither image nor build")
		return ""
	}
	if _, err := reference.ParseNormalizedNamed(c.Image); err != nil {
		r.wrong(r.field(service, "image"), "", "%q is no reference of an image: %s", shown(c.Image), err)
	}
	return c.Image
}

// commandLine returns a command line. An empty one, which takes the image's away, is told from none as the engine tells it: by one empty word.
func commandLine(words types.ShellCommand) []string {
	if words != nil && len(words) == 0 {
		return []string{""}
	}
	return words
}

func (r *reading) health(service string, c *types.HealthCheckConfig) *deploy.Health {
	if c == nil {
		return nil
	}
	if c.Disable {
		return &deploy.Health{Test: []string{"NONE"}}
	}
	if len(c.Test) == 0 {
		r.findings.LeaveOut(service, "healthcheck is left out", "it has no test of its own")
		return nil
	}
	test := r.field(service, "healthcheck.test")
	switch {
	case c.Test[0] == "NONE":
		return &deploy.Health{Test: []string{"NONE"}}
	case c.Test[0] != "CMD" && c.Test[0] != "CMD-SHELL":
		r.wrong(test, "Put one of them in front", "a list begins with CMD, CMD-SHELL or NONE, not with %q", shown(c.Test[0]))
	case len(c.Test) == 1 || c.Test[0] == "CMD-SHELL" && len(c.Test) != 2:
		r.wrong(test, "Write one such as [\"CMD\", \"pg_isready\"] or [\"CMD-SHELL\", \"pg_isready -U shop\"]", "it wants a command")
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
		r.wrong(r.field(service, field), "Write one such as 30s", "it wants a time between 0 and 24h")
	}
	return time.Duration(*d)
}

// postStart returns what is run in the service's container once it has started.
func (r *reading) postStart(service string, hooks []types.ServiceHook) []deploy.Hook {
	if len(hooks) > maxHooks {
		r.wrong(r.field(service, "post_start"), "", "there are %d hooks; a service may have %d", len(hooks), maxHooks)
		return nil
	}
	var all []deploy.Hook
	for i, h := range hooks {
		f := r.item(service, "post_start", i, len(hooks), "")
		if len(h.Command) == 0 || h.Command[0] == "" {
			r.wrong(f, "Write one such as `command: [\"bin/warm\"]`", "it wants a command")
		}
		if h.WorkingDir != "" && !path.IsAbs(h.WorkingDir) {
			r.wrong(f, "Write it from the root, such as /app", "working_dir wants an absolute path")
		}
		hook := deploy.Hook{Command: h.Command, WorkingDir: h.WorkingDir}
		if values := r.pairs(service, f.path+".environment", h.Environment); len(values) > 0 {
			hook.Environment = values
		}
		all = append(all, hook)
	}
	return all
}

func (r *reading) stopGrace(service string, d *types.Duration) time.Duration {
	grace := r.duration(service, "stop_grace_period", d)
	if grace > maxStopGrace {
		r.findings.LeaveOut(service, "stop_grace_period is cut to 1m", "a preview is stopped within a minute")
		return maxStopGrace
	}
	return grace
}

// capabilities are those of Linux 6 (capabilities(7)), without CAP_.
const capabilities = `ALL AUDIT_CONTROL AUDIT_READ AUDIT_WRITE BLOCK_SUSPEND BPF CHECKPOINT_RESTORE CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID
	IPC_LOCK IPC_OWNER KILL LEASE LINUX_IMMUTABLE MAC_ADMIN MAC_OVERRIDE MKNOD NET_ADMIN NET_BIND_SERVICE NET_BROADCAST NET_RAW PERFMON SETFCAP
	SETGID SETPCAP SETUID SYSLOG SYS_ADMIN SYS_BOOT SYS_CHROOT SYS_MODULE SYS_NICE SYS_PACCT SYS_PTRACE SYS_RAWIO SYS_RESOURCE SYS_TIME
	SYS_TTY_CONFIG WAKE_ALARM`

// capDrop returns the capabilities that a service gives up, as "NET_RAW" or "ALL".
func (r *reading) capDrop(service string, names []string) []string {
	var all []string
	for i, name := range names {
		short := strings.TrimPrefix(strings.ToUpper(name), "CAP_")
		switch {
		case !slices.Contains(strings.Fields(capabilities), short):
			r.wrong(r.item(service, "cap_drop", i, len(names), name), "Write one such as NET_RAW, or ALL", "%q is no capability", shown(name))
		case !slices.Contains(all, short):
			all = append(all, short)
		}
	}
	return all
}

// labelName is what the reader takes for a label's: what the engine's own filters can name.
var labelName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_./-]{0,127}$`)

// maxLabels is how many labels a service may have, and how long their values may be.
const (
	maxLabels     = 100
	maxLabelValue = 4096 // bytes
)

// labels returns the labels of a service, with those of its label files below them.
func (r *reading) labels(service string, c types.ServiceConfig) map[string]string {
	all := map[string]string{}
	for i, name := range c.LabelFiles {
		f := r.item(service, "label_file", i, len(c.LabelFiles), name)
		if file, ok := r.path(f, name, "Copy it into the repository"); ok {
			r.readVariables(file, "", r.variables.lookup, all, f.at)
		}
	}
	for name, value := range c.Labels {
		all[name] = value
	}
	for name, value := range all {
		switch {
		case strings.HasPrefix(name, "vitrine."):
			r.wrong(r.field(service, "labels."+name), "Give it another name", "labels that begin with vitrine. are the server's")
		case !labelName.MatchString(name) || len(value) > maxLabelValue:
			r.wrong(r.field(service, "labels"), "Remove it", "%q is no label with a name of 128 characters and a value of %d bytes at most", shown(name), maxLabelValue)
		}
	}
	if len(all) > maxLabels {
		r.wrong(r.field(service, "labels"), "", "there are %d labels; a service may have %d", len(all), maxLabels)
	}
	if len(all) == 0 {
		return nil
	}
	return all
}
