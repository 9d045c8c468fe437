package deployments

import (
	"errors"
	"net/netip"
	"testing"

	"pgregory.net/rapid"
)

func TestLastFreeSubnet(t *testing.T) {
	pool, used := netip.MustParsePrefix("10.213.0.0/24"), []netip.Prefix{netip.MustParsePrefix("10.213.0.224/27"), netip.MustParsePrefix("10.213.0.128/26")}
	if got, err := LastFreeSubnet(pool, used); err != nil || got != netip.MustParsePrefix("10.213.0.192/27") {
		t.Errorf("got %s, %v", got, err)
	}
	if got, err := LastFreeSubnet(pool, []netip.Prefix{pool}); !errors.Is(err, ErrNoSubnet) {
		t.Errorf("a full pool: %s, %v", got, err)
	}
}

func TestFreeSubnet(t *testing.T) {
	prefixes := func(texts ...string) (ps []netip.Prefix) {
		for _, text := range texts {
			ps = append(ps, netip.MustParsePrefix(text))
		}
		return ps
	}
	for name, test := range map[string]struct {
		pool string
		used []netip.Prefix
		want string
	}{
		"the first":                     {"10.213.0.0/16", nil, "10.213.0.0/27"},
		"the first hole":                {"10.213.0.0/16", prefixes("10.213.0.0/27", "10.213.0.64/27"), "10.213.0.32/27"},
		"past a larger network":         {"10.213.0.0/16", prefixes("10.213.0.0/24"), "10.213.1.0/27"},
		"past a smaller network":        {"10.213.0.0/16", prefixes("10.213.0.8/29"), "10.213.0.32/27"},
		"not disturbed by others":       {"10.213.0.0/16", prefixes("172.17.0.0/16"), "10.213.0.0/27"},
		"a pool written with host bits": {"10.213.0.5/16", nil, "10.213.0.0/27"},
		"the pool is one network":       {"10.213.0.0/27", nil, "10.213.0.0/27"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := FreeSubnet(netip.MustParsePrefix(test.pool), test.used)
			if err != nil || got.String() != test.want {
				t.Errorf("got %v, %v, want %s", got, err, test.want)
			}
		})
	}
	if _, err := FreeSubnet(netip.MustParsePrefix("10.213.0.0/27"), prefixes("10.213.0.0/27")); !errors.Is(err, ErrNoSubnet) {
		t.Errorf("a full pool: got %v, want ErrNoSubnet", err)
	}
}

func TestFreeSubnetsNeverOverlap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pool := netip.PrefixFrom(netip.MustParseAddr("10.213.0.0"), rapid.IntRange(20, 27).Draw(t, "bits"))
		var used []netip.Prefix
		for {
			free, err := FreeSubnet(pool, used)
			if errors.Is(err, ErrNoSubnet) {
				break
			}
			for _, u := range used {
				if u.Overlaps(free) {
					t.Fatalf("%s overlaps %s", free, u)
				}
			}
			if !pool.Contains(free.Addr()) {
				t.Fatalf("%s lies outside %s", free, pool)
			}
			used = append(used, free)
		}
		if want := 1 << (27 - pool.Bits()); len(used) != want {
			t.Fatalf("%s gave %d networks, want %d", pool, len(used), want)
		}
	})
}
