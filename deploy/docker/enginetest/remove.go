package enginetest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// allowBridged lets containers on one network of the engine reach each other where another engine's rules drop what they do not know. What is
// bridged stays within one network, so no engine's networks are joined by it.
func (e *Engine) allowBridged() error { return e.iptables("-I") }

func (e *Engine) iptables(do string) error {
	cmd := exec.Command("iptables", "--wait", do, "FORWARD", "-m", "physdev", "--physdev-is-bridged", "-m", "comment", "--comment", e.name, "-j", "ACCEPT")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("iptables %s for the engine: %w: %s", do, err, out)
	}
	return nil
}

// remove ends the engine and removes all that is left of it.
func (e *Engine) remove() {
	e.t.Helper()
	if e.t.Failed() {
		e.t.Logf("the engine's last words:\n%s", e.lastWords())
	}
	steps := []struct {
		what string
		do   func() error
	}{
		{"end the engine", e.end},
		{"end the engine's containers", e.endProcesses},
		{"remove the engine's bridges", e.removeBridges},
		{"unmount what the engine mounted", e.unmount},
		{"remove the engine's control groups", e.removeGroups},
		{"remove the engine's firewall rule", func() error { return e.iptables("-D") }},
		{"remove the engine's files", func() error { return os.RemoveAll(e.dir) }},
	}
	for _, step := range steps {
		if err := step.do(); err != nil {
			e.t.Errorf("%s: %v", step.what, err)
		}
	}
}

// end ends dockerd, which ends its containers if it has the time.
func (e *Engine) end() error {
	if !e.running() {
		return nil
	}
	// One that is frozen would not hear of the end.
	err := errors.Join(syscall.Kill(e.pid, syscall.SIGCONT), syscall.Kill(e.pid, syscall.SIGTERM))
	select {
	case <-e.ended:
		return err
	case <-time.After(stopTime):
	}
	err = errors.Join(err, fmt.Errorf("it goes on %s after SIGTERM", stopTime), syscall.Kill(e.pid, syscall.SIGKILL))
	<-e.ended
	return err
}

// forgetContainerd waits until containerd has ended, and removes its mark. Where nobody waits for the child of a killed dockerd, it stays in the
// table of processes, and the next dockerd would take it for running.
func (e *Engine) forgetContainerd() error {
	mark := filepath.Join(e.path("exec"), "containerd", "containerd.pid")
	b, err := os.ReadFile(mark)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return fmt.Errorf("read containerd's process number: %w", err)
	}
	for deadline := time.Now().Add(stopTime); e.owns(pid); time.Sleep(pause) {
		if time.Now().After(deadline) {
			return fmt.Errorf("containerd does not end within %s", stopTime)
		}
	}
	return os.Remove(mark)
}

// owns reports whether the process runs and is the engine's: dockerd, containerd and the shims have paths in their arguments that are below the
// engine's folder. A process that has ended has no arguments.
func (e *Engine) owns(pid int) bool {
	args, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
	return err == nil && bytes.Contains(args, []byte(e.dir+"/"))
}

// endProcesses kills shims, and the containers below them, that outlived their engine.
func (e *Engine) endProcesses() error {
	for deadline := time.Now().Add(stopTime); ; time.Sleep(pause) {
		left, err := e.processes()
		if err != nil || len(left) == 0 {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("processes %v go on", left)
		}
		for _, pid := range left {
			// One that ended by itself is what is wanted.
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				return err
			}
		}
	}
}

// processes returns those that are the engine's, the shims' children first: with the first process of a container the kernel ends all others.
func (e *Engine) processes() ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var children, owned []int
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || !e.owns(pid) {
			continue
		}
		owned = append(owned, pid)
		lists, err := filepath.Glob(filepath.Join("/proc", entry.Name(), "task", "*", "children"))
		if err != nil {
			return nil, err
		}
		for _, list := range lists {
			b, err := os.ReadFile(list)
			if err != nil { // the thread has ended
				continue
			}
			for field := range strings.FieldsSeq(string(b)) {
				child, err := strconv.Atoi(field)
				if err != nil {
					return nil, err
				}
				children = append(children, child)
			}
		}
	}
	return append(children, owned...), nil
}

// bridgeName finds the bridges in the engine's record of its networks.
var bridgeName = regexp.MustCompile(`"BridgeName":"([^"]+)"`)

// removeBridges removes the interfaces of networks that were not removed: an engine leaves them when it ends.
func (e *Engine) removeBridges() error {
	record, err := os.ReadFile(filepath.Join(e.path("data"), "network", "files", "local-kv.db"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // an engine that never got to start has none
		return err
	}
	errs := []error{removeBridge(e.bridge())}
	for _, match := range bridgeName.FindAllSubmatch(record, -1) {
		errs = append(errs, removeBridge(string(match[1])))
	}
	return errors.Join(errs...)
}

// unmount unmounts everything below the engine's folder, what was mounted last first.
func (e *Engine) unmount() error {
	f, err := os.Open("/proc/self/mounts")
	if err != nil {
		return err
	}
	defer f.Close()
	var points []string
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if fields := strings.Fields(lines.Text()); len(fields) > 1 && strings.HasPrefix(fields[1], e.dir+"/") {
			points = append(points, fields[1])
		}
	}
	var errs []error
	for _, point := range slices.Backward(points) {
		if err := syscall.Unmount(point, unix.MNT_DETACH); err != nil {
			errs = append(errs, fmt.Errorf("unmount %s: %w", point, err))
		}
	}
	return errors.Join(errs...)
}

// removeGroups removes the control groups of the engine's containers: one tree, or one in each hierarchy (cgroups(7), version 1).
func (e *Engine) removeGroups() error {
	var roots []string
	for _, pattern := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/*"} {
		found, err := filepath.Glob(filepath.Join(pattern, e.name))
		if err != nil {
			return err
		}
		roots = append(roots, found...)
	}
	var errs []error
	for _, root := range roots {
		var groups []string
		err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.IsDir() {
				groups = append(groups, path)
			}
			return err
		})
		errs = append(errs, err)
		for _, group := range slices.Backward(groups) {
			errs = append(errs, removeGroup(group))
		}
	}
	return errors.Join(errs...)
}

// removeGroup removes a control group. It is busy for a moment after its last process has ended.
func removeGroup(group string) error {
	for deadline := time.Now().Add(stopTime); ; time.Sleep(pause) {
		if err := syscall.Rmdir(group); !errors.Is(err, syscall.EBUSY) || time.Now().After(deadline) {
			return err
		}
	}
}
