package document

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

// What all compose files of a stack may hold once their aliases are followed. The largest real ones have a few thousand values.
const (
	maxNodes    = 50_000
	MaxExpanded = 4 << 20 // bytes of scalars
	maxDepth    = 64
)

// A Budget is what is left of what several documents may hold together. The zero Budget is whole.
type Budget struct{ nodes, bytes int }

// A SyntaxError is one that makes the document unreadable.
type SyntaxError struct {
	Line int // 0 where unknown
	Text string
}

func (e *SyntaxError) Error() string { return e.Text }

// Parse reads one YAML document, which is shown to people as file, and takes what it holds from the budget. Its error is a *SyntaxError.
func Parse(file string, content []byte, left *Budget) (*Node, error) {
	var doc, second yaml.Node
	err := Guarded(func() error {
		decoder := yaml.NewDecoder(bytes.NewReader(content))
		if err := decoder.Decode(&doc); err != nil {
			return err
		}
		return decoder.Decode(&second)
	})
	switch {
	case err == nil:
		return nil, &SyntaxError{second.Line, "there is a second document; keep everything in one, without a line of ---"}
	case !errors.Is(err, io.EOF):
		return nil, yamlError(err)
	case doc.Kind == 0:
		return nil, &SyntaxError{Text: "the file is empty; it wants `services:`"}
	}
	r := &resolver{file: file, open: map[*yaml.Node]bool{}, Budget: left}
	root, err := r.resolve(doc.Content[0], 0)
	if err != nil {
		return nil, err
	}
	if root.Kind != Mapping {
		return nil, &SyntaxError{root.Line, "the file wants keys and values, beginning with `services:`"}
	}
	return root, nil
}

// yamlError takes the line out of the YAML library's message, which carries it in words only.
func yamlError(err error) *SyntaxError {
	text := repoconfig.SyntaxMessage(err)
	e := &SyntaxError{Text: "this is not YAML: " + text}
	if all := regexp.MustCompile(`line (\d+)`).FindAllStringSubmatch(text, -1); len(all) > 0 {
		e.Line, _ = strconv.Atoi(all[len(all)-1][1])
	}
	return e
}

// A resolver copies a document, following aliases, and gives up where it grows beyond the bounds.
type resolver struct {
	file string
	open map[*yaml.Node]bool // the anchors that are being followed
	*Budget
}

