// Package deploy decides how a stack of services is brought up. It is pure: a Stack and the images that were built make a Plan, and whoever
// carries the plan out decides nothing. It imports the standard library only.
package deploy

import "time"

// A Stack is what a checkout asks for: our own small model of a compose file, or of a lone Dockerfile.
type Stack struct {
	Services []Service `json:"services"` // in file order
	// Volumes are the names of the stack's own volumes. They live as long as the environment, or until it is reset.
	Volumes []string `json:"volumes,omitempty"`
	// Jobs run to their end before their service starts, those of one service one after the other, in this order.
	Jobs []Job `json:"jobs,omitempty"`
	// MaxMemory and MaxCPUs are what a service gets at most: bytes, and processors; 0 for what is usual. No file of the checkout says so.
	MaxMemory int64   `json:"max_memory,omitempty"`
	MaxCPUs   float64 `json:"max_cpus,omitempty"`
}

// A Service is one service of a stack.
type Service struct {
	Name string `json:"name"`
	// Image is the reference to run. It is empty for a service that is built.
	Image       string            `json:"image,omitempty"`
	Entrypoint  []string          `json:"entrypoint,omitempty"` // nil: the image's own
	Command     []string          `json:"command,omitempty"`    // nil: the image's own
	Environment map[string]string `json:"environment,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"` // none of them begins with "vitrine."
	WorkingDir  string            `json:"working_dir,omitempty"`
	User        string            `json:"user,omitempty"`
	Aliases     []string          `json:"aliases,omitempty"` // further names in the network
	DependsOn   []Dependency      `json:"depends_on,omitempty"`
	Health      *Health           `json:"health,omitempty"` // of the compose file; nil: see HealthPath
	// HealthPath, where not empty, is what a service without Health is asked for at Port: "/healthz". Any status below 400 will do.
	HealthPath string `json:"health_path,omitempty"`
	// Port is where the service answers HTTP, in the container; 0 for none. It is what a service without Health and HealthPath is asked at.
	Port   int     `json:"port,omitempty"`
	Public bool    `json:"public,omitempty"` // has a host
	Memory int64   `json:"memory,omitempty"` // bytes; 0: the default
	CPUs   float64 `json:"cpus,omitempty"`   // 0: the default
	// CPUShares is the service's weight beside others where all want the processors, at most the engine's 1024, which 0 is too.
	CPUShares int64   `json:"cpu_shares,omitempty"`
	Mounts    []Mount `json:"mounts,omitempty"`
	Tmpfs     []Tmpfs `json:"tmpfs,omitempty"`
	Files     []File  `json:"files,omitempty"`
	// Replicas is how many containers the service has; 0 is one.
	Replicas int `json:"replicas,omitempty"`
	// InPlace has a new container take the place of the old one, as for a service that keeps state, instead of starting beside it.
	InPlace bool `json:"in_place,omitempty"`

	NoInit     bool              `json:"no_init,omitempty"` // the image brings a process 1 of its own
	CapDrop    []string          `json:"cap_drop,omitempty"`
	Ulimits    map[string]Ulimit `json:"ulimits,omitempty"`  // by name: "nofile"
	ShmSize    int64             `json:"shm_size,omitempty"` // bytes; 0: the engine's 64 MiB
	PostStart  []Hook            `json:"post_start,omitempty"`
	StopSignal string            `json:"stop_signal,omitempty"`
	StopGrace  time.Duration     `json:"stop_grace,omitempty"` // nanoseconds; 0: the engine's 10 s
	ReadOnly   bool              `json:"read_only,omitempty"`
	// StartTimeout is how long the service may take to become healthy; 0: the default.
	StartTimeout time.Duration `json:"start_timeout,omitempty"`
}

// A Job is a command that runs in a container of its own, made like one of its service, before the service starts.
type Job struct {
	Service string   `json:"service"`
	Run     []string `json:"run"` // in place of the service's command and entrypoint
	// First says that it runs once in the environment's life, and again after a reset, instead of at each deploy.
	First bool `json:"first,omitempty"`
}

// A Hook is a command that runs in a service's container once it has started, before the service counts as up.
type Hook struct {
	Command     []string          `json:"command"`
	WorkingDir  string            `json:"working_dir,omitempty"` // empty: the container's
	Environment map[string]string `json:"environment,omitempty"` // beside the container's
}

// A File is a file or a folder that is copied into a container before it starts. It is how a development file's bind, a config and a secret arrive.
type File struct {
	Target string `json:"target"` // where it lies in the container: an absolute path
	// Source is its path in the checkout, relative and with slashes, "." for all of it. Where it is empty, Content is a file's content.
	Source  string `json:"source,omitempty"`
	Content []byte `json:"content,omitempty"`
	// Sum identifies what lies at Source, names and modes included, so that a change of it is a change of the service: a SHA-256, hexadecimal.
	Sum  string `json:"sum,omitempty"`
	Mode uint32 `json:"mode,omitempty"` // permission bits of a single file; 0: those of the checkout, or 0444
	UID  int    `json:"uid,omitempty"`  // the owner of a single file
	GID  int    `json:"gid,omitempty"`
}

// A Tmpfs is a folder in memory.
type Tmpfs struct {
	Target string `json:"target"`         // an absolute path
	Size   int64  `json:"size,omitempty"` // bytes; 0: the default
	Mode   uint32 `json:"mode,omitempty"` // permission bits; 0: 01777
}

// A Ulimit bounds a resource of each process (getrlimit(2)).
type Ulimit struct {
	Soft int64 `json:"soft"` // -1 is without limit
	Hard int64 `json:"hard"`
}

// A Dependency is a service that has to be in a condition before another starts.
type Dependency struct {
	Service   string    `json:"service"`
	Condition Condition `json:"condition"`
	// Optional dependencies may be missing (compose's `required: false`).
	Optional bool `json:"optional,omitempty"`
	// Job stands in a plan only: the number of the service's job that is meant instead of the service itself, counted from 1.
	Job int `json:"job,omitempty"`
}

// Condition is one of the compose specification's.
type Condition string

// The conditions of depends_on.
const (
	Started   Condition = "service_started"
	Healthy   Condition = "service_healthy"
	Completed Condition = "service_completed_successfully"
)

// Health is a check that runs inside the container.
type Health struct {
	Test        []string      `json:"test"` // compose's form: ["CMD", ...], ["CMD-SHELL", "..."]
	Interval    time.Duration `json:"interval,omitempty"`
	Timeout     time.Duration `json:"timeout,omitempty"`
	Retries     int           `json:"retries,omitempty"`
	StartPeriod time.Duration `json:"start_period,omitempty"`
}

// A Mount is a volume of the stack in a container.
type Mount struct {
	Volume   string `json:"volume"` // one of Stack.Volumes
	Target   string `json:"target"` // an absolute path
	ReadOnly bool   `json:"read_only,omitempty"`
	Subpath  string `json:"subpath,omitempty"` // a folder of the volume, relative, to be mounted instead of all of it; it has to be there
	NoCopy   bool   `json:"no_copy,omitempty"` // what the image has at Target is not copied into the new volume
}
