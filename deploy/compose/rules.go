package compose

import (
	"strings"

	"github.com/compose-spec/compose-go/v2/tree"
)

// A rule says what may stand in one place of a compose file. What no rule names is refused, so that a field that the specification gains later
// is refused until somebody decided about it.
type rule struct {
	fields map[string]*rule // of a mapping with given keys; beside them x-* is dropped
	each   *rule            // of a mapping whose keys are names
	items  *rule            // of a list
	// dropped says why what stands here has no effect, for the note; empty for what counts.
	dropped string
}

func (r *rule) drops() bool { return r.dropped != "" }

func drop(why string) *rule { return &rule{dropped: why} }

// file is the rule of a whole compose file.
func fileRule() *rule {
	return &rule{fields: map[string]*rule{
		"name":     drop("an environment has its name from its pull request or branch"),
		"version":  drop("the compose specification no longer uses it"),
		"services": {each: serviceRule()},
		"volumes":  {each: &rule{fields: map[string]*rule{}}},
		"networks": {each: &rule{fields: map[string]*rule{}}},
	}}
}

func serviceRule() *rule {
	value := &rule{}
	values := &rule{items: value}
	pairs := &rule{items: value, each: value} // a list of NAME=value, or a mapping
	const interactive = "nobody sits at a preview's terminal"
	return &rule{fields: map[string]*rule{
		"image":             value,
		"build":             buildRule(value, pairs),
		"command":           values,
		"entrypoint":        values,
		"environment":       pairs,
		"depends_on":        dependsRule(value),
		"healthcheck":       healthRule(value, values),
		"expose":            values,
		"ports":             portsRule(value),
		"volumes":           volumesRule(value),
		"tmpfs":             values,
		"working_dir":       value,
		"user":              value,
		"mem_limit":         value,
		"cpus":              value,
		"deploy":            deployRule(value),
		"stop_signal":       value,
		"stop_grace_period": value,
		"read_only":         value,
		"networks":          {items: value, each: &rule{fields: map[string]*rule{"aliases": values}}},
		"security_opt":      values, // its values are looked at, and dropped after that
		"tty":               drop(interactive),
		"stdin_open":        drop(interactive),
		"hostname":          drop("services find each other by their names"),
		"container_name":    drop("containers are named for their environment"),
		"platform":          drop("images are built and run for the server's platform"),
		"pull_policy":       drop("images are pulled when they are missing"),
		"develop":           drop("it is for the machine of a developer"),
		"logging":           drop("logs are kept by the server"),
		"restart":           drop("the server watches over the containers"),
		"cap_drop":          drop("every container has a reduced set of capabilities"),
		"init":              drop("every container has an init process"),
	}}
}

func buildRule(value, pairs *rule) *rule {
	return &rule{fields: map[string]*rule{
		"context": value, "dockerfile": value, "dockerfile_inline": value, "target": value, "args": pairs,
	}}
}

func dependsRule(value *rule) *rule {
	return &rule{items: value, each: &rule{fields: map[string]*rule{
		"condition": value, "required": value, "restart": drop("a changed environment starts anew"),
	}}}
}

func healthRule(value, values *rule) *rule {
	return &rule{fields: map[string]*rule{
		"test": values, "interval": value, "timeout": value, "retries": value, "start_period": value, "disable": value,
		"start_interval": drop("while a service starts it is asked as often as makes sense"),
	}}
}

func portsRule(value *rule) *rule {
	return &rule{items: &rule{fields: map[string]*rule{
		"target": value, "protocol": value,
		// These are about the host, and count as much as they do in the short form: not at all.
		"published": value, "host_ip": value, "mode": value, "name": value, "app_protocol": value,
	}}}
}

func volumesRule(value *rule) *rule {
	return &rule{items: &rule{fields: map[string]*rule{
		"type": value, "source": value, "target": value, "read_only": value,
	}}}
}

func deployRule(value *rule) *rule {
	limits := &rule{fields: map[string]*rule{"memory": value, "cpus": value}}
	return &rule{fields: map[string]*rule{"resources": {fields: map[string]*rule{"limits": limits}}}}
}

// resolved are the attributes that compose-go adds while it brings short forms into their long ones. The reader looks at each.
var resolved = [...]tree.Path{
	"services.*.volumes.[].bind", "services.*.volumes.[].bind.*", "services.*.volumes.[].volume", "services.*.volumes.[].volume.*",
}

// paths returns the places that r and what lies below it name, in compose-go's patterns.
func (r *rule) paths(at tree.Path) []tree.Path {
	var all []tree.Path
	add := func(step string, sub *rule) {
		next := at.Next(step)
		all = append(append(all, next), sub.paths(next)...)
	}
	for name, sub := range r.fields {
		add(name, sub)
	}
	if r.each != nil {
		add(tree.PathMatchAll, r.each)
	}
	if r.items != nil {
		add(tree.PathMatchList, r.items)
	}
	return all
}

// under returns the rule for a field, and whether there is one.
func (r *rule) under(name string) (*rule, bool) {
	if sub, ok := r.fields[name]; ok {
		return sub, true
	}
	if r.fields != nil && strings.HasPrefix(name, "x-") {
		return drop("it is no part of the model"), true
	}
	return r.each, r.each != nil
}
