package compose

import (
	"fmt"
	"path"
	"reflect"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/override"
	"github.com/compose-spec/compose-go/v2/tree"

	"vitrine/deploy/compose/internal/document"
	"vitrine/deploy/compose/internal/policy"
)

// sections are the mappings of a compose file whose keys are names.
var sections = [...]string{"volumes", "networks", "configs", "secrets"}

// merge returns the model of files, each merged over those before it.
func (a *assembly) merge(files []*source, chain []string) *model {
	all := &model{top: map[string]any{}, all: map[string]*service{}}
	for _, s := range files {
		next := a.model(s, chain)
		for _, path := range s.root.Replaced() {
			if path[0] != "services" {
				remove(all.top, path)
			}
		}
		a.try(spot{s.name, 0}, func() (err error) {
			all.top, err = override.Merge(all.top, next.top)
			return err
		})
		for _, name := range next.order {
			switch above := next.all[name]; above.parts[0].node.Mark {
			case document.Reset:
				delete(all.all, name)
				all.order = slices.DeleteFunc(all.order, func(other string) bool { return other == name })
			case document.Overrides:
				all.put(name, above)
			default:
				all.put(name, a.over(all.all[name], above, name))
			}
		}
		all.roots = append(slices.Clone(next.roots), all.roots...)
	}
	return all
}

// model returns what one file says, with what it includes and what its services extend.
func (a *assembly) model(s *source, chain []string) *model {
	m := &model{all: map[string]*service{}}
	m.top, _ = s.root.Plain().(map[string]any)
	delete(m.top, "services")
	delete(m.top, "include")
	imported := a.include(s, chain)
	for _, f := range fields(s.root.Get("services")) {
		own := a.service(s, f.Name, imported, nil)
		if from := imported.all[f.Name]; from != nil && !reflect.DeepEqual(from.model, own.model) {
			own = a.over(from, own, f.Name)
		}
		m.put(f.Name, own)
	}
	for _, name := range imported.order {
		if m.all[name] == nil {
			m.put(name, imported.all[name])
		}
	}
	a.try(spot{s.name, 0}, func() error { return a.importTop(imported.top, m.top) })
	m.roots = append([]*document.Node{s.root}, imported.roots...)
	return m
}

// importTop brings what included files declare into the model of the file that includes them. As in compose, what is there already is merged
// over it.
func (a *assembly) importTop(from, to map[string]any) error {
	for _, section := range sections {
		theirs, ok := from[section].(map[string]any)
		if !ok {
			continue
		}
		ours, ok := to[section].(map[string]any)
		if !ok {
			ours = map[string]any{}
			to[section] = ours
		}
		for name, value := range theirs {
			own, ok := ours[name]
			if !ok || reflect.DeepEqual(own, value) {
				ours[name] = value
				continue
			}
			merged, err := override.MergeYaml(value, own, tree.NewPath(section, name))
			if err != nil {
				return err
			}
			ours[name] = merged
		}
	}
	return nil
}

func (m *model) put(name string, s *service) {
	if m.all[name] == nil {
		m.order = append(m.order, name)
	}
	m.all[name] = s
}

// include returns what the files say that s includes.
func (a *assembly) include(s *source, chain []string) *model {
	all := &model{top: map[string]any{}, all: map[string]*service{}}
	for _, entry := range scalars(s.root.Get("include")) {
		at := spot{s.name, entry.Line}
		a.included++
		switch {
		case slices.Contains(chain, s.key):
			a.findings.refuse(at, "include", "Remove one of the includes", fmt.Sprintf("%s includes itself", s.name))
			return all
		case len(chain) == maxChain || a.included > maxSources:
			a.findings.refuse(at, "include", "Include fewer files", fmt.Sprintf("files are included more than %d deep, or %d times", maxChain, maxSources))
			return all
		}
		files := a.includedFiles(s, entry, at)
		if len(files) == 0 {
			continue
		}
		next := a.merge(files, append(slices.Clone(chain), s.key))
		a.try(at, func() error {
			return a.importTop(next.top, all.top)
		})
		for _, name := range next.order {
			if there := all.all[name]; there != nil && !reflect.DeepEqual(there.model, next.all[name].model) {
				all.put(name, a.over(next.all[name], there, name))
				continue
			}
			all.put(name, next.all[name])
		}
		all.roots = append(all.roots, next.roots...)
	}
	return all
}

// includedFiles opens what one entry of include names: a file, or several that are merged over each other.
func (a *assembly) includedFiles(s *source, entry *document.Node, at spot) []*source {
	names, folder := scalars(entry), ""
	look, environment := s.look, ""
	if entry.Kind == document.Mapping {
		names = scalars(entry.Get("path"))
		if dir := entry.Get("project_directory"); dir != nil && dir.Text != "" {
			folder = a.inside(s.folder, dir)
			if folder == "" {
				return nil
			}
		}
		look, environment = a.includedEnvironment(s, entry)
	}
	var files []*source
	for _, n := range names {
		name := a.inside(s.folder, n)
		if name == "" {
			return nil
		}
		if folder == "" {
			folder = path.Dir(name)
		}
		file := a.open(name, folder, environment, look, spot{s.name, n.Line})
		if file == nil {
			return nil
		}
		files = append(files, file)
	}
	return files
}

// includedEnvironment returns the variables that an entry of include brings with it, below those that are there.
func (a *assembly) includedEnvironment(s *source, entry *document.Node) (look lookup, key string) {
	values := map[string]string{}
	for _, n := range scalars(entry.Get("env_file")) {
		if name := a.inside(s.folder, n); name != "" {
			a.readVariables(name, "", s.look, values, spot{s.name, n.Line})
			key += name + "\x00"
		}
	}
	return func(name string) (string, bool) {
		if v, ok := s.look(name); ok {
			return v, true
		}
		v, ok := values[name]
		return v, ok
	}, key
}

