package deployments_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"vitrine/deployments"
)

func TestMask(t *testing.T) {
	const long = "sk_live_51Habcdefghijklmnop"
	tests := map[string]struct{ secret, in, want string }{
		"as it is":                   {"hunter2", "password=hunter2;", "password=***;"},
		"twice":                      {"hunter2", "hunter2hunter2 hunter2", "*** ***"},
		"overlapping itself":         {"abaaba", "xabaabaabay", "x***y"},
		"too short to be a secret":   {"debug", "debug", "debug"},
		"long":                       {long, "key " + long + ".", "key ***."},
		"cut off":                    {long, "key " + long[:18] + "...", "key ***..."},
		"the end of it":              {long, "..." + long[5:], "...***"},
		"too little of it":           {long, "key " + long[:15], "key " + long[:15]},
		"in quotes":                  {"a\"b\\c\td", fmt.Sprintf("%q", "a\"b\\c\td"), `"***"`},
		"in JSON":                    {"a<b>c&d", `{"key":"a\u003cb\u003ec\u0026d"}`, `{"key":"***"}`},
		"in an URL":                  {"p@ss/word", "postgres://u:" + url.QueryEscape("p@ss/word") + "@db", "postgres://u:***@db"},
		"in base64":                  {"hunter2", "Basic " + base64.StdEncoding.EncodeToString([]byte("hunter2")), "Basic ***"},
		"one of its lines":           {"first line\nsecond line\r\n", "web | second line\n", "web | ***\n"},
		"a short line of it":         {"first line\n-\n", "- item", "- item"},
		"with space around it":       {" hunter2\n", "hunter2", "***"},
		"nothing":                    {"", "text", "text"},
		"a line's end in the middle": {"hunter2", "hunt\ner2", "hunt\ner2"},
	}
	for name, tt := range tests {
		if got := deployments.NewMask([]string{tt.secret}).String(tt.in); got != tt.want {
			t.Errorf("%s: got %q, want %q", name, got, tt.want)
		}
	}
}

func TestMaskOfWhatWasCut(t *testing.T) {
	const long = "sk_live_51Habcdefghijklmnop"
	for name, tt := range map[string]struct{ secret, in, cut, rest string }{
		"the beginning of one":       {"hunter2", "is hunt", "is ", "is hunt"},
		"the end of one":             {"hunter2", "er2 it is", "er2 it is", " it is"},
		"a whole one at both ends":   {"hunter2", "hunter2 hunter2", "*** ***", "*** ***"},
		"one that overlaps itself":   {"abaaba", "x abaaba", "x ***", "x ***"},
		"the beginning of a long":    {long, "key " + long[:15], "key ", "key " + long[:15]},
		"the end of a long":          {long, long[len(long)-15:] + " key", long[len(long)-15:] + " key", " key"},
		"more of a long":             {long, long[9:] + " key " + long[:20], "*** key ***", "*** key ***"},
		"all that there is":          {"hunter2", "hunt", "", "hunt"},
		"nothing":                    {"hunter2", "", "", ""},
		"nothing that belongs to it": {"hunter2", "it is", "it is", "it is"},
	} {
		m := deployments.NewMask([]string{tt.secret})
		if got := m.Cut(tt.in); got != tt.cut {
			t.Errorf("%s: the end of %q cut off shows %q, want %q", name, tt.in, got, tt.cut)
		}
		if got := m.Rest(tt.in); got != tt.rest {
			t.Errorf("%s: the beginning of %q cut off shows %q, want %q", name, tt.in, got, tt.rest)
		}
	}
}

// Wherever a text is cut, neither side shows at the cut what belongs to a secret.
func TestMaskOfAnyCut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		secret := rapid.StringMatching(`[a-z]{6,40}`).Draw(t, "secret")
		text := "before: " + secret + " :after"
		at := rapid.IntRange(len("before: "), len("before: "+secret)).Draw(t, "at")
		m := deployments.NewMask([]string{secret})
		if got := m.Cut(text[:at]); got != "before: " && got != "before: ***" {
			t.Errorf("the beginning is %q", got)
		}
		if got := m.Rest(text[at:]); got != " :after" && got != "*** :after" {
			t.Errorf("the rest is %q", got)
		}
	})
}

