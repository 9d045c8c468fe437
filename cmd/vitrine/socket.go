package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"vitrine/deployments/web"
)

// socketFile is the name of the control socket in the data folder. Who may open it, on this machine, may do everything that it offers.
const socketFile = "control.sock"

// maxSocketPath is the longest path of a Unix socket on Linux, in bytes (unix(7), sun_path).
const maxSocketPath = 107

// socketPath returns a path to the control socket of a data folder that is short enough to be bound or connected to. The folder is to be closed once the
// path is used no more.
func socketPath(data string) (path string, folder *os.File, err error) {
	folder, err = os.Open(data)
	if err != nil {
		return "", nil, err
	}
	path = filepath.Join(data, socketFile)
	if len(path) > maxSocketPath {
		path = filepath.Join("/proc/self/fd", strconv.Itoa(int(folder.Fd())), socketFile)
	}
	return path, folder, nil
}

// A socketListener listens on the control socket.
type socketListener struct {
	net.Listener
	folder *os.File
}

// openSocket listens for the commands on this machine, and makes what serves them.
func (s *server) openSocket() (err error) {
	if s.socket, err = listenOnSocket(s.Data); err != nil {
		return err
	}
	s.add(s.socket.Close)
	stopping, stop := context.WithCancelCause(context.Background())
	s.add(func() error { stop(nil); return nil })
	api := http.NewServeMux()
	api.Handle(web.VariablesPath, web.VariablesHandler(s.store, s.log))
	api.Handle(web.LogsPath, until(stopping, web.LogsHandler(s.store, s.runtime, s.log)))
	api.Handle(web.UsagePath, web.UsageHandler(s.store, s.runtime, s.log))
	s.local = &http.Server{Handler: api, ReadHeaderTimeout: readHeaderTime, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug)}
	s.local.RegisterOnShutdown(func() { stop(errors.New("the server stops")) })
	return nil
}

// until ends, once ctx is done, the requests that would go on for ever.
func until(ctx context.Context, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		bounded, cancel := context.WithCancelCause(r.Context())
		defer cancel(nil)
		defer context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })()
		h.ServeHTTP(w, r.WithContext(bounded))
	})
}

// listenOnSocket listens on the control socket of a data folder that this process has locked, so that what a killed one left there is nobody's.
func listenOnSocket(data string) (_ net.Listener, err error) {
	path, folder, err := socketPath(data)
	if err != nil {
		return nil, fmt.Errorf("open the control socket: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("open the control socket: %w", err), folder.Close())
		}
	}()
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	// The folder is its owner's alone, also before this.
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	return &socketListener{listener, folder}, nil
}

// Close stops to listen and removes the socket. It may be called twice.
func (l *socketListener) Close() error {
	err := ignoreClosed(l.Listener.Close())
	if folder := l.folder.Close(); !errors.Is(folder, os.ErrClosed) {
		err = errors.Join(err, folder)
	}
	return err
}

// socketClient returns a client whose requests, to whatever host, go to the server of a data folder. The errors of its connections say what to do.
func socketClient(data string) *http.Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		path, folder, err := socketPath(data)
		if err == nil {
			defer folder.Close()
			var conn net.Conn
			if conn, err = new(net.Dialer).DialContext(ctx, "unix", path); err == nil {
				return conn, nil
			}
		}
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
			return nil, fmt.Errorf("no Vitrine serves from %s; start `vitrine serve`, or name the folder of the one that runs with --data", data)
		case errors.Is(err, fs.ErrPermission):
			return nil, fmt.Errorf("%s belongs to another user; run this as the one that `vitrine serve` runs as", data)
		}
		return nil, err
	}
	return &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}
}
