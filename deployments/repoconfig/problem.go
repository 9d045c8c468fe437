package repoconfig

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"vitrine/deployments"
)

// maxListed is how many problems an error lists.
const maxListed = 20

// A problem is one thing that is wrong, and where.
type problem struct {
	file         string
	line, column int // from 1; 0 where unknown
	text         string
}

func (p problem) String() string {
	return fmt.Sprintf("%s: %s", p.place(), p.text)
}

func (p problem) place() string {
	switch {
	case p.line == 0:
		return p.file
	case p.column == 0:
		return fmt.Sprintf("%s:%d", p.file, p.line)
	default:
		return fmt.Sprintf("%s:%d:%d", p.file, p.line, p.column)
	}
}

type problems []problem

// fault makes one error of all problems, or nil of none.
func (ps problems) fault() error {
	if len(ps) == 0 {
		return nil
	}
	slices.SortStableFunc(ps, func(a, b problem) int {
		if a.line != b.line {
			return a.line - b.line
		}
		return a.column - b.column
	})
	first := ps[0]
	first.column = 0
	f := &deployments.Fault{Kind: deployments.FaultConfig, Where: first.place(), Reason: first.text}
	for _, p := range ps[:min(len(ps), maxListed)] {
		f.Excerpt = append(f.Excerpt, p.String())
	}
	for _, p := range ps {
		f.Violations = append(f.Violations, deployments.Violation{File: p.file, Line: p.line, Column: p.column, Rule: "configuration", Message: p.text})
	}
	if more := len(ps) - maxListed; more > 0 {
		f.Excerpt = append(f.Excerpt, fmt.Sprintf("and %d more", more))
	}
	return f
}

// syntaxProblem takes the position out of the YAML library's message, which carries it in words only.
func syntaxProblem(file string, err error) problem {
	text := SyntaxMessage(err)
	p := problem{file: file, text: "this is not YAML: " + text}
	places := regexp.MustCompile(`line (\d+)(?:, column (\d+))?`).FindAllStringSubmatch(text, -1)
	if len(places) > 0 {
		last := places[len(places)-1]
		p.line, _ = strconv.Atoi(last[1])
		p.column, _ = strconv.Atoi(last[2])
	}
	return p
}

// SyntaxMessage returns what the YAML library says of a text that is not YAML, with its lines counted from 1 as editors do.
func SyntaxMessage(err error) string {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	// The library's parser counts them from 0, unlike its scanner and composer (go.yaml.in/yaml v4.0.0-rc.4). The type is not exported.
	if fmt.Sprintf("%T", err) != "libyaml.ParserError" {
		return text
	}
	text = strings.ReplaceAll(text, "<unknown position>", "line 0")
	return regexp.MustCompile(`line \d+`).ReplaceAllStringFunc(text, func(place string) string {
		line, _ := strconv.Atoi(strings.TrimPrefix(place, "line ")) // digits; a number beyond all lines is 0
		return fmt.Sprintf("line %d", line+1)
	})
}
