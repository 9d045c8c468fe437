package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"syscall"
	"time"
)

const (
	patience = 2 * time.Minute // bounds whatever is waited for
	glance   = 20 * time.Millisecond
)

// A serve is a `vitrine serve` in a process of its own.
type serve struct {
	binary   string
	address  string // of the control plane and the previews
	registry string
	data     string
	logs     string // the file that it writes to
	env      []string

	process *exec.Cmd
	exited  chan error
}

// start starts the process and waits until it answers.
func (s *serve) start(ctx context.Context) error {
	log, err := os.OpenFile(s.logs, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	command := exec.Command(s.binary, "serve")
	command.Env = append(os.Environ(), s.env...)
	command.Stdout, command.Stderr = log, log
	// In a group of its own it does not get the terminal's Ctrl-C before we have heard of it.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := command.Start(); err != nil {
		return fmt.Errorf("start %s: %w; `make build` makes it", s.binary, err)
	}
	s.process, s.exited = command, make(chan error, 1)
	go func(exited chan<- error) { exited <- command.Wait() }(s.exited)
	health := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	return until(ctx, "serve answers", func() (bool, error) {
		select {
		case err := <-s.exited:
			s.process = nil
			return false, fmt.Errorf("serve ended: %w; it said:\n%s", err, tail(s.logs))
		default:
		}
		response, err := health.Get("http://" + s.address + "/healthz")
		if err != nil {
			return false, nil
		}
		response.Body.Close()
		return response.StatusCode == http.StatusOK, nil
	})
}

// stop asks the process to end and waits for it. One that does not end is killed, which is an error.
func (s *serve) stop() error {
	if s.process == nil {
		return nil
	}
	defer func() { s.process = nil }()
	if err := s.process.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop serve: %w", err)
	}
	select {
	case err := <-s.exited:
		if err != nil {
			return fmt.Errorf("serve ended with an error: %w; it said:\n%s", err, tail(s.logs))
		}
		return nil
	case <-time.After(patience):
		err := s.process.Process.Kill()
		<-s.exited
		return errors.Join(errors.New("serve did not end after SIGTERM and was killed"), err)
	}
}

// tail returns the end of a file, for a message.
func tail(path string) string {
	const most = 4 << 10
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-most):])
}

// until waits until done says so.
func until(ctx context.Context, what string, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("%s: not after %s", what, patience))
	defer cancel()
	ticker := time.NewTicker(glance)
	defer ticker.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
