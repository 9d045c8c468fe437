package compose

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"vitrine/deploy"
	"vitrine/deployments"
	"vitrine/deployments/repoconfig"
)

// A reading is one pass over a compose file.
type reading struct {
	files     *checkout
	config    repoconfig.Config
	folder    string            // of the compose file: what its paths are relative to
	vars      map[string]string // of every service's environment
	args      map[string]string // of every build
	findings  *findings
	variables *interpolator

	doc    *node    // what was admitted
	order  []string // the services' names, in file order
	stack  deploy.Stack
	build  []deployments.Build
	failed error // ours, not the file's
}

// serviceName is what a service may be called: its name is a name in the network and a part of container names.
var serviceName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_-]{0,62}$`)

var portRange = regexp.MustCompile(`(\d+)-(\d+)`)

func readCompose(ctx context.Context, dir string, r *reading, content []byte) (deployments.Stack, error) {
	if !r.admit(content) {
		return deployments.Stack{}, r.findings.fault()
	}
	project := load(ctx, dir, r.doc, r.vars, r.variables, r.findings)
	if project == nil {
		return deployments.Stack{}, r.findings.fault()
	}
	for _, name := range r.order {
		r.service(name, project.Services[name])
	}
	r.dependencies()
	r.publish(project)
	r.countVolumes()
	r.mergeNetworks()
	if r.failed != nil {
		return deployments.Stack{}, r.failed
	}
	if err := r.findings.fault(); err != nil {
		return deployments.Stack{}, err
	}
	notes := r.findings.notes()
	if names := unset(r.doc, r.variables); len(names) > 0 {
		slices.Sort(names)
		notes = append(notes, fmt.Sprintf("Without a value, and therefore empty: %s.", shown(strings.Join(names, ", "))))
	}
	return encode(r.stack, r.build, notes)
}

// admit parses the file and holds it against the rules, before anything else sees it. It reports whether something is left to be loaded.
func (r *reading) admit(content []byte) bool {
	root, err := parse(content)
	if err != nil {
		line := 0
		if s, ok := err.(*syntaxError); ok {
			line = s.line
		}
		r.findings.add(line, "%s", err)
		return false
	}
	services := root.get("services")
	switch {
	case services == nil || services.kind != mapping || len(services.fields) == 0:
		r.findings.add(root.at("services"), "there are no services; name at least one under `services:`")
		return false
	case len(services.fields) > maxServices:
		r.findings.add(root.at("services"), "there are %d services; a preview may have %d", len(services.fields), maxServices)
		return false
	}
	r.doc = newPolicy(r.findings).admit(root, fileRule(), place{})
	for _, f := range services.fields {
		r.order = append(r.order, f.name)
		if !serviceName.MatchString(f.name) {
			r.findings.add(f.line, "services.%s: a service's name has letters, digits, - and _, at most 63", shown(f.name))
		}
		r.securityOptions(f.name, f.value.get("security_opt"))
		r.portRanges(f.name, f.value.get("ports"))
	}
	return len(r.findings.wrong) == 0
}

// securityOptions lets the one through that holds anyway.
func (r *reading) securityOptions(service string, options *node) {
	if options == nil {
		return
	}
	for i, o := range options.items {
		switch strings.ReplaceAll(r.variables.value(o), "=", ":") {
		case "no-new-privileges", "no-new-privileges:true":
		default:
			r.findings.add(o.line, "services.%s.security_opt[%d] is not allowed in a preview: only no-new-privileges is. Remove it", service, i)
		}
	}
	r.findings.omit(service, "security_opt is left out", "no container may gain privileges anyway")
}

// portRanges keeps compose-go from writing out long ranges, or many.
func (r *reading) portRanges(service string, ports *node) {
	const most = 100
	if ports == nil {
		return
	}
	count := 0
	defer func() {
		if count > most {
			r.findings.add(ports.line, "services.%s.ports: there are more than %d of them; name the one that answers HTTP", service, most)
		}
	}()
	for i, p := range ports.items {
		text := r.variables.value(p)
		width := 1
		for _, span := range portRange.FindAllStringSubmatch(text, -1) {
			from, to := number(span[1]), number(span[2])
			if from < 0 || to < 0 {
				to = from + most
			}
			width = max(width, to-from+1)
		}
		if count += width; count > most {
			return
		}
		if _, err := types.ParsePortConfig(text); err != nil && p.kind == scalar {
			r.findings.add(p.line, "services.%s.ports[%d]: %q is no port; write the container's, such as \"8080\"", service, i, shown(text))
		}
	}
}

// line returns where something of a service is written.
func (r *reading) line(service string, path ...string) int {
	return r.doc.at(append([]string{"services", service}, path...)...)
}

// wrong adds a finding about a field of a service.
func (r *reading) wrong(service, path, format string, args ...any) {
	steps := strings.FieldsFunc(path, func(c rune) bool { return strings.ContainsRune(".[]", c) })
	at := "services." + service
	if path != "" {
		at += "." + path
	}
	r.findings.add(r.line(service, steps...), "%s: %s", at, fmt.Sprintf(format, args...))
}

// mergeNetworks notes that the stack's own networks become one.
func (r *reading) mergeNetworks() {
	if own := r.doc.get("networks"); own != nil {
		if slices.ContainsFunc(own.fields, func(f field) bool { return f.name != "default" }) {
			r.findings.omit("", "networks are merged into one", "a preview has one, in which every service finds every other")
		}
	}
}

// item names one of the items that compose-go made of a list. Where these are not as many as the file has, because it brought ranges apart or
// equal ones together, it is the list.
func (r *reading) item(service, list string, i, all int) string {
	if n := r.doc.get("services").get(service).get(list); n != nil && len(n.items) == all {
		return fmt.Sprintf("%s[%d]", list, i)
	}
	return list
}

func (r *reading) countVolumes() {
	if n := len(r.stack.Volumes); n > maxVolumes {
		r.findings.add(r.doc.at("volumes"), "the services use %d volumes; a preview may have %d", n, maxVolumes)
	}
}

// dependencies finds services that wait for each other.
func (r *reading) dependencies() {
	const visiting, done = 1, 2
	state := map[string]int{}
	var visit func(name string, way []string) bool
	visit = func(name string, way []string) bool {
		way = append(way, name)
		switch state[name] {
		case done:
			return true
		case visiting:
			way = way[slices.Index(way, name):]
			r.wrong(way[0], "depends_on", "%s wait for each other; remove one of these dependencies", strings.Join(way, " -> "))
			return false
		}
		state[name] = visiting
		defer func() { state[name] = done }()
		for i := range r.stack.Services {
			if r.stack.Services[i].Name != name {
				continue
			}
			for _, d := range r.stack.Services[i].DependsOn {
				if !visit(d.Service, way) {
					return false
				}
			}
		}
		return true
	}
	for _, name := range r.order {
		if !visit(name, nil) {
			return
		}
	}
}

// dependsOn returns what a service waits for, in file order, and then what is missing.
func (r *reading) dependsOn(service string, config types.DependsOnConfig) []deploy.Dependency {
	var all []deploy.Dependency
	add := func(name string) {
		d := config[name]
		condition := deploy.Condition(d.Condition)
		switch condition {
		case deploy.Started, deploy.Healthy, deploy.Completed:
		default:
			r.wrong(service, "depends_on."+name, "the condition is %s, %s or %s, not %q", deploy.Started, deploy.Healthy, deploy.Completed, shown(d.Condition))
		}
		all = append(all, deploy.Dependency{Service: name, Condition: condition, Optional: !d.Required})
	}
	for _, name := range r.order {
		if _, ok := config[name]; ok {
			add(name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(config)) {
		switch {
		case slices.Contains(r.order, name):
		case config[name].Required:
			r.wrong(service, "depends_on", "there is no service %q; add it or remove the dependency", shown(name))
		default:
			add(name)
		}
	}
	return all
}
