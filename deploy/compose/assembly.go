package compose

import (
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"vitrine/deploy/compose/internal/checkout"
	"vitrine/deploy/compose/internal/document"
	"vitrine/deploy/compose/internal/policy"
)

// How far files may lead to other files.
const (
	maxSources = 50 // files, and times that files are included
	maxChain   = 10 // of files that include each other, and of services that extend each other
)

// An assembly makes one model of several files: those that are merged over each other, and what they include and extend. It alone opens files;
// compose-go gets what it made. It looks at no field but those that lead to other files, so what it makes is not safe before the policy was held
// against each part of it.
type assembly struct {
	files     *checkout.Checkout
	findings  *findings
	variables *interpolator
	base      string // the folder that the model's paths are relative to
	failed    error  // ours, not the files'

	budget   document.Budget
	sources  map[string]*source
	included int
	services map[string]*service // by source and name
}

// A source is a compose file that was read.
type source struct {
	key    string
	name   string // relative to the root of the repository
	folder string // what its paths are relative to
	root   *document.Node
	look   lookup
	misled []misreading
}

// A service is what the files say of one service, merged.
type service struct {
	model any // a mapping, or whatever stands in its place
	parts []part
	depth int // how many services it extends, one through the other
}

// A part is one place where a service is written. The first of a service's parts counts most.
type part struct {
	node *document.Node
	line int    // of its name
	name string // which is another one than the service's where the service extends it
}

// A model is what one or several files say, merged.
type model struct {
	top   map[string]any // without services
	all   map[string]*service
	order []string // the services' names, in file order
	roots []*document.Node
}

// open reads a file that at names.
func (a *assembly) open(name, folder, environment string, look lookup, at spot) *source {
	key := strings.Join([]string{name, folder, environment}, "\x00")
	if s, ok := a.sources[key]; ok {
		return s
	}
	if len(a.sources) == maxSources {
		a.findings.refuse(at, "include", "Name fewer", fmt.Sprintf("more than %d files are read", maxSources))
		return nil
	}
	content, err := a.files.Read(name)
	if err != nil {
		a.unreadable(err, at, name)
		return nil
	}
	if !slices.Contains(a.findings.files, name) {
		a.findings.files = append(a.findings.files, name)
	}
	root, err := document.Parse(name, content, &a.budget)
	if err != nil {
		line := 0
		if bad, ok := errors.AsType[*document.SyntaxError](err); ok {
			line = bad.Line
		}
		a.findings.refuse(spot{name, line}, "yaml", "", err.Error())
		return nil
	}
	if services := root.Get("services"); services != nil && len(services.Fields) > policy.MaxEntries {
		a.findings.refuse(spot{name, lineOf(root, "services")}, "size", "", tooMany(len(services.Fields), "services"))
		return nil
	}
	if v := policy.Entries(root); v != nil {
		a.findings.Refuse(*v)
		return nil
	}
	s := &source{key: key, name: name, folder: folder, look: look}
	s.root, s.misled = a.variables.document(root, look)
	if folder != a.base {
		a.rebase(s)
	}
	a.sources[key] = s
	return s
}

func lineOf(n *document.Node, path ...string) int {
	line, _ := n.At(path...)
	return line
}

// unreadable adds what is wrong with a file that at names. Where the reason is ours, the reading as a whole fails with it.
func (a *assembly) unreadable(err error, at spot, name string) {
	bad, ok := errors.AsType[*checkout.Problem](err)
	if !ok {
		a.failed = errors.Join(a.failed, err)
		return
	}
	instead := ""
	if !filepath.IsLocal(name) {
		instead = "Copy it into the repository and name it relative to this file"
	}
	a.findings.refuse(at, "files", instead, bad.Reason)
}

// rebase writes the paths of a source as they are from the base.
func (a *assembly) rebase(s *source) {
	move := func(n *document.Node) {
		if n == nil || n.Kind != document.Scalar || n.Text == "" || remote(n.Text) || leavesHome(n.Text) {
			return
		}
		n.Text = a.moved(s.folder, n.Text)
		n.Value = n.Text
	}
	for _, f := range fields(s.root.Get("services")) {
		build := f.Value.Get("build")
		move(build)
		move(build.Get("context"))
		for _, field := range []string{"env_file", "label_file"} {
			n := f.Value.Get(field)
			move(n)
			for _, item := range items(n) {
				move(item)
				move(item.Get("path"))
			}
		}
		for _, v := range items(f.Value.Get("volumes")) {
			if from, rest, ok := strings.Cut(v.Text, ":"); v.Kind == document.Scalar && ok && strings.HasPrefix(from, ".") {
				v.Text = a.moved(s.folder, from) + ":" + rest
				v.Value = v.Text
			}
			if kind := v.Get("type"); kind != nil && kind.Text == "bind" {
				move(v.Get("source"))
			}
		}
	}
	for _, top := range []string{"configs", "secrets"} {
		for _, f := range fields(s.root.Get(top)) {
			move(f.Value.Get("file"))
		}
	}
}

// moved returns a path that is relative to folder as it is from the base.
func (a *assembly) moved(folder, name string) string {
	rel, err := filepath.Rel(a.base, path.Join(folder, name))
	if err != nil || strings.HasPrefix(rel, "..") {
		return rel
	}
	return "./" + rel
}

func fields(n *document.Node) []document.Field {
	if n == nil {
		return nil
	}
	return n.Fields
}

func items(n *document.Node) []*document.Node {
	if n == nil {
		return nil
	}
	return n.Items
}

// scalars returns the texts of a scalar, or of a list's scalars.
func scalars(n *document.Node) []*document.Node {
	if n != nil && n.Kind == document.Scalar && n.Text != "" {
		return []*document.Node{n}
	}
	return items(n)
}

// leavesHome reports whether a path does not depend on the folder that it is relative to.
func leavesHome(name string) bool {
	return path.IsAbs(name) || strings.HasPrefix(name, "~") || strings.Contains(name, `\`)
}

func tooMany(n int, what string) string {
	return fmt.Sprintf("there are %d %s; a preview may have %d", n, what, maxServices)
}
