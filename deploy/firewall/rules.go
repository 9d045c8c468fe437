package firewall

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"vitrine/deploy"
)

// A Policy is what the rules are made from. It crosses to a container of our own as JSON.
type Policy struct {
	// Instance is the server's. Its rules are for the bridges that [deploy.BridgePrefix] names, which no other server on the engine has.
	Instance string
	// Pool is where the networks of previews are. No preview and no build reaches another's network, whatever Allow says.
	Pool netip.Prefix
	// BuildBridge is the interface that builds come from, empty for none. It is the engine's default bridge, which all servers on the engine share: a
	// build reaches what the rules of each of them let it reach.
	BuildBridge string
	// Resolvers are the name servers that the engine gives to containers. Port 53 of these is in reach, also where it is one of the host's own addresses.
	Resolvers []netip.Addr
	// Listener is where visitors of previews are heard, if not on loopback only. Previews reach it, builds do not. The zero value for none.
	Listener netip.AddrPort
	// Allow is what the operator lets previews and builds reach.
	Allow []Destination
}

// Ways of the packets that rules are for.
const (
	intoHost = "input"   // to the host itself, whatever address it has
	beyond   = "forward" // through the host to others
)

// A verdict is what becomes of a packet that a rule is about.
type verdict string

const (
	// accept ends the way through this table only: what another table drops stays dropped.
	accept verdict = "accept"
	// reject tells the sender at once, which does not wait for a timeout then. That it is the firewall's doing tells the probe from a closed port.
	reject verdict = "reject with icmpx admin-prohibited"
)

// jump goes on in a chain, and comes back from its end.
func jump(chain string) verdict { return verdict("jump " + chain) }

// A rule has a verdict on the packets that all of its conditions hold for. The zero value of a condition holds for all.
type rule struct {
	from   string       // incoming interface; a prefix of its name where it ends in *
	answer bool         // of a connection that the other side began
	broken bool         // an ICMP error about such a connection, as path MTU discovery needs it
	ipv6   bool         // no IPv4
	home   bool         // to the network that it comes from
	to     netip.Prefix // IPv4 destination
	proto  string       // tcp or udp, with port
	port   uint16
	then   verdict
}

// A chain is a list of rules, of which the first that fits counts. One with a hook is where the kernel begins, with every packet on that way.
type chain struct {
	name  string
	hook  string
	rules []rule
}

// A table is all that one server has in the kernel.
type table struct {
	name   string
	chains []chain
}

// tableName returns the name of the table of the family inet that belongs to an instance.
func tableName(instance string) string { return "vitrine_" + strings.ReplaceAll(instance, "-", "_") }

// newTable makes the rules of a policy. Packets that come from elsewhere than our bridges, or the builds', go on as if there were no rules.
//
// Packets are told by the bridge that they come in by, which a container cannot forge; an address it could. The bridges carry the instance in their names,
// so that the table need not change when networks come and go, and several servers on one engine, which may well have the same pool, leave each
// other's networks alone.
//
// Only answers to connections that others began are let through by their state. What a container began is held against the rules packet by packet, so
// that a connection from before the rules, or from before one of them, does not outlive them.
func newTable(p Policy) table {
	previews := deploy.BridgePrefix(p.Instance) + "*"
	t := table{name: tableName(p.Instance), chains: []chain{
		{name: "previews_to_host", rules: toHost(p, true)},
		{name: "previews_beyond", rules: through(p, true)},
	}}
	into := []rule{{from: previews, then: jump("previews_to_host")}}
	out := []rule{{from: previews, then: jump("previews_beyond")}}
	if p.BuildBridge != "" {
		t.chains = append(t.chains, chain{name: "builds_to_host", rules: toHost(p, false)}, chain{name: "builds_beyond", rules: through(p, false)})
		into = append(into, rule{from: p.BuildBridge, then: jump("builds_to_host")})
		out = append(out, rule{from: p.BuildBridge, then: jump("builds_beyond")})
	}
	t.chains = append(t.chains, chain{name: "input", hook: intoHost, rules: into}, chain{name: "forward", hook: beyond, rules: out})
	return t
}

