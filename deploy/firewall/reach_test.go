//go:build linux

package firewall_test

import (
	"fmt"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"vitrine/deploy/docker/enginetest"
	"vitrine/deploy/firewall"
)

// destination reads one that the test itself wrote.
func destination(s *site, text string) firewall.Destination {
	s.Helper()
	d, err := firewall.ParseDestination(text)
	check(s.T, err)
	return d
}

// From inside a preview the host, other previews and private networks are out of reach, and the preview's own services, name resolution, what the
// operator allows and the Internet are not. Without the rules nearly all of it is in reach: the test could tell.
func TestReachOfAPreview(t *testing.T) {
	s := newSite(t, "")
	one, two := s.preview(1), s.preview(2)
	out := newOutside(s)
	port, allowed := s.listen(), s.listen()
	host := s.hostAddresses()

	within := []string{
		"name:db", "tcp:db:8080", "udp:" + one.addresses["db"], "tcp:" + one.addresses["web"],
		"udp:" + out.resolver + ":53", "tcp:" + out.resolver + ":53",
		"tcp:" + out.public + ":80", "udp:" + out.public + ":80", "tcp:" + out.allowed + ":80",
		fmt.Sprintf("tcp:%s:%d", host[0], allowed),
	}
	beyond := []string{
		"tcp:" + out.private + ":80", "udp:" + out.private + ":80", "tcp:" + out.private + ":53", "udp:" + out.private + ":53", "tcp:" + out.private + ":1",
		"tcp:" + out.resolver + ":80", "tcp:" + out.allowed + ":53", "tcp:" + metadata + ":80",
		"tcp:" + two.addresses["web"], "udp:" + two.addresses["db"],
	}
	for _, address := range append(host, one.gateway, two.gateway) {
		beyond = append(beyond, fmt.Sprintf("tcp:%s:%d", address, port), "tcp:"+address+":1")
	}
	all := slices.Concat(within, beyond)
	// The engine itself keeps its networks apart.
	if missed := without(all, one.reaches(all)); !slices.Equal(missed, without([]string{"tcp:" + two.addresses["web"], "udp:" + two.addresses["db"]}, nil)) {
		t.Fatalf("without rules, these are out of reach: %q", missed)
	}
	policy := firewall.Policy{
		Instance: s.instance, Pool: s.pool, Resolvers: []netip.Addr{netip.MustParseAddr(out.resolver)},
		Allow: []firewall.Destination{destination(s, out.allowed+":80"), destination(s, fmt.Sprintf("%s:%d", host[0], allowed))},
	}
	_, err := firewall.Apply(policy)
	check(t, err)
	if diff := cmp.Diff(without(beyond, nil), without(all, one.reaches(all))); diff != "" {
		t.Errorf("out of reach of a preview (-want +got):\n%s", diff)
	}

	// A public listener is for previews as well, at each address of the host's.
	policy.Listener = netip.AddrPortFrom(netip.IPv4Unspecified(), uint16(port))
	_, err = firewall.Apply(policy)
	check(t, err)
	var visible []string
	for _, address := range append(host, one.gateway) {
		visible = append(visible, fmt.Sprintf("tcp:%s:%d", address, port))
	}
	if missed := without(visible, one.reaches(visible)); len(missed) > 0 {
		t.Errorf("a public listener is out of reach at %q", missed)
	}

	// The rules of one instance are not for the previews of another with the same pool.
	policy = firewall.Policy{Instance: "test" + random(), Pool: s.pool}
	t.Cleanup(func() { check(t, firewall.Remove(policy.Instance)) })
	check(t, firewall.Remove(s.instance))
	_, err = firewall.Apply(policy)
	check(t, err)
	if missed := without(within, one.reaches(within)); len(missed) > 0 {
		t.Errorf("the rules of another instance keep %q away", missed)
	}
}

// From inside a build the same holds, and what is allowed is in reach. The engine is the test's own, as its default bridge is shared by all builds on it.
func TestReachOfABuild(t *testing.T) {
	engine := enginetest.Start(t)
	s := newSite(t, engine.Host)
	bridge, err := s.runtime.DefaultBridge(t.Context())
	check(t, err)
	if bridge.Name == "" || bridge.Name == "docker0" || len(bridge.Foreign) > 0 {
		t.Fatalf("the engine's default bridge is %+v", bridge)
	}
	network := s.networkOf(bridge.Name)
	out := newOutside(s, network.Masked().String())
	s.forward(bridge.Name)
	port := s.listen()
	other := s.preview(1)

	within := []string{
		"udp:" + out.resolver + ":53", "tcp:" + out.resolver + ":53", "tcp:" + out.public + ":80", "tcp:" + out.allowed + ":80",
	}
	beyond := []string{
		"tcp:" + out.private + ":80", "udp:" + out.private + ":80", "tcp:" + out.resolver + ":80", "tcp:" + metadata + ":80",
		"tcp:" + other.addresses["web"],
	}
	for _, address := range append(s.hostAddresses(), network.Addr().String(), other.gateway) {
		beyond = append(beyond, fmt.Sprintf("tcp:%s:%d", address, port), "tcp:"+address+":1")
	}
	all := slices.Concat(within, beyond)
	reaches := func() []string {
		printed, err := s.builder.RunCommand(t.Context(), s.image, slices.Concat([]string{"/reach", "try"}, all))
		check(t, err)
		return strings.Fields(string(printed))
	}
	if missed := without(all, reaches()); len(missed) > 0 {
		t.Fatalf("without rules, these are out of reach: %q", missed)
	}
	_, err = firewall.Apply(firewall.Policy{
		Instance: s.instance, Pool: s.pool, BuildBridge: bridge.Name, Resolvers: []netip.Addr{netip.MustParseAddr(out.resolver)},
		Listener: netip.AddrPortFrom(netip.IPv4Unspecified(), uint16(port)), Allow: []firewall.Destination{destination(s, out.allowed)},
	})
	check(t, err)
	if diff := cmp.Diff(without(beyond, nil), without(all, reaches())); diff != "" {
		t.Errorf("out of reach of a build (-want +got):\n%s", diff)
	}
}

// networkOf returns the host's address on an interface, with its prefix.
func (s *site) networkOf(name string) netip.Prefix {
	s.Helper()
	out, err := exec.Command("ip", "-4", "-brief", "address", "show", "dev", name).Output()
	check(s.T, err)
	fields := strings.Fields(string(out))
	return netip.MustParsePrefix(fields[len(fields)-1])
}

// forward lets packets through between a bridge and everything else, which the machine's own engine would drop.
func (s *site) forward(bridge string) {
	s.Helper()
	for _, direction := range []string{"-i", "-o"} {
		rule := []string{"FORWARD", direction, bridge, "-m", "comment", "--comment", "vitrine-" + s.instance, "-j", "ACCEPT"}
		run := func(do string) {
			if out, err := exec.Command("iptables", append([]string{"--wait", do}, rule...)...).CombinedOutput(); err != nil {
				s.Errorf("iptables %s: %v: %s", do, err, out)
			}
		}
		run("-I")
		s.Cleanup(func() { run("-D") })
	}
}
