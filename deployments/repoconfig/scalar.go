package repoconfig

import (
	"math"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/go-units"
	"go.yaml.in/yaml/v4"
)

// A text is a single value that is taken as it is written. Parser and JSON Schema hold it against the same expressions.
type text struct {
	wants   string // what it wants, with an example: "a path that begins with /, such as /healthz"
	match   string // a regular expression; empty matches all
	never   string // one that must not match; empty for none
	numbers bool   // 1.0 and true are texts too
}

// tags are YAML's names for the kinds of values that are taken.
func (t text) tags() []string {
	if t.numbers {
		return []string{"!!str", "!!int", "!!float", "!!bool", "!!timestamp"}
	}
	return []string{"!!str"}
}

// fits returns a function that holds a text against the expressions.
func (t text) fits() func(string) bool {
	match, never := regexp.MustCompile(t.match), regexp.MustCompile(t.never)
	return func(s string) bool { return match.MatchString(s) && (t.never == "" || !never.MatchString(s)) }
}

func (t text) schema() schema {
	s := schema{"type": "string"}
	if t.match != "" {
		s["pattern"] = t.match
	}
	if t.never != "" {
		s["not"] = schema{"pattern": t.never}
	}
	if t.numbers {
		return schema{"anyOf": []any{s, schema{"type": []string{"number", "boolean"}}}}
	}
	return s
}

// formOf is a text that parse converts.
func formOf[T any](t text, parse func(string) (T, bool)) form[T] {
	fits := t.fits()
	return form[T]{reading(t.wants, t.tags(), func(s string) (v T, ok bool) {
		if !fits(s) {
			return v, false
		}
		return parse(s)
	}), t.schema()}
}

// reading returns how to read a single value of one of the YAML tags.
func reading[T any](wants string, tags []string, parse func(string) (T, bool)) func(*parser, string, *yaml.Node, *T) {
	return func(p *parser, at string, n *yaml.Node, into *T) {
		if n.Kind == yaml.ScalarNode && slices.Contains(tags, n.ShortTag()) {
			if v, ok := parse(n.Value); ok {
				*into = v
				return
			}
		}
		p.wrong(n, "%s wants %s", shown(at), wants)
	}
}

// words is a text that needs no conversion.
func words(t text) form[string] {
	return formOf(t, func(s string) (string, bool) { return s, true })
}

// oneOf is one of several words.
func oneOf[T ~string](values ...T) form[T] {
	all := make([]string, len(values))
	for i, v := range values {
		all[i] = string(v)
	}
	wants := strings.Join(all[:len(all)-1], ", ") + " or " + all[len(all)-1]
	parse := func(s string) (T, bool) { return T(s), slices.Contains(values, T(s)) }
	return form[T]{reading(wants, []string{"!!str"}, parse), schema{"enum": all}}
}

// boolean is true or false, or nil where the file does not say.
func boolean() form[*bool] {
	parse := func(s string) (*bool, bool) {
		b, err := strconv.ParseBool(s)
		return &b, err == nil
	}
	return form[*bool]{reading("true or false", []string{"!!bool"}, parse), schema{"type": "boolean"}}
}

// integer is a number from least to most. Quotes around it do no harm where digits, a regular expression, lets them through.
func integer(least, most int, wants, quoted string) form[int] {
	number := schema{"type": "integer", "minimum": least, "maximum": most}
	parse := func(s string) (int, bool) {
		n, err := strconv.Atoi(s)
		return n, err == nil && n >= least && n <= most && strconv.Itoa(n) == s // 010 is octal to some
	}
	if quoted == "" {
		return form[int]{reading(wants, []string{"!!int"}, parse), number}
	}
	return form[int]{
		reading(wants, []string{"!!int", "!!str"}, parse),
		schema{"anyOf": []any{number, schema{"type": "string", "pattern": quoted}}},
	}
}

// fraction is a number above zero, quoted or not.
func fraction(wants string) form[float64] {
	const digits = `^([0-9]+(\.[0-9]*)?|\.[0-9]+)$`
	written := regexp.MustCompile(digits)
	parse := func(s string) (float64, bool) {
		f, err := strconv.ParseFloat(s, 64)
		return f, err == nil && f > 0 && written.MatchString(s)
	}
	quoted := schema{"type": "string", "pattern": digits, "not": schema{"pattern": `^[0.]+$`}}
	return form[float64]{
		reading(wants, []string{"!!int", "!!float", "!!str"}, parse),
		schema{"anyOf": []any{schema{"type": "number", "exclusiveMinimum": 0}, quoted}},
	}
}

// size is an amount of memory in bytes, or with a unit.
func size(wants string) form[int64] {
	const amount = `^([0-9]{1,15}|[0-9]{1,9}(\.[0-9]{1,3})?([bB]|[kmgKMG]([iI]?[bB])?))$`
	written := regexp.MustCompile(amount)
	parse := func(s string) (int64, bool) {
		if !written.MatchString(s) {
			return 0, false
		}
		n, err := units.RAMInBytes(s)
		return n, err == nil && n > 0
	}
	quoted := schema{"type": "string", "pattern": amount, "not": schema{"pattern": `^[0.]+[a-zA-Z]*$`}}
	return form[int64]{
		reading(wants, []string{"!!int", "!!str"}, parse),
		schema{"anyOf": []any{schema{"type": "integer", "minimum": 1}, quoted}},
	}
}

// The units of a duration, of which d is a day and w is a week; and how one is written: 90s, 1h30m, 3d.
const (
	durationStep = `([0-9]{1,9})(ms|s|m|h|d|w)`
	durationForm = `^(` + durationStep + `)+$`
)

// duration is a time above zero. One that is too long for a time.Duration is the longest that there is.
func duration(wants string) form[time.Duration] {
	steps := regexp.MustCompile(durationStep)
	return formOf(text{wants: wants, match: durationForm, never: `^(0+[a-z]+)+$`}, func(s string) (time.Duration, bool) {
		unit := map[string]time.Duration{
			"ms": time.Millisecond, "s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour, "w": 7 * 24 * time.Hour,
		}
		var sum time.Duration
		for _, step := range steps.FindAllStringSubmatch(s, -1) {
			n, err := strconv.ParseInt(step[1], 10, 64)
			if err != nil || n > int64(math.MaxInt64-sum)/int64(unit[step[2]]) {
				return math.MaxInt64, err == nil
			}
			sum += time.Duration(n) * unit[step[2]]
		}
		return sum, true
	})
}

// repoPath is the path of something inside the repository.
func repoPath(what, example, never string) form[string] {
	return formOf(text{
		wants: "the path of " + what + " inside the repository, relative to its root, such as " + example,
		match: `^[^\x00\\]+$`, never: `^/|(^|/)\.\.(/|$)` + never,
	}, func(s string) (string, bool) { return path.Clean(s), true })
}

// pattern is a pattern of names, as path.Match has them.
func pattern() form[string] {
	const wants = "names or patterns, such as main or \"release/*\""
	checked := words(text{wants: wants, match: `.`, numbers: true})
	read := func(p *parser, at string, n *yaml.Node, into *string) {
		checked.read(p, at, n, into)
		if _, err := path.Match(*into, ""); err != nil {
			p.wrong(n, "%q is no pattern: close its [ and end no pattern in a backslash", shown(*into))
		}
	}
	return form[string]{read, checked.schema}
}
