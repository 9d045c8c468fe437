// Command rolling is a small application whose parts say which version they are, for the test that pushes while somebody visits.
//
//	rolling web      GET / says the versions of web and api and what the database holds; PUT /row changes that; /socket sends the version and echoes;
//	                 GET /exhaust takes all memory
//	rolling api      GET / says the version
//	rolling db       GET and PUT of /row, kept in /data
//	rolling check    exits 0 where / answers 200
//
// The version is what stands in the file /version.
package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"golang.org/x/net/websocket"
)

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(part string) error {
	mux := http.NewServeMux()
	switch part {
	case "check":
		_, err := ask(http.MethodGet, "http://127.0.0.1:8080/", nil)
		return err
	case "web":
		mux.HandleFunc("GET /{$}", page)
		mux.HandleFunc("PUT /row", func(w http.ResponseWriter, r *http.Request) {
			reply(w)(ask(http.MethodPut, "http://db:8080/row", r.Body))
		})
		mux.Handle("/socket", websocket.Handler(socket))
		mux.HandleFunc("GET /exhaust", exhaust)
	case "api":
		mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { reply(w)(version()) })
	case "db":
		mux.HandleFunc("GET /{$}", func(http.ResponseWriter, *http.Request) {})
		mux.HandleFunc("GET /row", func(w http.ResponseWriter, _ *http.Request) {
			row, err := os.ReadFile("/data/row")
			if errors.Is(err, os.ErrNotExist) {
				row, err = []byte("empty"), nil
			}
			reply(w)(string(row), err)
		})
		mux.HandleFunc("PUT /row", func(w http.ResponseWriter, r *http.Request) {
			row, err := io.ReadAll(r.Body)
			reply(w)("", errors.Join(err, os.WriteFile("/data/row", row, 0o600)))
		})
	}
	return http.ListenAndServe(":8080", mux)
}

func version() (string, error) {
	b, err := os.ReadFile("/version")
	return strings.TrimSpace(string(b)), err
}

func page(w http.ResponseWriter, _ *http.Request) {
	own, err1 := version()
	api, err2 := ask(http.MethodGet, "http://api:8080/", nil)
	row, err3 := ask(http.MethodGet, "http://db:8080/row", nil)
	reply(w)(own+" "+api+" "+row, errors.Join(err1, err2, err3))
}

// exhaust takes memory until there is none.
func exhaust(http.ResponseWriter, *http.Request) {
	for held := []byte{0}; ; {
		held = append(held, held...)
	}
}

// socket sends the version, and then whatever it gets.
func socket(ws *websocket.Conn) {
	own, err := version()
	for err == nil {
		if err = websocket.Message.Send(ws, own); err == nil {
			err = websocket.Message.Receive(ws, &own)
		}
	}
}

func ask(method, address string, body io.Reader) (string, error) {
	req, err := http.NewRequest(method, address, body)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s: %s: %s", method, address, resp.Status, text)
	}
	return string(text), err
}

func reply(w http.ResponseWriter) func(text string, err error) {
	return func(text string, err error) {
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		fmt.Fprint(w, text)
	}
}
