package bot

import (
	"regexp"
	"strings"
	"unicode"
)

// Bounds of what strangers may put into a comment. GitHub takes 65,536 characters for a whole one.
const (
	maxSentence     = 2000 // characters
	maxExcerptLines = 20
	maxExcerptLine  = 400 // characters
)

// broken is put where GitHub's rendering would find a mention, a reference or a link in plain text. It shows nothing (ZERO WIDTH SPACE).
const broken = "\u200b"

var (
	// inlineMarks are the characters that mean something in the middle of a line of GitHub's Markdown. Each may be escaped (CommonMark §2.4).
	inlineMarks = regexp.MustCompile("[\\\\`*_\\[\\]<>#|~&$]")
	// lineMarks begin a block: a list, a quote, an underline of a heading.
	lineMarks = regexp.MustCompile(`^([-+=])`)
	numbered  = regexp.MustCompile(`^([0-9]{1,9})([.)])`)
	// references are found by GitHub in the rendered text, whatever escapes the source has: mentions, issue numbers, bare addresses.
	references = regexp.MustCompile(`(?i)@|#|gh-|://|www\.`)
)

// plain makes one line of s, without characters that move others about, cut to max characters.
func plain(s string, max int) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case r == unicode.ReplacementChar, unicode.IsControl(r), unicode.Is(unicode.Cf, r):
			return -1
		default:
			return r
		}
	}, s)
	return cut(strings.Join(strings.Fields(s), " "), max)
}

// cut shortens s to max characters, the last of them a sign that something is missing.
func cut(s string, max int) string {
	if len(s) <= max {
		return s
	}
	if r := []rune(s); len(r) > max {
		return string(r[:max-1]) + "…"
	}
	return s
}

// text writes s as plain text that neither breaks the Markdown around it nor mentions, references or links anything.
func text(s string) string {
	return escape(plain(s, maxSentence))
}

// escape is text for what is one line already, or a part of one.
func escape(s string) string {
	s = inlineMarks.ReplaceAllString(s, `\$0`)
	s = lineMarks.ReplaceAllString(s, `\$1`)
	s = numbered.ReplaceAllString(s, `$1\$2`)
	return references.ReplaceAllStringFunc(s, func(m string) string {
		if m == "://" {
			return ":" + broken + "//"
		}
		return m + broken
	})
}

// sentence is text for our own sentences, which set strangers' words in backticks: these become code. The backticks of a word cannot undo the
// others' protection, as what lies outside is escaped.
func sentence(s string) string {
	parts := strings.Split(plain(s, maxSentence), "`")
	if len(parts)%2 == 0 {
		return text(s)
	}
	var b strings.Builder
	for i, part := range parts {
		if i%2 == 0 {
			b.WriteString(escape(part))
		} else {
			b.WriteString(code(part))
		}
	}
	return b.String()
}

// code writes s as inline code, in which GitHub looks for nothing. It does not fit into a table where s holds a '|'.
func code(s string) string {
	s = plain(s, maxSentence)
	if s == "" {
		return ""
	}
	mark := strings.Repeat("`", longestRun(s)+1)
	if strings.HasPrefix(s, "`") || strings.HasSuffix(s, "`") {
		s = " " + s + " "
	}
	return mark + s + mark
}

// fence writes the last of the lines as a block of code that none of them can end.
func fence(lines []string) string {
	lines = strings.Split(strings.Join(tail(lines), "\n"), "\n")
	var b strings.Builder
	for _, line := range tail(lines) {
		line = strings.ReplaceAll(ansi.ReplaceAllString(line, ""), "\t", "    ")
		line = strings.Map(func(r rune) rune {
			if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029' {
				return -1
			}
			return r
		}, line)
		b.WriteString(cut(strings.TrimRight(line, " "), maxExcerptLine) + "\n")
	}
	mark := strings.Repeat("`", max(3, longestRun(b.String())+1))
	return mark + "\n" + b.String() + mark
}

func tail(lines []string) []string { return lines[max(0, len(lines)-maxExcerptLines):] }

// ansi matches the sequences that colour a terminal (ECMA-48 §5.4).
var ansi = regexp.MustCompile("\x1b\\[[0-9;?]*[ -/]*[@-~]")

// longestRun returns how many backticks stand side by side at most.
func longestRun(s string) int {
	longest, run := 0, 0
	for _, r := range s {
		if r != '`' {
			run = 0
			continue
		}
		run++
		longest = max(longest, run)
	}
	return longest
}
