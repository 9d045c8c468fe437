package firewall

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"vitrine/deploy"
	"vitrine/deployments"
)

// A Leak is what a probe found in reach that must not be.
type Leak struct {
	From    string // "a preview" or "a build"
	Reached []netip.AddrPort
}

func (l *Leak) Error() string {
	return fmt.Sprintf("%s reaches %v through the firewall; other rules of this machine may accept or change packets before ours see them", l.From, l.Reached)
}

// probe tests the rules from a network of ours, and from a build where builds are held off.
func (f *Firewall) probe(ctx context.Context, bridge deploy.Bridge) error {
	args := []string{"probe"}
	for _, t := range f.view.targets(f.Pool) {
		args = append(args, t.String())
	}
	if err := f.probePreview(ctx, args); err != nil {
		return fmt.Errorf("test the firewall from a preview's network: %w", err)
	}
	if f.policy.BuildBridge == "" {
		return nil
	}
	program, err := f.Program(ctx)
	if err != nil {
		return err
	}
	out, err := f.Builder.RunCommand(ctx, program.Image, slices.Concat(program.Command, args))
	if err == nil {
		err = leakIn("a build", out)
	}
	if err != nil {
		return fmt.Errorf("test the firewall from a build on %s: %w", bridge.Name, err)
	}
	return nil
}

func (f *Firewall) probePreview(ctx context.Context, args []string) error {
	occupied, err := f.Engine.Occupied(ctx)
	if err != nil {
		return err
	}
	// Deployments take the first network that is free. At the other end nobody is in the way but the probes of servers that have the same pool.
	subnet, err := deployments.LastFreeSubnet(f.Pool, occupied)
	if errors.Is(err, deployments.ErrNoSubnet) {
		f.Log.Warn("the firewall is not tested from a preview's network: the address pool has none left", "pool", f.Pool)
		return nil
	}
	gateway := netip.AddrPortFrom(subnet.Addr().Next(), probePort)
	out, err := f.inContainer(ctx, deploy.OneShot{Subnet: subnet}, append(slices.Clone(args), gateway.String())...)
	if err != nil {
		return err
	}
	return leakIn("a preview", out)
}

// leakIn reads what a probe printed.
func leakIn(from string, out []byte) error {
	var reached []netip.AddrPort
	if err := json.Unmarshal(out, &reached); err != nil {
		return fmt.Errorf("read the probe's answer %q: %w", out, err)
	}
	if len(reached) > 0 {
		return &Leak{From: from, Reached: reached}
	}
	return nil
}
