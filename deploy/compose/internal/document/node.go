// Package document reads YAML as compose files have it, into nodes that know where they are written. Aliases and merge keys are followed, within
// bounds, since the files are a stranger's.
package document

import "strconv"

// Kind is what a Node is.
type Kind int

// The kinds of node.
const (
	Scalar Kind = iota
	List
	Mapping
)

// A Mark says how a value is merged over that of an earlier file (the compose specification, "Merge and override").
type Mark int

// The marks.
const (
	Merged    Mark = iota // as compose merges such a value
	Reset                 // !reset: the earlier value is taken away
	Overrides             // !override: the earlier value is taken away and this one put there
)

// A Node is a place in a document, with aliases and merge keys resolved.
type Node struct {
	File         string // as it is shown to people
	Line, Column int    // where it is written, which for what came through an alias is at the anchor
	Kind         Kind
	Mark         Mark
	Value        any     // of a scalar: string, int, float64, bool or nil
	Text         string  // of a scalar, as written
	Fields       []Field // of a mapping, in file order
	Items        []*Node // of a list
}

// A Field is a key of a mapping, and its value.
type Field struct {
	Name  string
	Line  int
	Value *Node
}

// Get returns the value of a field, or nil. It may be called on nil.
func (n *Node) Get(name string) *Node {
	if n == nil {
		return nil
	}
	for _, f := range n.Fields {
		if f.Name == name {
			return f.Value
		}
	}
	return nil
}

// At returns the line of the place that path leads to, or of the last place on the way that is there, and how many steps were gone. Steps are
// names of fields, and indexes of lists.
func (n *Node) At(path ...string) (line, steps int) {
	line = n.Line
	for i, step := range path {
		next, at := n.step(step)
		if next == nil {
			return line, i
		}
		n, line = next, at
	}
	return line, len(path)
}

func (n *Node) step(step string) (next *Node, line int) {
	if n.Kind == List {
		if i, err := strconv.Atoi(step); err == nil && i >= 0 && i < len(n.Items) {
			return n.Items[i], n.Items[i].Line
		}
		return nil, 0
	}
	for _, f := range n.Fields {
		if f.Name == step {
			return f.Value, f.Line
		}
	}
	return nil, 0
}

// Plain returns the node as maps, slices and scalars, which are the caller's. What is marked Reset is left out of mappings.
func (n *Node) Plain() any {
	switch n.Kind {
	case Mapping:
		m := make(map[string]any, len(n.Fields))
		for _, f := range n.Fields {
			if f.Value.Mark != Reset {
				m[f.Name] = f.Value.Plain()
			}
		}
		return m
	case List:
		l := make([]any, len(n.Items))
		for i, item := range n.Items {
			l[i] = item.Plain()
		}
		return l
	default:
		return n.Value
	}
}

// Replaced returns the paths of mappings' fields below the node that take the value of an earlier file away.
func (n *Node) Replaced() [][]string {
	var all [][]string
	for _, f := range n.Fields {
		if f.Value.Mark != Merged {
			all = append(all, []string{f.Name})
			continue
		}
		for _, below := range f.Value.Replaced() {
			all = append(all, append([]string{f.Name}, below...))
		}
	}
	return all
}

// Map returns a copy of the node, each scalar replaced by what f makes of it. f gets the scalar's path, which it must not keep, and a copy that
// it may change.
func (n *Node) Map(f func(path []string, scalar *Node)) *Node { return n.mapped(nil, f) }

func (n *Node) mapped(path []string, f func([]string, *Node)) *Node {
	c := *n
	switch n.Kind {
	case Mapping:
		c.Fields = make([]Field, len(n.Fields))
		for i, field := range n.Fields {
			c.Fields[i] = Field{field.Name, field.Line, field.Value.mapped(append(path, field.Name), f)}
		}
	case List:
		c.Items = make([]*Node, len(n.Items))
		for i, item := range n.Items {
			c.Items[i] = item.mapped(append(path, strconv.Itoa(i)), f)
		}
	default:
		f(path, &c)
	}
	return &c
}
