package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"

	"vitrine/deploy/firewall"
)

// A firewallCommand is what the firewall runs in containers: where the server itself may not change the host's rules, and where it asks what is in reach.
// Each prints its answer as JSON.
type firewallCommand struct {
	Look   firewallLook   `cmd:"" help:"What this network namespace is like."`
	Apply  firewallApply  `cmd:"" help:"Bring the rules to a policy."`
	Remove firewallRemove `cmd:"" help:"Remove the rules of an instance."`
	Probe  firewallProbe  `cmd:"" help:"Which of some addresses are in reach."`
}

type firewallLook struct{}

// Run prints the view of this network namespace.
func (firewallLook) Run(to console) error {
	view, err := firewall.Look()
	if err != nil {
		return err
	}
	return json.NewEncoder(to.out).Encode(view)
}

type firewallApply struct {
	Policy string `arg:"" help:"The policy, JSON."`
}

// Run prints whether the rules had to be changed.
func (c *firewallApply) Run(to console) error {
	var p firewall.Policy
	if err := json.Unmarshal([]byte(c.Policy), &p); err != nil {
		return &usageError{fmt.Errorf("read the policy: %w", err)}
	}
	changed, err := firewall.Apply(p)
	if err != nil {
		return err
	}
	return json.NewEncoder(to.out).Encode(changed)
}

type firewallRemove struct {
	Instance string `arg:"" help:"The instance."`
}

// Run removes the rules.
func (c *firewallRemove) Run() error { return firewall.Remove(c.Instance) }

type firewallProbe struct {
	Targets []netip.AddrPort `arg:"" help:"Addresses with ports."`
}

// Run prints the addresses that are in reach.
func (c *firewallProbe) Run(ctx context.Context, to console) error {
	reached, err := firewall.Probe(ctx, c.Targets)
	if err != nil {
		return err
	}
	return json.NewEncoder(to.out).Encode(reached)
}
