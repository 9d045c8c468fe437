package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"vitrine/cmd/bench/report"
	"vitrine/cmd/bench/world"
)

// A cli is the command line.
type cli struct {
	Measure measureCommand `cmd:"" default:"withargs" help:"Measure and write the report."`
	Fixed   fixedCommand   `cmd:"" name:"fixed-proxy" hidden:"" help:"Run what the built-in proxy is compared with."`
}

type measureCommand struct{ options }

// Run measures.
func (c *measureCommand) Run(ctx context.Context, to console) error {
	c.log = to.err
	return bench(ctx, c.options, to.out)
}

// A console is where a command prints.
type console struct{ out, err io.Writer }

// options are what the benchmark can be told.
type options struct {
	Rounds int      `default:"10" help:"How many rounds each contestant makes."`
	Rows   []string `default:"push,webhooks,proxy,stacks,many" help:"What to measure: ${rows}."`
	Out    string   `default:"BENCHMARKS.md" type:"path" help:"File to write."`
	Binary string   `default:"bin/vitrine" type:"path" help:"The vitrine command to measure, as make build makes it."`

	log io.Writer
}

// Validate reports what makes no sense. Kong calls it after parsing.
func (o *options) Validate() error {
	if o.Rounds < 1 {
		return fmt.Errorf("rounds: %d is less than 1", o.Rounds)
	}
	for _, name := range o.Rows {
		if !slices.ContainsFunc(measurements(), func(m measurement) bool { return m.name == name }) {
			return fmt.Errorf("rows: there is no %q; there are %s", name, measurementNames())
		}
	}
	return nil
}

// openWorld opens the world that something is measured in. env are further variables for its serve.
func (o options) openWorld(ctx context.Context, env ...string) (*world.World, error) {
	return world.Open(ctx, world.Config{Binary: o.Binary, Env: env, Log: o.log, RemoveBase: removeBase})
}

// A measurement makes rows of the report. Beside an error it may still return rows.
type measurement struct {
	name    string
	measure func(context.Context, options) ([]report.Row, error)
}

// measurements are those that there are, in the order of the report.
func measurements() []measurement {
	return []measurement{
		{"push", pushToLive},
		{"webhooks", webhooks},
		{"proxy", proxied},
		{"stacks", stacks},
		{"many", many},
	}
}

func measurementNames() string {
	var names []string
	for _, m := range measurements() {
		names = append(names, m.name)
	}
	return strings.Join(names, ", ")
}

// run carries out one command line and returns its exit code: 1 where something could not be measured, 2 where the command line makes no sense. A
// bound that does not hold is a result and no failure.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	exited := -1
	parser, err := kong.New(&cli{},
		kong.Name("bench"),
		kong.Description("Measures Vitrine on this machine and writes BENCHMARKS.md."),
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { exited = code }),
		kong.Vars{"rows": measurementNames()},
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(console{stdout, stderr}),
	)
	if err != nil {
		fmt.Fprintln(stderr, "bench:", err)
		return 1
	}
	command, err := parser.Parse(args)
	if exited >= 0 {
		return exited
	}
	if err != nil {
		fmt.Fprintf(stderr, "bench: %v\n", err)
		return 2
	}
	if err := command.Run(); err != nil {
		fmt.Fprintf(stderr, "bench: %v\n", err)
		return 1
	}
	return 0
}

// bench measures and writes the report, also where a part of it could not be measured; not where it was interrupted.
func bench(ctx context.Context, o options, stdout io.Writer) error {
	facts, err := machine(ctx, time.Now())
	if err != nil {
		return err
	}
	r := report.Report{Facts: facts, Left: []string{"Not measured yet: the wake from pause and from stop, as sleep is not built."}}
	var errs []error
	for _, m := range measurements() {
		if !slices.Contains(o.Rows, m.name) {
			r.Left = append(r.Left, fmt.Sprintf("Not measured in this run: `%s`.", m.name))
			continue
		}
		fmt.Fprintf(o.log, "%s:\n", m.name)
		rows, err := m.measure(ctx, o)
		if ctx.Err() != nil {
			return errors.Join(errors.New("interrupted; nothing was written"), err)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("measure %s: %w", m.name, err))
		}
		if len(rows) == 0 && err != nil {
			rows = []report.Row{report.Missing(m.name, "it failed", err)}
		}
		r.Rows = append(r.Rows, rows...)
	}
	errs = append(errs, r.Text(stdout), write(r, o.Out))
	return errors.Join(errs...)
}

// write replaces the file with the report.
func write(r report.Report, path string) error {
	var text strings.Builder
	if err := r.Markdown(&text); err != nil {
		return err
	}
	if err := os.WriteFile(path, []byte(text.String()), 0o644); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}
