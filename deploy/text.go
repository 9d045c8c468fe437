package deploy

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// String returns the plan for people to read: one paragraph for each container, in the order of the plan. Of the environment only the names are
// shown, as the values may be secret.
func (p Plan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "deployment %d of %s, instance %s\n", p.Deployment, p.Environment, p.Instance)
	fmt.Fprintf(&b, "network %s: %s, gateway %s\n", p.Network.Name, p.Network.Subnet, p.Network.Gateway)
	for _, v := range p.Volumes {
		fmt.Fprintf(&b, "volume %s: %s\n", v.Volume, v.Name)
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
	line("address %s as %s", c.Address, strings.Join(c.Aliases, ", "))
	for _, d := range c.DependsOn {
		line("starts after %s: %s", d.Service, d.Condition)
	}
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
	for _, m := range c.Mounts {
		line("volume %s at %s%s", m.Volume, m.Target, map[bool]string{true: ", read-only"}[m.ReadOnly])
	}
	for _, t := range c.Tmpfs {
		line("tmpfs at %s", t.Target)
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

// String returns the check for people to read.
func (c Check) String() string {
	switch c.Kind {
	case CheckExit:
		return fmt.Sprintf("it has ended with status 0, within %s", c.Timeout)
	case CheckExec:
		return fmt.Sprintf("%q succeeds, within %s", c.Test, c.Timeout)
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