func TestMaskFault(t *testing.T) {
	m := deployments.NewMask([]string{"hunter2"})
	f := &deployments.Fault{Kind: deployments.FaultStart, Service: "web", Where: "x:1", Reason: "hunter2 is wrong", Excerpt: []string{"a", "got hunter2"},
		Violations: []deployments.Violation{{File: "x", Line: 1, Message: "hunter2", Rewrite: "not hunter2"}}}
	want := &deployments.Fault{Kind: deployments.FaultStart, Service: "web", Where: "x:1", Reason: "*** is wrong", Excerpt: []string{"a", "got ***"},
		Violations: []deployments.Violation{{File: "x", Line: 1, Message: "***", Rewrite: "not ***"}}}
	if diff := cmp.Diff(want, m.Fault(f)); diff != "" {
		t.Error(diff)
	}
	if f.Reason != "hunter2 is wrong" || f.Excerpt[1] != "got hunter2" || f.Violations[0].Message != "hunter2" {
		t.Error("the Fault itself was changed")
	}
	if m.Fault(nil) != nil {
		t.Error("of no Fault became one")
	}
}

// However a text is cut into writes, what comes out is what the whole text makes, and has no secret in it, nor sixteen bytes in a row of one.
func TestMaskOverAnyChunking(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		letters := rapid.StringOfN(rapid.SampledFrom([]rune("ab\n%")), 0, 8, -1)
		secrets := rapid.SliceOfN(rapid.OneOf(
			rapid.StringOfN(rapid.SampledFrom([]rune("ab%\n")), 6, 40, -1), rapid.StringMatching(`[A-Za-z0-9+/=$"\\ -]{6,40}`),
		), 1, 4).Draw(t, "secrets")
		parts := rapid.SliceOfN(rapid.OneOf(letters, rapid.SampledFrom(secrets), rapid.Custom(func(t *rapid.T) string {
			s := rapid.SampledFrom(secrets).Draw(t, "of")
			return s[:rapid.IntRange(0, len(s)).Draw(t, "cut at")]
		})), 0, 12).Draw(t, "parts")
		text := strings.Join(parts, "")
		m := deployments.NewMask(secrets)

		var out bytes.Buffer
		w := m.Writer(&out)
		for rest := text; rest != ""; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "chunk")
			if written, err := w.Write([]byte(rest[:n])); written != n || err != nil {
				t.Fatalf("wrote %d of %d: %v", written, n, err)
			}
			rest = rest[n:]
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if whole := m.String(text); out.String() != whole {
			t.Fatalf("in chunks %q, as a whole %q", out.String(), whole)
		}
		for _, s := range secrets {
			for line := range strings.Lines(s) {
				line = strings.TrimSpace(line)
				if len(line) >= 6 && shows(out.String(), line) {
					t.Fatalf("%q shows %q", out.String(), line)
				}
			}
		}
	})
}

// shows reports whether a text shows a secret line, or sixteen bytes of it, between the marks of what is masked.
func shows(text, line string) bool {
	for visible := range strings.SplitSeq(text, "***") {
		for i := 0; i+min(16, len(line)) <= len(line); i++ {
			if strings.Contains(visible, line[i:i+min(16, len(line))]) {
				return true
			}
		}
	}
	return false
}

func TestMaskWriterTellsErrors(t *testing.T) {
	full := errors.New("full")
	if _, err := deployments.NewMask([]string{"hunter2"}).Writer(broken{full}).Write([]byte("line\n")); !errors.Is(err, full) {
		t.Errorf("the error is %v", err)
	}
}

type broken struct{ err error }

func (b broken) Write([]byte) (int, error) { return 0, b.err }
