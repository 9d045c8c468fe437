package world

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
	// Patience bounds whatever is waited for.
	Patience = 2 * time.Minute
	glance   = 20 * time.Millisecond
)

// A Serve is a `vitrine serve` in a process of its own. It is started and stopped by one goroutine at a time; what it recorded may be read by any.
type Serve struct {
	Address string // of the control plane and the previews, "127.0.0.1:8080"
	LogFile string // what it writes goes there, over all its starts

	binary   string
	registry string // an address, as Address
	data     string
	env      []string

	process *exec.Cmd
	exited  chan error
}

// Start starts the process and waits until it answers.
func (s *Serve) Start(ctx context.Context) error {
	log, err := os.OpenFile(s.LogFile, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
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
	return Until(ctx, "serve answers", func() (bool, error) {
		select {
		case err := <-s.exited:
			s.process = nil
			return false, fmt.Errorf("serve ended: %w; it said:\n%s", err, s.Tail())
		default:
		}
		response, err := health.Get("http://" + s.Address + "/healthz")
		if err != nil {
			return false, nil
		}
		response.Body.Close()
		return response.StatusCode == http.StatusOK, nil
	})
}

// PID returns the number of the process, which has to have been started.
func (s *Serve) PID() int { return s.process.Process.Pid }

// Stop asks the process to end and waits for it. One that does not end is killed, which is an error. Of one that does not run it is none.
func (s *Serve) Stop() error {
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
			return fmt.Errorf("serve ended with an error: %w; it said:\n%s", err, s.Tail())
		}
		return nil
	case <-time.After(Patience):
		err := s.process.Process.Kill()
		<-s.exited
		return errors.Join(errors.New("serve did not end after SIGTERM and was killed"), err)
	}
}

// Tail returns the end of what the process wrote, for a message: up to 4 KiB, or why that cannot be read.
func (s *Serve) Tail() string {
	const most = 4 << 10
	text, err := os.ReadFile(s.LogFile)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-most):])
}

// Until asks done every 20 ms until it says so or returns an error, which Until returns. After Patience it gives up with an error that says what was waited
// for, such as "serve is idle".
func Until(ctx context.Context, what string, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, Patience, fmt.Errorf("%s: not after %s", what, Patience))
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
