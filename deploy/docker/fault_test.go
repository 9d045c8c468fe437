package docker

import (
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/google/go-cmp/cmp"
)

func TestReadable(t *testing.T) {
	wide := strings.Repeat("ä", excerptWidth)
	for output, want := range map[string][]string{
		"":                             nil,
		"one\r\n\n  two\t2 \n":         {"one", "  two 2"},
		"\x1b[1;31mred\x1b[0m\x07":     {"red"},
		"\x1b]0;title\x07text\x1b[2K":  {"text"},
		"bad \xff byte":                {"bad ? byte"},
		"1\n2\n3\n4":                   {"2", "3", "4"},
		wide + "more":                  {wide + "..."},
		"unfinished \x1b[":             {"unfinished"},
		"\u0085next\u009b31mline":      {"next31mline"},
		"a\u202eb":                     {"a\u202eb"},
		"\x1b[38;5;196m\x1b[1m\x1b[0m": nil,
	} {
		if diff := cmp.Diff(want, readable(output, 3, nil)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", output, diff)
		}
	}
}

// FuzzReadable holds that whatever a service prints, nothing that steers a terminal is left of it.
func FuzzReadable(f *testing.F) {
	f.Add([]byte("\x1b[31mx\x1b[0m\n"), 2)
	f.Add([]byte("\xff\x1b]0;\x1b\\"), 1)
	f.Fuzz(func(t *testing.T, output []byte, n int) {
		n = max(1, n%50)
		lines := readable(string(output), n, nil)
		if len(lines) > n {
			t.Fatalf("%d lines, want at most %d", len(lines), n)
		}
		for _, line := range lines {
			if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r == 0x7f }) || len([]rune(line)) > excerptWidth+3 {
				t.Fatalf("line %q", line)
			}
		}
	})
}

func TestSeconds(t *testing.T) {
	for d, want := range map[time.Duration]string{
		time.Minute: "60 s", 1500 * time.Millisecond: "1.5 s", 431 * time.Millisecond: "0.43 s", 1234 * time.Millisecond: "1.2 s", 0: "0 s",
	} {
		if got := seconds(d); got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
}

func TestLasted(t *testing.T) {
	const noon = "2026-03-01T12:00:00.5Z"
	for _, test := range []struct{ from, to, want string }{
		{noon, "2026-03-01T12:00:02Z", " after 1.5 s"},
		{noon, "2026-03-01T12:00:00.4Z", " after 0 s"},
		{noon, "0001-01-01T00:00:00Z", ""},
		{noon, "", ""},
	} {
		if got := lasted(&container.State{StartedAt: test.from, FinishedAt: test.to}); got != test.want {
			t.Errorf("from %s to %s: %q, want %q", test.from, test.to, got, test.want)
		}
	}
}
