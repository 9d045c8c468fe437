package repoconfig

import (
	"strings"
	"testing"
)

func TestPathMatcher(t *testing.T) {
	for patterns, paths := range map[string]map[string]bool{
		"":                    {"a": true, "docs/a.md": true},
		"src/**":              {"src/a": true, "src/a/b.go": true, "src": false, "lib/src/a": false, "SRC/a": false, "srcs/a": false},
		"src":                 {"src/a/b": true, "src": true, "source": false},
		"/src/":               {"src/a": true, "lib/src/a": false},
		"*.go":                {"a.go": true, "a/b.go": false},
		"**/*.go":             {"a.go": true, "a/b/c.go": true, "a.goo": false},
		"src/*/x":             {"src/a/x": true, "src/a/b/x": false, "src/a/x/deep": true},
		"a b/[0-9]*":          {"a b/1x": true, "a b/x1": false},
		"src/** !src/**/*.md": {"src/a.go": true, "src/docs/a.md": false, "docs/a.md": false},
		"!docs !**/*.md":      {"docs/x": false, "a.md": false, "a/b.md": false, "a/b.go": true, "mydocs/x": true},
		"! !":                 {"a": true}, // Parse refuses these
		"**":                  {"a": true, "a/b": true},
		"a/b.go (c)":          {"a/b.go": true, "(c)": true, "a/bxgo": false},
	} {
		r := PullRequests{Paths: strings.FieldsFunc(strings.ReplaceAll(patterns, "a b", "a\x00b"), func(c rune) bool { return c == ' ' })}
		for i := range r.Paths {
			r.Paths[i] = strings.ReplaceAll(r.Paths[i], "\x00", " ")
		}
		matches := r.PathMatcher()
		for path, want := range paths {
			if got := matches(path); got != want {
				t.Errorf("[%s] %q: %t", patterns, path, got)
			}
		}
	}
}

// What the parser lets through can be matched with whatever a file is called.
func FuzzPathMatcher(f *testing.F) {
	for _, pattern := range []string{"src/**", "!docs", "[a-z]*", "**/[^x]", "\\*", "a{1,2}", "(", "+", "!/", "**/**", "./..", "[]a]"} {
		f.Add(pattern, "src/a.go")
	}
	f.Fuzz(func(t *testing.T, pattern, path string) {
		if checkPattern(pattern) != nil {
			return
		}
		matcher, err := newMatcher([]string{"a", pattern})
		if err != nil {
			t.Fatalf("%q: %v", pattern, err)
		}
		if _, err := matcher.MatchesOrParentMatches(path); err != nil {
			t.Errorf("%q, %q: %v", pattern, path, err)
		}
	})
}
