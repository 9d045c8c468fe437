package report

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// A Report is one run of the benchmark.
type Report struct {
	Facts []Fact // of the machine
	Rows  []Row
	Left  []string // what was not measured, with the reason
}

// A Fact is something of the machine that the figures depend on.
type Fact struct{ Name, Value string }

const introduction = `# Benchmarks

Written by ` + "`make bench`" + `, which measures everything below on one machine in one run and rewrites this file. The contestants of a comparison make
their rounds in turn, in an order that is turned round each time, after one round each that does not count. Ratios are of medians.

`

const repetition = `
## To repeat it

    make bench                                   # as above; about twenty minutes
    make bench ROWS=push ROUNDS=20               # some rows only, more rounds
    make bench ROWS=many OUT=/tmp/many.md        # what a usual run leaves out, into another file

It needs Go, git, bash, a Docker engine, the docker command and docker-compose; ` + "`.ci/prepare bench`" + ` installs them where it may. Everything that it
makes on the engine is removed at the end and after Ctrl-C, but for the build cache, which has no owner.
`

// Markdown writes the report as BENCHMARKS.md.
func (r Report) Markdown(w io.Writer) error {
	var b strings.Builder
	b.WriteString(introduction)
	r.summary(&b)
	for _, row := range r.Rows {
		row.markdown(&b)
	}
	b.WriteString("\n## The machine\n\n| | |\n| --- | --- |\n")
	for _, f := range r.Facts {
		fmt.Fprintf(&b, "| %s | %s |\n", cell(f.Name), cell(f.Value))
	}
	b.WriteString(repetition)
	_, err := io.WriteString(w, b.String())
	return err
}

func (r Report) summary(b *strings.Builder) {
	b.WriteString("| what | measured | bound | |\n| --- | --- | --- | --- |\n")
	for _, row := range r.Rows {
		fmt.Fprintf(b, "| %s | %s | %s | %s |\n", cell(row.Title), cell(row.Result), cell(row.Bound), cell(row.Verdict))
	}
	for _, l := range r.Left {
		fmt.Fprintf(b, "\n%s\n", l)
	}
}

// The columns of a table of figures.
var columns = [...]struct {
	name string
	q    float64
}{{"min", 0}, {"lower quartile", 0.25}, {"median", 0.5}, {"upper quartile", 0.75}, {"max", 1}}

func (r Row) markdown(b *strings.Builder) {
	fmt.Fprintf(b, "\n## %s\n\n%s.\n", strings.ToUpper(r.Title[:1])+r.Title[1:], strings.ToUpper(r.What[:1])+r.What[1:])
	for _, n := range r.Notes {
		fmt.Fprintf(b, "\n%s\n", n)
	}
	fmt.Fprintf(b, "\nMeasured: %s. Bound: %s. Verdict: %s.\n", r.Result, r.Bound, r.Verdict)
	if len(r.Lines) > 0 {
		b.WriteString("\n")
		head(b, "contestant")
		for _, l := range r.Lines {
			figures(b, l.Name+", "+l.Unit, l.Values)
		}
	}
	for _, s := range r.Sides {
		if len(s.Phases) == 0 {
			continue
		}
		fmt.Fprintf(b, "\nThe phases of %s, in ms:\n\n", s.Name)
		head(b, "phase")
		for _, p := range s.Phases {
			figures(b, p.Name, p.Took)
		}
	}
}

func head(b *strings.Builder, first string) {
	fmt.Fprintf(b, "| %s |", first)
	for _, c := range columns {
		fmt.Fprintf(b, " %s |", c.name)
	}
	b.WriteString(" n |\n| --- |" + strings.Repeat(" --: |", len(columns)+1) + "\n")
}

func figures(b *strings.Builder, name string, d Distribution) {
	fmt.Fprintf(b, "| %s |", cell(name))
	for _, c := range columns {
		fmt.Fprintf(b, " %s |", Figure(d.Quantile(c.q)))
	}
	fmt.Fprintf(b, " %d |\n", len(d))
}

// cell keeps a text within its cell.
func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ").Replace(text)
}

// Text writes the report as a table for a terminal.
func (r Report) Text(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range r.Rows {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", row.Title, row.Result, row.Bound, cell(row.Verdict))
		for _, l := range row.Lines {
			fmt.Fprintf(t, "    %s, %s\t%s\tmin %s\tmax %s\n", l.Name, l.Unit,
				Figure(l.Values.Median()), Figure(l.Values.Quantile(0)), Figure(l.Values.Quantile(1)))
		}
		for _, s := range row.Sides {
			for _, p := range s.Phases {
				fmt.Fprintf(t, "        %s: %s\t%s\tmin %s\tmax %s\n", s.Name, p.Name,
					Figure(p.Took.Median()), Figure(p.Took.Quantile(0)), Figure(p.Took.Quantile(1)))
			}
		}
	}
	for _, l := range r.Left {
		fmt.Fprintln(t, l)
	}
	return t.Flush()
}
