package deploy

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// PlanVersion is the version of the Plan's JSON. A Plan is stored before it runs, so another version of Vitrine may read it. Version 1 knew no state:
// everything in it belongs to the deployment.
const PlanVersion = 2

// A Plan is everything that is to be created, connected, started and waited for, so that whoever carries it out decides nothing. Its JSON
// round-trips; durations are nanoseconds.
type Plan struct {
	Version     int    `json:"version"`
	Instance    string `json:"instance"`
	Environment string `json:"environment"` // the environment's name
	Deployment  int64  `json:"deployment"`
	// State is the number of the environment's state: the volumes, and the containers that write to them, which outlive the deployment.
	State   int64   `json:"state,omitempty"`
	Network Network `json:"network"`
	// Volumes are the stack's own, and one for each folder that an image declares to be a volume. They belong to the state.
	Volumes []Volume `json:"volumes,omitempty"`
	// Containers stand behind everything that they depend on. Those that do not depend on each other start side by side.
	Containers []Container `json:"containers"`
	// Drains are the names of the state's containers that the stack does not have any more. They run until what is replaced has drained.
	Drains []string `json:"drains,omitempty"`
}

// Stops returns the names of the state's containers that are stopped for others of the plan to take their place, each once. They are kept, stopped,
// until the deployment is live.
func (p Plan) Stops() []string {
	var names []string
	for _, c := range p.Containers {
		for _, name := range c.Stops {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// Replaced returns the services that are replaced in place, in the order of the plan, each once: while that lasts nothing answers there.
func (p Plan) Replaced() []string {
	var services []string
	for _, c := range p.Containers {
		if len(c.Stops) > 0 && !slices.Contains(services, c.Service) {
			services = append(services, c.Service)
		}
	}
	return services
}

// ParsePlan reads the JSON of a Plan. A version that is not known is an error.
func ParsePlan(b []byte) (Plan, error) {
	var p Plan
	if err := json.Unmarshal(b, &p); err != nil {
		return Plan{}, fmt.Errorf("read plan: %w", err)
	}
	if p.Version < 1 || p.Version > PlanVersion {
		return Plan{}, fmt.Errorf("read plan: it has version %d, and this Vitrine reads versions up to %d", p.Version, PlanVersion)
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

// A Volume is one that the engine keeps for an environment.
type Volume struct {
	Volume string            `json:"volume"` // as Mounts name it
	Name   string            `json:"name"`   // the engine's
	Labels map[string]string `json:"labels"`
}

// A Container is one of a service of a stack, or of a job of the service.
type Container struct {
	Service string `json:"service"`
	// Replica counts the service's containers from 2 on; the first one has none.
	Replica int `json:"replica,omitempty"`
	// Job is the number of the service's job that the container is for, counted from 1; 0 for the service itself.
	Job int `json:"job,omitempty"`
	// JobKey identifies a job over deployments, by what it runs.
	JobKey string `json:"job_key,omitempty"`
	// First says of a job that it runs once for each state.
	First bool `json:"first,omitempty"`
	// State says that the container belongs to the environment's state: it outlives the deployment, and later plans find it by its name.
	State bool `json:"state,omitempty"`
	// Kept says of a container of the state that the live deployment has it as it is. It stays where it is, and is connected to the new network.
	Kept bool `json:"kept,omitempty"`
	// Stops are the names of the live deployment's containers that have to be stopped before this one starts: of the same service, or with a volume
	// that both write to.
	Stops []string `json:"stops,omitempty"`

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
	Aliases     []string          `json:"aliases"` // the service's name first; a job has none
	Memory      int64             `json:"memory"`  // bytes, swap included
	CPUs        float64           `json:"cpus"`
	CPUShares   int64             `json:"cpu_shares,omitempty"` // the weight beside others; 0: the engine's 1024
	PIDs        int64             `json:"pids"`                 // processes and threads
	Mounts      []Mount           `json:"mounts,omitempty"`
	Tmpfs       []Tmpfs           `json:"tmpfs,omitempty"`
	ReadOnly    bool              `json:"read_only,omitempty"`
	StopSignal  string            `json:"stop_signal,omitempty"`
	StopGrace   time.Duration     `json:"stop_grace,omitempty"`
	Files       []File            `json:"files,omitempty"`      // copied in before it starts
	PostStart   []Hook            `json:"post_start,omitempty"` // run in it after each start, one after the other
	NoInit      bool              `json:"no_init,omitempty"`
	CapDrop     []string          `json:"cap_drop,omitempty"` // of those that every container has; "ALL" is all
	Ulimits     map[string]Ulimit `json:"ulimits,omitempty"`
	ShmSize     int64             `json:"shm_size,omitempty"` // bytes
	// ServiceLabels are those of the stack. The container has them beside its own, which come first.
	ServiceLabels map[string]string `json:"service_labels,omitempty"`
	// Health is what the engine watches once the service is up, at most every ten seconds. It decides nothing; see Check.
	Health *Health `json:"health,omitempty"`
}

// A Check is how to find out that a service has come up.
type Check struct {
	Kind CheckKind `json:"kind"`
	// Test is the command that an exec check runs in the container, in compose's form ["CMD", ...] or ["CMD-SHELL", "..."].
	Test        []string      `json:"test,omitempty"`
	TestTimeout time.Duration `json:"test_timeout,omitempty"` // of one run
	Port        int           `json:"port,omitempty"`         // of a port and of an HTTP check
	Path        string        `json:"path,omitempty"`         // of an HTTP check: "/healthz"
	URL         string        `json:"url,omitempty"`          // of an HTTP check: the preview's, for the Host and X-Forwarded-Proto; may be empty
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
	CheckHTTP    CheckKind = "http"    // a path answers with a status below 400
	CheckPort    CheckKind = "port"    // a port accepts a connection
	CheckRunning CheckKind = "running" // it runs for a while
)
