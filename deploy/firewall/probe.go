package firewall

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"
)

const (
	// probeTimeout is how long a probe waits for each answer. What rejects answers at once, and an address that nobody has does not answer at all.
	probeTimeout = time.Second
	// probePort is one that nobody listens on (tcpmux): a host that is in reach refuses the connection.
	probePort = 1
	// mostProbed is how many of the host's addresses are tried.
	mostProbed = 16
)

// errNoNetwork is returned by a probe that could not have reached anything.
var errNoNetwork = errors.New("the probe has no network: what it does not reach says nothing")

// Probe tries to connect to each address side by side and returns those that are in reach, in their order. A connection that is refused counts: the
// packet went there, and the answer came back. It takes a second at most.
func Probe(ctx context.Context, targets []netip.AddrPort) (reached []netip.AddrPort, err error) {
	routes, own, err := readRoutes()
	if err != nil {
		return nil, err
	}
	if len(own) == 0 || len(routes) == 0 {
		return nil, errNoNetwork
	}
	answers := make([]bool, len(targets))
	var trying sync.WaitGroup
	for i, t := range targets {
		trying.Go(func() { answers[i] = inReach(ctx, t) })
	}
	trying.Wait()
	for i, t := range targets {
		if answers[i] {
			reached = append(reached, t)
		}
	}
	return reached, ctx.Err()
}

// inReach reports whether somebody at the address answers a connection, be it with a refusal.
func inReach(ctx context.Context, target netip.AddrPort) bool {
	dialer := net.Dialer{Timeout: probeTimeout}
	conn, err := dialer.DialContext(ctx, "tcp4", target.String())
	if err != nil {
		return errors.Is(err, syscall.ECONNREFUSED)
	}
	_ = conn.Close() // it was only to see that it comes about
	return true
}

// targets returns what a probe tries: the host at its addresses, those outside of the pool first, and where clouds tell a machine its secrets.
func (v View) targets(pool netip.Prefix) []netip.AddrPort {
	addresses := slices.Clone(v.Addresses)
	slices.SortStableFunc(addresses, func(a, b netip.Addr) int { return order(pool.Contains(a)) - order(pool.Contains(b)) })
	var targets []netip.AddrPort
	for _, a := range addresses[:min(len(addresses), mostProbed)] {
		targets = append(targets, netip.AddrPortFrom(a, probePort))
	}
	return append(targets, netip.AddrPortFrom(netip.AddrFrom4([4]byte{169, 254, 169, 254}), 80))
}

func order(last bool) int {
	if last {
		return 1
	}
	return 0
}
