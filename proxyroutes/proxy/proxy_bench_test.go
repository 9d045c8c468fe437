package proxy

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"runtime"
	"testing"
)

// BenchmarkProxy compares the proxy, with 200 hosts in its table, with the standard library's for a fixed target over the same transport: 64 connections, answers of 1 KiB.
func BenchmarkProxy(b *testing.B) {
	answer := bytes.Repeat([]byte("x"), 1024)
	target := backend(b, func(w http.ResponseWriter, _ *http.Request) { w.Write(answer) })
	b.Run("fixed target", func(b *testing.B) {
		to, err := url.Parse(target.URL)
		if err != nil {
			b.Fatal(err)
		}
		transport := NewTransport()
		defer transport.CloseIdleConnections()
		fixed := httptest.NewServer(&httputil.ReverseProxy{Transport: transport, Rewrite: func(pr *httputil.ProxyRequest) {
			pr.SetURL(to)
			pr.SetXForwarded()
			pr.Out.Host = pr.In.Host
		}})
		defer fixed.Close()
		load(b, fixed.URL)
	})
	b.Run("records", func(b *testing.B) {
		h := open(b)
		for i := range 200 {
			h.route("shop-pr-"+string(rune('a'+i%26))+string(rune('a'+i/26)), target.URL)
		}
		h.route("shop", target.URL)
		load(b, "http://"+h.addr)
	})
}

// load asks for shop's host at url from 64 connections.
func load(b *testing.B, url string) {
	const connections = 64
	transport := &http.Transport{MaxIdleConnsPerHost: connections, MaxConnsPerHost: connections}
	defer transport.CloseIdleConnections()
	b.SetParallelism(max(1, connections/runtime.GOMAXPROCS(0)))
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r, err := http.NewRequest(http.MethodGet, url, nil)
			if err != nil {
				b.Error(err)
				return
			}
			r.Host = "shop." + domain
			res, err := transport.RoundTrip(r)
			if err != nil {
				b.Error(err)
				return
			}
			if n, err := io.Copy(io.Discard, res.Body); n != 1024 || err != nil {
				b.Errorf("read %d bytes, %v", n, err)
			}
			res.Body.Close()
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
}
