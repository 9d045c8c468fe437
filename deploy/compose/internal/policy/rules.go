package policy

import (
	"strings"

	"github.com/compose-spec/compose-go/v2/tree"
)

// A Rule says what may stand in one place of a compose file. What no rule names is refused, so that a field that the specification gains later
// is refused until somebody decided about it.
type Rule struct {
	fields map[string]*Rule // of a mapping with given keys; beside them x-* is dropped
	each   *Rule            // of a mapping whose keys are names
	items  *Rule            // of a list
	// dropped says why what stands here has no effect, for the note; empty for what counts.
	dropped string
	// harmless are the values with which it is dropped; with any other it is refused. None: it is dropped with every value.
	harmless []string
}

func drop(why string) *Rule { return &Rule{dropped: why} }

// only drops what has one of the values, which change nothing, and refuses any other.
func only(why string, values ...string) *Rule { return &Rule{dropped: why, harmless: values} }

const usual = "it is so anyway"

// File returns the rule of a whole compose file.
func File() *Rule {
	value := &Rule{}
	values := &Rule{items: value}
	labelled := drop("the server gives them labels of its own")
	content := func(more ...string) *Rule {
		r := &Rule{fields: map[string]*Rule{
			"file": value, "environment": value, "external": only(usual, "false"), "labels": labelled,
		}}
		for _, name := range more {
			r.fields[name] = value
		}
		return r
	}
	return &Rule{fields: map[string]*Rule{
		"name":     drop("an environment has its name from its pull request or branch"),
		"version":  drop("the compose specification no longer uses it"),
		"include":  {items: &Rule{fields: map[string]*Rule{"path": values, "project_directory": value, "env_file": values}}},
		"services": {each: serviceRule()},
		"volumes": {each: &Rule{fields: map[string]*Rule{
			"driver": only(usual, "local"), "external": only(usual, "false"), "labels": labelled,
		}}},
		"networks": {each: &Rule{fields: map[string]*Rule{
			"driver": only(usual, "bridge"), "external": only(usual, "false"), "attachable": only(usual, "false"), "labels": labelled,
			"internal": drop("the server's firewall decides what a preview reaches"), "enable_ipv6": drop("previews have IPv4 addresses"),
			"enable_ipv4": only(usual, "true"),
		}}},
		"configs": {each: content("content")},
		"secrets": {each: content()},
	}}
}

func serviceRule() *Rule {
	value := &Rule{}
	values := &Rule{items: value}
	pairs := &Rule{items: value, each: value} // a list of NAME=value, or a mapping
	return &Rule{fields: merged(tolerated(), map[string]*Rule{
		"image":             value,
		"build":             buildRule(value, pairs),
		"command":           values,
		"entrypoint":        values,
		"environment":       pairs,
		"env_file":          {items: &Rule{fields: map[string]*Rule{"path": value, "required": value, "format": value}}},
		"label_file":        values,
		"labels":            pairs,
		"depends_on":        dependsRule(value),
		"extends":           {fields: map[string]*Rule{"file": value, "service": value}},
		"profiles":          values,
		"links":             values,
		"healthcheck":       healthRule(value, values),
		"expose":            values,
		"ports":             portsRule(value),
		"volumes":           volumesRule(value),
		"configs":           filesRule(value),
		"secrets":           filesRule(value),
		"tmpfs":             values,
		"working_dir":       value,
		"user":              value,
		"init":              value,
		"mem_limit":         value,
		"cpus":              value,
		"cpu_shares":        value,
		"shm_size":          value,
		"ulimits":           {each: &Rule{fields: map[string]*Rule{"soft": value, "hard": value}}},
		"scale":             value,
		"deploy":            deployRule(value),
		"post_start":        hookRule(value, values, pairs),
		"stop_signal":       value,
		"stop_grace_period": value,
		"read_only":         value,
		"cap_drop":          values,
		"networks":          {items: value, each: networkRule(values)},
		"security_opt":      values, // its values are looked at, and dropped after that
	})}
}

// tolerated are the fields of a service that are there for a developer's machine, or that other tools read.
func tolerated() map[string]*Rule {
	const (
		interactive = "nobody sits at a preview's terminal"
		share       = "memory and processors are bounded by mem_limit and cpus"
	)
	return map[string]*Rule{
		"tty":              drop(interactive),
		"stdin_open":       drop(interactive),
		"attach":           drop(interactive),
		"hostname":         drop("services find each other by their names"),
		"domainname":       drop("services find each other by their names"),
		"container_name":   drop("containers are named for their environment"),
		"platform":         drop("images are built and run for the server's platform"),
		"pull_policy":      drop("images are pulled when they are missing"),
		"develop":          drop("it is for the machine of a developer"),
		"logging":          drop("logs are kept by the server"),
		"restart":          drop("the server watches over the containers"),
		"extra_hosts":      drop("a preview reaches its own services and the internet, by their names"),
		"cpu_quota":        drop(share),
		"cpu_period":       drop(share),
		"cpu_count":        drop(share),
		"cpu_percent":      drop(share),
		"mem_reservation":  drop(share),
		"memswap_limit":    drop(share),
		"pids_limit":       drop("every container may have the same number of processes"),
		"privileged":       only(usual, "false"),
		"network_mode":     only(usual, "bridge", "default"),
		"ipc":              only(usual, "private", "shareable"),
		"cgroup":           only(usual, "private"),
		"oom_kill_disable": only(usual, "false"),
		"use_api_socket":   only(usual, "false"),
	}
}

