// Command shop is both services of the stack that the benchmark deploys, `shop web` and `shop api`, and `shop idle`, which needs no files. It starts in a
// few milliseconds and stops at once on SIGTERM, so that what is measured is what was done to bring it up.
package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
)

// Files that the images have beside this binary.
const (
	pageFile  = "/srv/index.html"
	stockFile = "/srv/stock.txt"
)

// world is set when the binary is built, and makes its image differ from that of any other run.
var world string

func main() {
	// The first process of a container has no default action for signals.
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, os.Interrupt)
	go func() { <-stop; os.Exit(0) }()
	if err := serve(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "shop:", err)
		os.Exit(1)
	}
}

// serve runs the service that is named until it is stopped.
func serve(args []string) error {
	handlers := map[string]func() (http.Handler, error){"web": web, "api": api, "idle": idle}
	if len(args) != 1 || handlers[args[0]] == nil {
		return fmt.Errorf("usage: shop web|api|idle")
	}
	handler, err := handlers[args[0]]()
	if err != nil {
		return err
	}
	fmt.Println("world", world)
	return http.ListenAndServe(":8080", handler)
}

// idle answers nothing but that it is there.
func idle() (http.Handler, error) {
	return http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), nil
}

// web answers with its page, in which api's stock stands for {{stock}}, and at /kib with 1 KiB that needs nobody.
func web() (http.Handler, error) {
	page, err := os.ReadFile(pageFile)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		stock, err := stockOf(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		_, _ = w.Write(bytes.ReplaceAll(page, []byte("{{stock}}"), bytes.TrimSpace(stock))) // who has gone away reads nothing
	})
	kib := bytes.Repeat([]byte("x"), 1024)
	mux.HandleFunc("GET /kib", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		w.Header().Set("Content-Length", strconv.Itoa(len(kib)))
		_, _ = w.Write(kib)
	})
	return mux, nil
}

// stockOf asks api.
func stockOf(r *http.Request) ([]byte, error) {
	request, err := http.NewRequestWithContext(r.Context(), http.MethodGet, "http://api:8080/stock", nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("ask api for the stock: %w", err)
	}
	defer response.Body.Close()
	return io.ReadAll(response.Body)
}

// api answers with the stock.
func api() (http.Handler, error) {
	stock, err := os.ReadFile(stockFile)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /stock", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(stock) })
	return mux, nil
}
