package show

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of what strangers may put into a text of ours.
const (
	maxSentence     = 2000 // characters
	maxExcerptLines = 20
	maxExcerptLine  = 400      // characters
	maxName         = 63       // characters of a service's name
	maxRead         = 16 << 10 // bytes of a line that are looked at
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

// Plain makes one line of s, without what colours terminals and characters that move others about, cut to max characters.
func Plain(s string, max int) string {
	s = ansi.ReplaceAllString(s[:min(len(s), maxRead)], "")
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

// Text writes s as plain text that neither breaks the Markdown around it nor mentions, references or links anything.
func Text(s string) string {
	return escape(Plain(s, maxSentence))
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

// Sentence is text for our own sentences, which set strangers' words in backticks: these become code. The backticks of a word cannot undo the
// others' protection, as what lies outside is escaped.
func Sentence(s string) string {
	parts := strings.Split(Plain(s, maxSentence), "`")
	if len(parts)%2 == 0 {
		return Text(s)
	}
	var b strings.Builder
	for i, part := range parts {
		if i%2 == 0 {
			b.WriteString(escape(part))
		} else {
			b.WriteString(Code(part))
		}
	}
	return b.String()
}

// Code writes s as inline code, in which GitHub looks for nothing. It does not fit into a table where s holds a '|'.
func Code(s string) string {
	s = Plain(s, maxSentence)
	if s == "" {
		return ""
	}
	mark := strings.Repeat("`", longestRun(s)+1)
	if strings.HasPrefix(s, "`") || strings.HasSuffix(s, "`") {
		s = " " + s + " "
	}
	return mark + s + mark
}

// Fence writes the last of the lines, at most that many characters of them, as a block of code that none of them can end.
func Fence(lines []string, most int) string {
	lines = strings.Split(strings.Join(tail(lines), "\n"), "\n")
	var kept []string
	for _, line := range slices.Backward(tail(lines)) {
		line = printed(line)
		if most -= utf8.RuneCountInString(line) + 1; most < 0 {
			break
		}
		kept = append(kept, line)
	}
	slices.Reverse(kept)
	block := strings.Join(kept, "\n")
	mark := strings.Repeat("`", max(3, longestRun(block)+1))
	return mark + "\n" + block + "\n" + mark
}

// printed is a line without what moves a terminal about, cut.
func printed(line string) string {
	line = strings.ReplaceAll(ansi.ReplaceAllString(line[:min(len(line), maxRead)], ""), "\t", "    ")
	line = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029' {
			return -1
		}
		return r
	}, line)
	return cut(strings.TrimRight(line, " "), maxExcerptLine)
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

// HostLink is a link to the preview whose host has the label, named by its host; address makes a preview's URL of a label.
func HostLink(address func(label string) string, label string) string {
	name := label
	if u, err := url.Parse(address(label)); err == nil && u.Hostname() != "" {
		name = u.Hostname()
	}
	return fmt.Sprintf("[%s](%s)", name, address(label))
}
