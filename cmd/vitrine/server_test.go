package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// testSettings are those of a server without an engine.
func testSettings(t *testing.T) settings {
	t.Helper()
	return settings{
		Domain: "preview.localhost", Data: filepath.Join(t.TempDir(), "data"), DockerHost: noEngine(t), RegistryListen: "127.0.0.1:0",
		GithubURL: "http://127.0.0.1:1", GithubAPIURL: "http://127.0.0.1:1/", GithubAppID: 1, GithubWebhookSecret: testSecret,
		TTL: time.Hour, TTLMax: time.Hour, Builds: 1, Subnets: netip.MustParsePrefix("10.213.0.0/24"),
	}
}

// A server leaves no goroutine behind: not after it ran, not when it was never run, and not when it could not be opened.
func TestServerLeavesNoGoroutine(t *testing.T) {
	text, err := keyPEM()
	if err != nil {
		t.Fatal(err)
	}
	key := []byte(text)
	for name, use := range map[string]func(t *testing.T, listener net.Listener, s settings){
		"after it ran": func(t *testing.T, listener net.Listener, s settings) {
			srv := opened(t, listener, s, key)
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- srv.Run(ctx) }()
			client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
			response, err := client.Get("http://" + listener.Addr().String() + "/healthz")
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
			closed(t, srv)
		},
		"never run": func(t *testing.T, listener net.Listener, s settings) { closed(t, opened(t, listener, s, key)) },
		"not opened": func(t *testing.T, listener net.Listener, s settings) {
			if _, err := openServer(t.Context(), s, listener, []byte("no key"), slog.New(slog.DiscardHandler)); err == nil {
				t.Error("a server was opened without a key")
			}
		},
		"a folder in use": func(t *testing.T, listener net.Listener, s settings) {
			first := opened(t, listener, s, key)
			if _, err := openServer(t.Context(), s, listener, key, slog.New(slog.DiscardHandler)); err == nil {
				t.Error("a second server was opened on the folder")
			}
			closed(t, first)
		},
	} {
		t.Run(name, func(t *testing.T) {
			before := goleak.IgnoreCurrent()
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			use(t, listener, testSettings(t))
			listener.Close()
			if err := goleak.Find(before, ignoredGoroutine()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestServeSchema(t *testing.T) {
	answer := httptest.NewRecorder()
	serveSchema(answer, httptest.NewRequest(http.MethodGet, "/vitrine.schema.json", nil))
	var schema struct{ Title string }
	if err := json.Unmarshal(answer.Body.Bytes(), &schema); err != nil || schema.Title != ".vitrine.yml" {
		t.Errorf("the schema is of %q: %v", schema.Title, err)
	}
}

func opened(t *testing.T, listener net.Listener, s settings, key []byte) *server {
	t.Helper()
	srv, err := openServer(t.Context(), s, listener, key, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return srv
}

// closed closes the server twice, which may be done.
func closed(t *testing.T, srv *server) {
	t.Helper()
	for range 2 {
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	}
}

// The control plane is for people: previews, which a public listener hears as well, are turned away.
func TestPreviewsAreKeptOut(t *testing.T) {
	h := keepOut(netip.MustParsePrefix("10.213.0.0/16"), http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for name, test := range map[string]struct {
		from, forwarded string
		want            int
	}{
		"a visitor":                     {"192.0.2.7:4711", "", http.StatusOK},
		"a preview":                     {"10.213.7.3:4711", "", http.StatusForbidden},
		"a preview, IPv6 socket":        {"[::ffff:10.213.7.3]:4711", "", http.StatusForbidden},
		"a visitor through a proxy":     {"127.0.0.1:4711", "192.0.2.7", http.StatusOK},
		"a preview through a proxy":     {"127.0.0.1:4711", "192.0.2.7, 10.213.7.3", http.StatusForbidden},
		"somebody who writes something": {"127.0.0.1:4711", "unknown, -", http.StatusOK},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "http://preview.example.com/healthz", nil)
			r.RemoteAddr = test.from
			if test.forwarded != "" {
				r.Header.Set("X-Forwarded-For", test.forwarded)
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != test.want {
				t.Errorf("answered %d, want %d", w.Code, test.want)
			}
		})
	}
}

func TestPublicListener(t *testing.T) {
	for address, want := range map[string]string{
		"127.0.0.1:8080": "invalid AddrPort", "[::1]:8080": "invalid AddrPort", "0.0.0.0:8080": "0.0.0.0:8080", "[::]:80": "[::]:80", "203.0.113.7:443": "203.0.113.7:443",
	} {
		if got := publicListener(net.TCPAddrFromAddrPort(netip.MustParseAddrPort(address))).String(); got != want {
			t.Errorf("publicListener(%s) = %s, want %s", address, got, want)
		}
	}
}