// inside returns a path of the repository that n, which is relative to folder, names, or "".
func (a *assembly) inside(folder string, n *document.Node) string {
	at := spot{n.File, n.Line}
	name := path.Join(folder, n.Text)
	switch {
	case n.Kind != document.Scalar || n.Text == "":
		a.findings.refuse(at, "files", "Write the name of a file of the repository", "this is no name of a file")
	case remote(n.Text):
		a.findings.refuse(at, "files", "Copy the file into the repository", fmt.Sprintf("%s would be fetched from elsewhere, which is not allowed in a preview", shown(n.Text)))
	case leavesHome(n.Text) || name == ".." || strings.HasPrefix(name, "../"):
		a.findings.refuse(at, "files", "Copy the file into the repository", fmt.Sprintf("%s lies outside of the repository, and nothing there is read", shown(n.Text)))
	default:
		return name
	}
	return ""
}

// service returns what a file says of a service, with what the service extends, be it of the same file, of one that the file includes, or of
// another.
func (a *assembly) service(s *source, name string, imported *model, chain []string) *service {
	key := s.key + "\x00" + name
	if known, ok := a.services[key]; ok {
		return known
	}
	var own part
	for _, f := range fields(s.root.Get("services")) {
		if f.Name == name {
			own = part{f.Value, f.Line, name}
		}
	}
	result := &service{model: own.node.Plain(), parts: []part{own}}
	if extends := own.node.Get("extends"); extends != nil && extends.Mark != document.Reset {
		if base := a.extended(s, extends, imported, append(chain, key)); base != nil && base.depth < maxChain {
			result = a.over(base, result, name)
			result.depth = base.depth + 1
		} else if base != nil {
			a.findings.refuse(spot{s.name, extends.Line}, "extends", "Extend fewer", fmt.Sprintf("services extend each other more than %d deep", maxChain))
		}
	}
	if m, ok := result.model.(map[string]any); ok {
		delete(m, "extends")
	}
	a.services[key] = result
	return result
}

// extended returns the service that extends names, or nil where it is wrong.
func (a *assembly) extended(s *source, extends *document.Node, imported *model, chain []string) *service {
	at := spot{s.name, extends.Line}
	from, name := s, extends.Text
	if extends.Kind == document.Mapping {
		if service := extends.Get("service"); service != nil {
			name = service.Text
		}
		if file := extends.Get("file"); file != nil {
			inside := a.inside(s.folder, file)
			if inside == "" {
				return nil
			}
			from = a.open(inside, path.Dir(inside), "", s.look, spot{s.name, file.Line})
			if from == nil {
				return nil
			}
		}
	}
	there := slices.ContainsFunc(fields(from.root.Get("services")), func(f document.Field) bool { return f.Name == name })
	switch {
	case slices.Contains(chain, from.key+"\x00"+name):
		a.findings.refuse(at, "extends", "Remove one of these extends", fmt.Sprintf("%s extends itself", shown(name)))
	case there:
		return a.service(from, name, imported, chain)
	case from == s && imported != nil && imported.all[name] != nil:
		return imported.all[name]
	default:
		a.findings.refuse(at, "extends", "Name a service that is there", fmt.Sprintf("there is no service %q in %s", shown(name), from.name))
	}
	return nil
}

// over returns what is written on top of what is below.
func (a *assembly) over(below, top *service, name string) *service {
	if below == nil {
		return top
	}
	base, ok := cloned(below.model).(map[string]any)
	above, isMapping := cloned(top.model).(map[string]any)
	if !ok || !isMapping {
		return &service{model: top.model, parts: append(slices.Clone(top.parts), below.parts...)}
	}
	for _, path := range top.parts[0].node.Replaced() {
		remove(base, path)
	}
	merged := &service{model: base, parts: append(slices.Clone(top.parts), below.parts...)}
	at := spot{top.parts[0].node.File, top.parts[0].line}
	a.try(at, func() (err error) {
		merged.model, err = override.ExtendService(base, above)
		return err
	})
	if field := tooLong(merged.model); field != "" {
		a.findings.refuse(at, "size", "", fmt.Sprintf("services.%s.%s: merged it has more than %d entries", shown(name), field, policy.MaxEntries))
		merged.model = map[string]any{}
	}
	return merged
}

// try has compose-go merge, which panics where a value is not what its place wants.
func (a *assembly) try(at spot, f func() error) {
	if err := document.Guarded(f); err != nil {
		a.findings.refuse(at, "merge", "", "the files cannot be merged: "+shown(err.Error()))
	}
}

// tooLong returns the first field of a service whose list or mapping has grown beyond what is read, or "".
func tooLong(model any) string {
	m, _ := model.(map[string]any)
	for name, value := range m {
		switch v := value.(type) {
		case []any:
			if len(v) > policy.MaxEntries {
				return name
			}
		case map[string]any:
			if len(v) > policy.MaxEntries {
				return name
			}
		}
	}
	return ""
}

func remove(m map[string]any, path []string) {
	for _, step := range path[:len(path)-1] {
		next, ok := m[step].(map[string]any)
		if !ok {
			return
		}
		m = next
	}
	delete(m, path[len(path)-1])
}

func cloned(v any) any {
	switch v := v.(type) {
	case map[string]any:
		c := make(map[string]any, len(v))
		for k, value := range v {
			c[k] = cloned(value)
		}
		return c
	case []any:
		c := make([]any, len(v))
		for i, value := range v {
			c[i] = cloned(value)
		}
		return c
	default:
		return v
	}
}
