package compose

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"vitrine/deploy/compose/internal/policy"
	"vitrine/deployments"
	"vitrine/deployments/repoconfig"
)

const (
	maxListed = 20  // violations that a Fault's Excerpt lists
	maxText   = 500 // bytes of one of them
)

// findings is what a reading has to say: what is wrong with the files, and what was left out of them.
type findings struct {
	files []string // in the order in which they were read; violations are told in that order
	all   []deployments.Violation
	left  []omission
}

var _ policy.Findings = (*findings)(nil)

// An omission is something that was tolerated and has no effect, in some services.
type omission struct {
	what, why string // "restart is left out", "the server watches over the containers"
	services  []string
}

// A spot is a line of a file.
type spot struct {
	file string // relative to the root of the repository
	line int    // 0 where unknown
}

// A field is a place in a service that a finding is about.
type field struct {
	service string
	path    string // "volumes[3]"; empty for the service itself
	at      spot
}

func (f *findings) Refuse(v deployments.Violation) { f.all = append(f.all, v) }

// refuse adds a violation. message says what is wrong and instead what to write, which may be empty.
func (f *findings) refuse(at spot, rule, instead, message string) {
	f.Refuse(deployments.Violation{File: at.file, Line: at.line, Rule: rule, Message: message, Rewrite: instead})
}

// wrong adds a violation in a field of a service.
func (f *findings) wrong(at field, instead, format string, args ...any) {
	place, rule := "services."+at.service, "service"
	if at.path != "" {
		place += "." + at.path
		rule, _, _ = strings.Cut(at.path, "[")
	}
	f.refuse(at.at, rule, instead, place+": "+fmt.Sprintf(format, args...))
}

func (f *findings) LeaveOut(service, what, why string) {
	i := slices.IndexFunc(f.left, func(o omission) bool { return o.what == what && o.why == why })
	if i < 0 {
		f.left = append(f.left, omission{what: what, why: why})
		i = len(f.left) - 1
	}
	if service != "" && !slices.Contains(f.left[i].services, service) {
		f.left[i].services = append(f.left[i].services, service)
	}
}

// notes returns a sentence for each omission, in the order in which they were found.
func (f *findings) notes() []string {
	var notes []string
	for _, o := range f.left {
		of := ""
		if len(o.services) > 0 {
			of = " (" + strings.Join(o.services, ", ") + ")"
		}
		notes = append(notes, repoconfig.Printable(o.what+of+": "+o.why+".", maxText))
	}
	return notes
}

// fault makes one error of everything that is wrong, or nil of nothing. The first, in the order of the files, is the reason.
func (f *findings) fault() error {
	if len(f.all) == 0 {
		return nil
	}
	file := func(v deployments.Violation) int { return slices.Index(f.files, v.File) }
	slices.SortStableFunc(f.all, func(a, b deployments.Violation) int {
		return cmp.Or(cmp.Compare(file(a), file(b)), cmp.Compare(a.Line, b.Line), strings.Compare(a.Message, b.Message))
	})
	f.all = slices.Compact(f.all)
	first := f.all[0]
	fault := &deployments.Fault{
		Kind: deployments.FaultConfig, Where: first.Place(), Reason: repoconfig.Printable(first.Text(), maxText),
		Violations: f.all[:min(len(f.all), maxViolations)],
	}
	for i, v := range fault.Violations {
		fault.Violations[i].Message = repoconfig.Printable(v.Message, maxText)
		if i < maxListed {
			fault.Excerpt = append(fault.Excerpt, v.Place()+": "+repoconfig.Printable(v.Text(), maxText))
		}
	}
	if more := len(f.all) - maxListed; more > 0 {
		fault.Excerpt = append(fault.Excerpt, fmt.Sprintf("and %d more", more))
	}
	return fault
}

// maxViolations is how many of them a Fault carries.
const maxViolations = 200

// shown prepares what a stranger wrote for a message.
func shown(s string) string { return repoconfig.Printable(s, 120) }
