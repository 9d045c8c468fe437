package compose

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/agext/levenshtein"
	"github.com/compose-spec/compose-go/v2/schema"
	"github.com/compose-spec/compose-go/v2/tree"
)

// refused are the fields that no preview gets, with the reason. Other fields of the specification are not supported yet.
func refused() map[tree.Path]string {
	const (
		host      = "it would give the container what belongs to the host"
		namespace = "it would put the container into a foreign namespace"
		hostFile  = "it reads files that lie outside of the checkout or that the policy has not seen"
		elsewhere = "a preview reaches its own services only"
		named     = "it could name what belongs to another preview"
		scheduler = "it would change how the host treats the container"
	)
	why := map[tree.Path]string{
		"include":                    hostFile,
		"models":                     elsewhere,
		"volumes.*.name":             named,
		"volumes.*.external":         named,
		"volumes.*.driver":           "it could mount folders of the host",
		"volumes.*.driver_opts":      "it could mount folders of the host",
		"networks.*.name":            named,
		"networks.*.external":        named,
		"networks.*.driver":          "a preview has one network, which the server makes",
		"networks.*.driver_opts":     "a preview has one network, which the server makes",
		"networks.*.ipam":            "addresses are given by the server",
		"networks.*.attachable":      elsewhere,
		"services.*.build.network":   namespace,
		"services.*.build.ssh":       "builds get no keys",
		"services.*.build.isolation": scheduler,
	}
	for reason, fields := range map[string]string{
		host: "privileged cap_add devices device_cgroup_rules gpus use_api_socket credential_spec volumes_from volume_driver " +
			"build.privileged build.entitlements",
		namespace: "network_mode pid ipc uts userns_mode cgroup cgroup_parent",
		hostFile:  "env_file label_file extends",
		elsewhere: "external_links dns dns_opt dns_search extra_hosts mac_address models provider",
		scheduler: "sysctls runtime isolation annotations blkio_config cpu_rt_period cpu_rt_runtime cpuset oom_kill_disable oom_score_adj " +
			"mem_swappiness storage_opt group_add log_driver log_opt",
	} {
		for field := range strings.FieldsSeq(fields) {
			why[tree.Path("services.*."+field)] = reason
		}
	}
	return why
}

// maxEntries is the most that a list or a mapping may have, which is many more than people write. compose-go's work grows with their square.
const maxEntries = 250

// A policy holds a document against the rules and copies what passes.
type policy struct {
	findings *findings
	refused  map[tree.Path]string
	known    []tree.Path // of the specification
}

func newPolicy(f *findings) *policy {
	return &policy{findings: f, refused: refused(), known: schema.AttributePaths()}
}

// admit returns the part of n that counts. Everything that the rule does not name is a finding, everything that it drops a note.
func (p *policy) admit(n *node, r *rule, at place) *node {
	kept := *n
	if entries := len(n.fields) + len(n.items); entries > maxEntries {
		p.findings.add(n.line, "%s has %d entries; at most %d are read", cmp.Or(at.text, "the file"), entries, maxEntries)
		return &kept
	}
	switch n.kind {
	case mapping:
		kept.fields = nil
		for _, f := range n.fields {
			here := at.field(f.name)
			sub, ok := r.under(f.name)
			switch {
			case !ok:
				p.findings.add(f.line, "%s", p.refusal(here, r))
			case r.each != nil && strings.HasPrefix(f.name, "x-"):
				// compose-go would take the name for an extension and lose it.
				p.findings.add(f.line, "%s: a name must not begin with x-; give it another", here)
			case sub.drops():
				p.findings.drop(here, sub.dropped)
			default:
				kept.fields = append(kept.fields, field{f.name, f.line, p.admit(f.value, sub, here)})
			}
		}
	case list:
		kept.items = nil
		if r.items == nil && len(n.items) > 0 {
			p.findings.add(n.line, "%s is a list, which is not understood here; see the compose specification for its form", at)
			break
		}
		for i, item := range n.items {
			kept.items = append(kept.items, p.admit(item, r.items, at.item(i)))
		}
	}
	return &kept
}

func (p *policy) refusal(here place, r *rule) string {
	if why, ok := p.refused[here.pattern]; ok {
		return fmt.Sprintf("%s is not allowed in a preview: %s. Remove it", here, why)
	}
	for _, path := range p.known {
		if here.pattern.Matches(path) {
			return fmt.Sprintf("%s is not supported yet. Remove it", here)
		}
	}
	name := here.names[len(here.names)-1]
	best, distance := "", 3
	for _, known := range slices.Sorted(maps.Keys(r.fields)) {
		if d := levenshtein.Distance(shown(name), known, nil); d < distance {
			best, distance = known, d
		}
	}
	if best != "" {
		return fmt.Sprintf("%s is no key of a compose file, did you mean `%s`?", here, best)
	}
	return fmt.Sprintf("%s is no key of a compose file. Remove it", here)
}

// A place is a path in the document, as people read it and as compose-go's patterns have it.
type place struct {
	names   []string
	text    string
	pattern tree.Path
}

func (p place) String() string { return p.text }

func (p place) field(name string) place {
	text := shown(name)
	if p.text != "" {
		text = p.text + "." + text
	}
	step := name
	// What lies below services, volumes and so on are names that people give, whatever they contain.
	if len(p.names) == 1 {
		step = tree.PathMatchAll
	}
	return place{append(slices.Clone(p.names), name), text, p.pattern.Next(step)}
}

func (p place) item(i int) place {
	index := fmt.Sprint(i)
	return place{append(slices.Clone(p.names), index), fmt.Sprintf("%s[%d]", p.text, i), p.pattern.Next(tree.PathMatchList)}
}
