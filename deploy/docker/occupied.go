package docker

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/docker/docker/api/types/network"
)

// Occupied implements [deployments.Runtime]: the IPv4 subnets of the engine's networks, ours and everybody's.
func (r *Runtime) Occupied(ctx context.Context) ([]netip.Prefix, error) {
	networks, err := r.client.NetworkList(ctx, network.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list the engine's networks: %w", err)
	}
	var occupied []netip.Prefix
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
