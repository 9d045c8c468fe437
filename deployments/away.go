package deployments

import (
	"errors"
	"fmt"
)

// An awayError is a fault of ours, with the neighbour that is waited for.
type awayError struct {
	neighbour string
	err       error
}

// away names who is waited for when err is not the user's fault. It returns nil for nil.
func away(neighbour string, err error) error {
	if err == nil || FaultOf(err) != nil || errors.Is(err, ErrSuperseded) {
		return err
	}
	return &awayError{neighbour: neighbour, err: err}
}

func (e *awayError) Error() string { return e.err.Error() }
func (e *awayError) Unwrap() error { return e.err }

// waitingFor says what an attempt that ended in err waits for, for people.
func waitingFor(err error) string {
	var e *awayError
	if errors.As(err, &e) {
		return fmt.Sprintf("waits for %s", e.neighbour)
	}
	return "waits for the next try, after a fault of the server's"
}
