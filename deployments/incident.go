package deployments

import (
	"fmt"
	"syscall"
	"time"
)

// An Incident is something that happened to a container without anybody of ours having asked for it.
type Incident struct {
	Kind IncidentKind
	// Environment is the name of the one that the container belongs to.
	Environment string
	// Deployment is the one that the container was made for; 0 for a container that outlives deployments.
	Deployment int64
	Service    string
	At         time.Time
	Status     int    // that it exited with, where Kind is Died
	Memory     int64  // the container's limit in bytes, where Kind is OutOfMemory; 0 where it is not known
	Detail     string // what the health check said last, one line, where Kind is Unhealthy; may be empty
}

// IncidentKind says what happened.
type IncidentKind string

// What can happen to a container.
const (
	Died        IncidentKind = "died"
	OutOfMemory IncidentKind = "out of memory" // a process in it was killed for that; where it was the main one, Died comes just before or after
	Started     IncidentKind = "started"       // whoever started it
	Unhealthy   IncidentKind = "unhealthy"     // its health check failed as often as the engine lets it
	Healthy     IncidentKind = "healthy"
	// stillCrashing is how a process hears of what a former one had found to be crashing.
	stillCrashing IncidentKind = "still crashing"
)

// ended says how a container came to its end, which was for want of memory where oom is set.
func (i Incident) ended(oom *Incident) string {
	switch signal := syscall.Signal(i.Status - 128); {
	case oom != nil:
		return "was killed: out of memory" + oom.limit()
	case signal == syscall.SIGKILL, signal == syscall.SIGTERM, signal == syscall.SIGSEGV, signal == syscall.SIGABRT, signal == syscall.SIGBUS:
		return fmt.Sprintf("exited with status %d (%s)", i.Status, signal)
	default:
		return fmt.Sprintf("exited with status %d", i.Status)
	}
}

// limit says how much memory there was, " (limit 512 MiB)", or nothing where that is not known.
func (i Incident) limit() string {
	if i.Memory <= 0 {
		return ""
	}
	return fmt.Sprintf(" (limit %d MiB)", i.Memory>>20)
}
