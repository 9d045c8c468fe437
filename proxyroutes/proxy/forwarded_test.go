package proxy

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestForwardedHeaders(t *testing.T) {
	forged := http.Header{
		"X-Forwarded-For": {"203.0.113.9, 10.0.0.1", "192.0.2.7"}, "X-Forwarded-Proto": {"HTTPS"}, "X-Forwarded-Host": {"shop.example.test"},
		"X-Forwarded-Port": {"8443"}, "X-Real-Ip": {"203.0.113.9"}, "Forwarded": {"for=203.0.113.9"},
	}
	trusted := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("fe80::/10")}
	for _, c := range []struct {
		name, remote, host string
		tls                bool
		given              http.Header
		want               map[string]string
	}{
		{"a visitor", "198.51.100.4:4000", "shop.test", false, nil, map[string]string{
			forwardedFor: "198.51.100.4", forwardedProto: "http", forwardedHost: "shop.test", forwardedPort: "80", realIP: "198.51.100.4"}},
		{"a visitor over TLS, with a port", "[2001:db8::1]:4000", "shop.test:8443", true, nil, map[string]string{
			forwardedFor: "2001:db8::1", forwardedProto: "https", forwardedHost: "shop.test:8443", forwardedPort: "8443", realIP: "2001:db8::1"}},
		{"a visitor over TLS", "198.51.100.4:4000", "shop.test", true, nil, map[string]string{
			forwardedFor: "198.51.100.4", forwardedProto: "https", forwardedHost: "shop.test", forwardedPort: "443", realIP: "198.51.100.4"}},
		{"a visitor who forges", "198.51.100.4:4000", "shop.test", false, forged, map[string]string{
			forwardedFor: "198.51.100.4", forwardedProto: "http", forwardedHost: "shop.test", forwardedPort: "80", realIP: "198.51.100.4"}},
		{"IPv4 in IPv6", "[::ffff:198.51.100.4]:4000", "shop.test", false, nil, map[string]string{
			forwardedFor: "198.51.100.4", forwardedProto: "http", forwardedHost: "shop.test", forwardedPort: "80", realIP: "198.51.100.4"}},
		{"a trusted proxy", "127.0.0.1:4000", "inner", false, forged, map[string]string{
			forwardedFor: "203.0.113.9, 10.0.0.1, 192.0.2.7, 127.0.0.1", forwardedProto: "https", forwardedHost: "shop.example.test", forwardedPort: "8443", realIP: "203.0.113.9"}},
		{"a trusted proxy in IPv6 form", "[::ffff:127.0.0.1]:4000", "inner", false, http.Header{"X-Real-Ip": {"203.0.113.9"}}, map[string]string{
			forwardedFor: "127.0.0.1", forwardedProto: "http", forwardedHost: "inner", forwardedPort: "80", realIP: "203.0.113.9"}},
		{"a trusted proxy with a zone", "[fe80::1%lo]:4000", "inner", false, http.Header{"X-Forwarded-Proto": {"https"}}, map[string]string{
			forwardedFor: "fe80::1%lo", forwardedProto: "https", forwardedHost: "inner", forwardedPort: "443", realIP: "fe80::1%lo"}},
		{"a trusted proxy with an odd scheme", "127.0.0.1:4000", "inner", false, http.Header{"X-Forwarded-Proto": {"javascript"}}, map[string]string{
			forwardedFor: "127.0.0.1", forwardedProto: "http", forwardedHost: "inner", forwardedPort: "80", realIP: "127.0.0.1"}},
		{"a socket without an address", "@", "shop.test", false, forged, map[string]string{
			forwardedFor: "", forwardedProto: "http", forwardedHost: "shop.test", forwardedPort: "80", realIP: ""}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := open(t, trusted...)
			var got http.Header
			h.route("shop", backend(t, func(_ http.ResponseWriter, r *http.Request) { got = r.Header.Clone() }).URL)
			r := httptest.NewRequestWithContext(context.Background(), http.MethodGet, "http://"+c.host+"/", nil)
			r.RemoteAddr, r.Header = c.remote, c.given.Clone()
			if r.Header == nil {
				r.Header = http.Header{}
			}
			if c.tls {
				r.TLS = &tls.ConnectionState{}
			}
			// The host in the record is another; only the headers are of interest here.
			a := &attempt{table: h.records.Table(), host: "shop." + domain, frontend: h.records.Table().Find("shop." + domain)}
			h.proxy.reverse.ServeHTTP(httptest.NewRecorder(), r.WithContext(context.WithValue(r.Context(), attemptKey{}, a)))
			seen := map[string]string{}
			for name := range c.want {
				seen[name] = got.Get(name)
				if len(got.Values(name)) > 1 {
					t.Errorf("%s came %d times", name, len(got.Values(name)))
				}
			}
			if diff := cmp.Diff(c.want, seen); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if got.Get("Forwarded") != "" {
				t.Errorf("Forwarded went through: %q", got.Get("Forwarded"))
			}
		})
	}
}
