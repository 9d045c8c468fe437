package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/client"

	"vitrine/deployments"
)

// Whom a deployment may have to wait for, as [deployments.Unavailable] names them.
const (
	neighbourEngine = "the Docker engine"
	neighbourDisk   = "free disk space on the server"
)

const (
	// callTimeout bounds a call that an engine answers at once when it is well.
	callTimeout = time.Minute
	// steadyPause lies between the two looks that [Runtime.steady] takes.
	steadyPause = 200 * time.Millisecond
	// fullBelow is how few free bytes make a disk full.
	fullBelow = 32 << 20
)

// A patience says how an engine is watched that keeps somebody waiting.
type patience struct {
	pause   time.Duration // between two questions
	timeout time.Duration // for an answer
}

func defaultPatience() patience { return patience{pause: 5 * time.Second, timeout: 15 * time.Second} }

// attended calls do with a context that ends when the engine stops answering: an engine that accepts a call may never return from it. An error that
// is the engine's own trouble comes back as [deployments.Unavailable], and the end of ctx as its cause.
func (r *Runtime) attended(ctx context.Context, do func(context.Context) error) error {
	watched, cancel := context.WithCancelCause(ctx)
	var watching sync.WaitGroup
	watching.Go(func() {
		for {
			select {
			case <-watched.Done():
				return
			case <-time.After(r.patience.pause):
			}
			if err := r.answers(watched); err != nil && watched.Err() == nil {
				cancel(err)
			}
		}
	})
	err := do(watched)
	silent := context.Cause(watched)
	cancel(nil)
	watching.Wait()
	switch {
	case err == nil || deployments.FaultOf(err) != nil:
		return err
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case silent != nil:
		return silent
	default:
		return unavailable(err)
	}
}

// briefly is attended for what an engine does at once when it is well.
func (r *Runtime) briefly(ctx context.Context, do func(context.Context) error) error {
	return r.attended(ctx, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		return do(ctx)
	})
}

// answers asks the engine for a sign of life. The error is a [deployments.Unavailable].
func (r *Runtime) answers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, r.patience.timeout)
	defer cancel()
	if _, err := r.door.Ping(ctx); err != nil {
		return &deployments.Unavailable{Neighbour: neighbourEngine, Err: fmt.Errorf("no Docker engine answers at %s: %w", r.client.DaemonHost(), err)}
	}
	return nil
}

// steady returns nil where the engine is there to stay. It is asked before a service is blamed: an engine that ends takes its containers with it, and
// tells of their exits, and answers on connections that it has, until the last moment. It closes its door before it stops the first container, so that
// whoever saw such an exit finds the door closed; the second look is for when both were killed at once.
func (r *Runtime) steady(ctx context.Context) error {
	if err := r.answers(ctx); err != nil {
		return err
	}
	select {
	case <-time.After(steadyPause):
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return r.answers(ctx)
}

// unavailable names who is waited for, where err is an engine's that cannot be reached or does not do its part, or comes of a full disk. Any other err,
// also nil, is returned as it is.
func unavailable(err error) error {
	var known *deployments.Unavailable
	switch {
	case err == nil || deployments.FaultOf(err) != nil || errors.As(err, &known):
		return err
	case full(err.Error()):
		return &deployments.Unavailable{Neighbour: neighbourDisk, Err: err}
	case disconnected(err) || errdefs.IsInternal(err) || errdefs.IsUnavailable(err):
		return &deployments.Unavailable{Neighbour: neighbourEngine, Err: err}
	}
	return err
}

// disconnected reports whether a call ended without the engine's answer.
func disconnected(err error) bool {
	var network net.Error
	return client.IsErrConnectionFailed(err) || errors.As(err, &network) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, context.DeadlineExceeded)
}

// full reports whether the text tells of a disk without room (errno(3), ENOSPC and EDQUOT).
func full(text string) bool {
	text = strings.ToLower(text)
	return strings.Contains(text, "no space left on device") || strings.Contains(text, "disk quota exceeded")
}

// diskFull reports whether the engine's disk has no room left. Where it is not to be looked at, as on another machine, it is not taken for full.
func (r *Runtime) diskFull(ctx context.Context) bool {
	if !strings.HasPrefix(r.client.DaemonHost(), "unix://") {
		return false
	}
	engine, err := r.client.Info(ctx)
	if err != nil {
		r.log.Warn("engine's disk cannot be looked at", "error", err)
		return false
	}
	var fs syscall.Statfs_t
	if err := syscall.Statfs(engine.DockerRootDir, &fs); err != nil {
		return false
	}
	return uint64(fs.Bavail)*uint64(fs.Bsize) < fullBelow || fs.Files > 0 && fs.Ffree == 0
}

// anew has the client make a connection for each call.
func anew(c *client.Client) error {
	if t, ok := c.HTTPClient().Transport.(*http.Transport); ok {
		t.DisableKeepAlives = true
	}
	return nil
}

// tied marks the context of a call that takes its connection over. The engine's client lets go of the context there, and would wait for an engine
// that never answers as long as that lives.
type tied struct{}

// tieConnections has the client's connections end with the contexts that are marked. Over TLS the client dials by itself.
func tieConnections(c *client.Client) error {
	t, ok := c.HTTPClient().Transport.(*http.Transport)
	if !ok || t.TLSClientConfig != nil {
		return nil
	}
	dial := t.DialContext
	if dial == nil {
		//lint:ignore SA1019 it is what the engine's client sets
		plain := t.Dial
		if plain == nil {
			return nil
		}
		dial = func(_ context.Context, network, address string) (net.Conn, error) { return plain(network, address) }
	}
	t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err == nil && ctx.Value(tied{}) != nil {
			// Whoever holds the connection then learns of the end by it.
			context.AfterFunc(ctx, func() { _ = conn.Close() })
		}
		return conn, err
	}
	return nil
}
