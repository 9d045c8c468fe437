package firewall

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// A Destination is something that an operator lets previews and builds reach: an IPv4 network, or one port of it.
type Destination struct {
	Network netip.Prefix
	// Port, TCP and UDP; 0 for all, and for what is neither. An address of the host's own is in reach only where Network is that address alone and a
	// port is named: nobody means all of the host's ports who names the network that the host is in.
	Port uint16
}

// ParseDestination reads "10.1.2.0/24", "10.1.2.3", "10.1.2.3:5432" or "10.1.2.0/24:443".
func ParseDestination(text string) (Destination, error) {
	network, port, hasPort := strings.Cut(text, ":")
	var d Destination
	var err error
	if strings.Contains(network, "/") {
		d.Network, err = netip.ParsePrefix(network)
	} else {
		var a netip.Addr
		a, err = netip.ParseAddr(network)
		d.Network = netip.PrefixFrom(a, 32)
	}
	if err != nil || !d.Network.Addr().Is4() {
		return Destination{}, fmt.Errorf("%q is no IPv4 address or network, as in 10.1.2.3, 10.1.2.0/24 or 10.1.2.3:5432", text)
	}
	if d.Network != d.Network.Masked() {
		return Destination{}, fmt.Errorf("%q has bits set behind its prefix; write %s for the network", text, d.Network.Masked())
	}
	if hasPort {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return Destination{}, fmt.Errorf("%q has the port %q, which is none from 1 to 65535", text, port)
		}
		d.Port = uint16(n)
	}
	return d, nil
}

// UnmarshalText does what ParseDestination does.
func (d *Destination) UnmarshalText(text []byte) (err error) {
	*d, err = ParseDestination(string(text))
	return err
}

// MarshalText does what String does.
func (d Destination) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// String returns what ParseDestination reads.
func (d Destination) String() string {
	text := d.Network.String()
	if d.Network.IsSingleIP() {
		text = d.Network.Addr().String()
	}
	if d.Port != 0 {
		text += ":" + strconv.Itoa(int(d.Port))
	}
	return text
}

// rules returns those that let it be reached.
func (d Destination) rules() []rule {
	if d.Port == 0 {
		return []rule{{to: d.Network, then: accept}}
	}
	return []rule{{to: d.Network, proto: "udp", port: d.Port, then: accept}, {to: d.Network, proto: "tcp", port: d.Port, then: accept}}
}
