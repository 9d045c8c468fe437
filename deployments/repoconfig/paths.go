package repoconfig

import (
	"errors"
	"strings"

	"github.com/moby/patternmatcher"
	"go.yaml.in/yaml/v4"
)

// PathMatcher returns a function that reports whether a changed file, by its path from the root of the repository, counts by Paths. Patterns are those of a
// .dockerignore: ** is any number of folders, a folder stands for all that is in it, the last pattern that matches decides, and one with ! in front takes
// out what matched before. Where the first one takes out, all the others count. Without patterns every file counts. The function is not called side by side.
func (r PullRequests) PathMatcher() func(path string) bool {
	matcher, err := newMatcher(r.Paths)
	return func(path string) bool {
		if len(r.Paths) == 0 || err != nil {
			return true
		}
		ok, err := matcher.MatchesOrParentMatches(path)
		return ok || err != nil
	}
}

func newMatcher(patterns []string) (*patternmatcher.PatternMatcher, error) {
	var all []string
	for i, p := range patterns {
		p, out := strings.CutPrefix(strings.TrimSpace(p), "!")
		p = strings.TrimLeft(strings.TrimSpace(p), "/")
		switch {
		case out && i == 0:
			all = append(all, "**", "!"+p)
		case out:
			all = append(all, "!"+p)
		default:
			all = append(all, p)
		}
	}
	return patternmatcher.New(all)
}

// maxPaths is how many patterns there are at most: each may be held against thousands of files.
const maxPaths = 100

// filePatterns are the patterns of a [PullRequests.PathMatcher].
func filePatterns() form[[]string] {
	patterns := list(0, "a list of paths or patterns, such as [\"src/**\"]", filePattern())
	read := func(p *parser, at string, n *yaml.Node, into *[]string) {
		if len(n.Content) > maxPaths {
			p.wrong(n, "%s has %d patterns; there can be %d", shown(at), len(n.Content), maxPaths)
			return
		}
		patterns.read(p, at, n, into)
	}
	return form[[]string]{read, patterns.schema.with("maxItems", maxPaths)}
}

func filePattern() form[string] {
	const wants = "a path or a pattern, such as \"src/**\", or \"!**/*.md\" for what does not count, at most 200 characters"
	checked := words(text{wants: wants, match: `[^!/\s]`, never: `[\s\S]{201}`, numbers: true})
	read := func(p *parser, at string, n *yaml.Node, into *string) {
		checked.read(p, at, n, into)
		if *into == "" {
			return
		}
		if err := checkPattern(*into); err != nil {
			p.wrong(n, "%q is no pattern: close its [ and end no pattern in a backslash", shown(*into))
		}
	}
	return form[string]{read, checked.schema}
}

// checkPattern has the pattern looked at whole, which a matcher does at the first path only.
func checkPattern(pattern string) error {
	pattern = strings.TrimLeft(pattern, "!/ \t")
	m, err := newMatcher([]string{pattern})
	if err != nil || strings.TrimSpace(pattern) == "" {
		return errors.Join(err, errNoPattern)
	}
	_, err = m.MatchesOrParentMatches("a/b")
	return err
}

var errNoPattern = errors.New("this is no pattern")
