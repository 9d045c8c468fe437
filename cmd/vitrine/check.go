package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"vitrine/deploy/compose"
	"vitrine/deployments"
)

type checkCommand struct {
	Dir  string `arg:"" optional:"" default:"." help:"The folder of the repository."`
	JSON bool   `name:"json" help:"Print JSON: an object with ok, violations, notes and services."`
}

// A verdict is what a deploy would say of a folder.
type verdict struct {
	OK         bool                    `json:"ok"`
	Reason     string                  `json:"reason,omitempty"` // why there is nothing to deploy, where that is so
	Violations []deployments.Violation `json:"violations"`
	Notes      []string                `json:"notes"`    // what has no effect, and what is to be set on the server
	Services   []publicService         `json:"services"` // those that get a host, the one with the plain host first
}

type publicService struct {
	Name string `json:"name"`
	Port int    `json:"port"`
	Host string `json:"host,omitempty"` // what its host begins with in place of its name
}

// Run holds the folder's .vitrine.yml and compose files, its Dockerfile, or what it serves as it is, against the rules and the policy, as a deploy would, without an engine
// or a server. It reads nothing else and changes nothing.
func (c *checkCommand) Run(ctx context.Context, to console) error {
	if info, err := os.Stat(c.Dir); err != nil || !info.IsDir() {
		return &usageError{fmt.Errorf("%s is not a folder", c.Dir)}
	}
	found, err := judge(ctx, c.Dir)
	if err != nil {
		return err
	}
	if c.JSON {
		encoder := json.NewEncoder(to.out)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(found)
	} else {
		err = found.print(to.out)
	}
	switch {
	case err != nil || found.OK:
		return err
	case found.Reason != "":
		return errors.New(found.Reason)
	case len(found.Violations) == 1:
		return errors.New("this would not be deployed")
	default:
		return fmt.Errorf("this would not be deployed, for %d reasons", len(found.Violations))
	}
}

// judge returns the verdict on a folder. An error is not the folder's.
func judge(ctx context.Context, dir string) (verdict, error) {
	stack, err := compose.New(compose.Config{}).Check(ctx, dir)
	found := verdict{OK: err == nil, Violations: []deployments.Violation{}, Notes: []string{}, Services: []publicService{}}
	found.Notes = append(found.Notes, stack.Notes...)
	for _, s := range stack.Public {
		found.Services = append(found.Services, publicService(s))
	}
	if err == nil {
		return found, nil
	}
	fault := deployments.FaultOf(err)
	if fault == nil {
		return verdict{}, fmt.Errorf("read %s: %w", dir, err)
	}
	found.Violations = append(found.Violations, fault.Violations...)
	if len(fault.Violations) == 0 {
		found.Reason = fault.Error()
	}
	return found, nil
}

// print writes the verdict for people, a line for each thing.
func (v verdict) print(w io.Writer) error {
	var errs []error
	line := func(format string, args ...any) {
		_, err := fmt.Fprintf(w, format+"\n", args...)
		errs = append(errs, err)
	}
	for _, wrong := range v.Violations {
		line("%s: %s", wrong.Place(), wrong.Text())
	}
	for _, note := range v.Notes {
		line("note: %s", note)
	}
	for i, s := range v.Services {
		host := "with a host of its own"
		switch {
		case i == 0:
			host = "with the preview's host"
		case s.Host != "":
			host = "with a host that begins with " + s.Host
		}
		line("%s: port %d, %s", s.Name, s.Port, host)
	}
	return errors.Join(errs...)
}
