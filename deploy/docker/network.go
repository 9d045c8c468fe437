package docker

import (
	"context"
	"fmt"
	"maps"
	"net/netip"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"

	"vitrine/deploy"
	"vitrine/deployments"
)

// bridgeName is the bridge driver's option for the name of the Linux interface, by which the firewall knows our networks.
const bridgeName = "com.docker.network.bridge.name"

// Occupied implements [deployments.Runtime]: the IPv4 subnets of the engine's networks, ours and everybody's, and what the host has routes to.
func (r *Runtime) Occupied(ctx context.Context) ([]netip.Prefix, error) {
	var networks []network.Summary
	err := r.briefly(ctx, func(ctx context.Context) (err error) {
		networks, err = r.client.NetworkList(ctx, network.ListOptions{})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list the engine's networks: %w", err)
	}
	occupied, err := r.routes()
	if err != nil {
		return nil, fmt.Errorf("list the host's networks: %w", err)
	}
	for _, n := range networks {
		for _, c := range n.IPAM.Config {
			// An engine may leave the subnet empty, for networks that it gives no addresses in.
			if p, err := netip.ParsePrefix(c.Subnet); err == nil && p.Addr().Is4() {
				occupied = append(occupied, p)
			}
		}
	}
	return occupied, nil
}

// Prepare implements [deployments.Runtime]. It makes the deployment's network; one that is there already is left as it is.
func (r *Runtime) Prepare(ctx context.Context, d deployments.Deployment) error {
	n, err := deploy.NewNetwork(r.instance, d.ID, d.Subnet)
	if err != nil {
		return err
	}
	return r.briefly(ctx, func(ctx context.Context) error { return r.makeNetwork(ctx, n) })
}

func (r *Runtime) makeNetwork(ctx context.Context, n deploy.Network) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	ctx, cancel := lasting(ctx)
	defer cancel()
	there, err := r.hasNetwork(ctx, n)
	if there || err != nil {
		return err
	}
	ipv6 := false
	_, err = r.client.NetworkCreate(ctx, n.Name, network.CreateOptions{
		Driver:     "bridge",
		EnableIPv6: &ipv6,
		IPAM: &network.IPAM{Driver: "default", Config: []network.IPAMConfig{
			{Subnet: n.Subnet.String(), Gateway: n.Gateway.String(), IPRange: n.Dynamic.String()},
		}},
		Options: map[string]string{bridgeName: n.Name},
		Labels:  n.Labels,
	})
	if errdefs.IsConflict(err) {
		if there, err := r.hasNetwork(ctx, n); there || err != nil {
			return err
		}
	}
	if err != nil {
		return fmt.Errorf("make network %s (%s): %w", n.Name, n.Subnet, err)
	}
	return nil
}

// hasNetwork reports whether the network is there. One of its name that is another is an error.
func (r *Runtime) hasNetwork(ctx context.Context, n deploy.Network) (bool, error) {
	found, err := r.client.NetworkInspect(ctx, n.Name, network.InspectOptions{})
	if errdefs.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look up network %s: %w", n.Name, err)
	}
	if !maps.Equal(found.Labels, n.Labels) || len(found.IPAM.Config) != 1 || found.IPAM.Config[0].Subnet != n.Subnet.String() {
		return false, fmt.Errorf("make network %s (%s): the engine has another one of this name; remove it", n.Name, n.Subnet)
	}
	return true, nil
}

func (r *Runtime) makeVolume(ctx context.Context, v deploy.Volume) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	ctx, cancel := lasting(ctx)
	defer cancel()
	made, err := r.client.VolumeCreate(ctx, volume.CreateOptions{Driver: "local", Name: v.Name, Labels: v.Labels})
	if err != nil {
		return fmt.Errorf("make volume %s: %w", v.Name, err)
	}
	// The engine answers with the volume that has the name, whoever made it.
	if !maps.Equal(made.Labels, v.Labels) {
		return fmt.Errorf("make volume %s: the engine has another one of this name; remove it", v.Name)
	}
	return nil
}
