package docker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/versions"

	"vitrine/deploy"
	"vitrine/deployments"
)

// capabilities are what every container has: what servers need that begin as root, take over their files, open a port below 1024 and change to a
// user of their own. Of the engine's default set MKNOD, NET_RAW, SETFCAP, SYS_CHROOT and AUDIT_WRITE are left out: they serve attacks on
// neighbours and image builds rather than servers.
func capabilities() []string {
	return []string{"CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "NET_BIND_SERVICE", "SETGID", "SETPCAP", "SETUID"}
}

// makeContainer creates c, without starting it, and returns its ID and whether it has never run. A container of the name that is there already counts where
// it was made for the same deployment, or state, from the same configuration. What the engine refuses as wrong is a Fault.
func (r *Runtime) makeContainer(ctx context.Context, p deploy.Plan, c deploy.Container) (id string, fresh bool, err error) {
	if err := ctx.Err(); err != nil {
		return "", false, context.Cause(ctx)
	}
	ctx, cancel := lasting(ctx)
	defer cancel()
	made, err := r.client.ContainerCreate(ctx, configOf(c), hostConfigOf(p, c), &network.NetworkingConfig{
		EndpointsConfig: map[string]*network.EndpointSettings{p.Network.Name: endpointOf(c)},
	}, nil, c.Name)
	switch {
	case errdefs.IsConflict(err):
		return r.existing(ctx, c)
	case errdefs.IsInvalidArgument(err) && !full(err.Error()):
		r.processors.Store(0)
		if err := r.steady(ctx); err != nil {
			return "", false, err
		}
		return "", false, &deployments.Fault{Kind: deployments.FaultStart, Service: c.Service, Reason: fmt.Sprintf("cannot be created: %v", err)}
	case err != nil:
		return "", false, fmt.Errorf("create container %s: %w", c.Name, err)
	}
	return made.ID, true, nil
}

// existing returns the container that has c's name, if it is c.
func (r *Runtime) existing(ctx context.Context, c deploy.Container) (id string, fresh bool, err error) {
	found, err := r.inspect(ctx, c)
	if errors.Is(err, errAnother) {
		return "", false, fmt.Errorf("%w; remove it", err)
	}
	if err != nil {
		return "", false, err
	}
	return found.ID, found.State != nil && found.State.Status == container.StateCreated, nil
}

// endpointOf returns the container's place in its plan's network.
func endpointOf(c deploy.Container) *network.EndpointSettings {
	return &network.EndpointSettings{
		IPAMConfig: &network.EndpointIPAMConfig{IPv4Address: c.Address.String()},
		Aliases:    c.Aliases,
	}
}

// errAnother is returned where the engine has another object of a name of ours.
var errAnother = errors.New("the engine has another one of this name")

// inspect returns the container that has c's name, if it is c; else errAnother, wrapped.
func (r *Runtime) inspect(ctx context.Context, c deploy.Container) (container.InspectResponse, error) {
	found, err := r.client.ContainerInspect(ctx, c.Name)
	if err != nil {
		return found, fmt.Errorf("look up container %s: %w", c.Name, err)
	}
	for _, label := range []string{deploy.LabelInstance, deploy.LabelDeployment, deploy.LabelState, deploy.LabelConfig} {
		if got, want := found.Config.Labels[label], c.Labels[label]; got != want {
			return found, fmt.Errorf("look up container %s: %w, with %s %q instead of %q", c.Name, errAnother, label, got, want)
		}
	}
	return found, nil
}

func configOf(c deploy.Container) *container.Config {
	labels := maps.Clone(c.Labels)
	for k, v := range c.ServiceLabels {
		if _, ours := labels[k]; !ours {
			labels[k] = v
		}
	}
	config := &container.Config{
		Image: c.Image, Entrypoint: c.Entrypoint, Cmd: c.Command, Env: assignments(c.Environment), WorkingDir: c.WorkingDir, User: c.User,
		Labels: labels, StopSignal: c.StopSignal,
	}
	if c.StopGrace > 0 {
		seconds := int(math.Ceil(c.StopGrace.Seconds()))
		config.StopTimeout = &seconds
	}
	if h := c.Health; h != nil {
		config.Healthcheck = &container.HealthConfig{
			Test: h.Test, Interval: h.Interval, Timeout: h.Timeout, Retries: h.Retries, StartPeriod: h.StartPeriod,
		}
	}
	return config
}

// assignments writes variables as NAME=value.
func assignments(variables map[string]string) []string {
	env := make([]string, 0, len(variables))
	for _, k := range slices.Sorted(maps.Keys(variables)) {
		env = append(env, k+"="+variables[k])
	}
	return env
}

// tmpfsOptions are those of mount(8) that the engine takes.
func tmpfsOptions(t deploy.Tmpfs) string {
	var options []string
	if t.Size > 0 {
		options = append(options, fmt.Sprintf("size=%d", t.Size))
	}
	if t.Mode != 0 {
		options = append(options, fmt.Sprintf("mode=%o", t.Mode))
	}
	return strings.Join(options, ",")
}

// hostConfigOf returns what holds a container in: every limit, and nothing shared with the host. Until its deployment is live an exit is final, so
// that it can be told; see [start.keep].
func hostConfigOf(p deploy.Plan, c deploy.Container) *container.HostConfig {
	useInit, pids := !c.NoInit, c.PIDs
	tmpfs := make(map[string]string, len(c.Tmpfs))
	for _, t := range c.Tmpfs {
		tmpfs[t.Target] = tmpfsOptions(t)
	}
	return &container.HostConfig{
		NetworkMode:    container.NetworkMode(p.Network.Name),
		IpcMode:        container.IPCModePrivate,
		CgroupnsMode:   container.CgroupnsModePrivate,
		CapDrop:        []string{"ALL"},
		CapAdd:         capabilitiesOf(c),
		SecurityOpt:    []string{"no-new-privileges:true"},
		Init:           &useInit,
		ReadonlyRootfs: c.ReadOnly,
		RestartPolicy:  container.RestartPolicy{Name: container.RestartPolicyDisabled},
		LogConfig:      container.LogConfig{Type: "json-file", Config: map[string]string{"max-size": "10m", "max-file": "3"}},
		Mounts:         mountsOf(p, c),
		Tmpfs:          tmpfs,
		ShmSize:        c.ShmSize,
		Resources: container.Resources{
			Memory: c.Memory, MemorySwap: c.Memory, NanoCPUs: int64(math.Round(c.CPUs * 1e9)), CPUShares: c.CPUShares, PidsLimit: &pids, Ulimits: ulimitsOf(c),
		},
	}
}

// capabilitiesOf returns what every container has but for what the service goes without, which is named with or without "CAP_".
func capabilitiesOf(c deploy.Container) []string {
	return slices.DeleteFunc(capabilities(), func(capability string) bool {
		return slices.ContainsFunc(c.CapDrop, func(drop string) bool {
			drop = strings.TrimPrefix(strings.ToUpper(drop), "CAP_")
			return drop == "ALL" || drop == capability
		})
	})
}

func mountsOf(p deploy.Plan, c deploy.Container) []mount.Mount {
	mounts := make([]mount.Mount, 0, len(c.Mounts))
	for _, m := range c.Mounts {
		one := mount.Mount{Type: mount.TypeVolume, Source: p.VolumeName(m.Volume), Target: m.Target, ReadOnly: m.ReadOnly}
		if m.NoCopy || m.Subpath != "" {
			one.VolumeOptions = &mount.VolumeOptions{NoCopy: m.NoCopy, Subpath: m.Subpath}
		}
		mounts = append(mounts, one)
	}
	return mounts
}

// subpathVersion is the first version of the engine's API that mounts a folder of a volume (Engine API, version history). Those before do not know the
// option, and mount all of it.
const subpathVersion = "1.45"

// mountable returns the Fault of a stack that mounts what the engine cannot, else nil.
func (r *Runtime) mountable(ctx context.Context, stack deploy.Stack) error {
	for _, s := range stack.Services {
		for _, m := range s.Mounts {
			if m.Subpath == "" {
				continue
			}
			// Which version it is, the client knows once it has asked for anything, which this process may not have done yet.
			r.client.NegotiateAPIVersion(ctx)
			if version := r.client.ClientVersion(); versions.LessThan(version, subpathVersion) {
				return &deployments.Fault{Kind: deployments.FaultConfig, Service: s.Name, Reason: fmt.Sprintf(
					"mounts the folder %s of the volume %s with volume.subpath, for which the engine has to be Docker 26 or newer (API %s, and this one has %s); use a volume of its own for each folder",
					m.Subpath, m.Volume, subpathVersion, version)}
			}
		}
	}
	return nil
}

func ulimitsOf(c deploy.Container) []*container.Ulimit {
	var ulimits []*container.Ulimit
	for _, name := range slices.Sorted(maps.Keys(c.Ulimits)) {
		ulimits = append(ulimits, &container.Ulimit{Name: name, Soft: c.Ulimits[name].Soft, Hard: c.Ulimits[name].Hard})
	}
	return ulimits
}
