package docker

import (
	"context"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"

	"vitrine/deploy"
	"vitrine/deployments"
)

// How much of a service's output a Fault shows.
const (
	excerptLines = 20
	excerptWidth = 300 // runes of a line
)

// fault returns a Fault of the service with its last lines, unless the engine goes away just now or its disk is full.
func (s *start) fault(ctx context.Context, svc *service, reason string) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if err := s.steady(ctx); err != nil {
		return err
	}
	if s.diskFull(ctx) { // whatever the service would say of it has found no room in its log either
		return &deployments.Unavailable{Neighbour: neighbourDisk, Err: fmt.Errorf("container %s %s, and the engine's disk is full", svc.Name, reason)}
	}
	f := &deployments.Fault{Kind: deployments.FaultStart, Service: svc.Service, Reason: reason}
	lines, err := s.lastLines(ctx, svc)
	if err != nil {
		s.log.Warn("last lines of a failed service are missing", "container", svc.Name, "error", err)
	}
	f.Excerpt = lines
	return f
}

// exited returns the Fault of a service that ended before its time, or with the wrong status.
func (s *start) exited(ctx context.Context, svc *service, status int64) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	reason := fmt.Sprintf("exited with status %d", status)
	if found, err := s.client.ContainerInspect(ctx, svc.id); err == nil && found.State != nil {
		if found.State.OOMKilled {
			reason = fmt.Sprintf("ran out of memory (it has %d MiB) and exited with status %d", svc.Memory>>20, status)
		}
		reason += lasted(found.State)
	}
	if svc.Job > 0 {
		reason = svc.jobName() + " " + reason
	}
	if status == 0 {
		reason += "; where it is meant to end, a service has to depend on it with the condition service_completed_successfully"
	}
	return s.fault(ctx, svc, reason)
}

// jobName says which init job it is: `its init job "bin/rails db:migrate"`.
func (svc *service) jobName() string {
	return fmt.Sprintf("its init job %q", strings.Join(slices.Concat(svc.Entrypoint, svc.Command), " "))
}

// lasted returns " after 0.4 s", or nothing where the engine's times do not say. A process that ends at once may have done so before the engine took
// down that it began.
func lasted(state *container.State) string {
	from, err1 := time.Parse(time.RFC3339Nano, state.StartedAt)
	to, err2 := time.Parse(time.RFC3339Nano, state.FinishedAt)
	if err1 != nil || err2 != nil || to.IsZero() {
		return ""
	}
	return " after " + seconds(max(0, to.Sub(from)))
}

// overdue returns the Fault of a service that took too long. last is what the last try of its check ended in.
func (s *start) overdue(ctx context.Context, svc *service, last string) error {
	var reason string
	switch c := svc.Check; c.Kind {
	case deploy.CheckExit:
		if svc.Job > 0 {
			reason = fmt.Sprintf("%s has not ended after %s", svc.jobName(), seconds(c.Timeout))
			break
		}
		reason = fmt.Sprintf("has not ended after %s, and another service waits for that", seconds(c.Timeout))
	case deploy.CheckPort:
		reason = fmt.Sprintf("nothing listens on port %d (looked for %s)%s", c.Port, seconds(c.Timeout), s.elsewhere(ctx, svc))
	default:
		reason = fmt.Sprintf("is not healthy after %s", seconds(c.Timeout))
		if last != "" {
			reason += ": " + last
		}
	}
	return s.fault(ctx, svc, reason)
}

// startError makes a Fault of an engine's refusal to run what the stack asks for: a command that is not there, a user that the image does not have.
func (s *start) startError(ctx context.Context, svc *service, err error) error {
	// setrlimit(2) refuses what lies above the engine's own limits, or the kernel's.
	limits := strings.Contains(err.Error(), "error setting rlimit")
	refused := limits || errdefs.IsInvalidArgument(err) || strings.Contains(err.Error(), "unable to find user")
	if refused && !full(err.Error()) {
		if err := s.steady(ctx); err != nil {
			return err
		}
		reason := fmt.Sprintf("cannot be started: %v", err)
		if limits {
			reason = fmt.Sprintf("cannot be started with its ulimits, of which one is above what the engine may give; lower them: %v", err)
		}
		return &deployments.Fault{Kind: deployments.FaultStart, Service: svc.Service, Reason: reason}
	}
	return fmt.Errorf("start container %s: %w", svc.Name, err)
}

// lastLines returns the end of what the service printed. What is secret of its environment is masked before a line is cut.
func (s *start) lastLines(ctx context.Context, svc *service) ([]string, error) {
	mask, err := s.maskOf(ctx, s.plan.Environment)
	if err != nil {
		return nil, err
	}
	lines, err := s.last(ctx, newPrinter(svc.id, svc.Labels, mask), deployments.LogQuery{}, excerptLines)
	if err != nil {
		return nil, err
	}
	var shown []string
	for _, l := range lines {
		shown = append(shown, readable(l.Text, 1, mask.now())...)
	}
	return shown, nil
}

// escapes matches what terminals take for colours and cursor movements (ECMA-48 §5.4, and operating system commands as xterm has them).
var escapes = regexp.MustCompile(`\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)?|[@-_])`)

// readable returns the last n lines of output that are not empty, without control characters, each masked and then cut to a bearable width.
func readable(output string, n int, hide *deployments.Mask) []string {
	text := escapes.ReplaceAllString(strings.ToValidUTF8(hide.String(output), "?"), "")
	var lines []string
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.Map(func(r rune) rune {
			if r == '\t' {
				return ' '
			}
			if r < ' ' || r >= 0x7f && r < 0xa0 {
				return -1
			}
			return r
		}, line)
		// A secret may have been hidden from the mask by what is cleared away, such as a colour.
		line = hide.String(line)
		if runes := []rune(line); len(runes) > excerptWidth {
			line = string(runes[:excerptWidth]) + "..."
		}
		if line = strings.TrimRight(line, " "); line != "" {
			lines = append(lines, line)
		}
	}
	return lines[max(0, len(lines)-n):]
}

// seconds returns d for people: "0.43 s", "1.5 s", "60 s".
func seconds(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%.2g s", d.Seconds())
	}
	return fmt.Sprintf("%g s", math.Round(d.Seconds()*10)/10)
}
