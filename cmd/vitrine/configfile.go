package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v4"

	"vitrine/deployments/repoconfig"
)

// configFile is the flag that names the configuration file. Unlike kong.ConfigFlag (v1.17) it may also be set by its environment variable.
type configFile string

// BeforeResolve reads the file, so that it counts for the other flags. Kong calls it after the command line was read.
func (configFile) BeforeResolve(parser *kong.Kong, ctx *kong.Context, trace *kong.Path) error {
	path := ctx.FlagValue(trace.Flag).(configFile)
	if path == "" {
		path = trace.Flag.Target.Interface().(configFile) // from the environment
	}
	if path == "" {
		return nil
	}
	values, err := parser.LoadConfig(string(path))
	if err != nil {
		return err
	}
	ctx.AddResolver(values)
	return nil
}

// A file is a configuration file: a mapping from the flags' names to their values.
type file struct {
	values map[string]any
	lines  map[string]int
}

// loadFile reads a configuration file. It is a kong.ConfigurationLoader.
func loadFile(r io.Reader) (kong.Resolver, error) {
	var doc yaml.Node
	if err := yaml.NewDecoder(r).Decode(&doc); errors.Is(err, io.EOF) {
		return &file{}, nil
	} else if err != nil {
		return nil, fmt.Errorf("configuration file: this is not YAML: %s", repoconfig.SyntaxMessage(err))
	}
	root := doc.Content[0]
	if root.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("configuration file, line %d: expected settings, as in `listen: 127.0.0.1:8080`", root.Line)
	}
	f := &file{values: make(map[string]any), lines: make(map[string]int)}
	for i := 0; i < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		if f.lines[key.Value] != 0 {
			return nil, fmt.Errorf("configuration file, line %d: %q stands on line %d already", key.Line, key.Value, f.lines[key.Value])
		}
		f.lines[key.Value] = key.Line
		if key.Value == reposKey {
			all, err := readRepositories(value)
			if err != nil {
				return nil, err
			}
			f.values[key.Value] = all
			continue
		}
		parsed, err := plain(value)
		if err != nil {
			return nil, fmt.Errorf("configuration file, line %d: %s: %w", value.Line, key.Value, err)
		}
		f.values[key.Value] = parsed
	}
	return f, nil
}

// plain returns a scalar as it is written, and a list of scalars joined as a flag has it.
func plain(n *yaml.Node) (any, error) {
	switch n.Kind {
	case yaml.ScalarNode:
		return n.Value, nil
	case yaml.SequenceNode:
		items := make([]string, len(n.Content))
		for i, item := range n.Content {
			if item.Kind != yaml.ScalarNode {
				return nil, errors.New("expected a list of plain values")
			}
			items[i] = item.Value
		}
		return strings.Join(items, ","), nil
	default:
		return nil, errors.New("expected a value or a list of values")
	}
}

// Validate reports the keys that no flag has.
func (f *file) Validate(app *kong.Application) error {
	known := make(map[string]bool)
	for _, command := range app.Leaves(false) {
		for _, flags := range command.AllFlags(false) {
			for _, flag := range flags {
				known[flag.Name] = true
			}
		}
	}
	var wrong []error
	keys := slices.SortedFunc(maps.Keys(f.lines), func(a, b string) int { return cmp.Compare(f.lines[a], f.lines[b]) })
	for _, key := range keys {
		if !known[key] || key == "config" {
			wrong = append(wrong, fmt.Errorf("configuration file, line %d: unknown setting %q; `vitrine serve --help` lists them", f.lines[key], key))
		}
	}
	return errors.Join(wrong...)
}

// Resolve returns the file's value for a flag, unless the environment has one. A value that the flag does not take is reported with its line.
func (f *file) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	for _, name := range flag.Envs {
		if _, set := os.LookupEnv(name); set {
			return nil, nil
		}
	}
	v, ok := f.values[flag.Name]
	if !ok {
		return nil, nil
	}
	trial := reflect.New(flag.Target.Type()).Elem()
	if err := flag.Parse(kong.Scan().PushTyped(v, kong.FlagValueToken), trial); err != nil {
		return nil, fmt.Errorf("configuration file, line %d: %w", f.lines[flag.Name], err)
	}
	return v, nil
}
