// Command server is what the tests of package docker run in containers.
//
//	server [-listen ADDR] [-after D] [-exit N] [-say TEXT] [-once FILE] [-fill FILE]
//	                                                        says TEXT; after D exits with N, or listens at ADDR, or (ADDR "none") goes on;
//	                                                        exits with 4 where FILE is there, else makes it; writes FILE until nothing fits
//	server check URL                                        exits 0 where URL answers 200
//	server fail [TEXT]                                      prints a line, or TEXT, and exits 1
//	server hang                                             never ends
//	server append FILE LINE                                 adds a line, with the variables that it names, to FILE
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		return command(args)
	}
	flags := flag.NewFlagSet("server", flag.ExitOnError)
	listen := flags.String("listen", ":8080", "address, or none")
	after := flags.Duration("after", 0, "time before anything happens")
	exit := flags.Int("exit", -1, "status to exit with")
	say := flags.String("say", "", "what to print first")
	once := flags.String("once", "", "file that is there if this is not the first start")
	fill := flags.String("fill", "", "file to write to until the disk is full")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *once != "" {
		if _, err := os.Stat(*once); err == nil {
			fmt.Println("was here before")
			os.Exit(4)
		}
		if err := os.WriteFile(*once, nil, 0o600); err != nil {
			return err
		}
	}
	if *fill != "" {
		return fillDisk(*fill)
	}
	if *say != "" {
		fmt.Println(*say)
	}
	time.Sleep(*after)
	if *exit >= 0 {
		fmt.Fprintf(os.Stderr, "exiting with %d\n", *exit)
		os.Exit(*exit)
	}
	if *listen == "none" {
		time.Sleep(time.Hour)
	}
	return http.ListenAndServe(*listen, handler())
}

func fillDisk(name string) error {
	f, err := os.Create(name)
	for zeros := make([]byte, 1<<20); err == nil; {
		_, err = f.Write(zeros)
	}
	return err
}

// eaten is what was asked to be held in memory.
var eaten [][]byte

// eat takes memory, and every page of it in use.
func eat(n int) {
	b := make([]byte, n)
	for i := 0; i < n; i += 4096 {
		b[i] = 1
	}
	eaten = append(eaten, b)
}

func command(args []string) error {
	switch args[0] {
	case "check":
		resp, err := http.Get(args[1])
		if err != nil {
			return err
		}
		if resp.StatusCode != http.StatusOK {
			return errors.New(resp.Status)
		}
		return resp.Body.Close()
	case "append":
		f, err := os.OpenFile(args[1], os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(f, os.ExpandEnv(args[2]))
		return errors.Join(err, f.Close())
	case "fail":
		if len(args) > 1 {
			return errors.New(args[1])
		}
		return errors.New("the database is not ready")
	case "hang":
		time.Sleep(time.Hour)
		return nil
	default:
		return fmt.Errorf("there is no command %q", args[0])
	}
}

func handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.Host, "broken.") {
			w.WriteHeader(http.StatusInternalServerError)
		}
		fmt.Fprintf(w, "%s %s %s", os.Getenv("NAME"), r.Host, r.Header.Get("X-Forwarded-Proto"))
	})
	mux.HandleFunc("/get", func(w http.ResponseWriter, r *http.Request) {
		resp, err := http.Get(r.FormValue("url"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer resp.Body.Close()
		io.Copy(w, resp.Body)
	})
	mux.HandleFunc("/read", func(w http.ResponseWriter, r *http.Request) {
		for _, path := range r.Form["path"] {
			if b, err := os.ReadFile(path); err == nil {
				w.Write(b)
			}
		}
	})
	mux.HandleFunc("/write", func(w http.ResponseWriter, r *http.Request) {
		if err := os.WriteFile(r.FormValue("path"), []byte(r.FormValue("text")), 0o600); err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
		}
	})
	mux.HandleFunc("/stat", func(w http.ResponseWriter, r *http.Request) {
		path := r.FormValue("path")
		info, err := os.Lstat(path)
		if err != nil {
			http.Error(w, err.Error(), http.StatusNotFound)
			return
		}
		owner := info.Sys().(*syscall.Stat_t)
		fmt.Fprintf(w, "%s %d:%d", info.Mode(), owner.Uid, owner.Gid)
		if to, err := os.Readlink(path); err == nil {
			fmt.Fprintf(w, " -> %s", to)
		}
	})
	mux.HandleFunc("/expect", func(w http.ResponseWriter, r *http.Request) {
		if r.Host != r.FormValue("host") || r.Header.Get("X-Forwarded-Proto") != r.FormValue("proto") {
			http.NotFound(w, r)
		}
	})
	mux.HandleFunc("/print", func(w http.ResponseWriter, r *http.Request) {
		to := os.Stdout
		if r.FormValue("to") == "err" {
			to = os.Stderr
		}
		io.WriteString(to, r.FormValue("text"))
	})
	mux.HandleFunc("/long", func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.FormValue("bytes"))
		io.WriteString(os.Stdout, strings.Repeat("x", n)+"\n")
	})
	var sick atomic.Bool
	mux.HandleFunc("/sick", func(http.ResponseWriter, *http.Request) { sick.Store(true) })
	mux.HandleFunc("/well", func(http.ResponseWriter, *http.Request) { sick.Store(false) })
	mux.HandleFunc("/healthy", func(w http.ResponseWriter, r *http.Request) {
		if sick.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("/eat", func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.FormValue("bytes"))
		eat(n)
	})
	mux.HandleFunc("/work", func(w http.ResponseWriter, r *http.Request) {
		d, _ := time.ParseDuration(r.FormValue("for"))
		for began := time.Now(); time.Since(began) < d; {
		}
	})
	mux.HandleFunc("/fill", func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.FormValue("bytes"))
		if err := os.WriteFile(r.FormValue("path"), make([]byte, n), 0o600); err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
		}
	})
	mux.HandleFunc("/exit", func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.FormValue("status"))
		os.Exit(n)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.ParseForm()
		mux.ServeHTTP(w, r)
	})
}
