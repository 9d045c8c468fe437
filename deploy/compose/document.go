package compose

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"vitrine/deployments/repoconfig"
)

// What a compose file may be once its aliases are followed. The largest real ones have a few thousand nodes.
const (
	maxNodes    = 50_000
	maxExpanded = 4 << 20 // bytes of scalars
	maxDepth    = 64
)

// A node is a place in the document, with aliases and merge keys resolved. What the policy looked at is what is loaded: nothing reads the
// file a second time.
type node struct {
	line, column int // where it is written, which for what came through an alias is at the anchor
	kind         kind
	value        any     // of a scalar: string, int, float64, bool or nil
	text         string  // of a scalar, as written
	fields       []field // of a mapping, in file order
	items        []*node // of a list
}

type kind int

const (
	scalar kind = iota
	list
	mapping
)

type field struct {
	name  string
	line  int
	value *node
}

// get returns the value of a field, or nil. It may be called on nil.
func (n *node) get(name string) *node {
	if n == nil {
		return nil
	}
	for _, f := range n.fields {
		if f.name == name {
			return f.value
		}
	}
	return nil
}

// at returns the line of the place that path leads to, or of the last place on the way that is there: the deepest that is known.
// Steps are field names, and indexes of lists.
func (n *node) at(path ...string) int {
	line := n.line
	for _, step := range path {
		next := (*node)(nil)
		if n.kind == list {
			if i, err := strconv.Atoi(step); err == nil && i >= 0 && i < len(n.items) {
				next = n.items[i]
				line = next.line
			}
		}
		for _, f := range n.fields {
			if f.name == step {
				next, line = f.value, f.line
			}
		}
		if next == nil {
			return line
		}
		n = next
	}
	return line
}

// plain returns the node as compose-go takes it.
func (n *node) plain() any {
	switch n.kind {
	case mapping:
		m := make(map[string]any, len(n.fields))
		for _, f := range n.fields {
			m[f.name] = f.value.plain()
		}
		return m
	case list:
		l := make([]any, len(n.items))
		for i, item := range n.items {
			l[i] = item.plain()
		}
		return l
	default:
		return n.value
	}
}

// A syntaxError is one that makes the document unreadable.
type syntaxError struct {
	line int // 0 where unknown
	text string
}

func (e *syntaxError) Error() string { return e.text }

// parse reads one YAML document. Its error is a *syntaxError.
func parse(content []byte) (*node, error) {
	var doc, second yaml.Node
	err := guarded(func() error {
		decoder := yaml.NewDecoder(bytes.NewReader(content))
		if err := decoder.Decode(&doc); err != nil {
			return err
		}
		return decoder.Decode(&second)
	})
	switch {
	case err == nil:
		return nil, &syntaxError{second.Line, "there is a second document; keep everything in one, without a line of ---"}
	case !errors.Is(err, io.EOF):
		return nil, yamlError(err)
	case doc.Kind == 0:
		return nil, &syntaxError{text: "the file is empty; it wants `services:`"}
	}
	r := &resolver{open: map[*yaml.Node]bool{}}
	root, err := r.resolve(doc.Content[0], 0)
	if err != nil {
		return nil, err
	}
	if root.kind != mapping {
		return nil, &syntaxError{root.line, "the file wants keys and values, beginning with `services:`"}
	}
	return root, nil
}

// yamlError takes the line out of the YAML library's message, which carries it in words only.
func yamlError(err error) *syntaxError {
	text := repoconfig.SyntaxMessage(err)
	e := &syntaxError{text: "this is not YAML: " + text}
	if all := regexp.MustCompile(`line (\d+)`).FindAllStringSubmatch(text, -1); len(all) > 0 {
		e.line, _ = strconv.Atoi(all[len(all)-1][1])
	}
	return e
}

// A resolver copies a document, following aliases, and gives up where it grows beyond the bounds.
type resolver struct {
	open         map[*yaml.Node]bool // the anchors that are being followed
	nodes, bytes int
}

