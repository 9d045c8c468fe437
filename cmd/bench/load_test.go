package main

import (
	"bufio"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestLoad(t *testing.T) {
	var asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host != "shop.preview.localhost" || r.URL.Path != "/kib" {
			http.NotFound(w, r)
			return
		}
		asked.Add(1)
		w.Write(make([]byte, 1024))
	}))
	defer server.Close()
	address := strings.TrimPrefix(server.URL, "http://")
	n, took, err := load(t.Context(), address, "shop.preview.localhost", "/kib", 50*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if n == 0 || n != asked.Load() || took < 50*time.Millisecond {
		t.Errorf("load counts %d answers in %s, the server %d", n, took, asked.Load())
	}
	if _, _, err := load(t.Context(), address, "other", "/kib", 50*time.Millisecond); err == nil {
		t.Error("load takes a 404 for an answer")
	}
}

func TestReadAnswer(t *testing.T) {
	tests := []struct {
		name, answer string
		ok           bool
		left         int // unread bytes
	}{
		{"whole", "HTTP/1.1 200 OK\r\nDate: now\r\ncontent-length: 3\r\n\r\nabcHTTP", true, 4},
		{"empty body", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true, 0},
		{"another status", "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", false, 0},
		{"without a length", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", false, 0},
		{"cut", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", false, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := bufio.NewReader(strings.NewReader(test.answer))
			err := readAnswer(r)
			if (err == nil) != test.ok {
				t.Fatalf("readAnswer returns %v", err)
			}
			if test.ok && r.Buffered() != test.left {
				t.Errorf("%d bytes are left, want %d", r.Buffered(), test.left)
			}
		})
	}
}

func TestParseProcessorTime(t *testing.T) {
	const stat = "4711 (a) b (c) S 1 4711 4711 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 9 0 12345 1000 200 18446744073709551615\n"
	got, err := parseProcessorTime(stat)
	if err != nil || got != 3*time.Second {
		t.Errorf("parseProcessorTime is %s, %v; want 3s", got, err)
	}
	for _, stat := range []string{"", "1 (x) S 1 2", strings.Replace(stat, "250", "x", 1)} {
		if got, err := parseProcessorTime(stat); err == nil {
			t.Errorf("parseProcessorTime(%q) is %s without an error", stat, got)
		}
	}
}
