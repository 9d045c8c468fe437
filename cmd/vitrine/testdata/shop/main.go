// Command shop stands for vitrine in the containers of the tests: it has the sample repository's services and the firewall's probe, and starts in a few
// milliseconds.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"vitrine/cmd/internal/shop"
	"vitrine/deploy/firewall"
)

type cli struct {
	Sample   shop.Command `cmd:""`
	Firewall struct {
		Probe probe `cmd:""`
	} `cmd:""`
}

type probe struct {
	Targets []netip.AddrPort `arg:""`
}

// Run prints the addresses that are in reach.
func (p *probe) Run(ctx context.Context, out io.Writer) error {
	reached, err := firewall.Probe(ctx, p.Targets)
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(reached)
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	parser := kong.Must(&cli{}, kong.Name("vitrine"), kong.BindTo(ctx, (*context.Context)(nil)), kong.BindTo(os.Stdout, (*io.Writer)(nil)))
	command, err := parser.Parse(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "vitrine:", err)
		os.Exit(2)
	}
	if err := command.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "vitrine:", err)
		os.Exit(1)
	}
}
