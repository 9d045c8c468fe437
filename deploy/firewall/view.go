package firewall

import (
	"bufio"
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"strings"
)

// A View is what a process sees of the network namespace that it is in. It crosses from a container of our own as JSON.
type View struct {
	// Namespace is the same for two processes where they are in the same network namespace of the same running kernel, and only there.
	Namespace string
	// Resolvers are the name servers of resolv.conf(5). In a container of the host's network these are what the engine gives to containers: its own
	// setting, else the host's.
	Resolvers []netip.Addr
	// Addresses are the IPv4 addresses of the interfaces, loopback ones left out.
	Addresses []netip.Addr
	// Routes are the IPv4 networks that lead somewhere else than the default routes do, from all tables.
	Routes []Route
}

// A Route leads to a network.
type Route struct {
	Network   netip.Prefix
	Interface string // its name; empty where the route has none
}

// Look returns what this process sees.
func Look() (View, error) {
	v := View{}
	var err error
	if v.Namespace, err = Namespace(); err != nil {
		return v, err
	}
	text, err := os.ReadFile("/etc/resolv.conf")
	if err != nil && !os.IsNotExist(err) { // without the file there is no name server
		return v, fmt.Errorf("read the name servers: %w", err)
	}
	v.Resolvers = parseResolvers(text)
	if v.Routes, v.Addresses, err = readRoutes(); err != nil {
		return v, err
	}
	return v, nil
}

// Namespace names the network namespace that this process is in; see [View].
func Namespace() (string, error) {
	// The number of a namespace is unique within one kernel, and the first one's may be the same in all of them.
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("tell this kernel from others: %w", err)
	}
	namespace, err := os.Readlink("/proc/thread-self/ns/net")
	if err != nil {
		return "", fmt.Errorf("tell this network namespace from others: %w", err)
	}
	return strings.TrimSpace(string(boot)) + " " + namespace, nil
}

// parseResolvers reads the lines "nameserver ADDRESS" of resolv.conf(5). What is no address is passed over.
func parseResolvers(text []byte) (resolvers []netip.Addr) {
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 2 || fields[0] != "nameserver" {
			continue
		}
		if a, err := netip.ParseAddr(fields[1]); err == nil {
			resolvers = append(resolvers, a)
		}
	}
	return resolvers
}
