package deploy

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
)

// String returns the plan for people to read: one paragraph for each container, in the order of the plan. Of the environment only the names are
// shown, as the values may be secret.
func (p Plan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "deployment %d of %s, state %d, instance %s\n", p.Deployment, p.Environment, p.State, p.Instance)
	fmt.Fprintf(&b, "network %s: %s, gateway %s\n", p.Network.Name, p.Network.Subnet, p.Network.Gateway)
	for _, v := range p.Volumes {
		fmt.Fprintf(&b, "volume %s: %s\n", v.Volume, v.Name)
	}
	for _, name := range p.Drains {
		fmt.Fprintf(&b, "runs until drained: %s\n", name)
	}
	for _, c := range p.Containers {
		b.WriteString("\n" + c.String())
	}
	return b.String()
}

// String returns the container for people to read.
func (c Container) String() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, "  "+format+"\n", args...) }
	fmt.Fprintf(&b, "container %s\n", c.Name)
	line("image %s", strings.TrimSpace(c.Image+" "+c.Reference))
	line("address %s", strings.TrimSuffix(fmt.Sprintf("%s as %s", c.Address, strings.Join(c.Aliases, ", ")), " as "))
	c.place(line)
	if c.Entrypoint != nil {
		line("entrypoint %q", c.Entrypoint)
	}
	if c.Command != nil {
		line("command %q", c.Command)
	}
	if c.User != "" || c.WorkingDir != "" {
		line("as user %q in %q", c.User, c.WorkingDir)
	}
	if len(c.Environment) > 0 {
		line("environment %s", strings.Join(slices.Sorted(maps.Keys(c.Environment)), " "))
	}
	line("limits %s, %s CPUs, %d processes", size(c.Memory), strconv.FormatFloat(c.CPUs, 'g', -1, 64), c.PIDs)
	if c.CPUShares > 0 {
		line("weight %d", c.CPUShares)
	}
	for _, m := range c.Mounts {
		line("volume %s at %s%s", path.Join(m.Volume, m.Subpath), m.Target, map[bool]string{true: ", read-only"}[m.ReadOnly])
	}
	for _, t := range c.Tmpfs {
		line("tmpfs at %s", t.Target)
	}
	for _, f := range c.Files {
		if f.Source == "" {
			line("file at %s, %d bytes", f.Target, len(f.Content))
		} else {
			line("file at %s from %s", f.Target, f.Source)
		}
	}
	c.settings(line)
	for _, h := range c.PostStart {
		line("once started runs %q", h.Command)
	}
	if c.ReadOnly {
		line("read-only root")
	}
	if c.StopSignal != "" || c.StopGrace > 0 {
		line("stops on %q within %s", c.StopSignal, c.StopGrace)
	}
	line("up when %s", c.Check)
	if c.Public {
		line("public at port %d, %s", c.Port, c.URL)
	}
	line("config %s", c.Labels[LabelConfig])
	return b.String()
}

// place writes where the container stands among the others.
func (c Container) place(line func(format string, args ...any)) {
	switch {
	case c.Kept:
		line("stays as it is")
	case c.State:
		line("belongs to the state")
	case c.Job > 0 && c.First:
		line("job %d of %s, once", c.Job, c.Service)
	case c.Job > 0:
		line("job %d of %s", c.Job, c.Service)
	}
	if c.Replica > 0 {
		line("replica %d of %s", c.Replica, c.Service)
	}
	for _, d := range c.DependsOn {
		if d.Job > 0 {
			line("starts after job %d of %s: %s", d.Job, d.Service, d.Condition)
		} else {
			line("starts after %s: %s", d.Service, d.Condition)
		}
	}
	for _, name := range c.Stops {
		line("starts once %s is stopped", name)
	}
}

// settings writes what is seldom asked for.
func (c Container) settings(line func(format string, args ...any)) {
	if len(c.CapDrop) > 0 {
		line("without capabilities %s", strings.Join(c.CapDrop, ", "))
	}
	for _, name := range slices.Sorted(maps.Keys(c.Ulimits)) {
		line("ulimit %s %d, hard %d", name, c.Ulimits[name].Soft, c.Ulimits[name].Hard)
	}
	if c.ShmSize > 0 {
		line("shared memory %s", size(c.ShmSize))
	}
	if c.NoInit {
		line("process 1 is its own")
	}
	if len(c.ServiceLabels) > 0 {
		line("labels %s", strings.Join(slices.Sorted(maps.Keys(c.ServiceLabels)), " "))
	}
}

// String returns the check for people to read.
func (c Check) String() string {
	switch c.Kind {
	case CheckExit:
		return fmt.Sprintf("it has ended with status 0, within %s", c.Timeout)
	case CheckExec:
		return fmt.Sprintf("%q succeeds, within %s", c.Test, c.Timeout)
	case CheckHTTP:
		return fmt.Sprintf("port %d answers %s, within %s", c.Port, c.Path, c.Timeout)
	case CheckPort:
		return fmt.Sprintf("port %d accepts connections, within %s", c.Port, c.Timeout)
	case CheckRunning:
		if len(c.Ports) > 0 {
			return fmt.Sprintf("ports %v accept connections, or it has run for %s", c.Ports, c.Settle)
		}
		return fmt.Sprintf("it has run for %s", c.Settle)
	default:
		return string(c.Kind)
	}
}

// size returns bytes in the largest unit that divides them.
func size(bytes int64) string {
	for i, unit := range []string{"GiB", "MiB", "KiB"} {
		if of := int64(1) << (30 - 10*i); bytes >= of && bytes%of == 0 {
			return fmt.Sprintf("%d %s", bytes/of, unit)
		}
	}
	return fmt.Sprintf("%d bytes", bytes)
}
