package docker

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/docker/docker/api/types/network"
)

// Occupied returns the IPv4 networks that the engine's networks have, ours and everybody's: another one must not overlap them.
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
