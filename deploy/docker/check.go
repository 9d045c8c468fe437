package docker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"

	"vitrine/deploy"
	"vitrine/deployments"
)

// How often a check is tried: at first soon again, then more seldom. A connection costs next to nothing, a process in the container does not.
const (
	firstExecPause = 100 * time.Millisecond
	lastExecPause  = time.Second
	firstPortPause = 5 * time.Millisecond
	lastPortPause  = 200 * time.Millisecond
	dialTimeout    = time.Second
	answerTimeout  = 10 * time.Second
	outputLimit    = 4 << 10 // bytes of a health check's output that are kept
)

// errOverdue is the cause of a check's context whose time is up.
var errOverdue = errors.New("time is up")

// check waits until the service is up as its Check says. Time running out is a Fault.
func (s *start) check(ctx context.Context, svc *service) error {
	limited, cancel := context.WithTimeoutCause(ctx, svc.Check.Timeout, errOverdue)
	defer cancel()
	var err error
	var last string // what the last try ended in
	switch c := svc.Check; c.Kind {
	case deploy.CheckExit:
		err = waitFor(limited, svc.ended)
	case deploy.CheckExec:
		var mask *mask
		if mask, err = s.maskOf(ctx, s.plan.Environment); err != nil {
			return err
		}
		err = retry(limited, firstExecPause, lastExecPause, func(ctx context.Context) (bool, error) {
			ok, outcome, err := s.test(ctx, svc, mask.now())
			last = cmp.Or(outcome, last)
			return ok, err
		})
	case deploy.CheckHTTP:
		err = retry(limited, firstPortPause, lastPortPause, func(ctx context.Context) (bool, error) {
			ok, outcome := s.responds(ctx, svc)
			last = cmp.Or(outcome, last)
			return ok, nil
		})
	case deploy.CheckPort:
		err = retry(limited, firstPortPause, lastPortPause, func(ctx context.Context) (bool, error) { return listens(ctx, svc.backend()), nil })
	case deploy.CheckRunning:
		err = s.runs(limited, svc)
	default:
		err = fmt.Errorf("service %q has the unknown check %q", svc.Service, c.Kind)
	}
	if errors.Is(err, errOverdue) && ctx.Err() == nil {
		return s.overdue(ctx, svc, last)
	}
	return err
}

