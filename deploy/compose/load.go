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

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/template"
	"github.com/compose-spec/compose-go/v2/types"

	"vitrine/deploy/compose/internal/document"
	"vitrine/deploy/compose/internal/policy"
)

// load has compose-go validate and canonicalise what was admitted. compose-go reads no file: it gets the model itself, and all that would open
// one is switched off besides.
func (r *reading) load(ctx context.Context, dir string) *types.Project {
	admitted := cloned(r.top).(map[string]any)
	services := map[string]any{}
	for _, name := range r.order {
		services[name] = cloned(r.all[name].model)
	}
	admitted["services"] = services
	rules := policy.File()
	rules.Strip(admitted)
	for _, s := range services {
		if m, ok := s.(map[string]any); ok {
			delete(m, "profiles") // of those that are deployed all the same
		}
	}
	if len(r.findings.all) > 0 {
		complete(admitted)
	}
	details := types.ConfigDetails{
		WorkingDir:  dir,
		ConfigFiles: []types.ConfigFile{{Filename: r.findings.files[0], Config: admitted}},
		Environment: types.Mapping(maps.Clone(r.vars)),
	}
	var unsupported []loader.UnsupportedAttribute
	supported := append(rules.Paths(), policy.Resolved()...)
	options := func(o *loader.Options) {
		o.SetProjectName(r.variables.project, true)
		o.SkipExtends, o.SkipInclude = true, true
		o.SkipResolveEnvironment, o.SkipResolveLabels = true, true
		o.ResolvePaths = false
		o.SkipConsistencyCheck = true // done here, with lines
		// Variables are in already. It casts texts to the types that their places want.
		o.Interpolate.Substitute = func(text string, _ template.Mapping) (string, error) { return text, nil }
		o.Interpolate.LookupValue = func(string) (string, bool) { return "", false }
	}
	var project *types.Project
	err := document.Guarded(func() (err error) {
		project, err = loader.LoadWithContext(ctx, details, options,
			loader.WithSupportedAttributes(supported, func(all []loader.UnsupportedAttribute) { unsupported = all }))
		return err
	})
	if err != nil {
		for _, e := range flatten(err) {
			r.findings.refuse(r.mentioned(e.Error()), "compose", "", message(r.findings.files[0], e))
		}
		return nil
	}
	for _, u := range unsupported {
		r.findings.refuse(r.mentioned(u.Path.String()), "unsupported", "Remove it", fmt.Sprintf("%s is not supported yet", u.Path))
	}
	return project
}

// complete gives configs and secrets a source that have lost theirs to the policy, so that what else is wrong is found as well. What comes of it is
// never deployed.
func complete(admitted map[string]any) {
	for _, section := range []string{"configs", "secrets"} {
		all, _ := admitted[section].(map[string]any)
		for _, value := range all {
			if m, ok := value.(map[string]any); ok && m["file"] == nil && m["environment"] == nil && m["content"] == nil {
				m["environment"] = "VITRINE_ENVIRONMENT"
			}
		}
	}
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

var pathIn = regexp.MustCompile(`(?:services|volumes|networks|configs|secrets)\.[A-Za-z0-9_.\[\]-]+`)

// mentioned returns the place that a message of compose-go names.
func (r *reading) mentioned(text string) spot {
	path := pathIn.FindString(text)
	if path == "" {
		return spot{file: r.findings.files[0]}
	}
	return r.at(strings.FieldsFunc(path, func(r rune) bool { return strings.ContainsRune(".[]", r) })...)
}

// message says an error of compose-go shortly.
func message(file string, err error) string {
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
