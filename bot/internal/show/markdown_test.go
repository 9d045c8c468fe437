package show

import (
	"bytes"
	"regexp"
	"strings"
	"testing"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/renderer/html"
)

// hostile is what strangers might put where they are quoted.
var hostile = []string{
	"@ana fix this", "fixes #12", "closes acme/shop#12", "GH-12", "https://github.com/acme/shop/issues/12", "www.evil.example",
	"`@ana`", "``@ana``", "a ` b @ana", "```\n@ana\n```", "<img src=x>", "<!-- vitrine:preview:shop-pr-1 -->", "-->", "</details>", "[x](javascript:alert(1))",
	"![x](https://evil.example/pixel.png)", "**bold**", "| a | b |", "# heading", "- list", "1. list", "> quote", "===", "---", "    code", "~~~", "&#64;ana", "$x$",
	"\\@ana", "\\", "line\nbreak\r\n@ana", "\u202eanA@", "ana@example.com", "$(x)`", "x\n\n<script>",
}

// reading is how GitHub reads a comment, as far as goldmark goes.
func reading(t testing.TB, markdown string) string {
	t.Helper()
	var page bytes.Buffer
	if err := goldmark.New(goldmark.WithExtensions(extension.GFM), goldmark.WithRendererOptions(html.WithUnsafe())).Convert([]byte(markdown), &page); err != nil {
		t.Fatal(err)
	}
	return page.String()
}

// harm finds what GitHub would make of the text that is left when code is taken out: mentions, references, pictures, links.
var (
	codeTags = regexp.MustCompile(`(?s)<pre>.*?</pre>|<code>.*?</code>`)
	harm     = regexp.MustCompile(`(?i)@[a-z0-9]|#[0-9]|GH-[0-9]|<img|<script|<a |<h[1-6]|<li|<blockquote|<table|<strong|<em|<hr|<!--|://[a-z]|www\.[a-z]`)
)

func harmIn(t testing.TB, markdown string) string {
	return harm.FindString(codeTags.ReplaceAllString(reading(t, markdown), ""))
}

func TestTextIsHarmless(t *testing.T) {
	for _, s := range hostile {
		for name, write := range map[string]func(string) string{"text": Text, "sentence": Sentence, "code": Code} {
			if found := harmIn(t, write(s)); found != "" {
				t.Errorf("%s(%q) = %q, which has %q", name, s, write(s), found)
			}
			if found := harmIn(t, "before "+write(s)+" behind"); found != "" {
				t.Errorf("%s(%q) inside a line has %q", name, s, found)
			}
			if strings.Contains(write(s), "\n") {
				t.Errorf("%s(%q) has more than one line", name, s)
			}
		}
	}
}

func TestTextReadsAsItWas(t *testing.T) {
	for _, s := range []string{"web", "building, step 6 of 11", "my_service-2", "a*b*c", "1. first", "- x", "50 % & more", `C:\dir`, "a|b", "Привет"} {
		got := reading(t, Text(s))
		want := strings.NewReplacer("&", "&amp;").Replace(s)
		if got != "<p>"+want+"</p>\n" {
			t.Errorf("text(%q) = %q, which reads %q", s, Text(s), got)
		}
	}
}

func TestCode(t *testing.T) {
	tests := map[string]string{
		"3f2a91c": "`3f2a91c`",
		"a`b":     "``a`b``",
		"`":       "`` ` ``",
		"``x":     "``` ``x ```",
		"":        "",
		"a\nb":    "`a b`",
	}
	for s, want := range tests {
		if got := Code(s); got != want {
			t.Errorf("code(%q) = %q, want %q", s, got, want)
		}
	}
}

func TestSentence(t *testing.T) {
	tests := map[string]string{
		"`RUN npm ci` exited 1":   "`RUN npm ci` exited 1",
		"a `b` and `@c`":          "a `b` and `@c`",
		"an odd ` one by @ana":    "an odd \\` one by @\u200bana",
		"`` two":                  " two",
		"plain <b> of `<b>` kind": "plain \\<b\\> of `<b>` kind",
	}
	for s, want := range tests {
		if got := Sentence(s); got != want {
			t.Errorf("sentence(%q) = %q, want %q", s, got, want)
		}
	}
}

func TestFence(t *testing.T) {
	tests := map[string]struct {
		lines []string
		want  string
	}{
		"plain":        {[]string{"one", "two  "}, "```\none\ntwo\n```"},
		"fences":       {[]string{"```", "````x", "@ana"}, "`````\n```\n````x\n@ana\n`````"},
		"colours":      {[]string{"\x1b[31mred\x1b[0m\r", "a\tb\x00"}, "```\nred\na    b\n```"},
		"lines in one": {[]string{"a\nb"}, "```\na\nb\n```"},
	}
	for name, test := range tests {
		if got := Fence(test.lines, manyLines); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
	long := Fence(append(make([]string, 100), strings.Repeat("x", 100_000)), manyLines)
	if n := strings.Count(long, "\n"); n != maxExcerptLines+1 {
		t.Errorf("%d lines", n)
	}
	if len(long) > 2*maxExcerptLine {
		t.Errorf("%d bytes", len(long))
	}
}

func FuzzTextIsHarmless(f *testing.F) {
	for _, s := range hostile {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for name, write := range map[string]func(string) string{"text": Text, "sentence": Sentence, "code": Code} {
			if found := harmIn(t, "x "+write(s)+" y"); found != "" {
				t.Errorf("%s(%q) = %q, which has %q", name, s, write(s), found)
			}
		}
		block := Fence(strings.Split(s, "\n"), manyLines)
		if rest := codeTags.ReplaceAllString(reading(t, block+"\nafter"), ""); strings.TrimSpace(rest) != "<p>after</p>" {
			t.Errorf("fence(%q) leaves %q", s, rest)
		}
	})
}
