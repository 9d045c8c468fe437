// Package enginetest starts a Docker engine beside the machine's, for tests that stop it, kill it or fill its disk. It needs root and an installed
// dockerd, and runs on Linux only.
package enginetest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"
)

const (
	startTime = time.Minute // for an engine to answer, also on a busy machine
	stopTime  = time.Minute // for an engine to end; it gives its containers ten seconds
	pause     = 10 * time.Millisecond
)

// An Engine is one that runs beside the machine's: other containers, images, networks and processes, but the same host, so that containers
// are reached at their addresses. It publishes no ports, and its containers reach nothing outside of their own network.
// Networks need subnets that no other engine on the machine uses at the time.
//
// Its methods are for the goroutine of the test that started it; what fails ends the test.
type Engine struct {
	// Host is where the engine is found, "unix:///tmp/...".
	Host string

	t     testing.TB
	dir   string
	name  string // of its cgroup and in its firewall rule
	disk  int64
	ended chan struct{} // closed once dockerd ended; nil before the first start
	pid   int           // of dockerd
}

// An Option changes the engine that Start starts.
type Option func(*Engine)

// WithDisk puts images, containers and volumes on a disk of their own, of that many bytes. It lies in memory. See [Engine.FillDisk].
func WithDisk(bytes int64) Option { return func(e *Engine) { e.disk = bytes } }

// Start starts an engine and returns once it answers, in about a second. When the test ends everything is removed: containers, networks,
// processes, mounts and files. It skips the test under -short, and fails it where no engine can be started.
func Start(t testing.TB, options ...Option) *Engine {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a Docker engine")
	}
	if os.Geteuid() != 0 {
		t.Fatal("a Docker engine of the test's own needs root")
	}
	// A socket's path has room for 107 bytes (unix(7)), which a folder of t.TempDir may use up.
	dir, err := os.MkdirTemp("/tmp", "engine")
	if err != nil {
		t.Fatal(err)
	}
	e := &Engine{Host: "unix://" + filepath.Join(dir, "docker.sock"), t: t, dir: dir, name: "vitrine-test-" + random()}
	for _, o := range options {
		o(e)
	}
	t.Cleanup(e.remove)
	if err := e.prepare(); err != nil {
		t.Fatal(err)
	}
	e.start()
	return e
}

func random() string {
	b := make([]byte, 4)
	rand.Read(b)
	return hex.EncodeToString(b)
}

// Stop ends the engine as a shutdown or an upgrade does, with SIGTERM, and waits until it has. It takes its containers with it.
func (e *Engine) Stop() {
	e.t.Helper()
	e.signal(syscall.SIGTERM)
	e.wait()
}

// Kill ends the engine as a crash does, with SIGKILL. Its containerd goes with it; the containers and their shims go on, until [Engine.Restart]
// starts an engine that ends them.
func (e *Engine) Kill() {
	e.t.Helper()
	e.signal(syscall.SIGKILL)
	e.wait()
}

// Restart starts the engine again, and stops it first where it runs. It returns once the engine answers.
func (e *Engine) Restart() {
	e.t.Helper()
	if e.running() {
		e.Stop()
	}
	e.start()
}

// Freeze has the engine accept connections and answer nothing, until [Engine.Thaw]. Its containers go on.
func (e *Engine) Freeze() {
	e.t.Helper()
	e.signal(syscall.SIGSTOP)
}

// Thaw ends a Freeze.
func (e *Engine) Thaw() {
	e.t.Helper()
	e.signal(syscall.SIGCONT)
}

func (e *Engine) running() bool {
	if e.ended == nil {
		return false
	}
	select {
	case <-e.ended:
		return false
	default:
		return true
	}
}

func (e *Engine) signal(s syscall.Signal) {
	e.t.Helper()
	if !e.running() {
		e.t.Fatalf("the engine gets signal %q and does not run", s)
	}
	if err := syscall.Kill(e.pid, s); err != nil {
		e.t.Fatalf("signal %q to the engine: %v", s, err)
	}
}

// wait waits until dockerd and its containerd have ended.
func (e *Engine) wait() {
	e.t.Helper()
	select {
	case <-e.ended:
	case <-time.After(stopTime):
		e.t.Fatalf("the engine does not end within %s:\n%s", stopTime, e.lastWords())
	}
	if err := e.forgetContainerd(); err != nil {
		e.t.Fatal(err)
	}
}

// prepare makes what the engine needs before its first start.
func (e *Engine) prepare() error {
	if err := os.WriteFile(e.path("daemon.json"), []byte("{}"), 0o600); err != nil {
		return err
	}
	if err := os.Mkdir(e.path("data"), 0o711); err != nil {
		return err
	}
	if e.disk > 0 {
		if err := syscall.Mount("tmpfs", e.path("data"), "tmpfs", 0, fmt.Sprintf("size=%d", e.disk)); err != nil {
			return fmt.Errorf("mount the engine's disk: %w", err)
		}
	}
	return errors.Join(e.allowBridged(), e.makeBridge())
}

func (e *Engine) path(name string) string { return filepath.Join(e.dir, name) }

// start starts dockerd and waits until it answers.
func (e *Engine) start() {
	e.t.Helper()
	program, err := exec.LookPath("dockerd")
	if err != nil {
		e.t.Fatalf("a Docker engine of the test's own: %v; install docker.io", err)
	}
	log, err := os.OpenFile(e.path("log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		e.t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(program,
		"--config-file", e.path("daemon.json"), "--host", e.Host,
		"--data-root", e.path("data"), "--exec-root", e.path("exec"), "--pidfile", e.path("pid"),
		"--exec-opt", "native.cgroupdriver=cgroupfs", "--cgroup-parent", "/"+e.name,
		"--bridge="+e.bridge(), "--iptables=false", "--ip-masq=false", "--userland-proxy=false")
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	started, ended := make(chan error), make(chan struct{})
	go func() {
		// The signal comes when the thread that started the process ends, so it has to be one that lasts (prctl(2), PR_SET_PDEATHSIG).
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(ended)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended is the test's choice
		}
	}()
	if err := <-started; err != nil {
		e.t.Fatalf("start dockerd: %v", err)
	}
	e.ended, e.pid = ended, cmd.Process.Pid
	e.awaitAnswer()
}

// awaitAnswer waits until the engine answers.
func (e *Engine) awaitAnswer() {
	e.t.Helper()
	client := http.Client{Timeout: startTime, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", e.path("docker.sock"))
		},
	}}
	for deadline := time.Now().Add(startTime); ; time.Sleep(pause) {
		resp, err := client.Get("http://engine/_ping")
		if err == nil {
			_, err = io.Copy(io.Discard, resp.Body)
			err = errors.Join(err, resp.Body.Close())
		}
		switch {
		case err == nil && resp.StatusCode == http.StatusOK:
			return
		case !e.running():
			e.t.Fatalf("the engine does not start:\n%s", e.lastWords())
		case time.Now().After(deadline):
			e.t.Fatalf("the engine does not answer within %s (%v):\n%s", startTime, err, e.lastWords())
		}
	}
}

// lastWords returns the end of the engine's log.
func (e *Engine) lastWords() string {
	const most = 4 << 10
	b, err := os.ReadFile(e.path("log"))
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-most):])
}
