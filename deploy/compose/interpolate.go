package compose

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/consts"
	"github.com/compose-spec/compose-go/v2/template"

	"vitrine/deploy/compose/internal/document"
)

// What one value may hold to be interpolated. compose-go looks for the end of each ${ anew, level by level.
const (
	maxTemplate     = 64 << 10 // bytes
	maxPlaceholders = 200
	maxAllVariables = 5000 // of all files
)

// assumed is what a required variable is taken to be where its value cannot be known. It is a tag, a number and a truth.
const assumed = "1"

// A lookup returns the value of a variable.
type lookup func(name string) (value string, ok bool)

// An interpolator puts variables into values, and bounds what comes out in all.
type interpolator struct {
	variable lookup
	project  string // what ${COMPOSE_PROJECT_NAME} stands for
	// lenient has what a file requires be there, and collects the names.
	lenient  bool
	required []string

	written  int // bytes
	replaced int // placeholders
}

// A misreading is what interpolation has to say of one value.
type misreading struct {
	service string // that it belongs to; empty for none
	at      spot
	message string   // what is wrong; empty for nothing
	unset   []string // the variables that have neither a value nor a default
}

// document returns the document with variables put in.
func (in *interpolator) document(root *document.Node, look lookup) (*document.Node, []misreading) {
	var all []misreading
	out := root.Map(func(path []string, n *document.Node) {
		text, ok := n.Value.(string)
		if !ok || !strings.Contains(text, "$") {
			return
		}
		m := misreading{at: spot{n.File, n.Line}, unset: unset(text, look)}
		if len(path) > 1 && path[0] == "services" {
			m.service = path[1]
		}
		replaced, err := in.substitute(text, look)
		if err != nil {
			m.message = strings.Join(path, ".") + ": " + inWords(err)
		}
		n.Value, n.Text = replaced, replaced
		if m.message != "" || len(m.unset) > 0 {
			all = append(all, m)
		}
	})
	return out, all
}

func inWords(err error) string {
	if missing, ok := errors.AsType[*template.MissingRequiredError](err); ok {
		text := fmt.Sprintf("it needs the variable %s, which has no value here", missing.Variable)
		if missing.Reason != "" {
			text += ": " + missing.Reason
		}
		return text
	}
	if invalid, ok := errors.AsType[*template.InvalidTemplateError](err); ok {
		return fmt.Sprintf("%q is no variable; write ${NAME}, or $$ for a plain $", shown(invalid.Template))
	}
	return strings.Join(strings.Fields(err.Error()), " ")
}

func (in *interpolator) substitute(text string, look lookup) (string, error) {
	here := strings.Count(text, "$")
	in.replaced += here
	switch {
	case len(text) > maxTemplate || here > maxPlaceholders:
		return "", fmt.Errorf("a value with variables may have %d bytes and %d of them", maxTemplate, maxPlaceholders)
	case in.replaced > maxAllVariables:
		return "", fmt.Errorf("the file uses variables more than %d times", maxAllVariables)
	}
	var out string
	err := document.Guarded(func() (err error) {
		out, err = in.fill(text, look)
		return err
	})
	if in.written += len(out); in.written > document.MaxExpanded {
		return "", fmt.Errorf("with its variables put in the file has more than %d bytes", document.MaxExpanded)
	}
	return out, err
}

func (in *interpolator) fill(text string, look lookup) (string, error) {
	var here []string // required here, and assumed
	for {
		out, err := template.SubstituteWithOptions(text, func(name string) (string, bool) {
			if slices.Contains(here, name) {
				return assumed, true
			}
			return look(name)
		}, template.WithoutLogging)
		missing, ok := errors.AsType[*template.MissingRequiredError](err)
		if !ok || !in.lenient || slices.Contains(here, missing.Variable) {
			return out, err
		}
		here = append(here, missing.Variable)
		in.require(missing.Variable)
	}
}

// require notes a variable that has to be there at a deploy.
func (in *interpolator) require(name string) {
	if !slices.Contains(in.required, name) {
		in.required = append(in.required, name)
	}
}

// lookup returns a variable's value, and nothing of this process's environment.
func (in *interpolator) lookup(name string) (string, bool) {
	switch name {
	case consts.ComposeProjectName:
		return in.project, true
	case "PWD": // of whoever would run docker compose beside the file; paths are relative to that
		return ".", true
	}
	return in.variable(name)
}

// unset returns the variables of a text without a default that have no value, for a note.
func unset(text string, look lookup) []string {
	if len(text) > maxTemplate {
		return nil
	}
	var names []string
	for name, v := range template.ExtractVariables(map[string]any{"": text}, template.DefaultPattern) {
		if _, ok := look(name); !ok && v.DefaultValue == "" && v.PresenceValue == "" && !v.Required {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
