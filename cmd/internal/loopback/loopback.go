// Package loopback finds this machine where a name says so.
package loopback

import (
	"context"
	"net"
	"net/http"
	"strings"
	"time"
)

// Transport returns a transport that dials the loopback address for localhost and everything below it, as RFC 6761 §6.3 has it; Go's
// resolver does not.
func Transport() *http.Transport {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		if host, port, err := net.SplitHostPort(address); err == nil && Is(host) {
			address = net.JoinHostPort("127.0.0.1", port)
		}
		return dialer.DialContext(ctx, network, address)
	}
	return transport
}

// Is reports whether a host's name is localhost or below it.
func Is(host string) bool {
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}
