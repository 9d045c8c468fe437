package report

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

func sides() (ours, other Spans) {
	ours, other = Spans{Name: "Vitrine"}, Spans{Name: "the floor"}
	for i := range 3 {
		more := time.Duration(i) * time.Millisecond
		ours.Add(900*time.Millisecond+more, []Phase{
			{"webhook to claim", 20*time.Millisecond + more}, {"building", 280 * time.Millisecond}, {"starting", 600 * time.Millisecond},
		})
		other.Add(600*time.Millisecond, []Phase{{"building", 250 * time.Millisecond}, {"starting", 350 * time.Millisecond}})
	}
	return ours, other
}

func TestReport(t *testing.T) {
	ours, floor := sides()
	webhooks := Row{
		Title: "webhook answers", What: "the time to an answer",
		Lines:  []Line{{Name: "answer", Unit: "ms", Values: Distribution{1.25, 2.5, 12, 140}}},
		Result: "p99 136 ms", Bound: "p99 at most 10.0 ms", Verdict: "does not hold", Notes: []string{"What was sent."},
	}
	r := Report{
		Facts: []Fact{{"processor", "a | b, 2 cores"}, {"load before", "0.10 0.20 0.30"}},
		Rows: []Row{
			Missing("push to live, against the CI script", "from the webhook to the first byte", errors.New("no docker-compose\nhere")),
			Compare("push to live, against the floor", "from the webhook to the first byte", ours, floor, 1.3),
			webhooks,
		},
		Left: []string{"Not measured yet: the wake."},
	}
	var markdown, text strings.Builder
	if err := r.Markdown(&markdown); err != nil {
		t.Fatal(err)
	}
	if err := r.Text(&text); err != nil {
		t.Fatal(err)
	}
	golden(t, "report.md", markdown.String())
	golden(t, "report.txt", text.String())
}

// golden compares a text with a file of testdata, which `go test -update` writes.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

func TestCompare(t *testing.T) {
	ours, other := sides()
	tests := []struct {
		name    string
		bound   float64
		result  string
		verdict string
	}{
		{"within the bound", 1.6, "1.50 x", Holds},
		{"beyond it", 1.3, "1.50 x", `does not hold: "starting" takes 600 ms, 250 ms more`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			row := Compare("title", "what", ours, other, test.bound)
			if row.Result != test.result || row.Verdict != test.verdict {
				t.Errorf("Compare says %q, %q; want %q, %q", row.Result, row.Verdict, test.result, test.verdict)
			}
		})
	}
	t.Run("a phase that only we have", func(t *testing.T) {
		slow := Spans{Name: "Vitrine"}
		slow.Add(time.Second, []Phase{{"queued", 400 * time.Millisecond}, {"building", 600 * time.Millisecond}})
		if got, want := Compare("", "", slow, other, 1).Verdict, `does not hold: "queued" takes 400 ms`; got != want {
			t.Errorf("the verdict is %q, want %q", got, want)
		}
	})
	t.Run("nothing measured", func(t *testing.T) {
		if got := Compare("", "", Spans{}, other, 1).Verdict; got == Holds {
			t.Errorf("the verdict on nothing is %q", got)
		}
	})
}

func TestSpansAddUpAPhaseThatComesTwice(t *testing.T) {
	var s Spans
	s.Add(30*time.Millisecond, []Phase{{"a", 10 * time.Millisecond}, {"b", 5 * time.Millisecond}, {"a", 15 * time.Millisecond}})
	want := []PhaseSpans{{"a", Distribution{25}}, {"b", Distribution{5}}}
	if diff := cmp.Diff(want, s.Phases); diff != "" {
		t.Errorf("phases (-want +got):\n%s", diff)
	}
}

func TestStopwatch(t *testing.T) {
	now := time.Unix(100, 0)
	s := NewStopwatch(func() time.Time { return now })
	now = now.Add(time.Second)
	s.Lap("fetching")
	s.LapAt("building", now.Add(2*time.Second))
	want := []Phase{{"fetching", time.Second}, {"building", 2 * time.Second}}
	if diff := cmp.Diff(want, s.Phases()); diff != "" {
		t.Errorf("phases (-want +got):\n%s", diff)
	}
	if s.Total() != 3*time.Second {
		t.Errorf("Total is %s, want 3s", s.Total())
	}
}
