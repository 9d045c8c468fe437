package deployments

import (
	"errors"
	"syscall"
	"time"
)

// DiskSpace is the Neighbour of what a full disk of the server's keeps from going on.
const DiskSpace = "free disk space on the server"

// An Unavailable is an error of ours: a neighbour does not do its part at present. What was to be done stays due and is tried again.
type Unavailable struct {
	// Neighbour is who is waited for, within a sentence for people: "GitHub", "GitHub, whose rate limit is used up", DiskSpace.
	Neighbour string
	// Until, where not zero, is when the neighbour said that it is to be asked again, no earlier.
	Until time.Time
	Err   error
}

func (u *Unavailable) Error() string { return u.Err.Error() }
func (u *Unavailable) Unwrap() error { return u.Err }

// away names who is waited for when err is not the user's fault and does not name anybody itself. It returns nil for nil.
func away(neighbour string, err error) error {
	var known *Unavailable
	if err == nil || FaultOf(err) != nil || errors.Is(err, ErrSuperseded) || errors.As(err, &known) {
		return err
	}
	if errors.Is(err, syscall.ENOSPC) {
		neighbour = DiskSpace
	}
	return &Unavailable{Neighbour: neighbour, Err: err}
}

// waitingFor says what work that ended in err waits for, for people.
func waitingFor(err error) string {
	var u *Unavailable
	switch {
	case errors.As(err, &u):
		return "waits for " + u.Neighbour
	case errors.Is(err, syscall.ENOSPC):
		return "waits for " + DiskSpace
	}
	return "waits for the next try, after a fault of the server's"
}
