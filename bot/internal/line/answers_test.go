package line

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// A shelf answers each path with a text and its tag, as GitHub does.
type shelf struct {
	texts   map[string]string
	reading func(io.Reader) io.Reader // how bodies arrive
	asked   []string                  // the tags that came with the requests
	full    int                       // answers with a body
	left    int                       // of the rate limit
}

func (s *shelf) RoundTrip(r *http.Request) (*http.Response, error) {
	text, tag := s.texts[r.URL.Path], `W/"`+strconv.Itoa(len(s.texts[r.URL.Path]))+s.texts[r.URL.Path][:1]+`"`
	s.asked = append(s.asked, r.Header.Get("If-None-Match"))
	header := http.Header{"Etag": {tag}, "Content-Type": {"application/json"}, "X-Ratelimit-Remaining": {strconv.Itoa(s.left)}}
	if r.Header.Get("If-None-Match") == tag {
		header.Del("Content-Type")
		return answering(http.StatusNotModified, header, strings.NewReader("")), nil
	}
	s.full++
	s.left--
	body := io.Reader(strings.NewReader(text))
	if s.reading != nil {
		body = s.reading(body)
	}
	return answering(http.StatusOK, header, body), nil
}

// get returns the answer's body over a line.
func get(t *testing.T, l http.RoundTripper, path string, header ...string) (*http.Response, string, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://github.test"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	answer, err := l.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	return answer, string(body), err
}

func wantText(t *testing.T, l http.RoundTripper, path, want string, header ...string) *http.Response {
	t.Helper()
	answer, text, err := get(t, l, path, header...)
	if err != nil || text != want || answer.StatusCode != http.StatusOK || answer.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%s: %d, %d bytes, %v, %v; want %d bytes", path, answer.StatusCode, len(text), err, answer.Header, len(want))
	}
	return answer
}

// An answer that GitHub says is still the same is not sent again, and what is said of the rate limit is of now.
func TestAnswersAreKept(t *testing.T) {
	s := &shelf{texts: map[string]string{"/a": "first"}, left: 4000}
	l := trunkOver(t, s.RoundTrip).Line("the App")
	for range 3 {
		wantText(t, l, "/a", "first")
	}
	if answer := wantText(t, l, "/a", "first"); s.full != 1 || answer.Header.Get("X-Ratelimit-Remaining") != "3999" {
		t.Errorf("%d whole answers, %v", s.full, answer.Header)
	}
	s.texts["/a"] = "second"
	wantText(t, l, "/a", "second")
	wantText(t, l, "/a", "second")
	if s.full != 2 {
		t.Errorf("%d whole answers after a change", s.full)
	}
	if len(s.asked) != 6 {
		t.Errorf("%d requests: something was answered without asking GitHub", len(s.asked))
	}
}

// Nobody is answered with what somebody else asked: another installation, another page, another form.
func TestAnswersAreNotMixedUp(t *testing.T) {
	s := &shelf{texts: map[string]string{"/a": "x"}, left: 4000}
	trunk := trunkOver(t, s.RoundTrip)
	one := trunk.Line("installation 1")
	wantText(t, one, "/a", "x")
	wantText(t, trunk.Line("installation 2"), "/a", "x")
	wantText(t, trunk.Line("installation 1"), "/a", "x") // a line of the same name is another one
	wantText(t, one, "/a?page=2", "x")
	wantText(t, one, "/a", "x", "Accept", "application/vnd.github.raw+json")
	wantText(t, one, "/a", "x", "X-GitHub-Api-Version", "2022-11-28")
	for i, tag := range s.asked {
		if tag != "" {
			t.Errorf("request %d asks whether %s is still the same", i, tag)
		}
	}
	// Who asks like that wants the answer.
	if answer, _, _ := get(t, one, "/a", "If-None-Match", `W/"1x"`); answer.StatusCode != http.StatusNotModified {
		t.Errorf("%d", answer.StatusCode)
	}
}

