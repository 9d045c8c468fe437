package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"vitrine/builder/registry"
	"vitrine/cmd/internal/loopback"
	"vitrine/deploy/docker"
	"vitrine/proxyroutes"
)

// checkTime bounds each of the doctor's checks.
const checkTime = 10 * time.Second

type doctorCommand struct{ settings }

// A finding is one thing that Vitrine needs. look returns what it found, an error that says how to mend it, or an unknownError.
type finding struct {
	what string
	look func(context.Context) (string, error)
	time time.Duration // bounds it; 0: checkTime
}

// An unknownError says why a look found out nothing, which is not known to be wrong.
type unknownError struct{ error }

// Run looks at everything, prints a line for each, and returns an error if anything is wrong. Nothing of what it tries is left.
func (c *doctorCommand) Run(ctx context.Context, to console) error {
	wrong := 0
	app := &appVisit{doctorCommand: c}
	for _, f := range []finding{
		{what: "engine", look: c.engine}, {what: "address", look: c.pool}, {what: "firewall", look: c.firewall, time: time.Minute}, {what: "git", look: c.git},
		{what: "redis", look: c.redis}, {what: "registry", look: c.images}, {what: "data", look: c.data}, {what: "github", look: app.github},
		{what: "events", look: app.events}, {what: "webhook", look: app.webhook}, {what: "deliveries", look: app.deliveries}, {what: "dns", look: c.dns},
	} {
		bounded, cancel := context.WithTimeout(ctx, cmp.Or(f.time, checkTime))
		found, err := f.look(bounded)
		cancel()
		var open *unknownError
		if errors.As(err, &open) {
			fmt.Fprintf(to.out, "  %-10s not known: %v\n", f.what, open)
			continue
		}
		if err != nil {
			wrong++
			fmt.Fprintf(to.out, "  %-10s wrong: %v\n", f.what, err)
			continue
		}
		check(to.out, f.what, found)
	}
	if wrong > 0 {
		return fmt.Errorf("%d of the checks above went wrong", wrong)
	}
	return nil
}

func (c *doctorCommand) engine(ctx context.Context) (found string, err error) {
	err = c.withRuntime(func(r *docker.Runtime) error {
		version, err := r.Ping(ctx)
		found = "Docker " + version
		return err
	})
	return found, err
}

func (c *doctorCommand) withRuntime(f func(*docker.Runtime) error) error {
	r, err := docker.New(docker.Config{Host: c.DockerHost, Instance: "doctor"})
	if err != nil {
		return err
	}
	return errors.Join(f(r), r.Close())
}

func (c *doctorCommand) git(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "git", "version").Output()
	if err != nil {
		return "", fmt.Errorf("git does not run: %w; install git", err)
	}
	return strings.TrimPrefix(string(out), "git "), nil
}

func (c *doctorCommand) redis(ctx context.Context) (string, error) {
	if c.RedisURL == "" {
		return "embedded", nil
	}
	return "answers", proxyroutes.Ping(ctx, c.RedisURL)
}

func (c *doctorCommand) images(ctx context.Context) (string, error) {
	return registry.Check(ctx, c.registry())
}

// data looks whether the folder, or the first one above it that is there, can be written to.
func (c *doctorCommand) data(context.Context) (string, error) {
	dir := c.Data
	for {
		info, err := os.Stat(dir)
		if errors.Is(err, os.ErrNotExist) && dir != filepath.Dir(dir) {
			dir = filepath.Dir(dir)
			continue
		}
		if err != nil {
			return "", err
		}
		if !info.IsDir() {
			return "", fmt.Errorf("%s is not a folder; name another with --data", dir)
		}
		break
	}
	probe, err := os.CreateTemp(dir, ".vitrine-doctor-")
	if err != nil {
		return "", fmt.Errorf("%w; let this user write there, or name another folder with --data", err)
	}
	return c.Data, errors.Join(probe.Close(), os.Remove(probe.Name()))
}

func (c *doctorCommand) dns(ctx context.Context) (string, error) {
	host := "vitrine-doctor." + c.Domain
	if loopback.Is(host) {
		return "*." + c.Domain + " is this machine, for curl and Chromium", nil
	}
	addresses, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		return "", fmt.Errorf("%w; add a wildcard record *.%s that leads to this machine", err, c.Domain)
	}
	return "*." + c.Domain + " -> " + strings.Join(addresses, ", "), nil
}