func buildRule(value, pairs *Rule) *Rule {
	const cached = "what is built anew is decided by what has changed; write /deploy fresh to build everything"
	return &Rule{fields: map[string]*Rule{
		"context": value, "dockerfile": value, "dockerfile_inline": value, "target": value, "args": pairs, "secrets": filesRule(value),
		"additional_contexts": pairs,
		"no_cache":            drop(cached), "pull": drop(cached),
		"privileged": only(usual, "false"), "network": only(usual, "default"),
	}}
}

func dependsRule(value *Rule) *Rule {
	return &Rule{items: value, each: &Rule{fields: map[string]*Rule{
		"condition": value, "required": value, "restart": drop("a changed environment starts anew"),
	}}}
}

func healthRule(value, values *Rule) *Rule {
	return &Rule{fields: map[string]*Rule{
		"test": values, "interval": value, "timeout": value, "retries": value, "start_period": value, "disable": value,
		"start_interval": drop("while a service starts it is asked as often as makes sense"),
	}}
}

func portsRule(value *Rule) *Rule {
	return &Rule{items: &Rule{fields: map[string]*Rule{
		"target": value, "protocol": value,
		// These are about the host, and count as much as they do in the short form: not at all.
		"published": value, "host_ip": value, "mode": value, "name": value, "app_protocol": value,
	}}}
}

func volumesRule(value *Rule) *Rule {
	const copied = "folders of the repository are copied in"
	return &Rule{items: &Rule{fields: map[string]*Rule{
		"type": value, "source": value, "target": value, "read_only": value,
		"consistency": drop(copied),
		"bind":        {fields: map[string]*Rule{"create_host_path": value, "selinux": value, "recursive": drop(copied)}},
		"volume":      {fields: map[string]*Rule{"nocopy": value, "subpath": value, "labels": drop("the server gives them labels of its own")}},
		"tmpfs":       {fields: map[string]*Rule{"size": value, "mode": value}},
	}}}
}

func filesRule(value *Rule) *Rule {
	return &Rule{items: &Rule{fields: map[string]*Rule{"source": value, "target": value, "uid": value, "gid": value, "mode": value}}}
}

func hookRule(value, values, pairs *Rule) *Rule {
	return &Rule{items: &Rule{fields: map[string]*Rule{
		"command": values, "working_dir": value, "environment": pairs, "privileged": only(usual, "false"),
	}}}
}

func networkRule(values *Rule) *Rule {
	const one = "a preview has one network"
	return &Rule{fields: map[string]*Rule{"aliases": values, "priority": drop(one), "gw_priority": drop(one), "interface_name": drop(one)}}
}

func deployRule(value *Rule) *Rule {
	const swarm = "it is for a swarm"
	return &Rule{fields: map[string]*Rule{
		"replicas": value,
		"resources": {fields: map[string]*Rule{
			"limits": {fields: map[string]*Rule{
				"memory": value, "cpus": value, "pids": drop("every container may have the same number of processes"),
			}},
			"reservations": {fields: map[string]*Rule{
				"memory": drop("nothing is reserved for a preview"), "cpus": drop("nothing is reserved for a preview"),
			}},
		}},
		"mode": only(usual, "replicated"), "labels": drop(swarm), "update_config": drop(swarm), "rollback_config": drop(swarm),
		"placement": drop(swarm), "endpoint_mode": drop(swarm), "restart_policy": drop("the server watches over the containers"),
	}}
}

func merged(a, b map[string]*Rule) map[string]*Rule {
	for name, r := range b {
		a[name] = r
	}
	return a
}

// Resolved returns the attributes that compose-go adds while it brings short forms into their long ones. The reader looks at each.
func Resolved() []tree.Path {
	return []tree.Path{
		"services.*.volumes.[].bind.*", "services.*.volumes.[].volume.*",
	}
}

// Paths returns the places that r and what lies below it name, in compose-go's patterns.
func (r *Rule) Paths() []tree.Path { return r.paths("") }

func (r *Rule) paths(at tree.Path) []tree.Path {
	var all []tree.Path
	add := func(step string, sub *Rule) {
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

// under returns the rule for a field, nil for none.
func (r *Rule) under(name string) *Rule {
	if sub, ok := r.fields[name]; ok {
		return sub
	}
	if r.fields != nil && strings.HasPrefix(name, "x-") {
		return drop("it is no part of the model")
	}
	return r.each
}

// Strip takes everything out of a model that the rules do not let through with an effect: what is dropped, and what no rule names.
func (r *Rule) Strip(model any) {
	switch v := model.(type) {
	case map[string]any:
		for name, value := range v {
			if sub := r.under(name); sub == nil || sub.dropped != "" || strings.HasPrefix(name, "x-") {
				delete(v, name)
			} else {
				sub.Strip(value)
			}
		}
	case []any:
		for _, item := range v {
			if r.items != nil {
				r.items.Strip(item)
			}
		}
	}
}
