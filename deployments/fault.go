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
	// Violations are everything that is wrong with the repository's files, where the fault is about that, in the order of the files. Excerpt has the
	// first of them.
	Violations []Violation `json:"violations,omitempty"`
}

// A Violation is one thing in a file of the repository that keeps it from being deployed.
type Violation struct {
	File    string `json:"file"`              // relative to the root of the repository
	Line    int    `json:"line,omitempty"`    // from 1; 0 where unknown
	Column  int    `json:"column,omitempty"`  // from 1; 0 where unknown
	Rule    string `json:"rule"`              // what it breaks, the same for all of a kind: "privileged", "unknown key"
	Message string `json:"message"`           // what is wrong, and why
	Rewrite string `json:"rewrite,omitempty"` // what to write instead
}

// Place returns where it is: "compose.yaml:12".
func (v Violation) Place() string {
	if v.Line == 0 {
		return v.File
	}
	return fmt.Sprintf("%s:%d", v.File, v.Line)
}

// Text returns the message and the rewrite.
func (v Violation) Text() string {
	if v.Rewrite == "" {
		return v.Message
	}
	return v.Message + ". " + v.Rewrite
}

// FaultKind groups faults by what was going on.
type FaultKind string

// The kinds of fault.
const (
	FaultNothing FaultKind = "nothing to deploy" // neither compose file, nor Dockerfile, nor index.html
	FaultConfig  FaultKind = "configuration"     // .vitrine.yml, compose file, policy
	FaultFetch   FaultKind = "fetch"             // the commit is not there
	FaultBuild   FaultKind = "build"
	FaultStart   FaultKind = "start"
	FaultRun     FaultKind = "run" // of what was live
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
