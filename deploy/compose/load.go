package compose

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/interpolation"
	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/template"
	"github.com/compose-spec/compose-go/v2/types"
)

// What one value may hold to be interpolated. compose-go looks for the end of each ${ anew, level by level.
const (
	maxTemplate     = 64 << 10
	maxPlaceholders = 100
)

// A lookup returns the value of a variable.
type lookup func(name string) (value string, ok bool)

// An interpolator puts variables into values, and bounds what comes out in all.
type interpolator struct {
	variable lookup
	written  int
}

func (in *interpolator) substitute(text string, variable template.Mapping) (string, error) {
	if !strings.Contains(text, "$") {
		return text, nil
	}
	if len(text) > maxTemplate || strings.Count(text, "${") > maxPlaceholders {
		return "", fmt.Errorf("a value with variables may have %d bytes and %d of them", maxTemplate, maxPlaceholders)
	}
	out, err := template.SubstituteWithOptions(text, variable, template.WithoutLogging)
	if in.written += len(out); in.written > maxExpanded {
		return "", fmt.Errorf("with its variables put in the file has more than %d bytes", maxExpanded)
	}
	return out, err
}

// value returns the text of a scalar with its variables put in. What cannot be interpolated is compose-go's to report.
func (in *interpolator) value(n *node) string {
	out, err := in.substitute(n.text, template.Mapping(in.variable))
	if err != nil {
		return n.text
	}
	return out
}

// load has compose-go interpolate, validate and canonicalise an admitted document. compose-go reads no file: it gets the document itself,
// and all that would open one is refused by the rules and switched off besides.
func load(ctx context.Context, dir string, doc *node, rules *rule, vars map[string]string, in *interpolator, f *findings) (project *types.Project) {
	defer func() {
		// A stranger's file must not end the process, whatever a library thinks of it.
		if p := recover(); p != nil {
			f.add(0, "compose-go cannot read this file: %s", shown(fmt.Sprint(p)))
			project = nil
		}
	}()
	content := doc.plain().(map[string]any)
	details := types.ConfigDetails{
		WorkingDir:  dir,
		ConfigFiles: []types.ConfigFile{{Filename: f.file, Config: content}},
		Environment: types.Mapping(maps.Clone(vars)),
	}
	var unsupported []loader.UnsupportedAttribute
	supported := append(rules.paths(""), resolved[:]...)
	project, err := loader.LoadWithContext(ctx, details,
		loader.WithSupportedAttributes(supported, func(all []loader.UnsupportedAttribute) { unsupported = all }),
		func(o *loader.Options) {
			o.SetProjectName(projectName(vars), true)
			o.SkipExtends, o.SkipInclude = true, true
			o.SkipResolveEnvironment, o.SkipResolveLabels = true, true
			o.ResolvePaths = false
			o.SkipConsistencyCheck = true // done here, with lines
			o.Interpolate.Substitute = in.substitute
			o.Interpolate.LookupValue = interpolation.LookupValue(in.variable)
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

// projectName is what ${COMPOSE_PROJECT_NAME} stands for.
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
	var missing *template.MissingRequiredError
	if errors.As(err, &missing) {
		text := fmt.Sprintf("%s needs the variable %s, which has no value here", pathIn.FindString(err.Error()), missing.Variable)
		if missing.Reason != "" {
			text += ": " + missing.Reason
		}
		return shown(text)
	}
	text := strings.TrimPrefix(err.Error(), "validating "+file+": ")
	return shown(strings.Join(strings.Fields(text), " "))
}

// unset returns the variables without a default that have no value, for a note.
func unset(doc *node, variable lookup) []string {
	var names []string
	all := template.ExtractVariables(doc.plain().(map[string]any), template.DefaultPattern)
	for name, v := range all {
		if _, ok := variable(name); !ok && v.DefaultValue == "" && v.PresenceValue == "" && !v.Required {
			names = append(names, strconv.Quote(name))
		}
	}
	return names
}
