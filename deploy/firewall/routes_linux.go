package firewall

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"
)

// widest is the shortest prefix of a network that counts as one: VPNs that take all traffic have 0.0.0.0/1 and 128.0.0.0/1 for a default route.
const widest = 8

// Routes returns the IPv4 networks that the host in whose network namespace this process is has a way to, other than by a default route: its own
// networks, those behind a VPN, and what somebody set. It needs no rights.
func Routes() ([]Route, error) {
	routes, _, err := readRoutes()
	return routes, err
}

// readRoutes reads all tables of routes, and the addresses of the interfaces (rtnetlink(7)).
func readRoutes() (routes []Route, addresses []netip.Addr, err error) {
	rib, err := syscall.NetlinkRIB(syscall.RTM_GETROUTE, syscall.AF_INET)
	if err != nil {
		return nil, nil, fmt.Errorf("read the routes: %w", err)
	}
	messages, err := syscall.ParseNetlinkMessage(rib)
	if err != nil {
		return nil, nil, fmt.Errorf("read the routes: %w", err)
	}
	names, err := interfaceNames()
	if err != nil {
		return nil, nil, err
	}
	for _, m := range messages {
		if m.Header.Type != syscall.RTM_NEWROUTE || len(m.Data) < syscall.SizeofRtMsg {
			continue
		}
		attributes, err := syscall.ParseNetlinkRouteAttr(&m)
		if err != nil {
			return nil, nil, fmt.Errorf("read the routes: %w", err)
		}
		// struct rtmsg: the second byte is the destination's prefix length, the eighth the route's type.
		bits, kind := int(m.Data[1]), m.Data[7]
		network, via := routeOf(attributes, bits)
		switch {
		case !network.IsValid():
		case kind == syscall.RTN_LOCAL && bits == 32 && !network.Addr().IsLoopback():
			addresses = append(addresses, network.Addr())
		case kind == syscall.RTN_UNICAST && bits >= widest:
			routes = append(routes, Route{Network: network, Interface: names[via]})
		}
	}
	slices.SortFunc(addresses, netip.Addr.Compare)
	return routes, slices.Compact(addresses), nil
}

// routeOf returns the destination of a route, invalid where it has none, and the number of its interface.
func routeOf(attributes []syscall.NetlinkRouteAttr, bits int) (network netip.Prefix, via uint32) {
	for _, a := range attributes {
		switch {
		case a.Attr.Type == syscall.RTA_DST && len(a.Value) == 4:
			network = netip.PrefixFrom(netip.AddrFrom4([4]byte(a.Value)), bits).Masked()
		case a.Attr.Type == syscall.RTA_OIF && len(a.Value) == 4:
			via = binary.NativeEndian.Uint32(a.Value)
		}
	}
	return network, via
}

func interfaceNames() (map[uint32]string, error) {
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("list the interfaces: %w", err)
	}
	names := make(map[uint32]string, len(interfaces))
	for _, i := range interfaces {
		names[uint32(i.Index)] = i.Name
	}
	return names, nil
}
