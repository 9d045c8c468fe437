package proxy

import (
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"strings"
)

// The headers that tell a backend who asked for what. The reverse proxy has removed the first three from the outgoing request, and
// RFC 7239's Forwarded with them.
const (
	forwardedFor   = "X-Forwarded-For"
	forwardedHost  = "X-Forwarded-Host"
	forwardedProto = "X-Forwarded-Proto"
	forwardedPort  = "X-Forwarded-Port"
	realIP         = "X-Real-Ip"
)

// rewrite makes the request that a backend gets: the visitor's, with the same Host, query and path, and the forwarding headers of ours. The backend's
// address is the balancer's.
func (p *Proxy) rewrite(pr *httputil.ProxyRequest) {
	pr.Out.Host = pr.In.Host
	pr.Out.URL.RawQuery = pr.In.URL.RawQuery // also what net/url cannot parse

	from := remote(pr.In)
	var kept http.Header // what a trusted proxy said
	if p.trusts(from) {
		kept = pr.In.Header
	}
	scheme := "http"
	if pr.In.TLS != nil {
		scheme = "https"
	}
	if said := strings.ToLower(kept.Get(forwardedProto)); said == "http" || said == "https" {
		scheme = said
	}
	host := first(kept.Get(forwardedHost), pr.In.Host)

	out := pr.Out.Header
	out.Set(forwardedProto, scheme)
	out.Set(forwardedHost, host)
	out.Set(forwardedPort, first(kept.Get(forwardedPort), port(host, scheme)))
	if !from.IsValid() {
		out.Del(realIP)
		return
	}
	out.Set(forwardedFor, strings.Join(append(kept.Values(forwardedFor), from.String()), ", "))
	out.Set(realIP, first(kept.Get(realIP), from.String()))
}

// remote returns who the connection comes from, IPv4 as such; the zero Addr where the listener does not say.
func remote(r *http.Request) netip.Addr {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return from.Addr().Unmap()
}

func (p *Proxy) trusts(from netip.Addr) bool {
	for _, prefix := range p.trusted {
		if prefix.Contains(from.WithZone("")) {
			return true
		}
	}
	return false
}

// port returns the port of a Host header, or the scheme's.
func port(host, scheme string) string {
	if _, port, err := net.SplitHostPort(host); err == nil {
		return port
	}
	if scheme == "https" {
		return "443"
	}
	return "80"
}

func first(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}
