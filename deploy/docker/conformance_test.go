package docker

import (
	"net/netip"
	"testing"

	"vitrine/deploy/runtimetest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	runtimetest.Run(t, func(t *testing.T) runtimetest.Engine {
		b := newBench(t)
		return runtimetest.Engine{Runtime: b.Runtime, Image: b.engine.image, Keeper: b.engine.keeper, Subnet: newSubnet}
	})
}

// newSubnet returns one that no other test has.
func newSubnet() netip.Prefix {
	n := nextSubnet.Add(1) % (1 << 11)
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 214, byte(n >> 3), byte(n << 5)}), 27)
}
