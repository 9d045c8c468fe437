package compose

// What each service gets at most where the operator says nothing else.
const (
	maxMemory = 4 << 30 // bytes
	maxCPUs   = 4
)

// Config is what the operator changes of the policy. The zero Config is the policy as it is.
type Config struct {
	// LeaveOut names rules of the policy ("privileged", "cap_add", "volumes.driver_opts") that only leave out what they speak of, with a note,
	// instead of refusing the file. Nothing of it ever takes effect.
	LeaveOut []string
	// Memory and CPUs are what a service gets at most: bytes, and processors; 0 for 4 GiB and 4. The plan has ceilings of its own.
	Memory int64
	CPUs   float64
}
