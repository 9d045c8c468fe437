package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/client"

	"vitrine/cmd/bench/report"
)

// machine returns what the figures depend on. What cannot be found out reads "unknown".
func machine(ctx context.Context, now time.Time) ([]report.Fact, error) {
	engine, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err != nil {
		return nil, err
	}
	defer engine.Close()
	version, err := engine.ServerVersion(ctx)
	if err != nil {
		return nil, fmt.Errorf("no Docker engine answers at %s: %w; `.ci/prepare bench` starts one", engine.DaemonHost(), err)
	}
	info, err := engine.Info(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask the engine about itself: %w", err)
	}
	return []report.Fact{
		{Name: "date", Value: now.UTC().Format("2006-01-02 15:04 UTC")},
		{Name: "commit", Value: commitOf(ctx)},
		{Name: "processor", Value: fmt.Sprintf("%s, %d cores", fieldOf("/proc/cpuinfo", "model name"), runtime.NumCPU())},
		{Name: "memory", Value: memory()},
		{Name: "kernel", Value: runtime.GOOS + " " + known(fileText("/proc/sys/kernel/osrelease"))},
		{Name: "load before", Value: known(fileText("/proc/loadavg"))},
		{Name: "engine", Value: fmt.Sprintf("Docker %s (API %s), %s, containerd %s, cgroup v%s",
			version.Version, version.APIVersion, info.Driver, containerd(version.Components), info.CgroupVersion)},
		{Name: "docker command", Value: outputOf(ctx, "docker", "--version") + "; builds with " + dockerBuilds(ctx)},
		{Name: "docker-compose", Value: composeVersion(ctx)},
		{Name: "git", Value: outputOf(ctx, "git", "--version")},
		{Name: "Go", Value: runtime.Version()},
	}, nil
}

// commitOf names the commit that is measured.
func commitOf(ctx context.Context) string {
	return outputOf(ctx, "git", "describe", "--always", "--dirty", "--exclude=*")
}

// dockerBuilds says what `docker build` uses: BuildKit comes as a plugin.
func dockerBuilds(ctx context.Context) string {
	if version := outputOf(ctx, "docker", "buildx", "version"); version != unknown {
		return "BuildKit, " + version
	}
	return "the classic builder, as there is no buildx"
}

// composeVersion says which docker-compose the CI script uses.
func composeVersion(ctx context.Context) string {
	command, err := composeCommand(ctx)
	if err != nil {
		return "missing"
	}
	return outputOf(ctx, command[0], append(command[1:], "version", "--short")...)
}

const unknown = "unknown"

// outputOf returns the first line that a program prints.
func outputOf(ctx context.Context, name string, args ...string) string {
	out, err := exec.CommandContext(ctx, name, args...).Output()
	if err != nil {
		return unknown
	}
	line, _, _ := bytes.Cut(out, []byte("\n"))
	return known(string(line))
}

func known(text string) string {
	if text = strings.TrimSpace(text); text != "" {
		return text
	}
	return unknown
}

func fileText(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return string(text)
}

// fieldOf returns the value of the first line "name : value" of a file.
func fieldOf(path, name string) string {
	for line := range strings.Lines(fileText(path)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return known(value)
		}
	}
	return unknown
}

func memory() string {
	kib, err := strconv.ParseFloat(strings.TrimSuffix(fieldOf("/proc/meminfo", "MemTotal"), " kB"), 64)
	if err != nil {
		return unknown
	}
	return fmt.Sprintf("%.1f GiB", kib/(1<<20))
}

// containerd returns the version of the engine's containerd.
func containerd(components []types.ComponentVersion) string {
	for _, c := range components {
		if c.Name == "containerd" {
			return c.Version
		}
	}
	return unknown
}
