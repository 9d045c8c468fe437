package compose

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"vitrine/deployments"
	"vitrine/deployments/repoconfig"
)

// maxListed is how many findings a Fault lists.
const maxListed = 20

// findings is what a reading has to say: what is wrong with a file, and what was left out of it.
type findings struct {
	file  string // relative to the root of the repository
	wrong []finding
	left  []omission
}

type finding struct {
	line  int    // 0 where unknown
	place string // where it is not in the file that is read, but in another
	text  string
}

// An omission is something that was tolerated and has no effect, in some services.
type omission struct {
	what, why string // "restart is left out", "the server watches over the containers"
	services  []string
}

func (f *findings) add(line int, format string, args ...any) {
	f.wrong = append(f.wrong, finding{line: line, text: fmt.Sprintf(format, args...)})
}

// elsewhere adds a finding about another file.
func (f *findings) elsewhere(place, format string, args ...any) {
	f.wrong = append(f.wrong, finding{place: place, text: fmt.Sprintf(format, args...)})
}

// drop notes that what stands at a place has no effect.
func (f *findings) drop(at place, why string) {
	switch {
	case strings.HasPrefix(at.names[len(at.names)-1], "x-"):
		f.omit("", "x-* is left out", why)
	case at.names[0] == "services" && len(at.names) > 2:
		field := at.names[2]
		if last := at.names[len(at.names)-1]; last != field {
			field += "." + last
		}
		f.omit(at.names[1], field+" is left out", why)
	default:
		f.omit("", at.text+" is left out", why)
	}
}

// omit notes that something has no effect in a service, or in the file where service is empty.
func (f *findings) omit(service, what, why string) {
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
		notes = append(notes, o.what+of+": "+o.why+".")
	}
	return notes
}

func (f *findings) where(w finding) string {
	switch {
	case w.place != "":
		return w.place
	case w.line == 0:
		return f.file
	default:
		return fmt.Sprintf("%s:%d", f.file, w.line)
	}
}

// maxText is the length of one finding that a Fault shows.
const maxText = 500

// fault makes one error of everything that is wrong, or nil of nothing. The first, in the order of the file, is the reason.
func (f *findings) fault() error {
	if len(f.wrong) == 0 {
		return nil
	}
	slices.SortFunc(f.wrong, func(a, b finding) int {
		return cmp.Or(cmp.Compare(a.line, b.line), strings.Compare(a.place, b.place), strings.Compare(a.text, b.text))
	})
	f.wrong = slices.Compact(f.wrong)
	first := f.wrong[0]
	fault := &deployments.Fault{Kind: deployments.FaultConfig, Where: f.where(first), Reason: repoconfig.Printable(first.text, maxText)}
	for _, w := range f.wrong[:min(len(f.wrong), maxListed)] {
		fault.Excerpt = append(fault.Excerpt, f.where(w)+": "+repoconfig.Printable(w.text, maxText))
	}
	if more := len(f.wrong) - maxListed; more > 0 {
		fault.Excerpt = append(fault.Excerpt, fmt.Sprintf("and %d more", more))
	}
	return fault
}

// shown prepares what a stranger wrote for a message.
func shown(s string) string { return repoconfig.Printable(s, 120) }

// guarded runs f, which is a library's, over a stranger's file. Whatever the library makes of it must not end the process: a panic is an error.
func guarded(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the file cannot be understood: %v", p)
		}
	}()
	return f()
}
