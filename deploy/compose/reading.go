package compose

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"vitrine/deploy"
	"vitrine/deploy/compose/internal/checkout"
	"vitrine/deploy/compose/internal/document"
	"vitrine/deploy/compose/internal/policy"
	"vitrine/deployments"
	"vitrine/deployments/repoconfig"
)

// A reading is one pass over the compose files of a checkout.
type reading struct {
	*assembly
	config    repoconfig.Config
	beyond    Policy
	folder    string            // of the first compose file: what the model's paths are relative to
	vars      map[string]string // of every service's environment
	args      map[string]string // of every build
	fork      bool              // the code is a fork's
	forgiving bool              // a check on a developer's machine: what the server will know is taken to be there

	*model
	order    []string          // the names of the services that are deployed, in file order
	inactive map[string]string // why the others are not, by name
	tally    checkout.Tally
	sums     map[string]string // of what is copied in, by path
	stack    deploy.Stack
	build    []deployments.Build
}

// serviceName is what a service may be called: its name is a name in the network and a part of container names.
var serviceName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_-]{0,62}$`)

// read returns the stack of the files, each merged over those before it.
func (r *reading) read(ctx context.Context, dir string, files []string) (deployments.Stack, error) {
	project := r.admit(ctx, dir, files)
	if r.failed != nil {
		return deployments.Stack{}, r.failed
	}
	if project == nil {
		return deployments.Stack{}, r.findings.fault()
	}
	for _, name := range r.order {
		r.translate(name, project)
	}
	r.linked(project)
	r.dependencies()
	r.publish(project)
	configure(&r.stack, r.config, r.beyond, r.findings)
	public := hosts(r.stack, r.config, r.findings)
	r.count()
	r.mergeNetworks()
	if r.failed != nil {
		return deployments.Stack{}, r.failed
	}
	if err := r.findings.fault(); err != nil {
		return deployments.Stack{}, err
	}
	return encode(r.stack, public, r.build, r.notes())
}

// admit reads and merges the files, holds every part that counts against the policy, and has compose-go load what is left. Without a project
// there is a finding.
func (r *reading) admit(ctx context.Context, dir string, files []string) *types.Project {
	var sources []*source
	for _, name := range files {
		if s := r.open(name, r.folder, "", r.variables.lookup, spot{file: name}); s != nil {
			sources = append(sources, s)
		}
	}
	if len(sources) < len(files) {
		return nil
	}
	r.model = r.merge(sources, nil)
	services := sources[0].root.Get("services")
	switch {
	case services != nil && services.Kind != document.Mapping, len(r.model.order) == 0:
		r.findings.refuse(r.at("services"), "services", "Name at least one under `services:`", "there are no services")
		return nil
	}
	r.choose()
	if n := len(r.order); n == 0 || n > maxServices {
		if n > maxServices {
			r.findings.refuse(r.at("services"), "containers", "", tooMany(n, "services"))
		} else {
			r.findings.refuse(r.at("services"), "services", "Remove `profiles:` from one of them", "every service has a profile, so none is deployed")
		}
		return nil
	}
	incomplete := len(r.findings.all) > 0
	if !r.hold() || incomplete {
		return nil
	}
	return r.load(ctx, dir)
}

// hold holds every part of the model that counts against the policy. It reports whether what the policy admits can be loaded all the same, to find what
// else is wrong.
func (r *reading) hold() (loadable bool) {
	p := policy.New(r.findings, r.beyond.LeaveOut)
	loadable = true
	seen := map[*document.Node]bool{}
	for _, root := range r.roots {
		if !seen[root] {
			seen[root] = true
			p.Top(root)
		}
	}
	for _, name := range r.order {
		s := r.all[name]
		for _, part := range s.parts {
			if !seen[part.node] {
				seen[part.node] = true
				p.Service(name, part.name, part.node)
			}
			r.securityOptions(name, part.node.Get("security_opt"))
			loadable = r.portRanges(name, part.node.Get("ports")) && loadable
		}
		if strings.HasPrefix(name, "x-") { // compose-go would take it for an extension and lose it
			r.findings.refuse(r.at("services", name), "names", "Give it another", fmt.Sprintf("services.%s: a name must not begin with x-", shown(name)))
		}
		if !serviceName.MatchString(name) {
			r.findings.refuse(r.at("services", name), "names", "Give it another", fmt.Sprintf("services.%s: a service's name has letters, digits, - and _, at most 63", shown(name)))
		}
	}
	for _, s := range r.sources {
		for _, m := range s.misled {
			if m.message != "" && (m.service == "" || seen[s.root.Get("services").Get(m.service)]) {
				r.findings.refuse(m.at, "variables", "", m.message)
				loadable = false
			}
		}
	}
	return loadable
}

// securityOptions lets the one through that holds anyway.
func (r *reading) securityOptions(service string, options *document.Node) {
	if options == nil {
		return
	}
	for i, o := range options.Items {
		switch strings.ReplaceAll(o.Text, "=", ":") {
		case "no-new-privileges", "no-new-privileges:true":
		default:
			r.findings.refuse(spot{o.File, o.Line}, "security_opt", "Remove it",
				fmt.Sprintf("services.%s.security_opt[%d] is not allowed in a preview: only no-new-privileges is", service, i))
		}
	}
	r.findings.LeaveOut(service, "security_opt is left out", "no container may gain privileges anyway")
}

var portRange = regexp.MustCompile(`(\d+)-(\d+)`)

// portRanges keeps compose-go from writing out long ranges, or many, and reports whether all is well.
func (r *reading) portRanges(service string, ports *document.Node) bool {
	const most = 100
	count, ok := 0, true
	for i, p := range items(ports) {
		width := 1
		for _, span := range portRange.FindAllStringSubmatch(p.Text, -1) {
			from, to := number(span[1]), number(span[2])
			if from < 0 || to < 0 {
				to = from + most
			}
			width = max(width, to-from+1)
		}
		if count += width; count > most {
			r.findings.refuse(spot{ports.File, ports.Line}, "ports", "Name the one that answers HTTP",
				fmt.Sprintf("services.%s.ports: there are more than %d of them", service, most))
			return false
		}
		if _, err := types.ParsePortConfig(p.Text); err != nil && p.Kind == document.Scalar {
			r.findings.refuse(spot{p.File, p.Line}, "ports", "Write the container's, such as \"8080\"",
				fmt.Sprintf("services.%s.ports[%d]: %q is no port", service, i, shown(p.Text)))
			ok = false
		}
	}
	return ok
}

// at returns where a place of the model is written: of all files that say something of it, the one that leads deepest, and of these the one that
// counts most.
func (r *reading) at(path ...string) spot {
	best, deepest := spot{file: r.findings.files[0]}, -1
	try := func(n *document.Node, path []string, start int) {
		line, steps := n.At(path...)
		if steps == 0 {
			line = start
		}
		if steps > deepest {
			best, deepest = spot{n.File, line}, steps
		}
	}
	if len(path) > 1 && path[0] == "services" {
		if s := r.all[path[1]]; s != nil {
			for _, p := range s.parts {
				try(p.node, path[2:], p.line)
			}
			return best
		}
	}
	for _, root := range r.roots {
		try(root, path, root.Line)
	}
	return best
}

func (r *reading) field(service, path string) field {
	steps := strings.FieldsFunc(path, func(c rune) bool { return strings.ContainsRune(".[]", c) })
	return field{service, path, r.at(append([]string{"services", service}, steps...)...)}
}

// nearest returns the field at a path of names, or the one above it where nothing is written there.
func (r *reading) nearest(service string, path ...string) field {
	for _, p := range r.all[service].parts {
		if _, steps := p.node.At(path...); steps == len(path) {
			return r.field(service, strings.Join(path, "."))
		}
	}
	return r.field(service, strings.Join(path[:len(path)-1], "."))
}

// item returns one of the items that compose-go made of a list, such as "build.secrets", which is the i-th of all and has the target in it. Where the files
// have not as many, because compose-go brought ranges apart, equal ones together or files over each other, it is the list, at the line that has the target.
func (r *reading) item(service, list string, i, all int, target string) field {
	var lists []*document.Node
	for _, p := range r.all[service].parts {
		n := p.node
		for step := range strings.SplitSeq(list, ".") {
			n = n.Get(step)
		}
		if n != nil && n.Kind == document.List {
			lists = append(lists, n)
		}
	}
	if len(lists) == 1 && len(lists[0].Items) == all {
		return r.field(service, fmt.Sprintf("%s[%d]", list, i))
	}
	f := r.field(service, list)
	for _, l := range lists {
		for _, n := range l.Items {
			if t := n.Get("target"); t != nil && t.Text == target || n.Kind == document.Scalar && strings.Contains(n.Text, target) {
				f.at = spot{n.File, n.Line}
				return f
			}
		}
	}
	return f
}

func (r *reading) wrong(f field, instead, format string, args ...any) {
	r.findings.wrong(f, instead, format, args...)
}

// mergeNetworks notes that the stack's own networks become one.
func (r *reading) mergeNetworks() {
	networks, _ := r.top["networks"].(map[string]any)
	for name := range networks {
		if name != "default" {
			r.findings.LeaveOut("", "networks are merged into one", "a preview has one, in which every service finds every other")
			return
		}
	}
}

// count bounds what a stack has in all.
func (r *reading) count() {
	if n := len(r.stack.Volumes); n > maxVolumes {
		r.findings.refuse(r.at("volumes"), "volumes", "", fmt.Sprintf("the services use %d volumes; a preview may have %d", n, maxVolumes))
	}
	containers := 0
	for _, s := range r.stack.Services {
		containers += max(s.Replicas, 1)
	}
	if containers > maxServices {
		r.findings.refuse(r.at("services"), "containers", "Ask for fewer replicas", tooMany(containers, "containers, replicas counted"))
	}
}

// notes returns what people are told though nothing is wrong.
func (r *reading) notes() []string {
	notes := r.findings.notes()
	deployed := map[*document.Node]bool{}
	for _, name := range r.order {
		for _, p := range r.all[name].parts {
			deployed[p.node] = true
		}
	}
	var names []string
	for _, s := range r.sources {
		for _, m := range s.misled {
			if m.service == "" || deployed[s.root.Get("services").Get(m.service)] {
				names = append(names, m.unset...)
			}
		}
	}
	if slices.Sort(names); len(names) > 0 {
		notes = append(notes, fmt.Sprintf("Without a value, and therefore empty: %s.", shown(quoted(names))))
	}
	if slices.Sort(r.variables.required); len(r.variables.required) > 0 {
		notes = append(notes, fmt.Sprintf("Set before a deploy, with `vitrine env set`: %s.", shown(quoted(r.variables.required))))
	}
	return notes
}

func quoted(names []string) string {
	var all []string
	for _, name := range slices.Compact(slices.Clone(names)) {
		all = append(all, fmt.Sprintf("%q", name))
	}
	return strings.Join(all, ", ")
}
