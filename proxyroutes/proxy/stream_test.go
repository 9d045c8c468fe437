package proxy

import (
	"bufio"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/net/websocket"
)

func TestWebsocket(t *testing.T) {
	h := open(t)
	h.route("shop", backend(t, websocket.Handler(func(ws *websocket.Conn) {
		fmt.Fprintf(ws, "hello from %s", ws.Request().Host)
		for message := ""; websocket.Message.Receive(ws, &message) == nil; {
			websocket.Message.Send(ws, message)
		}
	}).ServeHTTP).URL)
	conn, err := net.Dial("tcp", h.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	config, err := websocket.NewConfig("ws://shop."+domain+"/socket", "http://shop."+domain)
	if err != nil {
		t.Fatal(err)
	}
	ws, err := websocket.NewClient(config, conn)
	if err != nil {
		t.Fatal(err)
	}
	var message string
	if err := websocket.Message.Receive(ws, &message); err != nil || message != "hello from shop."+domain {
		t.Fatalf("the backend said %q, %v", message, err)
	}
	// The open socket stays with its backend when the route moves on.
	h.route("shop", saying(t, "new").URL)
	for n := range 10 {
		sent := strings.Repeat(fmt.Sprint(n), 10_000)
		if err := websocket.Message.Send(ws, sent); err != nil {
			t.Fatal(err)
		}
		if err := websocket.Message.Receive(ws, &message); err != nil || message != sent {
			t.Fatalf("message %d came back as %.20q, %v", n, message, err)
		}
	}
}

func TestWebsocketBackendRefuses(t *testing.T) {
	h := open(t)
	h.route("shop", backend(t, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no sockets here", http.StatusForbidden) }).URL)
	r := h.request(http.MethodGet, "shop", "/", nil)
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", "websocket")
	if res, body := h.do(r); res.StatusCode != http.StatusForbidden || body != "no sockets here\n" {
		t.Errorf("answered %d %q", res.StatusCode, body)
	}
}

// Each event arrives before the backend is allowed to send the next, also where the length of the answer is known.
func TestAnswersStream(t *testing.T) {
	const events = 5
	for _, c := range []struct {
		name  string
		setUp func(http.Header)
	}{
		{"server-sent events", func(h http.Header) { h.Set("Content-Type", "text/event-stream") }},
		{"chunks", func(http.Header) {}},
		{"a known length", func(h http.Header) { h.Set("Content-Length", fmt.Sprint(events*len("data: 0\n\n"))) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := open(t)
			proceed := make(chan bool)
			h.route("shop", backend(t, func(w http.ResponseWriter, r *http.Request) {
				c.setUp(w.Header())
				for n := range events {
					fmt.Fprintf(w, "data: %d\n\n", n)
					w.(http.Flusher).Flush()
					select {
					case <-proceed:
					case <-r.Context().Done():
						return
					}
				}
			}).URL)
			res, err := h.client.Do(h.request(http.MethodGet, "shop", "/", nil))
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			lines := bufio.NewScanner(res.Body)
			for n := range events {
				if !lines.Scan() || lines.Text() != fmt.Sprintf("data: %d", n) || !lines.Scan() {
					t.Fatalf("event %d came as %q, %v", n, lines.Text(), lines.Err())
				}
				proceed <- true
			}
		})
	}
}

// A visitor who leaves ends the request at the backend.
func TestALeavingVisitorIsNoticed(t *testing.T) {
	h := open(t)
	left := make(chan bool)
	h.route("shop", backend(t, func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		close(left)
	}).URL)
	res, err := h.client.Do(h.request(http.MethodGet, "shop", "/", nil))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	<-left
}

// An upload reaches the backend while it is still being sent, whole, and without being kept in memory.
func TestUploadsStream(t *testing.T) {
	h := open(t)
	const size = 16 << 20
	first := make(chan bool)
	h.route("shop", backend(t, func(w http.ResponseWriter, r *http.Request) {
		sum := sha256.New()
		if _, err := io.CopyN(sum, r.Body, 1000); err != nil {
			t.Error(err)
		}
		close(first)
		n, err := io.Copy(sum, r.Body)
		fmt.Fprintf(w, "%d %x %v", n+1000, sum.Sum(nil), err)
	}).URL)
	read, write := io.Pipe()
	sum := sha256.New()
	go func() {
		body := io.TeeReader(io.LimitReader(rand.Reader, size), sum)
		_, err := io.CopyN(write, body, 1000)
		if err == nil {
			<-first // nothing more is sent before the beginning has arrived
			_, err = io.Copy(write, body)
		}
		write.CloseWithError(err)
	}()
	res, body := h.do(h.request(http.MethodPost, "shop", "/", read))
	if want := fmt.Sprintf("%d %x <nil>", size, sum.Sum(nil)); res.StatusCode != http.StatusOK || body != want {
		t.Errorf("answered %d %q, want %q", res.StatusCode, body, want)
	}
}
