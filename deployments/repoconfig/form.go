package repoconfig

import (
	"fmt"
	"maps"
	"strings"

	"go.yaml.in/yaml/v4"
)

// A form says what may stand in one place of the file: how it is read into a T, and how JSON Schema says the same.
type form[T any] struct {
	read   func(p *parser, at string, n *yaml.Node, into *T)
	schema schema
}

// A schema is a JSON Schema, or a part of one.
type schema map[string]any

// with returns the schema with a keyword set.
func (s schema) with(keyword string, value any) schema {
	all := maps.Clone(s)
	all[keyword] = value
	return all
}

// A key is one that a mapping may have.
type key[S any] struct {
	name   string
	read   func(p *parser, at string, n *yaml.Node, into *S)
	schema schema
	later  bool // documented and checked, but without an effect
	must   bool // it has to be there
}

// entry makes the key of a mapping, whose value is read to the place given. about and standard, its default, are for the people who write it;
// standard may be nil.
func entry[S, T any](name string, f form[T], place func(*S) *T, about string, standard any) key[S] {
	described := f.schema.with("description", about)
	if standard != nil {
		described = described.with("default", standard)
	}
	return key[S]{name: name, schema: described, read: func(p *parser, at string, n *yaml.Node, into *S) { f.read(p, at, n, place(into)) }}
}

// later marks a key whose effect is still to come.
func later[S any](k key[S]) key[S] {
	k.later = true
	k.schema = k.schema.with("description", k.schema["description"].(string)+" Has no effect yet.")
	return k
}

// must marks a key without which its mapping makes no sense.
func must[S any](k key[S]) key[S] {
	k.must = true
	return k
}

// exclusive are keys of one mapping that exclude each other, and what to do about it.
type exclusive struct {
	keys []string
	so   string
}

// object is a mapping with given keys.
func object[S any](alone exclusive, keys ...key[S]) form[S] {
	byName := map[string]key[S]{}
	var names []string
	properties := schema{}
	required := []string{}
	for _, k := range keys {
		byName[k.name] = k
		names = append(names, k.name)
		properties[k.name] = k.schema
		if k.must {
			required = append(required, k.name)
		}
	}
	s := schema{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		s["required"] = required
	}
	if pairs := alone.pairs(); len(pairs) > 0 {
		s["not"] = schema{"anyOf": pairs}
	}
	read := func(p *parser, at string, n *yaml.Node, into *S) {
		given := map[string]bool{}
		p.mapping(n, at, names, func(name string, k, v *yaml.Node) {
			given[name] = true
			byName[name].read(p, join(at, name), v, into)
			if byName[name].later {
				p.note(k, join(at, name))
			}
			alone.check(p, name, v, given)
		})
		for _, name := range required {
			if n.Kind == yaml.MappingNode && !p.mentions(n, name) {
				p.wrong(n, "%s needs the key `%s`", shown(at), name)
			}
		}
	}
	return form[S]{read, s}
}

// pairs returns the combinations that are excluded.
func (e exclusive) pairs() (all []any) {
	for i, a := range e.keys {
		for _, b := range e.keys[i+1:] {
			all = append(all, schema{"required": []string{a, b}})
		}
	}
	return all
}

// check holds a key, whose value is v, against those that were there before it.
func (e exclusive) check(p *parser, name string, v *yaml.Node, given map[string]bool) {
	var there []string
	among := false
	for _, k := range e.keys {
		if given[k] {
			there = append(there, k)
		}
		among = among || k == name
	}
	if among && len(there) > 1 {
		p.wrong(v, "%s exclude each other; %s", strings.Join(there, " and "), e.so)
	}
}

// named is a mapping whose keys are names.
func named[T any](names text, f form[T]) form[map[string]T] {
	fits := names.fits()
	read := func(p *parser, at string, n *yaml.Node, into *map[string]T) {
		*into = map[string]T{}
		p.mapping(n, at, nil, func(name string, k, v *yaml.Node) {
			if !fits(name) {
				p.wrong(k, "%s: %s", shown(join(at, name)), names.wants)
				return
			}
			var value T
			f.read(p, join(at, name), v, &value)
			(*into)[name] = value
		})
	}
	return form[map[string]T]{read, schema{"type": "object", "propertyNames": names.schema(), "additionalProperties": f.schema}}
}

// list is a list whose items have a form of their own, at least least of them. wants says what it is for.
func list[T any](least int, wants string, f form[T]) form[[]T] {
	read := func(p *parser, at string, n *yaml.Node, into *[]T) {
		if n.Kind != yaml.SequenceNode {
			p.wrong(n, "%s wants %s, not %s", shown(at), wants, kindOf(n))
			return
		}
		if len(n.Content) < least {
			p.wrong(n, "%s is empty; it wants %s", shown(at), wants)
		}
		for i, item := range n.Content {
			var value T
			if p.plain(fmt.Sprintf("%s[%d]", at, i), item) {
				f.read(p, fmt.Sprintf("%s[%d]", at, i), item, &value)
			}
			*into = append(*into, value)
		}
	}
	s := schema{"type": "array", "items": f.schema}
	if least > 0 {
		s["minItems"] = least
	}
	return form[[]T]{read, s}
}

// oneOr is a list, or its only item by itself.
func oneOr[T any](all form[[]T], f form[T]) form[[]T] {
	read := func(p *parser, at string, n *yaml.Node, into *[]T) {
		if n.Kind != yaml.ScalarNode {
			all.read(p, at, n, into)
			return
		}
		var value T
		f.read(p, at, n, &value)
		*into = []T{value}
	}
	return form[[]T]{read, schema{"anyOf": []any{f.schema, all.schema}}}
}

// either is what is written as a single value, or as a mapping. wants says what else it may be.
func either[T any](wants string, single, mapping form[T]) form[T] {
	read := func(p *parser, at string, n *yaml.Node, into *T) {
		switch n.Kind {
		case yaml.MappingNode:
			mapping.read(p, at, n, into)
		case yaml.ScalarNode:
			single.read(p, at, n, into)
		default:
			p.wrong(n, "%s wants %s, not %s", shown(at), wants, kindOf(n))
		}
	}
	return form[T]{read, schema{"anyOf": []any{single.schema, mapping.schema}}}
}
