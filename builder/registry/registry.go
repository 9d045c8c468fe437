// Package registry is the embedded OCI registry: the engine pushes the images of previews into it, and it keeps them in a folder or in an S3 bucket.
package registry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/distribution/distribution/v3/registry/handlers"
	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
)

// drainTime is how long Close waits for requests under way, such as a push.
const drainTime = 5 * time.Second

// Config says where a Registry keeps its files and where it listens.
type Config struct {
	// Root is the folder for the files. It is made with mode 0700 where it is missing. One Registry at a time may use it. With S3 it is not used.
	Root string
	// S3 is the bucket for the files, nil for the folder.
	S3 *S3
	// Listen is "host:port"; port 0 takes a free one. It should be a loopback address, as the registry asks for no password.
	Listen string
	// Log gets what the registry has to say. Nil discards it.
	Log *slog.Logger
}

// A Registry serves the OCI distribution API (https://github.com/opencontainers/distribution-spec) over plain HTTP, with deletion allowed.
// Its methods may be called side by side.
//
// While a bucket is away, it answers 503 with the code UNAVAILABLE, and goes on by itself when the bucket is back. While the disk of a folder is full, it
// answers 507 to what would write.
type Registry struct {
	listener net.Listener
	server   *http.Server
	app      *handlers.App
	served   chan error

	gate  *gate // nil for a folder
	watch func()
}

// Start checks the storage, listens, and serves until Close. When it returns without an error, the registry answers.
//
// A bucket that cannot be used until somebody mends something is an error that says what to do. One that is merely away is none: the log says so, and
// that it is back.
func Start(ctx context.Context, config Config) (*Registry, error) {
	log := config.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	storage, err := newStorage(config)
	if err != nil {
		return nil, err
	}
	if storage.bucket == nil {
		if err := os.MkdirAll(storage.root, 0o700); err != nil {
			return nil, fmt.Errorf("make the registry's folder: %w", err)
		}
	}
	// The application outlives ctx, which bounds the start only.
	base := withLogger(context.WithoutCancel(ctx), log)
	// NewApp panics where the driver cannot be made; this returns the error instead. Neither asks a bucket anything.
	driver, err := storage.open(base)
	if err != nil {
		return nil, err
	}
	r := &Registry{
		app:    handlers.NewApp(base, storage.settings()),
		served: make(chan error, 1),
		watch:  func() {},
		server: &http.Server{
			ReadHeaderTimeout: 10 * time.Second,
			BaseContext:       func(net.Listener) context.Context { return base },
			ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		},
	}
	var away error
	if storage.bucket != nil {
		if away, err = storage.examine(ctx, driver, log); err != nil {
			closeIdle()
			return nil, errors.Join(err, r.app.Shutdown())
		}
	}
	if r.listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", config.Listen); err != nil {
		closeIdle()
		return nil, errors.Join(fmt.Errorf("listen for the registry at %s: %w", config.Listen, err), r.app.Shutdown())
	}
	r.server.Handler = tellFullDisk(r.app)
	if storage.bucket != nil {
		r.guard(base, storage, driver, log, away)
	}
	go func() { r.served <- r.server.Serve(r.listener) }()
	return r, nil
}

// guard puts a gate before the application, closed where the storage is away already.
func (r *Registry) guard(base context.Context, storage storage, driver storagedriver.StorageDriver, log *slog.Logger, away error) {
	r.gate = newGate(r.app, func(ctx context.Context) error { return storage.reach(ctx, driver) }, log)
	r.gate.learn(base, away)
	r.server.Handler = r.gate
	ctx, cancel := context.WithCancel(base)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.gate.watch(ctx)
	}()
	r.watch = func() {
		cancel()
		<-ended
	}
}

// Addr returns the address that the registry listens at, "127.0.0.1:5055".
func (r *Registry) Addr() string { return r.listener.Addr().String() }

// Close lets requests under way end for some seconds, stops, and returns when nothing of the registry runs any more. It may be called once.
func (r *Registry) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	err := r.server.Shutdown(ctx)
	if err != nil {
		err = errors.Join(fmt.Errorf("drain the registry: %w", err), r.server.Close())
	}
	if served := <-r.served; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, fmt.Errorf("serve the registry: %w", served))
	}
	if r.gate != nil {
		r.gate.close()
		r.watch()
		closeIdle()
	}
	return errors.Join(err, r.app.Shutdown())
}

// closeIdle closes the connections to a bucket that nothing uses at the moment. The SDK uses the process's default client.
func closeIdle() { http.DefaultClient.CloseIdleConnections() }