func (r *resolver) resolve(y *yaml.Node, depth int) (*Node, error) {
	r.nodes++
	r.bytes += len(y.Value)
	switch {
	case depth > maxDepth:
		return nil, &SyntaxError{y.Line, fmt.Sprintf("this lies more than %d levels deep", maxDepth)}
	case r.nodes > maxNodes || r.bytes > MaxExpanded:
		return nil, &SyntaxError{y.Line, fmt.Sprintf("with its aliases followed the file, or all of them together, have more than %d values or %d bytes of text", maxNodes, MaxExpanded)}
	}
	switch y.Tag {
	case "!reset":
		return &Node{File: r.file, Line: y.Line, Column: y.Column, Mark: Reset}, nil
	case "!override":
		bare := *y
		bare.Tag = ""
		n, err := r.resolve(&bare, depth)
		if err == nil {
			n.Mark = Overrides
		}
		return n, err
	}
	switch y.Kind {
	case yaml.AliasNode:
		if r.open[y.Alias] {
			return nil, &SyntaxError{y.Line, fmt.Sprintf("the alias *%s lies inside of what it stands for", y.Value)}
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
		return r.scalar(y)
	}
}

func (r *resolver) list(y *yaml.Node, depth int) (*Node, error) {
	if tag := y.ShortTag(); tag != "!!seq" {
		return nil, foreignTag(y, tag)
	}
	n := &Node{File: r.file, Line: y.Line, Column: y.Column, Kind: List}
	for _, item := range y.Content {
		v, err := r.resolve(item, depth+1)
		if err != nil {
			return nil, err
		}
		if v.Mark != Merged {
			return nil, &SyntaxError{v.Line, "!reset and !override stand before a key's value, not before an item of a list"}
		}
		n.Items = append(n.Items, v)
	}
	return n, nil
}

// mapping resolves merge keys as YAML's merge type has it: a mapping's own keys win over merged ones, an earlier merged mapping over a later.
func (r *resolver) mapping(y *yaml.Node, depth int) (*Node, error) {
	if tag := y.ShortTag(); tag != "!!map" {
		return nil, foreignTag(y, tag)
	}
	n := &Node{File: r.file, Line: y.Line, Column: y.Column, Kind: Mapping}
	own := map[string]int{}
	var merged []*Node
	for i := 0; i+1 < len(y.Content); i += 2 {
		k := y.Content[i]
		if k.Kind != yaml.ScalarNode || k.ShortTag() == "!!null" {
			return nil, &SyntaxError{k.Line, "a key has to be a plain word"}
		}
		if line, ok := own[k.Value]; ok {
			return nil, &SyntaxError{k.Line, fmt.Sprintf("the key `%s` is there already, in line %d; keep one", printable(k.Value), line)}
		}
		own[k.Value] = k.Line
		v, err := r.resolve(y.Content[i+1], depth+1)
		if err != nil {
			return nil, err
		}
		if k.ShortTag() != "!!merge" {
			if strings.ContainsRune(k.Value, 0) {
				return nil, &SyntaxError{k.Line, "a key holds a NUL character"}
			}
			r.bytes += len(k.Value)
			n.Fields = append(n.Fields, Field{k.Value, k.Line, v})
			continue
		}
		switch v.Kind {
		case Mapping:
			merged = append(merged, v)
		case List:
			merged = append(merged, v.Items...)
		}
		if v.Kind == Scalar {
			return nil, &SyntaxError{k.Line, "<< merges a mapping or a list of them; give it an alias such as *defaults"}
		}
	}
	for _, m := range merged {
		if m.Kind != Mapping {
			return nil, &SyntaxError{m.Line, "<< merges a mapping or a list of them; give it an alias such as *defaults"}
		}
		for _, f := range m.Fields {
			if _, ok := own[f.Name]; !ok {
				own[f.Name] = f.Line
				n.Fields = append(n.Fields, f)
			}
		}
	}
	return n, nil
}

func (r *resolver) scalar(y *yaml.Node) (*Node, error) {
	n := &Node{File: r.file, Line: y.Line, Column: y.Column, Value: y.Value, Text: y.Value}
	switch tag := y.ShortTag(); tag {
	case "!!str", "!!merge", "!!timestamp":
	case "!!null":
		n.Value = nil
	case "!!int", "!!float", "!!bool":
		if err := y.Decode(&n.Value); err != nil {
			return nil, &SyntaxError{y.Line, yamlError(err).Text}
		}
		// An infinite number has no place in JSON, which the schema is held against.
		if f, ok := n.Value.(float64); ok && (math.IsInf(f, 0) || math.IsNaN(f)) {
			n.Value = y.Value
		}
	default:
		return nil, foreignTag(y, tag)
	}
	if strings.ContainsRune(y.Value, 0) {
		return nil, &SyntaxError{y.Line, "a value holds a NUL character"}
	}
	return n, nil
}

func foreignTag(y *yaml.Node, tag string) error {
	return &SyntaxError{y.Line, fmt.Sprintf("the tag %s is not supported; write the value out", printable(tag))}
}

// printable prepares what a stranger wrote for a message.
func printable(s string) string { return repoconfig.Printable(s, 120) }

// Guarded runs f, which is a library's, over a stranger's file. Whatever the library makes of it must not end the process: a panic is an error.
func Guarded(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the file cannot be understood: %v", p)
		}
	}()
	return f()
}
