package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/alecthomas/kong"

	"vitrine/cmd/internal/shop"
)

// The exit codes.
const (
	exitOK       = 0
	exitFailed   = 1
	exitUsage    = 2
	exitNotFound = 3
)

// A cli is the command line: every command, flag, environment variable, default and help text.
type cli struct {
	Serve   serveCommand   `cmd:"" help:"Hear webhooks, deploy previews and proxy them."`
	Demo    demoCommand    `cmd:"" help:"Try Vitrine against a simulated GitHub and a real Docker engine. Leaves nothing behind."`
	Doctor  doctorCommand  `cmd:"" help:"Check the engine, the configuration and the neighbours, and say how to mend each."`
	Check   checkCommand   `cmd:"" help:"Say what a deploy would say of a folder: its .vitrine.yml, its compose files and the policy."`
	Env     envCommand     `cmd:"" help:"Keep a repository's Variables: values for its previews that are not in git."`
	Logs    logsCommand    `cmd:"" help:"Show what a preview's services print, and printed before they were removed."`
	Usage   usageCommand   `cmd:"" help:"Show what previews take: memory, processors, disk."`
	Version versionCommand `cmd:"" help:"Print the version."`
	Sample  shop.Command   `cmd:"" hidden:"" help:"Run one service of the demo's sample repository."`

	Firewall firewallCommand `cmd:"" hidden:"" help:"What the firewall runs in containers."`
	Static   staticCommand   `cmd:"" hidden:"" help:"Serve a folder as it is: what a preview runs that is nothing but files."`
}

// A console is where a command prints.
type console struct{ out, err io.Writer }

// run carries out one command line and returns its exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	exited := -1
	parser, err := kong.New(&cli{},
		kong.Name("vitrine"),
		kong.Description("Puts every pull request at an URL of its own."),
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { exited = code }),
		kong.UsageOnError(),
		kong.DefaultEnvars("VITRINE"),
		kong.Configuration(loadFile),
		kong.Vars(defaults()),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(console{stdout, stderr}),
		kong.BindTo(stdout, (*io.Writer)(nil)),
	)
	if err != nil {
		fmt.Fprintln(stderr, "vitrine:", err)
		return exitFailed
	}
	command, err := parser.Parse(args)
	if exited >= 0 {
		return exited
	}
	if err != nil {
		fmt.Fprintf(stderr, "vitrine: %v\n", err)
		return exitUsage
	}
	if err := command.Run(); err != nil {
		fmt.Fprintf(stderr, "vitrine: %v\n", err)
		var usage *usageError
		var missing *notFoundError
		switch {
		case errors.As(err, &usage):
			return exitUsage
		case errors.As(err, &missing):
			return exitNotFound
		}
		return exitFailed
	}
	return exitOK
}

// A usageError is a setting that is missing or makes no sense.
type usageError struct{ error }

// A notFoundError is something that was named and is not there.
type notFoundError struct{ error }
