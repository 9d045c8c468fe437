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
		"of a later version":         {"/pin\n/logs web", nil},
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

func TestCommandCheck(t *testing.T) {
	const day = 24 * time.Hour
	tests := map[string]struct {
		command command
		want    time.Duration
		wrong   bool
	}{
		"none":          {command{extend, ""}, 0, false},
		"days":          {command{extend, "3d"}, 3 * day, false},
		"hours":         {command{extend, "12h"}, 12 * time.Hour, false},
		"weeks":         {command{extend, "2W"}, 14 * day, false},
		"the longest":   {command{extend, "30d"}, 30 * day, false},
		"longer":        {command{extend, "31d"}, 30 * day, false},
		"very long":     {command{extend, "999999999w"}, 30 * day, false},
		"too long":      {command{extend, "9999999999w"}, 0, true},
		"zero":          {command{extend, "0d"}, 0, true},
		"negative":      {command{extend, "-3d"}, 0, true},
		"no unit":       {command{extend, "3"}, 0, true},
		"another unit":  {command{extend, "3m"}, 0, true},
		"two":           {command{extend, "1d 2h"}, 0, true},
		"foreign digit": {command{extend, "٣d"}, 0, true},
		"deploy":        {command{deploy, ""}, 0, false},
		"deploy fresh":  {command{deploy, "fresh"}, 0, true},
		"help me":       {command{help, "me"}, 0, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			d, wrong := test.command.check(30 * day)
			if d != test.want || (wrong != "") != test.wrong {
				t.Errorf("check(%v) = %v, %q; want %v, wrong %v", test.command, d, wrong, test.want, test.wrong)
			}
		})
	}
}

func FuzzCommandsIn(f *testing.F) {
	for _, seed := range []string{
		"/deploy", "> /deploy\n/help", "```\n/deploy", "- a\n  - b\n/extend 3d", "<!--\n/deploy", "[a]: /deploy\n", "/deploy\n---",
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
			if d, wrong := c.check(time.Hour); d < 0 || d > time.Hour || d > 0 && wrong != "" {
				t.Errorf("check(%v) = %v, %q", c, d, wrong)
			}
		}
	})
}
