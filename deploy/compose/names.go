package compose

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"vitrine/deploy"
)

const maxAliases = 50 // of a service

var networkName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,252}$`)

// aliases returns the further names that a service has in the networks of the file, which become one.
func (r *reading) aliases(service string, c types.ServiceConfig) []string {
	var all []string
	declared, _ := r.top["networks"].(map[string]any)
	for _, network := range slices.Sorted(maps.Keys(c.Networks)) {
		if _, ok := declared[network]; !ok && network != "default" {
			r.wrong(r.field(service, "networks"), "Add it under the top-level `networks:`", "there is no network %q", shown(network))
		}
		if c.Networks[network] == nil {
			continue
		}
		for _, alias := range c.Networks[network].Aliases {
			switch {
			case len(all) == maxAliases:
				r.wrong(r.field(service, "networks"), "", "there are more than %d aliases", maxAliases)
				return nil
			case !networkName.MatchString(alias):
				r.wrong(r.field(service, "networks."+network), "", "%q cannot be a name in a network", shown(alias))
			case !slices.Contains(all, alias):
				all = append(all, alias)
			}
		}
	}
	return all
}

// linked gives services the names that others link to them by. compose-go has made a link a dependency.
func (r *reading) linked(project *types.Project) {
	for _, from := range r.order {
		links := project.Services[from].Links
		for i, link := range links {
			f := r.item(from, "links", i, len(links), link)
			name, alias, _ := strings.Cut(link, ":")
			to := slices.IndexFunc(r.stack.Services, func(s deploy.Service) bool { return s.Name == name })
			switch {
			case to < 0:
				// Said of the dependency.
			case alias == "" || alias == name:
			case !networkName.MatchString(alias):
				r.wrong(f, "", "%q cannot be a name in a network", shown(alias))
			case slices.Contains(r.order, alias):
				r.wrong(f, "Link it by another name", "%s is the name of another service", alias)
			case len(r.stack.Services[to].Aliases) >= maxAliases:
				r.wrong(f, "", "%s has more than %d names", name, maxAliases)
			case !slices.Contains(r.stack.Services[to].Aliases, alias):
				r.stack.Services[to].Aliases = append(r.stack.Services[to].Aliases, alias)
			}
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
			r.wrong(r.field(service, "depends_on."+name), "", "the condition is %s, %s or %s, not %q", deploy.Started, deploy.Healthy, deploy.Completed, shown(d.Condition))
		}
		all = append(all, deploy.Dependency{Service: name, Condition: condition, Optional: !d.Required})
	}
	for _, name := range r.order {
		if _, ok := config[name]; ok {
			add(name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(config)) {
		why, inactive := r.inactive[name]
		switch {
		case slices.Contains(r.order, name):
		case !config[name].Required:
			add(name)
		case inactive:
			r.wrong(r.field(service, "depends_on"), "Remove the profile, write `required: false`, or name it under `services:` in .vitrine.yml",
				"%s stays out, since %s", name, why)
		default:
			r.wrong(r.field(service, "depends_on"), "Add it or remove the dependency", "there is no service %q", shown(name))
		}
	}
	return all
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
			r.wrong(r.field(way[0], "depends_on"), "Remove one of these dependencies", "%s wait for each other", strings.Join(way, " -> "))
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
