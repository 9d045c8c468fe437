package compose

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerfile/shell"

	"vitrine/deploy"
	"vitrine/deploy/compose/internal/checkout"
	"vitrine/deploy/compose/internal/document"
	"vitrine/deployments"
	"vitrine/deployments/repoconfig"
)

// readDockerfile makes a stack of one service, whose port is .vitrine.yml's or the one that the Dockerfile exposes.
func readDockerfile(files *checkout.Checkout, config repoconfig.Config, beyond Policy, file string, v deployments.Values) (deployments.Stack, error) {
	content, err := files.Read(file)
	if err != nil {
		return deployments.Stack{}, configFault(file, "", err)
	}
	f := &findings{files: []string{file}}
	onlyMain(config, "a lone Dockerfile", f)
	port := config.Services[mainService].Port
	if port == 0 {
		port = exposed(content, f)
	}
	stack := deploy.Stack{Services: []deploy.Service{{
		Name: mainService, Environment: v.All(), Port: port, Public: true,
	}}}
	configure(&stack, config, beyond, f)
	public := hosts(stack, config, f)
	if err := f.fault(); err != nil {
		return deployments.Stack{}, err
	}
	build := deployments.Build{Service: mainService, Context: ".", Dockerfile: file, Args: withVars(nil, v.Own)}
	return encode(stack, public, []deployments.Build{build}, f.notes())
}

// exposed returns the first port that the last stage of a Dockerfile exposes and that a browser may be served at. Stages that it builds upon count
// too; the base images do not, since they are not known yet.
func exposed(content []byte, f *findings) int {
	var tree *parser.Result
	err := document.Guarded(func() (err error) {
		tree, err = parser.Parse(bytes.NewReader(content))
		return err
	})
	if err != nil {
		line := 0
		if at, ok := errors.AsType[*parser.LocationError](err); ok && len(at.Locations) > 0 && len(at.Locations[0]) > 0 {
			line = at.Locations[0][0].Start.Line
		}
		f.refuse(spot{f.files[0], line}, "dockerfile", "", "this is no Dockerfile: "+shown(err.Error()))
		return 0
	}
	d := &dockerfile{lex: shell.NewLex(tree.EscapeToken), values: variables{}, ports: map[string][]int{}}
	for _, instruction := range tree.AST.Children {
		d.instruction(instruction)
	}
	for _, port := range d.ports[d.stage] {
		if !slices.Contains(private[:], uint32(port)) {
			return port
		}
	}
	f.refuse(spot{f.files[0], d.line}, "public", fmt.Sprintf("Add EXPOSE with the port, such as EXPOSE 8080, or services.%s.port to %s", mainService,
		repoconfig.FileName), "nothing says at which port it answers HTTP")
	return 0
}

// A dockerfile collects what is exposed while the instructions are read.
type dockerfile struct {
	lex    *shell.Lex
	values variables        // of ARG and ENV
	ports  map[string][]int // by stage
	stage  string           // the present one's name
	count  int
	line   int // of the present stage
}

func (d *dockerfile) instruction(n *parser.Node) {
	switch strings.ToUpper(n.Value) {
	case "FROM":
		d.from(words(n))
		d.line = n.StartLine
	case "ARG":
		for _, w := range words(n) {
			d.set(w)
		}
	case "ENV":
		// The parser gives name, value and separator in turn.
		w := words(n)
		for i := 0; i+2 < len(w); i += 3 {
			d.set(w[i] + "=" + w[i+1])
		}
	case "EXPOSE":
		for _, w := range words(n) {
			d.expose(w)
		}
	}
}

func (d *dockerfile) from(w []string) {
	var inherited []int
	if len(w) > 0 {
		inherited = d.ports[strings.ToLower(w[0])]
	}
	d.stage = fmt.Sprint(d.count)
	if len(w) == 3 && strings.EqualFold(w[1], "AS") {
		d.stage = strings.ToLower(w[2])
	}
	d.count++
	d.ports[d.stage] = slices.Clone(inherited)
}

// set takes an assignment; its value may name earlier ones.
func (d *dockerfile) set(assignment string) {
	if name, value, ok := strings.Cut(assignment, "="); ok {
		if value, ok := d.expand(value); ok {
			d.values[name] = value
		}
	}
}

// expand puts variables into a word. Long ones, which no port comes from, are left out, so that nothing grows by being doubled again and again.
func (d *dockerfile) expand(word string) (string, bool) {
	const most = 256
	if len(word) > most {
		return "", false
	}
	word, _, err := d.lex.ProcessWord(word, d.values)
	return word, err == nil && len(word) <= most
}

// maxExposed is how many ports of a stage are looked at.
const maxExposed = 100

func (d *dockerfile) expose(word string) {
	word, ok := d.expand(word)
	if !ok || len(d.ports[d.stage]) == maxExposed {
		return
	}
	digits, protocol, _ := strings.Cut(word, "/")
	digits, _, _ = strings.Cut(digits, "-")
	if port := number(digits); port > 0 && port < 1<<16 && (protocol == "" || strings.EqualFold(protocol, "tcp")) {
		d.ports[d.stage] = append(d.ports[d.stage], port)
	}
}

// variables are what the shell's lexer reads.
type variables map[string]string

func (v variables) Get(name string) (string, bool) {
	value, ok := v[name]
	return value, ok
}

func (v variables) Keys() []string { return slices.Collect(maps.Keys(v)) }

// words returns an instruction's arguments.
func words(n *parser.Node) []string {
	var all []string
	for next := n.Next; next != nil; next = next.Next {
		all = append(all, next.Value)
	}
	return all
}
