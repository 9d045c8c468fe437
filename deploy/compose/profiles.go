package compose

import (
	"fmt"
	"slices"
	"strings"

	"vitrine/deployments/repoconfig"
)

// choose decides which services are deployed: those without a profile, as docker compose does where none is asked for, and those that
// .vitrine.yml names, as docker compose does with services that its command line names, with what these depend on within their profiles. A service
// with no replicas stays out, too.
func (r *reading) choose() {
	r.inactive = map[string]string{}
	active := map[string]bool{}
	var need func(name string, profiles []string)
	need = func(name string, profiles []string) {
		s := r.all[name]
		if s == nil || active[name] {
			return
		}
		if own := s.profiles(); len(own) > 0 && !slices.ContainsFunc(own, func(p string) bool { return slices.Contains(profiles, p) }) {
			return
		}
		active[name] = true
		for _, other := range s.needs() {
			need(other, profiles)
		}
	}
	for _, name := range r.model.order {
		if r.named(name) {
			need(name, r.all[name].profiles())
		}
	}
	for _, name := range r.model.order {
		s := r.all[name]
		profiles := s.profiles()
		switch {
		case s.replicas() == "0":
			r.inactive[name] = "it has no replicas"
			r.findings.LeaveOut(name, "services without replicas stay out", "that is what they ask for")
		case len(profiles) == 0 || active[name]:
			r.order = append(r.order, name)
		default:
			r.inactive[name] = fmt.Sprintf("it has the profile %s", shown(strings.Join(profiles, ", ")))
			r.findings.LeaveOut(name, "services with a profile stay out", "docker compose leaves them out, too, unless it is asked for them; name one under `services:` in .vitrine.yml to have it")
		}
	}
}

// named reports whether .vitrine.yml speaks of the service.
func (r *reading) named(service string) bool {
	_, ok := r.config.Services[service]
	return ok || slices.ContainsFunc(r.config.Init, func(j repoconfig.Job) bool { return j.Service == service })
}

func (s *service) value(name string) any {
	m, _ := s.model.(map[string]any)
	return m[name]
}

func (s *service) profiles() []string { return texts(s.value("profiles")) }

// needs returns the services that it depends on and links to.
func (s *service) needs() []string {
	all := texts(s.value("depends_on"))
	if m, ok := s.value("depends_on").(map[string]any); ok {
		for name := range m {
			all = append(all, name)
		}
		slices.Sort(all)
	}
	for _, link := range texts(s.value("links")) {
		name, _, _ := strings.Cut(link, ":")
		all = append(all, name)
	}
	return all
}

// replicas returns what the service says of its number, as written.
func (s *service) replicas() string {
	if scale := s.value("scale"); scale != nil {
		return fmt.Sprint(scale)
	}
	deploy, _ := s.value("deploy").(map[string]any)
	return fmt.Sprint(deploy["replicas"])
}

func texts(list any) []string {
	var all []string
	items, _ := list.([]any)
	for _, item := range items {
		if text, ok := item.(string); ok {
			all = append(all, text)
		}
	}
	return all
}
