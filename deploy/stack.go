// Package deploy decides how a stack of services is brought up. It is pure: a Stack and the images that were built make a Plan, and whoever
// carries the plan out decides nothing. It imports the standard library only.
package deploy

import "time"

// A Stack is what a checkout asks for: our own small model of a compose file, or of a lone Dockerfile.
type Stack struct {
	Services []Service `json:"services"` // in file order
	// Volumes are the names of the stack's own volumes. They live as long as the deployment.
	Volumes []string `json:"volumes,omitempty"`
}

// A Service is one service of a stack.
type Service struct {
	Name string `json:"name"`
	// Image is the reference to run. It is empty for a service that is built.
	Image       string            `json:"image,omitempty"`
	Entrypoint  []string          `json:"entrypoint,omitempty"` // nil: the image's own
	Command     []string          `json:"command,omitempty"`    // nil: the image's own
	Environment map[string]string `json:"environment,omitempty"`
	WorkingDir  string            `json:"working_dir,omitempty"`
	User        string            `json:"user,omitempty"`
	Aliases     []string          `json:"aliases,omitempty"` // further names in the network
	DependsOn   []Dependency      `json:"depends_on,omitempty"`
	Health      *Health           `json:"health,omitempty"` // of the compose file; nil: see Port
	// Port is where the service answers HTTP, in the container; 0 for none. It is what a service without Health is asked at.
	Port   int      `json:"port,omitempty"`
	Public bool     `json:"public,omitempty"` // has a host
	Memory int64    `json:"memory,omitempty"` // bytes; 0: the default
	CPUs   float64  `json:"cpus,omitempty"`   // 0: the default
	Mounts []Mount  `json:"mounts,omitempty"`
	Tmpfs  []string `json:"tmpfs,omitempty"` // paths

	StopSignal string        `json:"stop_signal,omitempty"`
	StopGrace  time.Duration `json:"stop_grace,omitempty"` // nanoseconds; 0: the engine's 10 s
	ReadOnly   bool          `json:"read_only,omitempty"`
	// StartTimeout is how long the service may take to become healthy; 0: the default.
	StartTimeout time.Duration `json:"start_timeout,omitempty"`
}

// A Dependency is a service that has to be in a condition before another starts.
type Dependency struct {
	Service   string    `json:"service"`
	Condition Condition `json:"condition"`
	// Optional dependencies may be missing (compose's `required: false`).
	Optional bool `json:"optional,omitempty"`
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
}