// toHost returns the rules for what goes to the host itself. The engine's own name server is none of these: it answers inside the container, on 127.0.0.11.
func toHost(p Policy, previews bool) []rule {
	rules := append(established(), resolvers(p)...)
	if previews && p.Listener.Port() != 0 {
		listener := rule{proto: "tcp", port: p.Listener.Port(), then: accept}
		if a := p.Listener.Addr().Unmap(); a.Is4() && !a.IsUnspecified() {
			listener.to = netip.PrefixFrom(a, 32)
		}
		rules = append(rules, listener)
	}
	for _, d := range p.Allow {
		if d.Port != 0 && d.Network.IsSingleIP() {
			rules = append(rules, d.rules()...)
		}
	}
	return append(rules, rule{then: reject})
}

// through returns the rules for what goes through the host.
func through(p Policy, previews bool) []rule {
	rules := append(established(), rule{ipv6: true, then: reject})
	if previews {
		// The services of a stack, where the kernel shows what crosses a bridge to the rules (br_netfilter). The way back decides, not the address: the
		// networks of two previews lie in one pool, and not every engine keeps them apart.
		rules = append(rules, rule{home: true, then: accept})
	}
	rules = append(rules, rule{to: p.Pool, then: reject})
	for _, d := range p.Allow {
		rules = append(rules, d.rules()...)
	}
	rules = append(rules, resolvers(p)...)
	for _, network := range private() {
		rules = append(rules, rule{to: network, then: reject})
	}
	return rules
}

func established() []rule {
	return []rule{{answer: true, then: accept}, {broken: true, then: accept}}
}

func resolvers(p Policy) (rules []rule) {
	seen := make(map[netip.Addr]bool)
	for _, r := range p.Resolvers {
		// The engine asks a name server on loopback itself, from the host.
		if r = r.Unmap(); !r.Is4() || r.IsLoopback() || seen[r] {
			continue
		}
		seen[r] = true
		for _, proto := range []string{"udp", "tcp"} {
			rules = append(rules, rule{to: netip.PrefixFrom(r, 32), proto: proto, port: 53, then: accept})
		}
	}
	return rules
}

// private returns the networks that are nobody's on the Internet (RFC 6890), and those where clouds tell a machine its secrets.
func private() []netip.Prefix {
	var networks []netip.Prefix
	for _, text := range []string{
		"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.168.0.0/16", "198.18.0.0/15",
		"168.63.129.16/32", // Azure's WireServer, an address of the Internet by its number
		"224.0.0.0/3",      // multicast, reserved, broadcast
	} {
		networks = append(networks, netip.MustParsePrefix(text))
	}
	slices.SortFunc(networks, netip.Prefix.Compare)
	return networks
}

// String returns the rules as `nft --stateless list table` shows them.
func (t table) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "table inet %s {\n", t.name)
	for i, c := range t.chains {
		if i > 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "\tchain %s {\n", c.name)
		if c.hook != "" {
			fmt.Fprintf(&b, "\t\ttype filter hook %s priority filter; policy accept;\n", c.hook)
		}
		for _, r := range c.rules {
			fmt.Fprintf(&b, "\t\t%s\n", r)
		}
		b.WriteString("\t}\n")
	}
	b.WriteString("}\n")
	return b.String()
}

func (r rule) String() string {
	var parts []string
	if r.from != "" {
		parts = append(parts, fmt.Sprintf("iifname %q", r.from))
	}
	if r.answer {
		parts = append(parts, "ct direction reply ct state established")
	}
	if r.broken {
		parts = append(parts, "ct state related meta l4proto icmp")
	}
	if r.ipv6 {
		parts = append(parts, "meta nfproto ipv6")
	}
	if r.home {
		parts = append(parts, "fib daddr . iif oif exists")
	}
	if r.to.IsValid() {
		to := r.to.String()
		if r.to.IsSingleIP() {
			to = r.to.Addr().String()
		}
		parts = append(parts, "ip daddr "+to)
	}
	if r.proto != "" {
		parts = append(parts, fmt.Sprintf("%s dport %d", r.proto, r.port))
	}
	return strings.Join(append(parts, string(r.then)), " ")
}
