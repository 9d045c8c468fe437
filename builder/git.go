package builder

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A setting is one of git's configuration.
type setting struct{ key, value string }

// gitSettings hold for every command. Packs are kept as they come, since the objects of a commit are then all there or none; hooks, filters and
// redirects of whatever kind are off.
var gitSettings = [...]setting{
	{"core.hooksPath", os.DevNull},
	{"core.symlinks", "true"},
	{"core.fsmonitor", "false"},
	{"fetch.unpackLimit", "1"},
	{"fetch.recurseSubmodules", "false"},
	{"gc.auto", "0"},
	{"maintenance.auto", "false"},
	{"http.followRedirects", "false"},
	{"http.lowSpeedLimit", "1000"},
	{"http.lowSpeedTime", "30"},
}

// inherited are the variables of our environment that git gets: where programs are, and how the network is reached.
var inherited = [...]string{
	"PATH", "TMPDIR", "http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY",
	"SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO", "GIT_EXEC_PATH",
}

// git is how one mirror's commands are run. It is a value; its methods may be called side by side.
type git struct {
	dir       string // the bare repository
	home      string // stands in for the user's home, which may hold a .netrc
	protocols string // git's colon-separated list
	settings  []setting
	variables []string // "NAME=value", on top
}

// A gitError is a command that git ended with another status than 0.
type gitError struct {
	command string
	stderr  string
	err     error
}

func (e *gitError) Error() string {
	return fmt.Sprintf("git %s: %v: %s", e.command, e.err, strings.Join(strings.Fields(e.stderr), " "))
}

func (e *gitError) Unwrap() error { return e.err }

// run runs a command in the repository. Settings go through the environment, so that a token among them is in no argument and no file. When ctx is
// done, git and the programs that it started are asked to end, which lets them take their lock files away.
func (g git) run(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = g.home
	cmd.Env = g.environment()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return &gitError{command: args[0], stderr: stderr.String(), err: err}
	}
	return nil
}

func (g git) environment() []string {
	env := []string{
		"HOME=" + g.home,
		"LC_ALL=C",
		"GIT_DIR=" + g.dir,
		"GIT_CONFIG_NOSYSTEM=1",
		"GIT_CONFIG_GLOBAL=" + os.DevNull,
		"GIT_ATTR_NOSYSTEM=1",
		"GIT_TERMINAL_PROMPT=0",
		"GIT_ASKPASS=",
		"GIT_ALLOW_PROTOCOL=" + g.protocols,
		"GIT_PROTOCOL_FROM_USER=0",
	}
	for _, name := range inherited {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	all := append(gitSettings[:len(gitSettings):len(gitSettings)], g.settings...)
	env = append(env, "GIT_CONFIG_COUNT="+strconv.Itoa(len(all)))
	for i, s := range all {
		env = append(env, fmt.Sprintf("GIT_CONFIG_KEY_%d=%s", i, s.key), fmt.Sprintf("GIT_CONFIG_VALUE_%d=%s", i, s.value))
	}
	return append(env, g.variables...)
}