// Only whole answers to reads are kept.
func TestWhatIsNotKept(t *testing.T) {
	broken := errors.New("broken off")
	for name, test := range map[string]struct {
		text    string
		reading func(io.Reader) io.Reader
		err     error
		method  string
		kept    bool
	}{
		"as large as can be": {text: strings.Repeat("x", mostOfOne-100), kept: true},
		"too large":          {text: strings.Repeat("x", mostOfOne+1)},
		"much too large":     {text: strings.Repeat("x", 3*mostOfOne)},
		"byte by byte":       {text: "xyz", reading: iotest.OneByteReader, kept: true},
		"broken off": {text: "xyz", err: broken, reading: func(r io.Reader) io.Reader {
			return io.MultiReader(io.LimitReader(r, 2), iotest.ErrReader(broken))
		}},
		"a write": {text: "xyz", method: http.MethodPost},
	} {
		t.Run(name, func(t *testing.T) {
			s := &shelf{texts: map[string]string{"/a": test.text}, reading: test.reading, left: 4000}
			trunk := trunkOver(t, s.RoundTrip)
			l := trunk.Line("the App")
			for range 2 {
				if test.method != "" {
					if err := ask(t, t.Context(), l, test.method, "/a"); err != nil {
						t.Error(err)
					}
					continue
				}
				if _, text, err := get(t, l, "/a"); !errors.Is(err, test.err) || err == nil && text != test.text {
					t.Errorf("%d bytes, %v", len(text), err)
				}
			}
			if kept := s.asked[1] != ""; kept != test.kept {
				t.Errorf("kept: %t", kept)
			}
			if trunk.answers.bytes > 0 != test.kept {
				t.Errorf("%d bytes are kept", trunk.answers.bytes)
			}
		})
	}
}

// What is kept has a bound in number and in bytes, and what was not asked for the longest time goes first.
func TestAnswersAreBounded(t *testing.T) {
	for name, test := range map[string]struct{ size, count int }{"many": {3, mostAnswers + 50}, "large": {mostOfOne / 2, 3 * mostKept / mostOfOne}} {
		t.Run(name, func(t *testing.T) {
			s := &shelf{texts: map[string]string{}, left: 1 << 30}
			trunk := trunkOver(t, s.RoundTrip)
			l := trunk.Line("the App")
			for i := range test.count {
				path := fmt.Sprint("/", i)
				s.texts[path] = strings.Repeat("x", test.size)
				wantText(t, l, path, s.texts[path])
				wantText(t, l, "/0", s.texts["/0"])
				if i%50 != 0 && i < test.count-5 {
					continue
				}
				sum := 0
				for _, k := range trunk.answers.kept.Values() {
					sum += k.size()
				}
				if trunk.answers.bytes != sum || sum > mostKept || trunk.answers.kept.Len() > mostAnswers {
					t.Fatalf("%d answers with %d bytes are kept, counted as %d", trunk.answers.kept.Len(), sum, trunk.answers.bytes)
				}
			}
			if trunk.answers.kept.Len() == test.count {
				t.Error("everything is kept")
			}
			s.full = 0
			if wantText(t, l, "/0", s.texts["/0"]); s.full != 0 {
				t.Error("what is asked for all the time was forgotten")
			}
			if wantText(t, l, "/1", s.texts["/1"]); s.full != 1 {
				t.Error("what was not asked for the longest time is kept")
			}
		})
	}
}

// A 304 tells of the rate limit as any answer does.
func TestAnUnchangedAnswerIsTheLast(t *testing.T) {
	s := &shelf{texts: map[string]string{"/a": "x"}, left: 4000}
	l := trunkOver(t, func(r *http.Request) (*http.Response, error) {
		answer, err := s.RoundTrip(r)
		answer.Header.Set("X-RateLimit-Reset", strconv.FormatInt(time.Now().Add(time.Minute).Unix(), 10))
		return answer, err
	}).Line("the App")
	wantText(t, l, "/a", "x")
	s.left = 0
	wantText(t, l, "/a", "x")
	_, err := l.RoundTrip(requestOf(t, t.Context()))
	unavailable(t, err, RateLimit)
}