func (r *resolver) resolve(y *yaml.Node, depth int) (*node, error) {
	r.nodes++
	r.bytes += len(y.Value)
	switch {
	case depth > maxDepth:
		return nil, &syntaxError{y.Line, fmt.Sprintf("this lies more than %d levels deep", maxDepth)}
	case r.nodes > maxNodes || r.bytes > maxExpanded:
		return nil, &syntaxError{y.Line, fmt.Sprintf("with its aliases followed the file has more than %d values or %d bytes of text", maxNodes, maxExpanded)}
	}
	switch y.Kind {
	case yaml.AliasNode:
		if r.open[y.Alias] {
			return nil, &syntaxError{y.Line, fmt.Sprintf("the alias *%s lies inside of what it stands for", y.Value)}
		}
		return r.resolve(y.Alias, depth+1)
	case yaml.MappingNode:
		r.open[y] = true
		defer delete(r.open, y)
		return r.mapping(y, depth)
	case yaml.SequenceNode:
		r.open[y] = true
		defer delete(r.open, y)
		return r.list(y, depth)
	default:
		return scalarOf(y)
	}
}

func (r *resolver) list(y *yaml.Node, depth int) (*node, error) {
	if tag := y.ShortTag(); tag != "!!seq" {
		return nil, foreignTag(y, tag)
	}
	n := &node{line: y.Line, column: y.Column, kind: list}
	for _, item := range y.Content {
		v, err := r.resolve(item, depth+1)
		if err != nil {
			return nil, err
		}
		n.items = append(n.items, v)
	}
	return n, nil
}

// mapping resolves merge keys as YAML's merge type has it: a mapping's own keys win over merged ones, an earlier merged mapping over a later.
func (r *resolver) mapping(y *yaml.Node, depth int) (*node, error) {
	if tag := y.ShortTag(); tag != "!!map" {
		return nil, foreignTag(y, tag)
	}
	n := &node{line: y.Line, column: y.Column, kind: mapping}
	own := map[string]int{}
	var merged []*node
	for i := 0; i+1 < len(y.Content); i += 2 {
		k := y.Content[i]
		if k.Kind != yaml.ScalarNode || k.ShortTag() == "!!null" {
			return nil, &syntaxError{k.Line, "a key has to be a plain word"}
		}
		if line, ok := own[k.Value]; ok {
			return nil, &syntaxError{k.Line, fmt.Sprintf("the key `%s` is there already, in line %d; keep one", shown(k.Value), line)}
		}
		own[k.Value] = k.Line
		v, err := r.resolve(y.Content[i+1], depth+1)
		if err != nil {
			return nil, err
		}
		if k.ShortTag() != "!!merge" {
			if strings.ContainsRune(k.Value, 0) {
				return nil, &syntaxError{k.Line, "a key holds a NUL character"}
			}
			r.bytes += len(k.Value)
			n.fields = append(n.fields, field{k.Value, k.Line, v})
			continue
		}
		switch v.kind {
		case mapping:
			merged = append(merged, v)
		case list:
			merged = append(merged, v.items...)
		}
		if v.kind == scalar {
			return nil, &syntaxError{k.Line, "<< merges a mapping or a list of them; give it an alias such as *defaults"}
		}
	}
	for _, m := range merged {
		if m.kind != mapping {
			return nil, &syntaxError{m.line, "<< merges a mapping or a list of them; give it an alias such as *defaults"}
		}
		for _, f := range m.fields {
			if _, ok := own[f.name]; !ok {
				own[f.name] = f.line
				n.fields = append(n.fields, f)
			}
		}
	}
	return n, nil
}

func scalarOf(y *yaml.Node) (*node, error) {
	n := &node{line: y.Line, column: y.Column, value: y.Value, text: y.Value}
	switch tag := y.ShortTag(); tag {
	case "!!str", "!!merge", "!!timestamp":
	case "!!null":
		n.value = nil
	case "!!int", "!!float", "!!bool":
		if err := y.Decode(&n.value); err != nil {
			return nil, &syntaxError{y.Line, yamlError(err).text}
		}
		// An infinite number has no place in JSON, which the schema is held against.
		if f, ok := n.value.(float64); ok && (math.IsInf(f, 0) || math.IsNaN(f)) {
			n.value = y.Value
		}
	default:
		return nil, foreignTag(y, tag)
	}
	if strings.ContainsRune(y.Value, 0) {
		return nil, &syntaxError{y.Line, "a value holds a NUL character"}
	}
	return n, nil
}

func foreignTag(y *yaml.Node, tag string) error {
	return &syntaxError{y.Line, fmt.Sprintf("the tag %s is not supported; write the value out", shown(tag))}
}
