package deploy

import (
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"regexp"
	"slices"
)

// objectName is what the engine takes as the name of a container or a volume, and what compose takes as a service's.
var objectName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]*$`)

// checked returns the stack's services in the order to start them, or what is wrong with the stack.
func checked(stack Stack) ([]Service, error) {
	if len(stack.Services) == 0 {
		return nil, &StackError{Reason: "the stack has no services"}
	}
	containers := 0
	for _, s := range stack.Services {
		containers += max(1, s.Replicas)
	}
	if containers > maxContainers {
		return nil, &StackError{Reason: fmt.Sprintf("the stack has %d containers, replicas counted; a preview may have %d", containers, maxContainers)}
	}
	volumes := make(map[string]bool, len(stack.Volumes))
	for _, v := range stack.Volumes {
		if !objectName.MatchString(v) || volumes[v] {
			return nil, &StackError{Reason: fmt.Sprintf("volume %q is no valid name, or stands there twice", v)}
		}
		volumes[v] = true
	}
	names := make(map[string]bool, len(stack.Services))
	for _, s := range stack.Services {
		if !objectName.MatchString(s.Name) || names[s.Name] {
			return nil, &StackError{Service: s.Name, Reason: "its name is not valid (letters, digits, '_', '.', '-'), or stands there twice"}
		}
		names[s.Name] = true
	}
	services := slices.Clone(stack.Services)
	for i, s := range services {
		deps, err := settled(s, names)
		if err != nil {
			return nil, err
		}
		services[i].DependsOn = deps
		if err := checkMounts(s, volumes); err != nil {
			return nil, err
		}
		if err := checkFiles(s); err != nil {
			return nil, err
		}
		if slices.ContainsFunc(s.PostStart, func(h Hook) bool { return len(h.Command) == 0 }) {
			return nil, &StackError{Service: s.Name, Reason: "a post_start hook has nothing to run"}
		}
	}
	if err := checkJobs(stack.Jobs, names); err != nil {
		return nil, err
	}
	return ordered(services)
}

func checkMounts(s Service, volumes map[string]bool) error {
	targets := make(map[string]bool, len(s.Mounts))
	for _, m := range s.Mounts {
		target := path.Clean(m.Target)
		switch {
		case !volumes[m.Volume]:
			return &StackError{Service: s.Name, Reason: fmt.Sprintf("it mounts %q, which is no volume of this stack", m.Volume)}
		case !path.IsAbs(target) || target == "/":
			return &StackError{Service: s.Name, Reason: fmt.Sprintf("it mounts volume %q at %q, which is no absolute path below /", m.Volume, m.Target)}
		case m.Subpath != "" && !filepath.IsLocal(m.Subpath):
			return &StackError{Service: s.Name, Reason: fmt.Sprintf("it mounts %q of volume %q, which is no folder in it", m.Subpath, m.Volume)}
		case targets[target]:
			return &StackError{Service: s.Name, Reason: fmt.Sprintf("it mounts two volumes at %s", target)}
		}
		targets[target] = true
	}
	return nil
}

// checkFiles holds that nothing is copied from outside of the checkout, or over the whole container.
func checkFiles(s Service) error {
	for _, f := range s.Files {
		switch {
		case !path.IsAbs(f.Target) || path.Clean(f.Target) == "/":
			return &StackError{Service: s.Name, Reason: fmt.Sprintf("a file is to lie at %q, which is no absolute path below /", f.Target)}
		case f.Source != "" && !fs.ValidPath(f.Source):
			return &StackError{Service: s.Name, Reason: fmt.Sprintf("it copies %q, which is no path in the checkout", f.Source)}
		}
	}
	return nil
}
