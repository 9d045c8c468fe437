// Package shop is the services of the sample repository acme/shop, as commands. It needs next to nothing, so that a program that is
// nothing else starts in a few milliseconds.
package shop

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"vitrine/cmd/internal/httpd"
)

// A Command is one service, for kong. Each is bound to a context, at whose end it stops at once, and to an io.Writer, to which it says where it listens.
type Command struct {
	Web   Web   `cmd:"" help:"The shop's page, with the stock that api knows."`
	API   API   `cmd:"" name:"api" help:"The stock, kept in cache."`
	Cache Cache `cmd:"" help:"Values by key, in memory."`
	Check Check `cmd:"" help:"Exit 0 if an URL answers 200."`
}

// Web serves the page.
type Web struct {
	Dir string `default:"/srv" help:"Folder with index.html, which may hold {{stock}} and {{commit}}."`
	API string `name:"api" default:"http://api:8080" help:"Where api answers."`
}

// Run serves the page until ctx is done.
func (s *Web) Run(ctx context.Context, out io.Writer) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		page, err := os.ReadFile(filepath.Join(s.Dir, "index.html"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		var stock []byte
		if bytes.Contains(page, []byte("{{stock}}")) {
			if stock, err = fetch(r.Context(), s.API+"/stock"); err != nil {
				http.Error(w, "ask api for the stock: "+err.Error(), http.StatusBadGateway)
				return
			}
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, strings.NewReplacer("{{stock}}", string(stock), "{{commit}}", os.Getenv("VITRINE_SHA")).Replace(string(page)))
	})
	return httpd.Run(ctx, out, ":8080", mux)
}

// API serves the stock, which is in its file at first and in the cache from then on.
type API struct {
	File  string `default:"/srv/stock.json" help:"The stock to begin with."`
	Cache string `default:"http://cache:6379" help:"Where cache answers."`
}

// Run serves the stock until ctx is done.
func (s *API) Run(ctx context.Context, out io.Writer) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /stock", func(w http.ResponseWriter, r *http.Request) {
		stock, err := s.stock(r.Context())
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		fmt.Fprint(w, stock)
	})
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "api of the shop: see /stock") })
	return httpd.Run(ctx, out, ":8080", mux)
}

// stock returns the number of pieces, from the cache where it is known there.
func (s *API) stock(ctx context.Context) (string, error) {
	if cached, err := fetch(ctx, s.Cache+"/stock"); err == nil {
		return string(cached), nil
	} else if !errors.Is(err, errNoSuchPage) {
		return "", fmt.Errorf("ask the cache: %w", err)
	}
	text, err := os.ReadFile(s.File)
	if err != nil {
		return "", err
	}
	var stock struct{ Pieces int }
	if err := json.Unmarshal(text, &stock); err != nil {
		return "", fmt.Errorf("read %s: %w", s.File, err)
	}
	pieces := fmt.Sprint(stock.Pieces)
	request, err := http.NewRequestWithContext(ctx, http.MethodPut, s.Cache+"/stock", strings.NewReader(pieces))
	if err != nil {
		return "", err
	}
	_, err = answer(request)
	return pieces, err
}

// Cache keeps values by key, in memory.
type Cache struct {
	Listen string `default:":6379" help:"Address to listen on."`
}

// Run serves PUT and GET of /KEY until ctx is done.
func (s *Cache) Run(ctx context.Context, out io.Writer) error {
	var values sync.Map
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{key}", func(w http.ResponseWriter, r *http.Request) {
		value, ok := values.Load(r.PathValue("key"))
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Write(value.([]byte))
	})
	mux.HandleFunc("PUT /{key}", func(w http.ResponseWriter, r *http.Request) {
		value, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		values.Store(r.PathValue("key"), value)
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "cache") })
	return httpd.Run(ctx, out, s.Listen, mux)
}

// Check asks a URL.
type Check struct {
	URL string `arg:"" name:"url" help:"The URL to ask."`
}

// Run asks the URL once.
func (s *Check) Run(ctx context.Context) error {
	_, err := fetch(ctx, s.URL)
	return err
}

var errNoSuchPage = errors.New("404 Not Found")

func fetch(ctx context.Context, address string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	return answer(request)
}

// answer sends the request and returns the body of a 2xx answer.
func answer(request *http.Request) ([]byte, error) {
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	switch {
	case response.StatusCode == http.StatusNotFound:
		return nil, errNoSuchPage
	case response.StatusCode >= 300:
		return nil, fmt.Errorf("%s answered %s", request.URL, response.Status)
	}
	return io.ReadAll(response.Body)
}
