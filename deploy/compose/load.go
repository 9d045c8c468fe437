package compose

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/consts"
	"github.com/compose-spec/compose-go/v2/interpolation"
	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/template"
	"github.com/compose-spec/compose-go/v2/types"
)

// What one value may hold to be interpolated. compose-go looks for the end of each ${ anew, level by level.
const (
	maxTemplate     = 64 << 10 // bytes
	maxPlaceholders = 200
	maxAllVariables = 5000 // of the file
)

// A lookup returns the value of a variable.
type lookup func(name string) (value string, ok bool)

// An interpolator puts variables into values, and bounds what comes out in all.
type interpolator struct {
	variable lookup
	project  string // what ${COMPOSE_PROJECT_NAME} stands for
	written  int    // bytes
	replaced int    // placeholders
}

func (in *interpolator) substitute(text string, variable template.Mapping) (string, error) {
	if !strings.Contains(text, "$") {
		return text, nil
	}
	here := strings.Count(text, "$")
	in.replaced += here
	switch {
	case len(text) > maxTemplate || here > maxPlaceholders:
		return "", fmt.Errorf("a value with variables may have %d bytes and %d of them", maxTemplate, maxPlaceholders)
	case in.replaced > maxAllVariables:
		return "", fmt.Errorf("the file uses variables more than %d times", maxAllVariables)
	}
	out, err := template.SubstituteWithOptions(text, variable, template.WithoutLogging)
	if in.written += len(out); in.written > maxExpanded {
		return "", fmt.Errorf("with its variables put in the file has more than %d bytes", maxExpanded)
	}
	return out, err
}

// lookup returns a variable's value, and nothing of this process's environment.
func (in *interpolator) lookup(name string) (string, bool) {
	if name == consts.ComposeProjectName {
		return in.project, true
	}
	return in.variable(name)
}

// value returns the text of a scalar with its variables put in. What cannot be interpolated is compose-go's to report.
func (in *interpolator) value(n *node) string {
	out, err := in.substitute(n.text, in.lookup)
	if err != nil {
		return n.text
	}
	return out
}

// load has compose-go interpolate, validate and canonicalise an admitted document. compose-go reads no file: it gets the document itself,
// and all that would open one is refused by the rules and switched off besides.
func load(ctx context.Context, dir string, doc *node, vars map[string]string, in *interpolator, f *findings) *types.Project {
	details := types.ConfigDetails{
		WorkingDir:  dir,
		ConfigFiles: []types.ConfigFile{{Filename: f.file, Config: doc.plain().(map[string]any)}},
		Environment: types.Mapping(maps.Clone(vars)),
	}
	var unsupported []loader.UnsupportedAttribute
	supported := append(fileRule().paths(""), resolved[:]...)
	options := func(o *loader.Options) {
		o.SetProjectName(in.project, true)
		o.SkipExtends, o.SkipInclude = true, true
		o.SkipResolveEnvironment, o.SkipResolveLabels = true, true
		o.ResolvePaths = false
		o.SkipConsistencyCheck = true // done here, with lines
		o.Interpolate.Substitute = in.substitute
		o.Interpolate.LookupValue = interpolation.LookupValue(in.lookup)
	}
	var project *types.Project
	err := guarded(func() (err error) {
		project, err = loader.LoadWithContext(ctx, details, options,
			loader.WithSupportedAttributes(supported, func(all []loader.UnsupportedAttribute) { unsupported = all }))
		return err
	})
	if err != nil {
		for _, e := range flatten(err) {
			f.add(lineOf(doc, e.Error()), "%s", message(f.file, e))
		}
		return nil
	}
	for _, u := range unsupported {
		f.add(lineOf(doc, u.Path.String()), "%s is not supported yet. Remove it", u.Path)
	}
	return project
}

// projectName returns a name that compose-go takes for the environment's.
func projectName(vars map[string]string) string {
	if name := loader.NormalizeProjectName(vars["VITRINE_ENVIRONMENT"]); name != "" {
		return name
	}
	return "preview"
}

// flatten takes joined errors apart.
func flatten(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var all []error
	for _, e := range joined.Unwrap() {
		all = append(all, flatten(e)...)
	}
	return all
}

var pathIn = regexp.MustCompile(`(?:services|volumes|networks)\.[A-Za-z0-9_.\[\]-]+`)

// lineOf returns the line of the place that a message of compose-go names.
func lineOf(doc *node, text string) int {
	path := pathIn.FindString(text)
	if path == "" {
		return 0
	}
	return doc.at(strings.FieldsFunc(path, func(r rune) bool { return strings.ContainsRune(".[]", r) })...)
}

// message says an error of compose-go shortly.
func message(file string, err error) string {
	if missing, ok := errors.AsType[*template.MissingRequiredError](err); ok {
		text := fmt.Sprintf("%s needs the variable %s, which has no value here", pathIn.FindString(err.Error()), missing.Variable)
		if missing.Reason != "" {
			text += ": " + missing.Reason
		}
		return shown(text)
	}
	path := pathIn.FindString(err.Error())
	if number, ok := errors.AsType[*strconv.NumError](err); ok && path != "" {
		return fmt.Sprintf("%s: %q is no number that fits here", path, shown(number.Num))
	}
	if _, ok := errors.AsType[*json.UnsupportedValueError](err); ok {
		return "a number is infinite, or none at all"
	}
	text := strings.TrimPrefix(err.Error(), "validating "+file+": ")
	return shown(strings.Join(strings.Fields(text), " "))
}

// unset returns the variables without a default that have no value, for a note.
func unset(doc *node, in *interpolator) []string {
	var names []string
	all := template.ExtractVariables(doc.plain().(map[string]any), template.DefaultPattern)
	for name, v := range all {
		if _, ok := in.lookup(name); !ok && v.DefaultValue == "" && v.PresenceValue == "" && !v.Required {
			names = append(names, strconv.Quote(name))
		}
	}
	return names
}
