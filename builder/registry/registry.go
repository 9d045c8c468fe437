// Package registry is the embedded OCI registry: the engine pushes the images of previews into it, and it keeps them as files.
package registry

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/handlers"
	"github.com/distribution/distribution/v3/registry/storage/driver/factory"
	// The driver registers itself under the name "filesystem".
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem"
)

// drainTime is how long Close waits for requests under way, such as a push.
const drainTime = 5 * time.Second

// Config says where a Registry keeps its files and where it listens.
type Config struct {
	// Root is the folder for the files. It is made with mode 0700 where it is missing. One Registry at a time may use it.
	Root string
	// Listen is "host:port"; port 0 takes a free one. It should be a loopback address, as the registry asks for no password.
	Listen string
	// Log gets what the registry has to say. Nil discards it.
	Log *slog.Logger
}

// A Registry serves the OCI distribution API (https://github.com/opencontainers/distribution-spec) over plain HTTP, with deletion allowed.
// Its methods may be called side by side.
type Registry struct {
	listener net.Listener
	server   *http.Server
	app      *handlers.App
	served   chan error
}

// Start opens the folder, listens, and serves until Close. When it returns without an error, the registry answers.
func Start(ctx context.Context, config Config) (*Registry, error) {
	log := config.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(config.Root, 0o700); err != nil {
		return nil, fmt.Errorf("make the registry's folder: %w", err)
	}
	// The application outlives ctx, which bounds the start only.
	base := withLogger(context.WithoutCancel(ctx), log)
	settings := settings(config.Root)
	// NewApp panics where the driver cannot be made; this returns the error instead.
	if _, err := factory.Create(base, settings.Storage.Type(), settings.Storage.Parameters()); err != nil {
		return nil, fmt.Errorf("open the registry's folder %s: %w", config.Root, err)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", config.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen for the registry at %s: %w", config.Listen, err)
	}
	app := handlers.NewApp(base, settings)
	r := &Registry{
		listener: listener,
		app:      app,
		served:   make(chan error, 1),
		server: &http.Server{
			Handler:           app,
			ReadHeaderTimeout: 10 * time.Second,
			BaseContext:       func(net.Listener) context.Context { return base },
			ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		},
	}
	go func() { r.served <- r.server.Serve(listener) }()
	return r, nil
}

// settings are those of a registry on files that forgets a tag when it is told to. There is no cache section: a descriptor remembered past a
// deletion would let a push skip a blob that is gone.
func settings(root string) *configuration.Configuration {
	s := &configuration.Configuration{
		Storage: configuration.Storage{
			"filesystem":  configuration.Parameters{"rootdirectory": root},
			"delete":      configuration.Parameters{"enabled": true},
			"maintenance": configuration.Parameters{"uploadpurging": map[any]any{"enabled": false}},
			"redirect":    configuration.Parameters{"disable": true},
		},
	}
	s.HTTP.Secret = secret()
	s.Catalog.MaxEntries = 1000
	return s
}

// secret signs the state of uploads that clients carry from request to request. An upload does not outlive the process, so it is drawn anew.
func secret() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // crypto/rand.Read never returns an error
	return hex.EncodeToString(b[:])
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
	return errors.Join(err, r.app.Shutdown())
}
