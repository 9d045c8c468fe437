// Package httpd is the HTTP server of whatever runs alone in a container.
package httpd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// readHeaderTime is how long a client may take to say what it wants.
const readHeaderTime = 10 * time.Second

// Run serves until ctx is done, and then stops without waiting for anybody. It prints where it listens, so that a container's log
// has a line.
func Run(ctx context.Context, out io.Writer, address string, h http.Handler) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "listening on", listener.Addr())
	server := &http.Server{Handler: h, ReadHeaderTimeout: readHeaderTime}
	defer context.AfterFunc(ctx, func() { server.Close() })()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
