// Package policy says what a compose file may ask for, as an allow-list: what is known to be safe and supported passes, what has no effect is noted,
// and everything else is a violation.
package policy

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/agext/levenshtein"
	"github.com/compose-spec/compose-go/v2/schema"
	"github.com/compose-spec/compose-go/v2/tree"

	"vitrine/deploy/compose/internal/document"
	"vitrine/deployments"
	"vitrine/deployments/repoconfig"
)

// MaxEntries is the most that a list or a mapping may have, which is many more than people write. compose-go's work grows with their square.
const MaxEntries = 250

// Findings takes what the policy has to say.
type Findings interface {
	// Refuse takes something that no preview gets.
	Refuse(v deployments.Violation)
	// LeaveOut takes something that has no effect, in a service, or in the file where service is empty: "restart is left out", and why.
	LeaveOut(service, what, why string)
}

// A Policy holds documents against the rules.
type Policy struct {
	findings Findings
	file     *Rule
	refused  map[tree.Path]refusal
	known    []tree.Path // of the specification
	ignored  []string
}

// New returns a policy. ignored are the rules ("privileged", "volumes.driver_opts") whose fields are left out, with a note, instead of refused.
func New(f Findings, ignored []string) *Policy {
	return &Policy{findings: f, file: File(), refused: refusals(), known: schema.AttributePaths(), ignored: ignored}
}

// Entries returns what is wrong with the size of the document's lists and mappings, x-* of its top aside, or nil.
func Entries(root *document.Node) *deployments.Violation {
	for _, f := range root.Fields {
		if !strings.HasPrefix(f.Name, "x-") {
			if v := entries(f.Value, place{}.field(f.Name, false)); v != nil {
				return v
			}
		}
	}
	return nil
}

func entries(n *document.Node, at place) *deployments.Violation {
	if count := len(n.Fields) + len(n.Items); count > MaxEntries {
		return &deployments.Violation{File: n.File, Line: n.Line, Rule: "size", Message: fmt.Sprintf("%s has %d entries; at most %d are read", at, count, MaxEntries)}
	}
	for _, f := range n.Fields {
		if v := entries(f.Value, at.field(f.Name, false)); v != nil {
			return v
		}
	}
	for i, item := range n.Items {
		if v := entries(item, at.item(i)); v != nil {
			return v
		}
	}
	return nil
}

// Top looks at a document but for its services.
func (p *Policy) Top(root *document.Node) {
	rest := *root
	rest.Fields = slices.DeleteFunc(slices.Clone(root.Fields), func(f document.Field) bool { return f.Name == "services" })
	p.look(&rest, p.file, place{})
}

// Service looks at what a document says of a service, under the name that is written there, which is another one where the service extends it.
func (p *Policy) Service(name, written string, n *document.Node) {
	at := place{}.field("services", false).field(written, true)
	at.names[1] = name
	p.look(n, p.file.fields["services"].each, at)
}

// look reports everything that the rule does not name, and everything that it drops.
func (p *Policy) look(n *document.Node, r *Rule, at place) {
	switch n.Kind {
	case document.Mapping:
		for _, f := range n.Fields {
			p.field(n, f, r, at)
		}
	case document.List:
		if r.items == nil && len(n.Items) > 0 {
			p.findings.Refuse(deployments.Violation{File: n.File, Line: n.Line, Rule: ruleName(at.pattern),
				Message: fmt.Sprintf("%s is a list, which is not understood here", at), Rewrite: "See the compose specification for its form"})
			return
		}
		for i, item := range n.Items {
			p.look(item, r.items, at.item(i))
		}
	}
}

