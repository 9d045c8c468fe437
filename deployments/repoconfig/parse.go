package repoconfig

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"github.com/agext/levenshtein"
	"go.yaml.in/yaml/v4"

	"vitrine/deployments"
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
	whole().read(p, "", root, &p.config)
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

// mapping calls f for each key of n that is known, or for each key where known is nil, and notes where each was. at is the mapping's own key, "" for
// the whole document.
func (p *parser) mapping(n *yaml.Node, at string, known []string, f func(name string, k, v *yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		p.wrong(n, "%s, not %s", wants(at, "a mapping of keys and values"), kindOf(n))
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		name := k.Value
		switch {
		case k.Kind != yaml.ScalarNode || isNull(k) || name == "":
			p.wrong(k, "%s", wants(at, "a plain word as key"))
		case seen[name]:
			p.wrong(k, "the key `%s` is there twice; keep one", shown(name))
		case known == nil || slices.Contains(known, name):
			p.config.lines[join(at, name)] = k.Line
			if p.plain(join(at, name), v) {
				f(name, k, v)
			}
		default:
			p.wrong(k, "unknown key `%s`%s", shown(name), suggestion(name, known))
		}
		seen[name] = true
	}
}

// mentions reports whether a mapping has the key, whatever its value is.
func (p *parser) mentions(n *yaml.Node, name string) bool {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			return true
		}
	}
	return false
}

// note says that a key has no effect yet.
func (p *parser) note(k *yaml.Node, at string) {
	p.config.notes = append(p.config.notes, fmt.Sprintf("%s:%d: `%s` has no effect yet.", p.file, k.Line, shown(at)))
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

// suggestion says which of the known keys was meant, or names them all.
func suggestion(name string, known []string) string {
	best, distance := "", 3
	for _, k := range known {
		if d := levenshtein.Distance(shown(name), k, nil); d < distance {
			best, distance = k, d
		}
	}
	if best != "" {
		return fmt.Sprintf(", did you mean `%s`?", best)
	}
	return "; known here: " + strings.Join(known, ", ")
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
