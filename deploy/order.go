package deploy

import (
	"fmt"
	"slices"
	"strings"
)

// ordered returns the services so that each stands behind what it depends on, otherwise in their own order. Dependencies on services that are not
// there have to be gone already. A cycle is a StackError.
func ordered(services []Service) ([]Service, error) {
	placed := make(map[string]bool, len(services))
	rest := slices.Clone(services)
	sorted := make([]Service, 0, len(services))
	for len(rest) > 0 {
		i := slices.IndexFunc(rest, func(s Service) bool {
			return !slices.ContainsFunc(s.DependsOn, func(d Dependency) bool { return !placed[d.Service] })
		})
		if i < 0 {
			return nil, cycle(rest)
		}
		sorted = append(sorted, rest[i])
		placed[rest[i].Name] = true
		rest = slices.Delete(rest, i, i+1)
	}
	return sorted, nil
}

// cycle says which of the services wait for each other. Each of them waits for at least one of the others, so that following one leads into a circle.
func cycle(services []Service) error {
	waits := make(map[string]string, len(services))
	for _, s := range services {
		for _, d := range s.DependsOn {
			if slices.ContainsFunc(services, func(o Service) bool { return o.Name == d.Service }) {
				waits[s.Name] = d.Service
				break
			}
		}
	}
	at := services[0].Name
	for range services {
		at = waits[at]
	}
	path := []string{at}
	for next := waits[at]; next != at; next = waits[next] {
		path = append(path, next)
	}
	path = append(path, at)
	return &StackError{Service: at, Reason: fmt.Sprintf("depends_on goes in a circle: %s; take one of these out", strings.Join(path, " -> "))}
}

// settled returns the service's dependencies on services that are there, and an error for one that is needed and is not.
func settled(s Service, names map[string]bool) ([]Dependency, error) {
	var deps []Dependency
	for _, d := range s.DependsOn {
		switch {
		case d.Service == s.Name:
			return nil, &StackError{Service: s.Name, Reason: "depends_on names the service itself"}
		case !names[d.Service] && d.Optional:
			continue
		case !names[d.Service]:
			return nil, &StackError{Service: s.Name, Reason: fmt.Sprintf("depends_on names %q, which is no service of this stack", d.Service)}
		case d.Condition == "":
			d.Condition = Started
		case d.Condition != Started && d.Condition != Healthy && d.Condition != Completed:
			return nil, &StackError{Service: s.Name, Reason: fmt.Sprintf("depends_on has the unknown condition %q", d.Condition)}
		}
		deps = append(deps, d)
	}
	return deps, nil
}
