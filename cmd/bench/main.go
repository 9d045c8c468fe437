// Command bench measures Vitrine against what it replaces, on this machine, and writes BENCHMARKS.md. It runs `vitrine serve` as a user does, with a
// simulated GitHub and the Docker engine, and removes what it made when it ends.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	// What was made has to be removed also when the terminal, or whoever reads what is printed, has gone away.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}