func (p *Policy) field(n *document.Node, f document.Field, r *Rule, at place) {
	_, given := r.fields[f.Name]
	here := at.field(f.Name, !given && r.each != nil)
	sub := r.under(f.Name)
	switch {
	case f.Value.Mark == document.Reset:
	case sub == nil, len(sub.harmless) > 0 && !(f.Value.Kind == document.Scalar && slices.Contains(sub.harmless, f.Value.Text)):
		p.refuse(n.File, f.Line, here, r)
	case r.each != nil && strings.HasPrefix(f.Name, "x-"):
		// compose-go would take the name for an extension and lose it.
		p.findings.Refuse(deployments.Violation{File: n.File, Line: f.Line, Rule: "names",
			Message: fmt.Sprintf("%s: a name must not begin with x-", here), Rewrite: "Give it another"})
	case len(sub.harmless) > 0:
	case sub.dropped != "":
		p.leaveOut(here, sub.dropped)
	default:
		p.look(f.Value, sub, here)
	}
}

func (p *Policy) leaveOut(here place, why string) {
	switch last := here.names[len(here.names)-1]; {
	case strings.HasPrefix(last, "x-"):
		p.findings.LeaveOut("", "x-* is left out", why)
	case here.names[0] == "services" && len(here.names) > 2:
		p.findings.LeaveOut(here.names[1], ruleName(here.pattern)+" is left out", why)
	default:
		p.findings.LeaveOut("", here.text+" is left out", why)
	}
}

// refuse reports a field that no rule lets through.
func (p *Policy) refuse(file string, line int, here place, r *Rule) {
	v := deployments.Violation{File: file, Line: line, Rule: ruleName(here.pattern), Rewrite: "Remove it"}
	no, named := p.refused[here.pattern]
	switch {
	case named && slices.Contains(p.ignored, v.Rule):
		p.leaveOut(here, "the server's policy for this repository has it left out")
		return
	case named:
		v.Message, v.Rewrite = fmt.Sprintf("%s is not allowed in a preview: %s", here, no.why), no.instead
	case slices.ContainsFunc(p.known, here.pattern.Matches):
		v.Message = fmt.Sprintf("%s is not supported yet", here)
	default:
		v.Rule, v.Message = "unknown key", fmt.Sprintf("%s is no key of a compose file", here)
		if near := nearest(here.names[len(here.names)-1], maps.Keys(r.fields)); near != "" {
			v.Message, v.Rewrite = v.Message+fmt.Sprintf(", did you mean `%s`?", near), ""
		}
	}
	p.findings.Refuse(v)
}

// CanIgnore reports whether there is a rule of the name that [New] can ignore. Where there is none, near is the one that may have been meant, or "".
func CanIgnore(rule string) (ok bool, near string) {
	rules := map[string]bool{}
	for path := range refusals() {
		rules[ruleName(path)] = true
	}
	if rules[rule] {
		return true, ""
	}
	return false, nearest(rule, maps.Keys(rules))
}

// nearest returns which of the names a misspelt one may have meant, or "".
func nearest(name string, names iter.Seq[string]) string {
	best, distance := "", 3
	for _, known := range slices.Sorted(names) {
		if d := levenshtein.Distance(repoconfig.Printable(name, 120), known, nil); d < distance {
			best, distance = known, d
		}
	}
	return best
}

// ruleName returns what a rule is called: the place without the names that people give.
func ruleName(path tree.Path) string {
	text := strings.TrimPrefix(path.String(), "services.*.")
	text = strings.ReplaceAll(text, ".[]", "")
	return cmp.Or(strings.ReplaceAll(text, ".*", ""), "file")
}

// A place is a path in the document, as people read it and as compose-go's patterns have it.
type place struct {
	names   []string
	text    string
	pattern tree.Path
}

func (p place) String() string { return p.text }

// field returns the place of a field. A wild one has a name that people give, whatever it contains.
func (p place) field(name string, wild bool) place {
	text := repoconfig.Printable(name, 120)
	if p.text != "" {
		text = p.text + "." + text
	}
	step := name
	if wild {
		step = tree.PathMatchAll
	}
	return place{append(slices.Clone(p.names), name), text, p.pattern.Next(step)}
}

func (p place) item(i int) place {
	return place{append(slices.Clone(p.names), fmt.Sprint(i)), fmt.Sprintf("%s[%d]", p.text, i), p.pattern.Next(tree.PathMatchList)}
}
