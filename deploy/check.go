package deploy

import (
	"cmp"
	"fmt"
	"slices"
)

// check returns how to find out that the service is up. Ports that the image exposes may be another service's, where both run one image: nothing has
// to answer there.
func (in PlanInput) check(s Service, exposed []int, ends bool) (Check, error) {
	timeout := cmp.Or(in.StartTimeout, defaultTimeout)
	tested := s.Health != nil && len(s.Health.Test) > 0 && s.Health.Test[0] != "NONE"
	if tested {
		timeout += s.Health.StartPeriod
	}
	timeout = min(cmp.Or(s.StartTimeout, timeout), maxStartTimeout)
	switch {
	case ends:
		return Check{Kind: CheckExit, Timeout: cmp.Or(min(s.StartTimeout, maxStartTimeout), exitTimeout)}, nil
	case tested:
		if (s.Health.Test[0] != "CMD" && s.Health.Test[0] != "CMD-SHELL") || len(s.Health.Test) < 2 {
			return Check{}, &StackError{Service: s.Name, Reason: fmt.Sprintf("healthcheck.test is %q; write [\"CMD\", ...], [\"CMD-SHELL\", \"...\"] or [\"NONE\"]", s.Health.Test)}
		}
		return Check{Kind: CheckExec, Test: s.Health.Test, TestTimeout: cmp.Or(s.Health.Timeout, testTimeout), Timeout: timeout}, nil
	case s.HealthPath != "":
		if s.Port == 0 {
			return Check{}, &StackError{Service: s.Name, Reason: fmt.Sprintf("it is to answer at %s, but neither ports: nor the image's EXPOSE says on which port", s.HealthPath)}
		}
		return Check{Kind: CheckHTTP, Port: s.Port, Path: s.HealthPath, URL: urlOf(s), Timeout: timeout}, nil
	case s.Port != 0:
		return Check{Kind: CheckPort, Port: s.Port, Timeout: timeout}, nil
	default:
		return Check{Kind: CheckRunning, Settle: settleTime, Ports: slices.Sorted(slices.Values(exposed)), Timeout: timeout}, nil
	}
}

// watched returns the check as the engine is to run it. An image's own check would otherwise run as often as the image likes.
func watched(h *Health) *Health {
	if h == nil {
		return nil
	}
	w := *h
	w.Interval = max(w.Interval, watchInterval)
	return &w
}
