package compose

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/go-units"

	"vitrine/deploy"
)

const (
	minMemory = 6 << 20 // the least that the engine accepts
	minCPUs   = 0.01    // the same
	minShares = 2       // the least that Linux knows (cgroups, "cpu.shares")
	maxFiles  = 1 << 20 // of the ulimit nofile
)

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
	return r.beyond.memory(r.findings, r.field(service, memoryField), memory), r.beyond.cpus(r.findings, r.field(service, cpusField), cpus)
}

// memory holds what a service asks for against the ceiling, to which it is cut.
func (p Policy) memory(found *findings, f field, memory int64) int64 {
	most := cmp.Or(p.Memory, maxMemory)
	switch {
	case memory != 0 && memory < minMemory:
		found.wrong(f, "Write 6m or more", "a container needs 6m at least")
	case memory > most:
		found.LeaveOut(f.service, f.path+" is cut to "+size(most), "it is the most that a service gets")
		return most
	}
	return memory
}

// cpus is as memory.
func (p Policy) cpus(found *findings, f field, cpus float64) float64 {
	most := cmp.Or(p.CPUs, maxCPUs)
	// compose-go keeps 32 bits, which print badly.
	cpus = math.Round(cpus*1000) / 1000
	switch {
	case math.IsNaN(cpus) || cpus < 0 || cpus != 0 && cpus < minCPUs:
		found.wrong(f, "Write 0.01 or more", "a container needs 0.01 at least")
	case cpus > most:
		found.LeaveOut(f.service, fmt.Sprintf("%s is cut to %v", f.path, most), "it is the most that a service gets")
		return most
	}
	return cpus
}

// shares returns the weight that a service has where others want the processors as well. More than the usual one would be taken from other previews.
func (r *reading) shares(service string, shares int64) int64 {
	switch {
	case shares < 0 || shares > 0 && shares < minShares:
		r.wrong(r.field(service, "cpu_shares"), fmt.Sprintf("Write a number from %d to %d", minShares, maxShares), "it wants a weight of %d at least", minShares)
		return 0
	case shares > maxShares:
		r.findings.LeaveOut(service, fmt.Sprintf("cpu_shares is cut to %d", maxShares), "it is the weight of every other service, so that none takes the processors from another preview")
		return maxShares
	}
	return shares
}

// size writes bytes as compose files do.
func size(bytes int64) string {
	return strings.ToLower(strings.TrimSuffix(units.CustomSize("%.4g%s", float64(bytes), 1024, []string{"B", "K", "M", "G"}), "B"))
}

func (r *reading) shmSize(service string, size int64) int64 {
	return r.inMemory(service, "shm_size", size)
}

// inMemory bounds what lies in memory: the container's memory limit counts it, too.
func (r *reading) inMemory(service, what string, bytes int64) int64 {
	switch {
	case bytes < 0:
		r.wrong(r.field(service, what), "Write one such as 64m", "it wants a size")
	case bytes > maxTmpfs:
		r.findings.LeaveOut(service, what+" is cut to "+size(maxTmpfs), "it is the most that lies in memory")
		return maxTmpfs
	}
	return bytes
}

func (r *reading) replicas(service string, c types.ServiceConfig) int {
	n := c.GetScale()
	what := "scale"
	if c.Scale == nil {
		what = "deploy.replicas"
	}
	if n < 1 || n > maxServices {
		r.wrong(r.field(service, what), "", "%d containers cannot be had; a preview may have %d", n, maxServices)
		return 0
	}
	if n == 1 {
		return 0
	}
	return n
}

// ulimits are the limits that a service may set. Those of priorities are the host's to give.
const ulimits = "core cpu data fsize locks memlock msgqueue nofile nproc rss sigpending stack"

func (r *reading) ulimits(service string, limits map[string]*types.UlimitsConfig) map[string]deploy.Ulimit {
	if len(limits) == 0 {
		return nil
	}
	all := make(map[string]deploy.Ulimit, len(limits))
	for _, name := range slices.Sorted(maps.Keys(limits)) {
		l := limits[name]
		f := r.field(service, "ulimits."+name)
		u := deploy.Ulimit{Soft: int64(l.Soft), Hard: int64(l.Hard)}
		if l.Single != 0 {
			u = deploy.Ulimit{Soft: int64(l.Single), Hard: int64(l.Single)}
		}
		unlimited := func(n int64) int64 {
			if n == -1 {
				return math.MaxInt64
			}
			return n
		}
		switch {
		case !slices.Contains(strings.Fields(ulimits), name):
			r.wrong(f, "Remove it", "this limit is not a service's to set; those are %s", ulimits)
		case u.Soft < -1 || u.Hard < -1 || unlimited(u.Soft) > unlimited(u.Hard):
			r.wrong(f, "Write one such as `nofile: 65536`", "it wants two numbers from -1, which is without limit, the soft one at most the hard one")
		case name == "nofile" && unlimited(u.Hard) > maxFiles:
			r.findings.LeaveOut(service, fmt.Sprintf("ulimits.nofile is cut to %d", maxFiles), "it is the most that Linux gives by default")
			u = deploy.Ulimit{Soft: min(unlimited(u.Soft), maxFiles), Hard: maxFiles}
		}
		all[name] = u
	}
	return all
}
