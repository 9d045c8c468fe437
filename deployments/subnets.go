package deployments

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
)

// subnetBits is the prefix length of a deployment's network: 32 addresses, for at most 25 containers.
const subnetBits = 27

// ErrNoSubnet is returned when every network of the pool is taken.
var ErrNoSubnet = errors.New("every network of the address pool is taken")

// FreeSubnet returns the first /27 of the IPv4 pool that none of used overlaps.
func FreeSubnet(pool netip.Prefix, used []netip.Prefix) (netip.Prefix, error) {
	return freeSubnet(pool, used, func(i, _ uint32) uint32 { return i })
}

// LastFreeSubnet is FreeSubnet from the other end of the pool.
func LastFreeSubnet(pool netip.Prefix, used []netip.Prefix) (netip.Prefix, error) {
	return freeSubnet(pool, used, func(i, count uint32) uint32 { return count - 1 - i })
}

// freeSubnet tries the subnets in an order that nth gives: the number of the i-th of count.
func freeSubnet(pool netip.Prefix, used []netip.Prefix, nth func(i, count uint32) uint32) (netip.Prefix, error) {
	taken := make(map[netip.Prefix]bool, len(used))
	var larger []netip.Prefix
	for _, p := range used {
		if p.Bits() >= subnetBits {
			taken[netip.PrefixFrom(p.Addr(), subnetBits).Masked()] = true
		} else {
			larger = append(larger, p)
		}
	}
	first := binary.BigEndian.Uint32(pool.Masked().Addr().AsSlice())
	count := uint32(1) << max(0, subnetBits-pool.Bits())
	for i := range count {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], first+nth(i, count)<<(32-subnetBits))
		free := netip.PrefixFrom(netip.AddrFrom4(b), subnetBits)
		if !taken[free] && !slices.ContainsFunc(larger, free.Overlaps) {
			return free, nil
		}
	}
	return netip.Prefix{}, ErrNoSubnet
}
