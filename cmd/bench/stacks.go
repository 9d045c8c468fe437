package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"vitrine/cmd/bench/report"
	"vitrine/cmd/bench/world"
	"vitrine/deploy"
	"vitrine/deploy/docker"
	"vitrine/deployments"
)

// boundCompose is how long a stack may take to start of what docker-compose takes for it.
const boundCompose = 1.0

// stackSizes are the numbers of services that are started.
func stackSizes() []int { return []int{1, 3, 8} }

// stackCommand is what each service runs: it listens at port 8080 at once.
func stackCommand() []string { return []string{"/vitrine", "idle"} }

// stacks measures how long stacks take to start from images that are there, against docker-compose.
func stacks(ctx context.Context, o options) (rows []report.Row, err error) {
	w, err := o.openWorld(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	runtime, err := docker.New(docker.Config{Instance: "bench-" + w.Name, Rule: deployments.ImageRule{Trusted: []string{w.Base}}})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, runtime.Close()) }()
	compose, err := composeCommand(ctx)
	if err != nil {
		return nil, err
	}
	for _, size := range stackSizes() {
		row, err := stackRow(ctx, w, o.Rounds, &ourStack{world: w, runtime: runtime, size: size}, &composeStack{world: w, compose: compose, size: size})
		if err != nil {
			return rows, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func stackRow(ctx context.Context, w *world.World, rounds int, ours *ourStack, compose *composeStack) (row report.Row, err error) {
	defer func() { err = errors.Join(err, ours.Close(), compose.Close()) }()
	contestants := []contestant{ours, compose}
	trials, err := inTurn(ctx, w, contestants, rounds)
	if err != nil {
		return row, err
	}
	row = report.Compare(fmt.Sprintf("start of a stack of %d, against docker-compose up -d", ours.size),
		"networks and containers made and started from images that are there, until each service's port is open; docker-compose until its command has ended",
		spans(ours, trials[0]), spans(compose, trials[1]), boundCompose)
	return row, nil
}

// An ourStack is started by package docker, as a deployment is.
type ourStack struct {
	world   *world.World
	runtime *docker.Runtime
	size    int
	rounds  int64
	made    int64 // the deployment that is there, 0 for none
}

func (s *ourStack) name() string { return "Vitrine" }

func (s *ourStack) round(ctx context.Context, _ string) (t trial, err error) {
	stack := deploy.Stack{}
	for i := range s.size {
		stack.Services = append(stack.Services, deploy.Service{Name: serviceName(i), Image: s.world.Base, Command: stackCommand(), Port: 8080})
	}
	encoded, err := json.Marshal(stack)
	if err != nil {
		return t, err
	}
	s.rounds++
	// Beside the pool of serve's own networks, and the floor's.
	subnet := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 211, byte(rand.IntN(256)), 0}), 27)
	d := deployments.Deployment{ID: int64(s.size)*1000 + s.rounds, Subnet: subnet}
	s.made = d.ID
	watch := report.NewStopwatch(time.Now)
	if err := s.runtime.Prepare(ctx, d); err != nil {
		return t, err
	}
	watch.Lap("network")
	plan, err := s.runtime.Plan(ctx, deployments.PlanRequest{
		Environment: deployments.Environment{Name: "stack"}, Deployment: d, Stack: deployments.Stack{JSON: encoded},
	})
	if err != nil {
		return t, err
	}
	watch.Lap("plan")
	if _, err := s.runtime.Up(ctx, d, deployments.Start{Plan: plan, Dir: s.world.Dir}); err != nil {
		return t, err
	}
	watch.Lap("containers")
	return trial{took: watch.Total(), phases: watch.Phases()}, nil
}

// rest removes the stack, so that neither starts beside the other's.
func (s *ourStack) rest(ctx context.Context) error {
	if s.made == 0 {
		return nil
	}
	err := s.runtime.Down(ctx, s.made)
	if err == nil {
		s.made = 0
	}
	return err
}

func (s *ourStack) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), world.RemovalTime)
	defer cancel()
	return s.rest(ctx)
}

// A composeStack is the same by docker-compose.
type composeStack struct {
	world   *world.World
	compose []string // the command
	size    int
}

func (s *composeStack) name() string { return "docker-compose" }

func (s *composeStack) round(ctx context.Context, _ string) (trial, error) {
	var text strings.Builder
	fmt.Fprintf(&text, "version: \"2.4\"\nservices:\n")
	for i := range s.size {
		command, err := json.Marshal(stackCommand())
		if err != nil {
			return trial{}, err
		}
		fmt.Fprintf(&text, "  %s: {image: %q, command: %s, init: true}\n", serviceName(i), s.world.Base, command)
	}
	if err := os.WriteFile(s.file(), []byte(text.String()), 0o600); err != nil {
		return trial{}, err
	}
	began := time.Now()
	err := s.run(ctx, "up", "--detach")
	took := time.Since(began)
	return trial{took: took, phases: []report.Phase{{Name: "containers", Took: took}}}, err
}

func (s *composeStack) rest(ctx context.Context) error {
	if _, err := os.Stat(s.file()); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return s.run(ctx, "down")
}

func (s *composeStack) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), world.RemovalTime)
	defer cancel()
	return s.rest(ctx)
}

func (s *composeStack) file() string {
	return filepath.Join(s.world.Dir, fmt.Sprintf("stack-%d.yaml", s.size))
}

func (s *composeStack) run(ctx context.Context, args ...string) error {
	project := fmt.Sprintf("vitrine-bench-%s-%d", s.world.Name, s.size)
	all := append(s.compose[1:len(s.compose):len(s.compose)], append([]string{"--project-name", project, "--file", s.file()}, args...)...)
	if out, err := inGroup(ctx, s.world.Dir, s.compose[0], all...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s of a stack of %d: %w: %s", args[0], s.size, err, out)
	}
	return nil
}

func serviceName(i int) string { return fmt.Sprintf("s%d", i+1) }
