package deployments

import (
	"errors"
	"fmt"
	"strings"
)

// A Fault is an error that the user has to mend: a Dockerfile that fails, a service that never answers, a field that is refused. It settles the
// generation. Every other error is ours and leaves the generation due.
type Fault struct {
	Kind    FaultKind `json:"kind"`
	Service string    `json:"service,omitempty"`
	// Where is a place in the repository: "api/Dockerfile:12". May be empty.
	Where string `json:"where,omitempty"`
	// Reason is one sentence that says what is wrong, and what to do where that is not plain.
	Reason string `json:"reason"`
	// Excerpt is the end of what the build or the service printed, at most some twenty lines.
	Excerpt []string `json:"excerpt,omitempty"`
}

// FaultKind groups faults by what was going on.
type FaultKind string

// The kinds of fault.
const (
	FaultNothing FaultKind = "nothing to deploy" // neither compose file nor Dockerfile
	FaultConfig  FaultKind = "configuration"     // .vitrine.yml, compose file, policy
	FaultFetch   FaultKind = "fetch"             // the commit is not there
	FaultBuild   FaultKind = "build"
	FaultStart   FaultKind = "start"
)

func (f *Fault) Error() string {
	var b strings.Builder
	if f.Where != "" {
		b.WriteString(f.Where + ": ")
	}
	if f.Service != "" {
		fmt.Fprintf(&b, "service %q: ", f.Service)
	}
	b.WriteString(f.Reason)
	return b.String()
}

// FaultOf returns the Fault in err's chain, or nil where the error is ours.
func FaultOf(err error) *Fault {
	var f *Fault
	if errors.As(err, &f) {
		return f
	}
	return nil
}
