package docker

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"golang.org/x/sync/errgroup"

	"vitrine/deploy"
	"vitrine/deployments"
)

const (
	// diskPause lies between two measurements of the disk, for which the engine walks through all its files.
	diskPause = time.Minute
	// measureTime bounds one.
	measureTime = 5 * time.Minute
	// cpuPause lies between two samples of the processors where there is none to compare with that is younger than cpuAge.
	cpuPause = time.Second
	cpuAge   = 30 * time.Second
)

// A meter remembers what was measured before. The zero value is ready.
type meter struct {
	mu       sync.Mutex
	cpu      map[string]cpuSample        // by the container's ID
	disk     map[string]deployments.Disk // by environment
	measured time.Time
}

// A cpuSample is how much processor time a container had used at a time.
type cpuSample struct {
	at   time.Time
	used uint64 // nanoseconds
}

// Usage returns what each environment of this instance takes, by name. Memory and processors are measured now, which takes a second where they were not
// within the last half minute; the disk at most once a minute, and whoever asks for it then waits. It may be called side by side.
func (r *Runtime) Usage(ctx context.Context) (usage []deployments.Usage, err error) {
	err = r.attended(ctx, func(ctx context.Context) error {
		usage, err = r.usage(ctx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("measure what environments use: %w", err)
	}
	return usage, nil
}

func (r *Runtime) usage(ctx context.Context) ([]deployments.Usage, error) {
	r.meter.mu.Lock()
	defer r.meter.mu.Unlock()
	found, err := r.client.ContainerList(ctx, container.ListOptions{All: true, Filters: filters.NewArgs(r.ours())})
	if err != nil {
		return nil, fmt.Errorf("list containers: %w", err)
	}
	samples, err := r.sample(ctx, found)
	if err != nil {
		return nil, err
	}
	waited := time.After(cpuPause)
	if time.Since(r.meter.measured) >= diskPause {
		if err := r.measureDisk(ctx, found); err != nil {
			return nil, err
		}
	}
	if r.meter.lacks(samples, found) {
		select {
		case <-waited:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		if samples, err = r.sample(ctx, found); err != nil {
			return nil, err
		}
	}
	of := make(map[string]*deployments.Usage)
	environment := func(name string) *deployments.Usage {
		if of[name] == nil {
			of[name] = &deployments.Usage{Environment: name, At: time.Now(), Disk: r.meter.disk[name]}
		}
		return of[name]
	}
	for name := range r.meter.disk {
		environment(name)
	}
	cpu := make(map[string]cpuSample, len(found))
	for i, c := range found {
		u, s := environment(c.Labels[deploy.LabelEnvironment]), samples[i]
		if s == nil {
			continue
		}
		now := cpuOf(s)
		u.Containers++
		u.Memory += inUse(s.MemoryStats)
		u.CPUs += now.since(r.meter.cpu[c.ID])
		cpu[c.ID] = now
	}
	r.meter.cpu = cpu
	var usage []deployments.Usage
	for _, u := range of {
		usage = append(usage, *u)
	}
	slices.SortFunc(usage, func(a, b deployments.Usage) int { return cmp.Compare(a.Environment, b.Environment) })
	return usage, nil
}

func cpuOf(s *container.StatsResponse) cpuSample {
	return cpuSample{at: s.Read, used: s.CPUStats.CPUUsage.TotalUsage}
}

// lacks reports whether samples have none before them to be compared with that is young enough, and keeps those in its place.
func (m *meter) lacks(samples []*container.StatsResponse, containers []container.Summary) (lacking bool) {
	for i, s := range samples {
		if s == nil {
			continue
		}
		id, now := containers[i].ID, cpuOf(s)
		if before, known := m.cpu[id]; known && now.at.Sub(before.at) < cpuAge {
			continue
		}
		if m.cpu == nil {
			m.cpu = make(map[string]cpuSample)
		}
		m.cpu[id] = now
		lacking = true
	}
	return lacking
}

// since returns how many processors were in use on average since the sample before; 0 where there is none, or the container was started again.
func (s cpuSample) since(before cpuSample) float64 {
	if before.at.IsZero() || !s.at.After(before.at) || s.used < before.used {
		return 0
	}
	return float64(s.used-before.used) / float64(s.at.Sub(before.at))
}

// inUse returns the memory that could not be had back at once: without the files that were not used lately, as the engine's own client reckons
// (docker/cli, cli/command/container/stats_helpers.go). The first name is cgroup v1's.
func inUse(m container.MemoryStats) int64 {
	idle, v1 := m.Stats["total_inactive_file"]
	if !v1 {
		idle = m.Stats["inactive_file"]
	}
	return int64(m.Usage - min(idle, m.Usage))
}

// sample measures each container that runs, nil for the others.
func (r *Runtime) sample(ctx context.Context, containers []container.Summary) ([]*container.StatsResponse, error) {
	samples := make([]*container.StatsResponse, len(containers))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(readersAtOnce)
	for i, c := range containers {
		if c.State != container.StateRunning {
			continue
		}
		g.Go(func() (err error) {
			samples[i], err = r.stats(ctx, c.ID)
			return err
		})
	}
	return samples, g.Wait()
}

// stats measures a container, nil for one that has ended meanwhile.
func (r *Runtime) stats(ctx context.Context, id string) (*container.StatsResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	answer, err := r.client.ContainerStatsOneShot(ctx, id)
	if errdefs.IsNotFound(err) || errdefs.IsConflict(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("measure container %s: %w", id, err)
	}
	defer answer.Body.Close()
	var s container.StatsResponse
	if err := json.NewDecoder(answer.Body).Decode(&s); err != nil {
		return nil, fmt.Errorf("read what container %s uses: %w", id, err)
	}
	if s.MemoryStats.Usage == 0 && s.CPUStats.CPUUsage.TotalUsage == 0 {
		return nil, nil
	}
	return &s, nil
}

// measureDisk measures what every environment has on the disk.
func (r *Runtime) measureDisk(ctx context.Context, containers []container.Summary) error {
	ctx, cancel := context.WithTimeout(ctx, measureTime)
	defer cancel()
	// An engine before API 1.42 measures everything, whatever it is asked for.
	found, err := r.client.DiskUsage(ctx, types.DiskUsageOptions{Types: []types.DiskUsageObject{types.ContainerObject, types.VolumeObject}})
	if err != nil {
		return fmt.Errorf("measure the disk: %w", err)
	}
	now := time.Now()
	disk := make(map[string]deployments.Disk)
	add := func(labels map[string]string, layers, volumes, logs int64) {
		name := labels[deploy.LabelEnvironment]
		if labels[deploy.LabelInstance] != r.instance || name == "" {
			return
		}
		d := disk[name]
		disk[name] = deployments.Disk{Layers: d.Layers + layers, Volumes: d.Volumes + volumes, Logs: d.Logs + logs, At: now}
	}
	for _, c := range found.Containers {
		add(c.Labels, c.SizeRw, 0, 0)
	}
	for _, v := range found.Volumes {
		if v.UsageData != nil {
			add(v.Labels, 0, max(0, v.UsageData.Size), 0)
		}
	}
	for _, c := range containers {
		add(c.Labels, 0, 0, r.logSize(ctx, c.ID))
	}
	for name, d := range disk {
		kept, err := r.archive.size(name)
		if err != nil {
			return err
		}
		d.Logs += kept
		disk[name] = d
	}
	r.meter.disk, r.meter.measured = disk, now
	return nil
}

// logSize returns the bytes of the container's logs, 0 where the engine's files cannot be looked at: they are root's, and may be on another machine.
func (r *Runtime) logSize(ctx context.Context, id string) (sum int64) {
	ctx, cancel := context.WithTimeout(ctx, detailTime)
	defer cancel()
	c, err := r.client.ContainerInspect(ctx, id)
	if err != nil || c.ContainerJSONBase == nil || c.LogPath == "" {
		return 0
	}
	// The engine numbers older ones: name-json.log.1.
	files, err := filepath.Glob(c.LogPath + "*")
	if err != nil {
		return 0
	}
	for _, f := range files {
		if info, err := os.Stat(f); err == nil {
			sum += info.Size()
		}
	}
	return sum
}
