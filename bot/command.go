package bot

import (
	"bytes"
	"fmt"
	"iter"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/parser"
	goldtext "github.com/yuin/goldmark/text"
)

// maxCommands is how many commands of one comment count.
const maxCommands = 10

// A verb is what a command does.
type verb string

// The verbs of the grammar. What is not among them is no command.
const (
	deploy  verb = "deploy"
	extend  verb = "extend"
	reset   verb = "reset"
	destroy verb = "destroy"
	pin     verb = "pin"
	unpin   verb = "unpin"
	logs    verb = "logs"
	status  verb = "status"
	help    verb = "help"
)

// A command is one line of a comment.
type command struct {
	Verb     verb   `json:"verb"`
	Argument string `json:"argument,omitempty"` // the rest of the line, as it was written
}

// usage is the right form of each command, and what it does.
var usage = []struct {
	verb   verb
	form   string
	does   string
	change bool // needs write access
}{
	{deploy, "/deploy [fresh | <sha>]", "deploys the head again, `fresh` without a cache and on bases that are pulled anew; of a fork it approves the head, which `<sha>` names", true},
	{extend, "/extend [duration]", "keeps the preview longer: `3d`, `12h`, `2w`", true},
	{reset, "/reset", "begins with fresh data: removes the preview's volumes and runs every init job again; same URL, same commit", true},
	{destroy, "/destroy", "removes the preview until the next push or `/deploy`", true},
	{pin, "/pin", "keeps the preview until `/unpin`: it does not expire", true},
	{unpin, "/unpin", "lets the preview expire again", true},
	{logs, "/logs [service]", "shows the last lines that the services have printed, with what is secret masked", true},
	{status, "/status", "says how the preview is", false},
	{help, "/help", "shows this list", false},
}

// changes reports whether the command needs write access.
func (v verb) changes() bool {
	for _, u := range usage {
		if u.verb == v {
			return u.change
		}
	}
	return true
}

// commandsIn returns the commands of a comment: one a line, the first thing in it, in any case of letters. Lines within code and within HTML (so,
// HTML comments) do not count, nor those that begin with the mark of a quote or a list; Markdown decides what is what (CommonMark 0.31).
func commandsIn(body string) []command {
	source := []byte(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(body))
	if !commandLine.Match(source) {
		return nil
	}
	source = nesting.ReplaceAll(source, []byte("$1"))
	var found []command
	blocks := parser.NewParser(parser.WithBlockParsers(parser.DefaultBlockParsers()...))
	for n := range paragraphs(blocks.Parse(goldtext.NewReader(source))) {
		for _, line := range n.Lines().Sliced(0, n.Lines().Len()) {
			begin := bytes.LastIndexByte(source[:line.Start], '\n') + 1
			before := source[begin:line.Start]
			if len(before) > 3 || len(bytes.TrimLeft(before, " ")) > 0 {
				continue
			}
			if c, ok := parseCommand(string(line.Value(source))); ok && len(found) < maxCommands {
				found = append(found, c)
			}
		}
	}
	return found
}

// nesting matches a line's beginning that nests quotes or lists deeper than anybody writes, which takes a parser seconds to unfold; $1 is deep enough.
var nesting = regexp.MustCompile(`(?m)^([>\-+*0-9.) \t]{200})[>\-+*0-9.) \t]+`)

// paragraphs yields the document's paragraphs and headings in their order, however deep they lie. A heading may be a command's line with a line of
// dashes, a signature's, below it.
func paragraphs(document ast.Node) iter.Seq[ast.Node] {
	return func(yield func(ast.Node) bool) {
		n := document
		for n != nil {
			if k := n.Kind(); (k == ast.KindParagraph || k == ast.KindHeading || k == ast.KindTextBlock) && !yield(n) {
				return
			}
			if child := n.FirstChild(); child != nil && child.Type() == ast.TypeBlock {
				n = child
				continue
			}
			for n != nil && n.NextSibling() == nil {
				n = n.Parent()
			}
			if n != nil {
				n = n.NextSibling()
			}
		}
	}
}

// commandLine matches where a command may be, before Markdown is asked.
var commandLine = regexp.MustCompile(`(?im)^ {0,3}/(deploy|extend|reset|destroy|pin|unpin|logs|status|help)\b`)

// parseCommand reads one line.
func parseCommand(line string) (command, bool) {
	word, argument, _ := strings.Cut(strings.TrimSpace(line), " ")
	if tab := strings.IndexByte(word, '\t'); tab >= 0 {
		word, argument = word[:tab], word[tab:]+" "+argument
	}
	name, ok := strings.CutPrefix(word, "/")
	if !ok {
		return command{}, false
	}
	for _, u := range usage {
		if strings.EqualFold(name, string(u.verb)) {
			return command{Verb: u.verb, Argument: plain(argument, 100)}, true
		}
	}
	return command{}, false
}

// An order is a command's argument, read.
type order struct {
	fresh   bool          // of /deploy
	commit  string        // of /deploy: what the head's name begins with, in lower case; empty where it does not say
	extend  time.Duration // of /extend; 0 where it does not say
	service string        // of /logs; empty for all
}

// order reads the command's argument, or returns the right form of a command that has it wrong. An /extend is cut to max.
func (c command) order(max time.Duration) (o order, wrong string) {
	argument := c.Argument
	switch c.Verb {
	case deploy:
		o.fresh = strings.EqualFold(argument, "fresh")
		if !o.fresh && argument != "" {
			o.commit = strings.ToLower(argument)
			if !commitForm.MatchString(o.commit) {
				return order{}, fmt.Sprintf("%s is no commit. The right forms are `/deploy`, `/deploy fresh`, and `/deploy 3f2a91c` with 7 to 40 digits of the head.", code(argument))
			}
		}
	case extend:
		ok := true
		if argument != "" {
			o.extend, ok = parseDuration(argument, max)
		}
		if !ok {
			return order{}, fmt.Sprintf("%s is no duration. The right form is `/extend 3d`, with `h` for hours, `d` for days or `w` for weeks.", code(argument))
		}
	case logs:
		o.service = argument
		if !serviceForm.MatchString(argument) {
			return order{}, fmt.Sprintf("%s is no service. The right forms are `/logs`, and `/logs web` with the name of one service.", code(argument))
		}
	default:
		if argument != "" {
			return order{}, fmt.Sprintf("`/%s` stands alone in its line, without %s.", c.Verb, code(argument))
		}
	}
	return o, ""
}

var (
	commitForm  = regexp.MustCompile(`^[0-9a-f]{7,40}$`)
	serviceForm = regexp.MustCompile(`^([a-zA-Z0-9][a-zA-Z0-9._-]{0,62})?$`) // as compose has them
)

var durationForm = regexp.MustCompile(`^([0-9]{1,9})([hdwHDW])$`)

// parseDuration reads "12h", "3d" or "2w", above zero. What is longer than max is cut to it.
func parseDuration(s string, max time.Duration) (time.Duration, bool) {
	m := durationForm.FindStringSubmatch(s)
	if m == nil {
		return 0, false
	}
	unit := map[string]time.Duration{"h": time.Hour, "d": 24 * time.Hour, "w": 7 * 24 * time.Hour}[strings.ToLower(m[2])]
	n, err := strconv.ParseInt(m[1], 10, 64)
	if err != nil || n == 0 {
		return 0, false
	}
	if n > int64(max/unit) {
		return max, true
	}
	return time.Duration(n) * unit, true
}
