package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"

	"vitrine/builder/registry"
	"vitrine/cmd/bench/report"
	"vitrine/cmd/bench/world"
)

// scriptText is the contestant: a shell script, as it would be in a CI job.
//
//go:embed script.sh
var scriptText []byte

// scriptTag is what the script tags its images with.
const scriptTag = "pr-1"

// A script is the CI script and what it leaves on the engine.
type script struct {
	world    *world.World
	engine   *client.Client
	registry *registry.Registry
	dir      string
	file     string
	compose  []string // the command
	project  string
	port     int
	rounds   int
}

var _ contestant = (*script)(nil)

// openScript starts a registry for the script's images. Close removes what the script left.
func openScript(ctx context.Context, w *world.World, engine *client.Client) (*script, error) {
	for _, program := range []string{"bash", "git", "docker"} {
		if _, err := exec.LookPath(program); err != nil {
			return nil, fmt.Errorf("the CI script needs %s: %w; `.ci/prepare bench` installs it", program, err)
		}
	}
	compose, err := composeCommand(ctx)
	if err != nil {
		return nil, err
	}
	s := &script{world: w, engine: engine, dir: filepath.Join(w.Dir, "script"), compose: compose, project: "vitrine-bench-" + w.Name}
	if s.port, err = world.FreePort(); err != nil {
		return nil, err
	}
	if err := os.Mkdir(s.dir, 0o700); err != nil {
		return nil, err
	}
	s.file = filepath.Join(s.dir, "script.sh")
	if err := os.WriteFile(s.file, scriptText, 0o700); err != nil {
		return nil, err
	}
	s.registry, err = registry.Start(ctx, registry.Config{Root: filepath.Join(s.dir, "registry"), Listen: "127.0.0.1:0"})
	return s, err
}

// composeCommand returns docker-compose, or docker's plugin where only that is there.
func composeCommand(ctx context.Context) ([]string, error) {
	_, err := exec.LookPath("docker-compose")
	if err == nil {
		return []string{"docker-compose"}, nil
	}
	if exec.CommandContext(ctx, "docker", "compose", "version").Run() == nil {
		return []string{"docker", "compose"}, nil
	}
	return nil, fmt.Errorf("the CI script needs docker-compose: %w; `.ci/prepare bench` installs it", err)
}

func (s *script) name() string { return "the CI script" }

// round has the script deploy a commit of its own, measured from the script's start.
func (s *script) round(ctx context.Context, text string) (trial, error) {
	if _, err := s.world.CommitQuietly(ctx, "script", text); err != nil {
		return trial{}, err
	}
	old := s.images(ctx)
	s.rounds++
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	folder := filepath.Join(s.dir, strconv.Itoa(s.rounds))
	command := s.command(ctx, "bash", s.file)
	command.Env = append(command.Env, "BRANCH=script", "REPOSITORY="+s.world.Web+"/"+world.Repository+".git", "FOLDER="+folder)
	var out, problems bytes.Buffer
	command.Stdout, command.Stderr = &out, &problems

	ended := make(chan error, 1)
	began := time.Now()
	go func() {
		err := command.Run()
		if err != nil {
			err = fmt.Errorf("run the CI script: %w: %s", err, problems.String())
			cancel(err)
		}
		ended <- err
	}()
	at, err := world.NewVisitor(fmt.Sprintf("http://127.0.0.1:%d/", s.port), "").Sees(ctx, world.Answer(text))
	if failed := <-ended; failed != nil {
		return trial{}, failed
	}
	if err != nil {
		return trial{}, err
	}
	phases, err := scriptPhases(out.String(), at)
	return trial{took: at.Sub(began), phases: phases}, errors.Join(err, os.RemoveAll(folder), s.remove(ctx, old))
}

// command returns one that knows what the script and docker-compose need to know.
func (s *script) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	command := inGroup(ctx, s.dir, name, args...)
	command.Env = append(os.Environ(), "LC_ALL=C", "REGISTRY="+s.registry.Addr(), "TAG="+scriptTag, "COMPOSE="+strings.Join(s.compose, " "),
		"PROJECT="+s.project, "PORT="+strconv.Itoa(s.port))
	return command
}

// inGroup returns a command that runs in a folder and in a process group of its own: it does not get the terminal's Ctrl-C, and what it started ends
// with it.
func inGroup(ctx context.Context, dir, name string, args ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, name, args...)
	command.Dir = dir
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGTERM) }
	command.WaitDelay = world.Patience
	return command
}

// scriptPhases reads the script's marks, "clone 1700000000.123456". Its last phase ends when the page was there.
func scriptPhases(out string, at time.Time) ([]report.Phase, error) {
	var phases []report.Phase
	var began time.Time
	for line := range strings.Lines(out) {
		name, stamp, ok := strings.Cut(strings.TrimSpace(line), " ")
		seconds, err := strconv.ParseFloat(stamp, 64)
		if !ok || err != nil {
			continue // what the programs print
		}
		when := time.UnixMicro(int64(seconds * 1e6))
		if name == "end" {
			when = at // which may be before docker-compose has ended
		}
		if len(phases) > 0 {
			phases[len(phases)-1].Took = when.Sub(began)
		}
		if name == "end" && len(phases) > 0 {
			return phases, nil
		}
		phases, began = append(phases, report.Phase{Name: name}), when
	}
	return nil, fmt.Errorf("the CI script did not mark its end: %q", out)
}

// tags are the names of the script's images.
func (s *script) tags() []string {
	tags := make([]string, len(world.Services()))
	for i, service := range world.Services() {
		tags[i] = s.registry.Addr() + "/shop/" + service + ":" + scriptTag
	}
	return tags
}

// images returns the IDs of the script's present images.
func (s *script) images(ctx context.Context) []string {
	var ids []string
	for _, tag := range s.tags() {
		if found, err := s.engine.ImageInspect(ctx, tag); err == nil {
			ids = append(ids, found.ID)
		}
	}
	return ids
}

// remove removes those of the images that have lost their tag to a newer one.
func (s *script) remove(ctx context.Context, old []string) error {
	present := s.images(ctx)
	var errs []error
	for _, id := range old {
		if !slices.Contains(present, id) {
			errs = append(errs, s.removeImage(ctx, id))
		}
	}
	return errors.Join(errs...)
}

func (s *script) removeImage(ctx context.Context, name string) error {
	_, err := s.engine.ImageRemove(ctx, name, image.RemoveOptions{PruneChildren: true})
	return tolerant(err)
}

// rest does nothing: what the script started is what it leaves running, as Vitrine does.
func (s *script) rest(context.Context) error { return nil }

// Close removes the script's containers, network and images, and ends its registry.
func (s *script) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), world.RemovalTime)
	defer cancel()
	file := filepath.Join(s.dir, "ci.yaml")
	err := os.WriteFile(file, []byte(world.Stack(s.world.Base)["ci.yaml"]), 0o600)
	down := append(s.compose[1:len(s.compose):len(s.compose)], "--project-name", s.project, "--file", file, "down")
	if out, failed := s.command(ctx, s.compose[0], down...).CombinedOutput(); failed != nil {
		err = errors.Join(err, fmt.Errorf("remove the CI script's stack: %w: %s", failed, out))
	}
	for _, tag := range s.tags() {
		err = errors.Join(err, s.removeImage(ctx, tag))
	}
	return errors.Join(err, s.registry.Close())
}