// retry calls try until it succeeds or fails for good, with pauses that double from first to last.
func retry(ctx context.Context, first, last time.Duration, try func(context.Context) (bool, error)) error {
	for pause := first; ; pause = min(2*pause, last) {
		if done, err := try(ctx); done || err != nil {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// runs waits until the service has run for as long as its check asks, or until it answers wherever its image says that it does.
func (s *start) runs(ctx context.Context, svc *service) error {
	settled, cancel := context.WithTimeout(ctx, svc.Check.Settle)
	defer cancel()
	ports := svc.Check.Ports
	err := retry(settled, firstPortPause, lastPortPause, func(ctx context.Context) (bool, error) {
		silent := func(port int) bool { return !listens(ctx, svc.at(port)) }
		return len(ports) > 0 && !slices.ContainsFunc(ports, silent), nil
	})
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// backend returns the address that the service answers at.
func (svc *service) backend() string { return svc.at(svc.Port) }

func (svc *service) at(port int) string {
	return net.JoinHostPort(svc.Address.String(), strconv.Itoa(port))
}

// listens reports whether something accepts connections at the address.
func listens(ctx context.Context, address string) bool {
	d := net.Dialer{Timeout: dialTimeout}
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return false
	}
	// The connection was only to see that it comes about.
	_ = conn.Close()
	return true
}

// test runs the service's health check once in its container, and returns in words what came of it, masked. An error is the engine's.
func (s *start) test(ctx context.Context, svc *service, hide *deployments.Mask) (ok bool, outcome string, err error) {
	command := svc.Check.Test[1:]
	if svc.Check.Test[0] == "CMD-SHELL" {
		command = []string{"/bin/sh", "-c", strings.Join(command, " ")}
	}
	limited, cancel := context.WithTimeoutCause(ctx, svc.Check.TestTimeout, errOverdue)
	defer cancel()
	status, output, err := s.exec(limited, svc.id, command, hide)
	switch {
	case ctx.Err() != nil:
		return false, "", nil
	case errors.Is(context.Cause(limited), errOverdue):
		return false, fmt.Sprintf("the check did not end within %s", seconds(svc.Check.TestTimeout)), nil
	case err != nil && disconnected(err):
		return false, "", fmt.Errorf("run the check of container %s: %w", svc.Name, err)
	case err != nil:
		return false, fmt.Sprintf("the check cannot be run: %v", err), nil
	case status != 0:
		lines := readable(string(output), 1, hide)
		return false, strings.TrimRight(fmt.Sprintf("the check exited with status %d: %s", status, strings.Join(lines, "")), ": "), nil
	}
	return true, "", nil
}

// exec runs a command in a container and returns its status and the beginning of its output, which is masked before it is cut. It returns when ctx is done, though the command may go on.
func (r *Runtime) exec(ctx context.Context, id string, command []string, hide *deployments.Mask) (status int, output []byte, err error) {
	var out bounded
	status, err = r.execute(ctx, id, container.ExecOptions{Cmd: command}, hide, &out)
	return status, out.kept, err
}

// execute runs something in a container, writes its output, masked, to out, and returns its status. It returns when ctx is done, as exec does.
func (r *Runtime) execute(ctx context.Context, id string, what container.ExecOptions, hide *deployments.Mask, out io.Writer) (status int, err error) {
	ctx, cancel := context.WithCancel(context.WithValue(ctx, tied{}, true))
	defer cancel()
	what.AttachStdout, what.AttachStderr = true, true
	made, err := r.client.ContainerExecCreate(ctx, id, what)
	if err != nil {
		return 0, err
	}
	stream, err := r.client.ContainerExecAttach(ctx, made.ID, container.ExecAttachOptions{})
	if err != nil {
		return 0, err
	}
	defer stream.Close()
	stop := context.AfterFunc(ctx, stream.Close)
	defer stop()
	masked := hide.Writer(out)
	_, err = stdcopy.StdCopy(masked, masked, stream.Reader)
	if err := errors.Join(err, masked.Close()); err != nil {
		return 0, errors.Join(ctx.Err(), err)
	}
	ended, err := r.client.ContainerExecInspect(ctx, made.ID)
	return ended.ExitCode, err
}

// bounded keeps the beginning of what is written to it.
type bounded struct{ kept []byte }

func (b *bounded) Write(p []byte) (int, error) {
	b.kept = append(b.kept, p[:min(outputLimit-len(b.kept), len(p))]...)
	return len(p), nil
}

// responds asks the service for its health path and returns in words what is wrong with what came of it. Any status below 400 will do.
func (s *start) responds(ctx context.Context, svc *service) (ok bool, outcome string) {
	status, err := s.get(ctx, "http://"+svc.at(svc.Check.Port)+svc.Check.Path, svc.Check.URL)
	switch {
	case ctx.Err() != nil:
		return false, ""
	case err != nil:
		return false, fmt.Sprintf("GET %s: %v", svc.Check.Path, err)
	case status >= http.StatusBadRequest:
		return false, fmt.Sprintf("GET %s answers %d", svc.Check.Path, status)
	default:
		return true, ""
	}
}

// answer asks the service for "/" as a visitor's request would come, and returns the HTTP status, 0 where there is none.
func (s *start) answer(ctx context.Context, svc *service) int {
	status, err := s.get(ctx, "http://"+svc.backend()+"/", svc.URL)
	if err != nil {
		s.log.Info("public service does not answer", "container", svc.Name, "error", err)
		return 0
	}
	return status
}

// get asks for a service's address with the Host and X-Forwarded-Proto of the preview's URL, where it has one, and returns the HTTP status.
func (s *start) get(ctx context.Context, address, preview string) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return 0, err
	}
	if u, err := url.Parse(preview); err == nil && u.Host != "" {
		req.Host = u.Host
		req.Header.Set("X-Forwarded-Proto", u.Scheme)
	}
	// The service's answers come from strangers: no proxy of ours is used and no redirect is followed.
	once := http.Client{
		Timeout:       answerTimeout,
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := once.Do(req)
	if err != nil {
		return 0, err
	}
	// Only the status counts; what else the service sends is of no use.
	_ = resp.Body.Close()
	return resp.StatusCode, nil
}
