package bot

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestCommandsIn(t *testing.T) {
	one := func(v verb, argument string) []command { return []command{{v, argument}} }
	tests := map[string]struct {
		body string
		want []command
	}{
		"alone":                      {"/deploy", one(deploy, "")},
		"with an argument":           {"/extend 3d", one(extend, "3d")},
		"tab and trailing space":     {"/extend\t3d \t", one(extend, "3d")},
		"any case":                   {"/DePloy", one(deploy, "")},
		"carriage returns":           {"hello\r\n/destroy\r\nbye\r\n", one(destroy, "")},
		"old line ends":              {"hello\r/status\rbye", one(status, "")},
		"several":                    {"/deploy\n/extend 2w\n\ntext\n\n/help", []command{{deploy, ""}, {extend, "2w"}, {help, ""}}},
		"not first in the line":      {"please /deploy", nil},
		"a longer word":              {"/deployment\n/deploy-now\n/help/me", nil},
		"reset":                      {"/Reset", []command{{Verb: reset}}},
		"pins and logs":              {"/pin\n/Unpin\n/logs web", []command{{pin, ""}, {unpin, ""}, {logs, "web"}}},
		"unknown":                    {"/shrug", nil},
		"a bad argument is kept":     {"/deploy fresh", one(deploy, "fresh")},
		"fenced":                     {"```\n/deploy\n```", nil},
		"fenced with tildes":         {"~~~~ sh\n/deploy\n~~~\n/deploy\n~~~~", nil},
		"fence never closed":         {"```\n/deploy", nil},
		"after a fence":              {"```\n/deploy\n```\n/destroy", one(destroy, "")},
		"indented code":              {"text\n\n    /deploy\n\n\t/deploy", nil},
		"indented by up to three":    {"   /deploy", one(deploy, "")},
		"quoted":                     {"> /deploy\n>/deploy", nil},
		"directly under a quote":     {"> /destroy\n/deploy", one(deploy, "")},
		"a fence in a quote":         {"> ```\n> /destroy\n\n/deploy", one(deploy, "")},
		"in a list":                  {"- /deploy\n1. /deploy", nil},
		"directly under a list":      {"- done\n/deploy", one(deploy, "")},
		"an HTML comment":            {"<!--\n/deploy\n-->", nil},
		"above a signature":          {"/deploy\n--\nana", one(deploy, "")},
		"a heading":                  {"# /deploy", nil},
		"fullwidth slash":            {"／deploy", nil},
		"at most ten":                {strings.Repeat("/help\n", 50), slicesOf(command{help, ""}, maxCommands)},
		"arguments are cut":          {"/extend " + strings.Repeat("x", 500), one(extend, strings.Repeat("x", 99)+"…")},
		"a control character inside": {"/extend 3\x00d", one(extend, "3d")},
		"empty":                      {"", nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, commandsIn(test.body)); diff != "" {
				t.Errorf("%q: (-want +got)\n%s", test.body, diff)
			}
		})
	}
}

func slicesOf(c command, n int) []command {
	s := make([]command, n)
	for i := range s {
		s[i] = c
	}
	return s
}

// Every verb is looked for before Markdown is asked.
func TestCommandLineHasEveryVerb(t *testing.T) {
	for _, u := range usage {
		if got := commandsIn("/" + string(u.verb)); len(got) != 1 || got[0].Verb != u.verb {
			t.Errorf("/%s is read as %v", u.verb, got)
		}
	}
}

func TestCommandOrder(t *testing.T) {
	const day = 24 * time.Hour
	full := strings.Repeat("0a", 20)
	tests := map[string]struct {
		command command
		want    order
		wrong   bool
	}{
		"none":           {command{extend, ""}, order{}, false},
		"days":           {command{extend, "3d"}, order{extend: 3 * day}, false},
		"hours":          {command{extend, "12h"}, order{extend: 12 * time.Hour}, false},
		"weeks":          {command{extend, "2W"}, order{extend: 14 * day}, false},
		"the longest":    {command{extend, "30d"}, order{extend: 30 * day}, false},
		"longer":         {command{extend, "31d"}, order{extend: 30 * day}, false},
		"very long":      {command{extend, "999999999w"}, order{extend: 30 * day}, false},
		"too long":       {command{extend, "9999999999w"}, order{}, true},
		"zero":           {command{extend, "0d"}, order{}, true},
		"negative":       {command{extend, "-3d"}, order{}, true},
		"no unit":        {command{extend, "3"}, order{}, true},
		"another unit":   {command{extend, "3m"}, order{}, true},
		"two":            {command{extend, "1d 2h"}, order{}, true},
		"foreign digit":  {command{extend, "٣d"}, order{}, true},
		"deploy":         {command{deploy, ""}, order{}, false},
		"deploy fresh":   {command{deploy, "Fresh"}, order{fresh: true}, false},
		"a commit":       {command{deploy, "3F2a91c"}, order{commit: "3f2a91c"}, false},
		"a whole commit": {command{deploy, full}, order{commit: full}, false},
		"six digits":     {command{deploy, "3f2a91"}, order{}, true},
		"more than one":  {command{deploy, full + "0"}, order{}, true},
		"no digits":      {command{deploy, "feature"}, order{}, true},
		"fresh and one":  {command{deploy, "fresh 3f2a91c"}, order{}, true},
		"all logs":       {command{logs, ""}, order{}, false},
		"logs of one":    {command{logs, "web-1"}, order{service: "web-1"}, false},
		"logs of two":    {command{logs, "web db"}, order{}, true},
		"logs of a path": {command{logs, "../web"}, order{}, true},
		"help me":        {command{help, "me"}, order{}, true},
		"pin it":         {command{pin, "it"}, order{}, true},
		"unpin":          {command{unpin, ""}, order{}, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, wrong := test.command.order(30 * day)
			if got != test.want || (wrong != "") != test.wrong {
				t.Errorf("order of %v is %+v, %q; want %+v, wrong %v", test.command, got, wrong, test.want, test.wrong)
			}
		})
	}
}

func FuzzCommandsIn(f *testing.F) {
	for _, seed := range []string{
		"/deploy", "> /deploy\n/help", "```\n/deploy", "- a\n  - b\n/extend 3d", "<!--\n/deploy", "[a]: /deploy\n", "/deploy\n---",
		"/deploy 3F2A91C\n/logs web", "/deploy FRESH\n/pin\n/unpin x",
		strings.Repeat(">", 200) + "\n/deploy", strings.Repeat("- ", 200) + "\n/deploy", "\t/deploy\r\n/status",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		found := commandsIn(body)
		if len(found) > maxCommands {
			t.Errorf("%d commands", len(found))
		}
		for _, c := range found {
			if !strings.Contains(strings.ToLower(body), "/"+string(c.Verb)) {
				t.Errorf("%q has no /%s", body, c.Verb)
			}
			if strings.ContainsAny(c.Argument, "\r\n") || len([]rune(c.Argument)) > 100 {
				t.Errorf("argument %q", c.Argument)
			}
			o, wrong := c.order(time.Hour)
			switch {
			case wrong != "" && o != order{}:
				t.Errorf("order of %v is %+v, and wrong: %q", c, o, wrong)
			case o.extend < 0 || o.extend > time.Hour, o.commit != "" && !commitForm.MatchString(o.commit), len(o.service) > 63:
				t.Errorf("order of %v is %+v", c, o)
			case strings.Contains(wrong, "\n"):
				t.Errorf("order of %v is refused in several lines: %q", c, wrong)
			}
		}
	})
}
