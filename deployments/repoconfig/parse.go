package repoconfig

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/agext/levenshtein"
	"go.yaml.in/yaml/v4"

	"vitrine/deployments"
)

// The keys that count, and those that the file will have once they are built.
var (
	topKeys     = [...]string{"branches", "compose", "dockerfile", "services"}
	topLater    = [...]string{"access", "databases", "env", "init", "open", "pull_requests", "sleep_after", "static", "ttl", "with"}
	serviceKeys = [...]string{"port"}
	servLater   = [...]string{"health", "host", "replace", "resources"}
)

// Parse reads a configuration strictly: an unknown key or a bad value is an error, and all of them are found at once. file is what errors call
// the file. The error is a *deployments.Fault of kind FaultConfig: Where and Reason are of the first, Excerpt has a line for each, with
// file, line and column.
func Parse(file string, data []byte) (Config, error) {
	p := &parser{file: file, config: Config{file: file, lines: map[string]int{}}}
	if len(data) > MaxSize {
		return Config{}, &deployments.Fault{Kind: deployments.FaultConfig, Where: file,
			Reason: fmt.Sprintf("the file has %d bytes; at most %d are read", len(data), MaxSize)}
	}
	p.document(data)
	if err := p.problems.fault(); err != nil {
		return Config{}, err
	}
	return p.config, nil
}

// A parser walks the document once and keeps what it finds wrong.
type parser struct {
	file     string
	config   Config
	problems problems
}

func (p *parser) wrong(n *yaml.Node, format string, args ...any) {
	p.problems = append(p.problems, problem{p.file, n.Line, n.Column, fmt.Sprintf(format, args...)})
}

func (p *parser) document(data []byte) {
	var doc, next yaml.Node
	switch err := decode(data, &doc, &next); {
	case err == nil:
		p.wrong(&next, "there is a second document; keep everything in one, without a line of ---")
		return
	case !errors.Is(err, io.EOF):
		p.problems = append(p.problems, syntaxProblem(p.file, err))
		return
	case doc.Kind == 0:
		return
	}
	root := doc.Content[0]
	if isNull(root) {
		return
	}
	keys := keySet{path: "", known: topKeys[:], later: topLater[:]}
	p.mapping(root, keys, func(key string, v *yaml.Node) {
		switch key {
		case "branches":
			p.branches(v)
		case "compose":
			p.config.Compose = p.repoPath(key, v, "docker-compose.yml")
		case "dockerfile":
			p.config.Dockerfile = p.repoPath(key, v, "Dockerfile")
		case "services":
			p.services(v)
		}
		if p.config.Compose != "" && p.config.Dockerfile != "" && (key == "compose" || key == "dockerfile") {
			p.wrong(v, "compose and dockerfile exclude each other; keep the one that is to be deployed")
		}
	})
}

// decode reads documents until one is not there. A stranger's file must not end the process, so that the library's panic is an error.
func decode(data []byte, documents ...*yaml.Node) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the file cannot be understood: %v", p)
		}
	}()
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	for _, d := range documents {
		if err := decoder.Decode(d); err != nil {
			return err
		}
	}
	return nil
}

// A keySet says which keys a mapping may have.
type keySet struct {
	path  string // of the mapping, "" for the whole document
	known []string
	later []string // documented, not built yet
	any   bool     // every name is a key
}

// mapping calls f for each known key of n, and notes where each was.
func (p *parser) mapping(n *yaml.Node, keys keySet, f func(key string, v *yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		p.wrong(n, "%s, not %s", wants(keys.path, "a mapping of keys and values"), kindOf(n))
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		key := k.Value
		switch {
		case k.Kind != yaml.ScalarNode || isNull(k) || key == "":
			p.wrong(k, "%s", wants(keys.path, "a plain word as key"))
		case seen[key]:
			p.wrong(k, "the key `%s` is there twice; keep one", shown(key))
		case keys.any || slices.Contains(keys.known, key):
			p.config.lines[join(keys.path, key)] = k.Line
			if !p.plain(join(keys.path, key), v) {
				break
			}
			f(key, v)
		case slices.Contains(keys.later, key):
			p.wrong(k, "`%s` is not supported yet; remove it", join(keys.path, key))
		default:
			p.wrong(k, "unknown key `%s`%s", shown(key), keys.suggestion(key))
		}
		seen[key] = true
	}
}

