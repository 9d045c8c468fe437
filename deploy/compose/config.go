package compose

import (
	"errors"
	"fmt"
	"math"

	"vitrine/deploy/compose/internal/policy"
)

// What each service gets at most where the operator says nothing else.
const (
	maxMemory = 4 << 30 // bytes
	maxCPUs   = 4
	maxShares = 1024 // the weight of every container without one
)

// Config is what a Reader needs to know of the server.
type Config struct {
	// Policy returns what the operator changes of the policy for a repository, "owner/name"; nil for nothing. It is called side by side.
	Policy func(repo string) Policy
}

// policy returns what counts for a repository.
func (c Config) policy(repo string) Policy {
	if c.Policy == nil {
		return Policy{}
	}
	return c.Policy(repo)
}

// Policy is what the operator changes of the policy for a repository. The zero Policy is the policy as it is.
type Policy struct {
	// LeaveOut names rules of the policy ("privileged", "cap_add", "volumes.driver_opts") that only leave out what they speak of, with a note,
	// instead of refusing the file. Nothing of it ever takes effect.
	LeaveOut []string
	// Memory and CPUs are what a service gets at most: bytes, and processors; 0 for 4 GiB and 4.
	Memory int64
	CPUs   float64
}

// Check returns everything that makes no sense in the Policy, a line each, or nil.
func (p Policy) Check() error {
	var wrong []error
	for _, rule := range p.LeaveOut {
		switch ok, near := policy.CanIgnore(rule); {
		case ok:
		case near != "":
			wrong = append(wrong, fmt.Errorf("leave_out: %q is no rule of the policy, did you mean %q?", rule, near))
		default:
			wrong = append(wrong, fmt.Errorf("leave_out: %q is no rule of the policy; `vitrine check --json` names the rule of each violation", rule))
		}
	}
	if p.Memory != 0 && p.Memory < minMemory {
		wrong = append(wrong, fmt.Errorf("memory: %s is less than a container needs, %s", size(p.Memory), size(minMemory)))
	}
	switch {
	case p.CPUs == 0:
	case math.IsNaN(p.CPUs) || math.IsInf(p.CPUs, 0):
		wrong = append(wrong, fmt.Errorf("cpus: %v is no number of processors", p.CPUs))
	case p.CPUs < minCPUs:
		wrong = append(wrong, fmt.Errorf("cpus: %v is less than a container needs, %v", p.CPUs, minCPUs))
	}
	return errors.Join(wrong...)
}
