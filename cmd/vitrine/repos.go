package main

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/alecthomas/kong"
	"github.com/docker/go-units"
	"go.yaml.in/yaml/v4"

	"vitrine/deploy/compose"
)

// reposKey is the setting that has the repositories. It is the only one that is a mapping in the file.
const reposKey = "repos"

// A repository is what the operator says of the repositories that a pattern matches.
type repository struct {
	pattern string // of owner/name, as path.Match has them, in lower case
	policy  compose.Policy
}

// repositories are in the order of the file. None stand for those of the App's owner, without a change of the policy.
type repositories []repository

// policy returns what counts for a repository, "owner/name": what the first pattern says that matches. Case makes no difference, as on GitHub.
func (r repositories) policy(repo string) compose.Policy {
	for _, one := range r {
		if one.matches(repo) {
			return one.policy
		}
	}
	return compose.Policy{}
}

func (r repository) matches(repo string) bool {
	ok, err := path.Match(r.pattern, strings.ToLower(repo))
	return ok && err == nil
}

// serves returns which repositories are served, nil where the operator does not say: those that a pattern matches.
func (r repositories) serves() func(repo string) bool {
	if len(r) == 0 {
		return nil
	}
	return func(repo string) bool {
		return slices.ContainsFunc(r, func(one repository) bool { return one.matches(repo) })
	}
}

// Decode takes what [readRepositories] has read, or patterns with commas between. It is a kong.MapperValue.
func (r *repositories) Decode(ctx *kong.DecodeContext) error {
	switch value := ctx.Scan.Pop().Value.(type) {
	case repositories:
		*r = value
	case string:
		for word := range strings.SplitSeq(value, ",") {
			one := repository{pattern: strings.ToLower(strings.TrimSpace(word))}
			if err := one.check(); err != nil {
				return fmt.Errorf("%q %w", word, err)
			}
			*r = append(*r, one)
		}
	}
	return nil
}

// check reports whether the pattern is one.
func (r repository) check() error {
	owner, name, _ := strings.Cut(r.pattern, "/")
	if _, err := path.Match(r.pattern, ""); err != nil || owner == "" || name == "" || strings.Contains(name, "/") {
		return errors.New("is no repository or pattern, as in acme/shop or \"acme/*\"")
	}
	return nil
}

// readRepositories reads the mapping from patterns to what they get. What is wrong is told all at once, each with its line.
func readRepositories(n *yaml.Node) (all repositories, err error) {
	if n.Kind != yaml.MappingNode {
		return nil, inLine(n, errors.New("repos: expected repositories and what they get, as in `acme/shop: {memory: 8g}`"))
	}
	if len(n.Content) == 0 {
		return nil, inLine(n, errors.New("repos: names no repository, so that none would be served; leave it out to serve those of the App's owner"))
	}
	var wrong []error
	lines := map[string]int{}
	for i := 0; i < len(n.Content); i += 2 {
		key := n.Content[i]
		one := repository{pattern: strings.ToLower(key.Value)}
		if err := all.add(one, lines); err != nil {
			wrong = append(wrong, inLine(key, fmt.Errorf("repos: %q %w", key.Value, err)))
		}
		lines[one.pattern] = key.Line
		var errs []error
		one.policy, errs = readPolicy(key.Value, n.Content[i+1])
		wrong = append(wrong, errs...)
		all = append(all, one)
	}
	return all, errors.Join(wrong...)
}

// add reports why a further pattern makes no sense. lines are those of the ones before.
func (r repositories) add(next repository, lines map[string]int) error {
	if err := next.check(); err != nil {
		return err
	}
	for _, before := range r {
		switch {
		case before.pattern == next.pattern:
			return fmt.Errorf("stands on line %d already", lines[before.pattern])
		case !strings.ContainsAny(next.pattern, `*?[\`) && before.matches(next.pattern):
			return fmt.Errorf("never counts, as %q on line %d comes first; write it before that", before.pattern, lines[before.pattern])
		}
	}
	return nil
}

// readPolicy reads what the repositories of one pattern get.
func readPolicy(pattern string, n *yaml.Node) (all compose.Policy, wrong []error) {
	if n.Kind != yaml.MappingNode {
		return all, []error{inLine(n, fmt.Errorf("repos: %s: expected leave_out, memory or cpus, as in {memory: 8g}", pattern))}
	}
	given := map[string]bool{}
	for i := 0; i < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		var one compose.Policy // of this key alone, so that what is wrong with it has its line
		var err error
		switch {
		case given[key.Value]:
			err = fmt.Errorf("%s: stands there twice", key.Value)
		case key.Value == "leave_out":
			one.LeaveOut, err = readWords(value)
			all.LeaveOut = one.LeaveOut
		case key.Value == "memory":
			one.Memory, err = readMemory(value)
			all.Memory = one.Memory
		case key.Value == "cpus":
			one.CPUs, err = readCPUs(value)
			all.CPUs = one.CPUs
		default:
			err = fmt.Errorf("unknown key %q; there are leave_out, memory and cpus", key.Value)
		}
		given[key.Value] = true
		if err == nil {
			err = one.Check()
		}
		if err != nil {
			wrong = append(wrong, inLine(value, fmt.Errorf("repos: %s: %w", pattern, err)))
		}
	}
	return all, wrong
}

func readWords(n *yaml.Node) ([]string, error) {
	var words []string
	if n.Kind != yaml.SequenceNode || n.Decode(&words) != nil {
		return nil, errors.New("leave_out: expected a list of the policy's rules, as in [privileged, cap_add]")
	}
	return words, nil
}

func readMemory(n *yaml.Node) (int64, error) {
	bytes, err := units.RAMInBytes(n.Value)
	if n.Kind != yaml.ScalarNode || err != nil || bytes <= 0 {
		return 0, errors.New("memory: expected what a service gets at most, as in 8g")
	}
	return bytes, nil
}

func readCPUs(n *yaml.Node) (float64, error) {
	cpus, err := strconv.ParseFloat(n.Value, 64)
	if n.Kind != yaml.ScalarNode || err != nil || !(cpus > 0) {
		return 0, errors.New("cpus: expected how many processors a service gets at most, as in 6 or 1.5")
	}
	return cpus, nil
}

// inLine says where in the configuration file something is wrong.
func inLine(n *yaml.Node, err error) error {
	return fmt.Errorf("configuration file, line %d: %w", n.Line, err)
}