// plain reports whether a value is there and written out, so that what an alias multiplies is never followed.
func (p *parser) plain(key string, v *yaml.Node) bool {
	switch {
	case v.Kind == yaml.AliasNode:
		p.wrong(v, "%s is an alias; write its value out", shown(key))
	case isNull(v):
		p.wrong(v, "%s has no value; give it one or remove the key", shown(key))
	default:
		return true
	}
	return false
}

func (k keySet) suggestion(key string) string {
	best, distance := "", 3
	for _, known := range slices.Concat(k.known, k.later) {
		if d := levenshtein.Distance(shown(key), known, nil); d < distance {
			best, distance = known, d
		}
	}
	if best != "" {
		return fmt.Sprintf(", did you mean `%s`?", best)
	}
	return "; known here: " + strings.Join(k.known, ", ")
}

func (p *parser) branches(v *yaml.Node) {
	const wanted = "branches wants a list of branch names or patterns, such as [main, \"release/*\"]"
	if v.Kind != yaml.SequenceNode {
		p.wrong(v, "%s, not %s", wanted, kindOf(v))
		return
	}
	for _, item := range v.Content {
		pattern := item.Value
		switch _, err := path.Match(pattern, ""); {
		case item.Kind != yaml.ScalarNode || isNull(item) || pattern == "":
			p.wrong(item, "%s", wanted)
		case err != nil:
			p.wrong(item, "%q is no pattern: close its [ and end no pattern in a backslash", shown(pattern))
		default:
			p.config.Branches = append(p.config.Branches, pattern)
		}
	}
}

func (p *parser) repoPath(key string, v *yaml.Node, example string) string {
	clean := path.Clean(v.Value)
	if v.Kind != yaml.ScalarNode || v.Value == "" || clean == "." || strings.ContainsAny(v.Value, "\\\x00") || !filepath.IsLocal(clean) {
		p.wrong(v, "%s wants the path of a file inside the repository, relative to its root, such as %s", key, example)
		return ""
	}
	return clean
}

func (p *parser) services(v *yaml.Node) {
	p.config.Services = map[string]Service{}
	p.mapping(v, keySet{path: "services", any: true}, func(name string, v *yaml.Node) {
		var s Service
		at := join("services", name)
		p.mapping(v, keySet{path: at, known: serviceKeys[:], later: servLater[:]}, func(_ string, v *yaml.Node) {
			port, err := strconv.Atoi(v.Value)
			if v.Kind != yaml.ScalarNode || err != nil || port < 1 || port > 65535 {
				p.wrong(v, "%s.port wants the port where the service answers in its container, 1 to 65535, such as 8080", shown(at))
				return
			}
			s.Port = port
		})
		p.config.Services[name] = s
	})
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias"
	default:
		return "a single value"
	}
}

func wants(key, what string) string {
	if key == "" {
		return "the file wants " + what
	}
	return shown(key) + " wants " + what
}

func join(parent, key string) string {
	if parent == "" {
		return key
	}
	return parent + "." + key
}

// maxShown is how much of what a stranger wrote a message repeats, in characters.
const maxShown = 80

// shown prepares what a stranger wrote for a message.
func shown(s string) string { return Printable(s, maxShown) }

// Printable brings what a stranger wrote to a length that a message can carry, in characters: what is longer ends in dots, and what cannot be printed is
// a question mark.
func Printable(s string, most int) string {
	r := []rune(s[:min(len(s), 4*most)])
	for i, c := range r {
		if !unicode.IsPrint(c) {
			r[i] = '?'
		}
	}
	if len(r) > most {
		return string(r[:most]) + "..."
	}
	return string(r)
}
