package deployments

// A Route says who answers for a host.
type Route struct {
	Host       string // fully qualified, lower-case, without a port
	Identifier string // names the application in hipache's record: the environment's name
	// Backends are URLs ("http://10.213.0.3:8080"). None means that the lobby answers.
	Backends []string
	// Revision fences the record: a write with a lower one than the host has seen changes nothing. One counter serves all hosts.
	Revision int64
	// Removed asks for the host's record to be deleted.
	Removed bool
}

// A HostState is what the lobby tells of a host that no container answers for.
type HostState struct {
	Status HostStatus
	Name   string // of the environment
	Detail string // what it is doing or why it failed, for people
}

// HostStatus groups what the lobby can say.
type HostStatus string

// What a host can be.
const (
	HostUnknown  HostStatus = "unknown"
	HostBuilding HostStatus = "building"
	HostWaiting  HostStatus = "waiting" // due, but held back: a full queue, or a neighbour that is away
	HostFailed   HostStatus = "failed"
	HostExpired  HostStatus = "expired" // gone, whatever the reason
	HostReady    HostStatus = "ready"
	HostDown     HostStatus = "down" // live, and nothing of it answers
)
