package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
)

type serveCommand struct {
	settings
}

// Run serves until ctx is done.
func (c *serveCommand) Run(ctx context.Context, to console) error {
	key, err := c.app()
	if err != nil && !errors.Is(err, errNoApp) {
		return err
	}
	log := logger(to.err, c.LogLevel)
	listener, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return fmt.Errorf("listen on %s: %w; choose another address with --listen", c.Listen, err)
	}
	defer listener.Close()
	if key == nil {
		if err := c.setUp(ctx, listener.(*net.TCPListener), to.out, log); err != nil || ctx.Err() != nil {
			return err
		}
		if key, err = c.app(); err != nil {
			return err
		}
	}
	srv, err := openServer(ctx, c.settings, listener, key, log)
	if err != nil {
		return err
	}
	defer srv.Close()
	if _, err := srv.runtime.Ping(ctx); err != nil {
		log.Warn("previews wait for the engine", "error", err)
	}
	log.Info("serving", "version", version(), "listen", srv.listener.Addr().String(), "control", c.controlURL(srv.port()),
		"previews", srv.previewLink(srv.port())("*"), "data", c.Data, "instance", srv.store.Instance())
	if err := srv.Run(ctx); err != nil {
		return err
	}
	log.Info("stopped")
	return srv.Close()
}

// logger returns a logger of lines of text.
func logger(to io.Writer, level string) *slog.Logger {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		l = slog.LevelInfo
	}
	return slog.New(slog.NewTextHandler(to, &slog.HandlerOptions{Level: l}))
}
