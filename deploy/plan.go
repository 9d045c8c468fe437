package deploy

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"time"
)

// PlanVersion is the version of the Plan's JSON. A Plan is stored before it runs, so another version of Vitrine may read it.
const PlanVersion = 1

// A Plan is everything that is to be created, connected, started and waited for, so that whoever carries it out decides nothing. Its JSON
// round-trips; durations are nanoseconds.
type Plan struct {
	Version     int     `json:"version"`
	Instance    string  `json:"instance"`
	Environment string  `json:"environment"` // the environment's name
	Deployment  int64   `json:"deployment"`
	Network     Network `json:"network"`
	// Volumes are the stack's own, and one for each folder that an image declares to be a volume.
	Volumes []Volume `json:"volumes,omitempty"`
	// Containers stand behind everything that they depend on. Those that do not depend on each other start side by side.
	Containers []Container `json:"containers"`
}

// ParsePlan reads the JSON of a Plan. A version other than PlanVersion is an error.
func ParsePlan(b []byte) (Plan, error) {
	var p Plan
	if err := json.Unmarshal(b, &p); err != nil {
		return Plan{}, fmt.Errorf("read plan: %w", err)
	}
	if p.Version != PlanVersion {
		return Plan{}, fmt.Errorf("read plan: it has version %d, and this Vitrine reads version %d", p.Version, PlanVersion)
	}
	return p, nil
}

// VolumeName returns the engine's name of the volume that a Mount names, or "" where the plan has none.
func (p Plan) VolumeName(volume string) string {
	for _, v := range p.Volumes {
		if v.Volume == volume {
			return v.Name
		}
	}
	return ""
}

// A Network is the one network of a deployment.
type Network struct {
	// Name is the engine's name and the bridge's; see BridgePrefix.
	Name    string       `json:"name"`
	Subnet  netip.Prefix `json:"subnet"`
	Gateway netip.Addr   `json:"gateway"`
	// Dynamic is the end of the subnet that the engine may give away by itself. The plan's addresses lie outside.
	Dynamic netip.Prefix      `json:"dynamic"`
	Labels  map[string]string `json:"labels"`
}

// A Volume is one that the engine keeps for a deployment.
type Volume struct {
	Volume string            `json:"volume"` // as Mounts name it
	Name   string            `json:"name"`   // the engine's
	Labels map[string]string `json:"labels"`
}

// A Container is one service of a stack.
type Container struct {
	Service   string            `json:"service"`
	Name      string            `json:"name"`
	Reference string            `json:"reference,omitempty"` // what the compose file calls the image, for people
	Address   netip.Addr        `json:"address"`
	DependsOn []Dependency      `json:"depends_on,omitempty"`
	Check     Check             `json:"check"`
	Port      int               `json:"port,omitempty"`
	Public    bool              `json:"public,omitempty"`
	URL       string            `json:"url,omitempty"` // where visitors find a public service; see [NewPlan]
	Labels    map[string]string `json:"labels"`
	Spec
}

// A Spec is what makes a container what it is, whichever deployment it belongs to: two containers with the same Spec could stand for each other.
// The label vitrine.config is its hash.
type Spec struct {
	Image       string            `json:"image"` // the engine's ID
	Entrypoint  []string          `json:"entrypoint,omitempty"`
	Command     []string          `json:"command,omitempty"`
	Environment map[string]string `json:"environment,omitempty"`
	WorkingDir  string            `json:"working_dir,omitempty"`
	User        string            `json:"user,omitempty"`
	Aliases     []string          `json:"aliases"` // the service's name first
	Memory      int64             `json:"memory"`  // bytes, swap included
	CPUs        float64           `json:"cpus"`
	PIDs        int64             `json:"pids"` // processes and threads
	Mounts      []Mount           `json:"mounts,omitempty"`
	Tmpfs       []Tmpfs           `json:"tmpfs,omitempty"`
	ReadOnly    bool              `json:"read_only,omitempty"`
	StopSignal  string            `json:"stop_signal,omitempty"`
	StopGrace   time.Duration     `json:"stop_grace,omitempty"`
	// Health is what the engine watches once the service is up, at most every ten seconds. It decides nothing; see Check.
	Health *Health `json:"health,omitempty"`
}

// A Check is how to find out that a service has come up.
type Check struct {
	Kind CheckKind `json:"kind"`
	// Test is the command that an exec check runs in the container, in compose's form ["CMD", ...] or ["CMD-SHELL", "..."].
	Test        []string      `json:"test,omitempty"`
	TestTimeout time.Duration `json:"test_timeout,omitempty"` // of one run
	Port        int           `json:"port,omitempty"`         // of a port check
	Settle      time.Duration `json:"settle,omitempty"`       // of a running check: how long it has to run
	Ports       []int         `json:"ports,omitempty"`        // of a running check: once all of these answer, it need not run for so long
	Timeout     time.Duration `json:"timeout"`                // from the start of the container
}

// CheckKind says how a Check works.
type CheckKind string

// The kinds of check, the first that applies to a service.
const (
	CheckExit    CheckKind = "exit"    // the service ends with status 0; another one waits for that
	CheckExec    CheckKind = "exec"    // a command in the container ends with status 0
	CheckPort    CheckKind = "port"    // a port accepts a connection
	CheckRunning CheckKind = "running" // it runs for a while
)
