package docker

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/docker/docker/pkg/stdcopy"
	"github.com/google/go-cmp/cmp"

	"vitrine/deployments"
)

const stamp = "2026-11-21T08:15:56.123456789Z "

// frames are pieces as an engine sends them: "o" or "e" for the stream, then the piece.
func frames(pieces ...string) []byte {
	var b bytes.Buffer
	for _, p := range pieces {
		kind := stdcopy.Stdout
		if p[0] == 'e' {
			kind = stdcopy.Stderr
		}
		stdcopy.NewStdWriter(&b, kind).Write([]byte(stamp + p[1:]))
	}
	return b.Bytes()
}

func readAll(stream []byte) (texts []string, err error) {
	err = readLines(bytes.NewReader(stream), hiding(), func(l line) error {
		prefix := "out "
		if l.err {
			prefix = "err "
		}
		texts = append(texts, prefix+l.clean())
		return nil
	})
	return texts, err
}

func TestReadLines(t *testing.T) {
	long := strings.Repeat("x", longestLine)
	for name, c := range map[string]struct {
		pieces []string
		want   []string
	}{
		"nothing":             {nil, nil},
		"lines":               {[]string{"oone\n", "etwo\n", "o\n"}, []string{"out one", "err two", "out "}},
		"no break at end":     {[]string{"oone\n", "otwo"}, []string{"out one", "out two"}},
		"pieces":              {[]string{"oone ", "etwo\n", "oline\n"}, []string{"err two", "out one line"}},
		"too long":            {[]string{"o" + long, "o" + long, "oend\n", "onext\n"}, []string{fmt.Sprintf("out %s... (%d bytes more)", long, longestLine+3), "out next"}},
		"colours":             {[]string{"o\x1b[31mred\x1b[0m \x1b]0;title\x07plain\x1b[2K\n"}, []string{"out red plain"}},
		"progress":            {[]string{"o10 %\r50 %\r100 %\r\n"}, []string{"out 100 %"}},
		"not text":            {[]string{"o\xff\x00a\tb\x9b31m\u2028c\n"}, []string{"out ?a b?31m c"}},
		"two lines at once":   {[]string{"oa\nb\n"}, []string{"out ab"}}, // which no engine sends
		"cut inside of runes": {[]string{"o" + strings.Repeat("x", longestLine-1) + "é\n"}, []string{"out " + strings.Repeat("x", longestLine-1) + "?... (1 bytes more)"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := readAll(frames(c.pieces...))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("lines (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReadLinesOfABrokenStream(t *testing.T) {
	whole := frames("oone\n", "otwo\n")
	for name, stream := range map[string][]byte{
		"cut off":      whole[:len(whole)-2],
		"in a header":  whole[:len(whole)-len(stamp)-6],
		"huge":         {1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff},
		"no stream":    {9, 0, 0, 0, 0, 0, 0, 1, 'x'},
		"without time": {1, 0, 0, 0, 0, 0, 0, 4, 'w', 'h', 'y', ' '},
		"engine says":  {3, 0, 0, 0, 0, 0, 0, 4, 'f', 'u', 'l', 'l'},
	} {
		if lines, err := readAll(stream); err == nil {
			t.Errorf("%s: no error, lines %q", name, lines)
		}
	}
	stop := errors.New("enough")
	if err := readLines(bytes.NewReader(whole), hiding(), func(line) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("got %v, want what emit returned", err)
	}
}

// Whatever an engine sends: no panic, and lines that are bounded and can be shown and stored.
func FuzzReadLines(f *testing.F) {
	f.Add(frames("oone\n", "etwo", "o\x1b[31mred\r\n"))
	f.Add([]byte{1, 0, 0, 0, 0, 0, 0, 1, 'x'})
	f.Fuzz(func(t *testing.T, stream []byte) {
		err := readLines(io.LimitReader(bytes.NewReader(stream), 1<<20), hiding("31mred", "xxxxxxxxxxxxxxxxxxxx"), func(l line) error {
			text := l.clean()
			if !utf8.ValidString(text) || len(text) > longestLine+64 || strings.ContainsAny(text, "\n\r\x1b\x00\t") {
				t.Errorf("the line %q", text)
			}
			return nil
		})
		_ = err // a broken stream has one
	})
}

func FuzzKeptLine(f *testing.F) {
	f.Add(stamp + "out text")
	f.Add(time.Now().Format(time.RFC3339Nano) + " err ")
	f.Fuzz(func(t *testing.T, text string) {
		l, err := parseLine(text)
		if err != nil {
			return
		}
		again, err := parseLine(strings.TrimSuffix(formatLine(l), "\n"))
		if err != nil || !again.At.Equal(l.At) || again.Err != l.Err || again.Text != l.Text {
			t.Errorf("%q: %+v and %+v, %v", text, l, again, err)
		}
	})
}

// hiding returns what masks the secrets.
func hiding(secrets ...string) func() *deployments.Mask {
	m := deployments.NewMask(secrets)
	return func() *deployments.Mask { return m }
}

// However a secret is printed, in pieces, with control characters of its own or at a cut, no line shows a part of it.
func TestReadLinesMasks(t *testing.T) {
	const secret = "hunter2-\thunter3"
	nearly := strings.Repeat("x", longestLine-4)
	for name, c := range map[string]struct {
		pieces []string
		want   []string
	}{
		"as it is":         {[]string{"othe key is " + secret + ".\n"}, []string{"out the key is ***."}},
		"in pieces":        {[]string{"othe key is " + secret[:5], "eother\n", "o" + secret[5:] + ".\n"}, []string{"err other", "out the key is ***."}},
		"without an end":   {[]string{"o" + secret}, []string{"out ***"}},
		"over the cut":     {[]string{"o" + nearly + secret + "\n"}, []string{"out " + nearly + "***"}},
		"overwritten":      {[]string{"o" + secret + "\rdone\n"}, []string{"out done"}},
		"of two streams":   {[]string{"o" + secret[:9], "e" + secret[9:] + "\n", "o\n"}, []string{"err " + secret[9:], "out " + strings.ReplaceAll(secret[:9], "\t", " ")}},
		"of another stack": {[]string{"ohunter9\n"}, []string{"out hunter9"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			err := readLines(bytes.NewReader(frames(c.pieces...)), hiding(secret), func(l line) error {
				got = append(got, map[bool]string{false: "out ", true: "err "}[l.err]+l.clean())
				return nil
			})
			if diff := cmp.Diff(c.want, got); diff != "" || err != nil {
				t.Errorf("lines (-want +got):\n%s%v", diff, err)
			}
		})
	}
}
