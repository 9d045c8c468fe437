//go:build !linux

package firewall

import "net/netip"

// Routes returns none: containers run on another kernel than this process.
func Routes() ([]Route, error) { return nil, nil }

func readRoutes() ([]Route, []netip.Addr, error) { return nil, nil, nil }
