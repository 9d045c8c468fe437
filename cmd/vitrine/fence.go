package main

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"syscall"

	"vitrine/deploy/docker"
	"vitrine/deploy/firewall"
	"vitrine/deployments"
)

// openFirewall makes the firewall, unless the settings want none. It is put up once the controller runs.
func (s *server) openFirewall() deployments.Firewall {
	if s.Firewall != on {
		s.log.Warn("the firewall is off: previews and builds reach whatever this machine reaches")
		// One of a former start would go on holding them off.
		if err := firewall.Remove(s.store.Instance()); err != nil && !errors.Is(err, syscall.EPERM) {
			s.log.Warn("remove the firewall of a former start", "error", err)
		}
		return nil
	}
	c := s.firewallConfig(s.store.Instance(), s.runtime, s.program)
	c.Builder, c.Listener, c.Log = s.builder, publicListener(s.listener.Addr()), s.log
	s.fence = firewall.New(c)
	return s.fence
}

// firewallConfig returns what the settings say of the firewall.
func (s *settings) firewallConfig(instance string, r *docker.Runtime, p *program) firewall.Config {
	return firewall.Config{
		Instance: instance, Pool: s.Subnets, Builds: s.FirewallBuilds == on, Allow: s.EgressAllow, Engine: r, Builder: p.builder, Program: p.forFirewall,
	}
}

// publicListener returns the address where visitors are heard, if that is not on loopback only.
func publicListener(addr net.Addr) netip.AddrPort {
	at, err := netip.ParseAddrPort(addr.String())
	if err != nil || at.Addr().Unmap().IsLoopback() {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
}

// hostRoutes returns the networks that this machine has a way to.
func hostRoutes() ([]netip.Prefix, error) {
	routes, err := firewall.Routes()
	networks := make([]netip.Prefix, len(routes))
	for i, r := range routes {
		networks[i] = r.Network
	}
	return networks, err
}

// keepOut answers 403 to whoever comes from the previews' networks: a public listener has to be in their reach, as their own URLs lead there, but what is
// meant for people is none of theirs. Before it may stand a proxy that is trusted to say who comes; what others say of themselves only harms them.
func keepOut(pool netip.Prefix, control http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
		if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
			from = append(from, host)
		}
		if slices.ContainsFunc(from, func(text string) bool {
			a, err := netip.ParseAddr(strings.TrimSpace(text))
			return err == nil && pool.Contains(a.Unmap())
		}) {
			http.Error(w, "previews have no business here", http.StatusForbidden)
			return
		}
		control.ServeHTTP(w, r)
	})
}
