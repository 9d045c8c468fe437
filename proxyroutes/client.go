package proxyroutes

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// patience is how long one answer of Redis may take.
const patience = 2 * time.Second

// optionsOf reads a Config.URL. Its error does not quote the URL, which may have a password in it.
func optionsOf(address string, roots *x509.CertPool) (*redis.Options, error) {
	options, err := redis.ParseURL(address)
	if err != nil {
		return nil, errors.New("the Redis URL cannot be read; it looks like redis://127.0.0.1:6379 or rediss://user:password@host:port/0")
	}
	if options.DB < 0 {
		return nil, fmt.Errorf("the Redis URL has the database number %d; the first database is 0", options.DB)
	}
	if options.TLSConfig != nil {
		options.TLSConfig.RootCAs = roots
	}
	options.Protocol = 2 // all that the records need, and every Redis speaks it
	options.DisableIdentity = true
	options.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	options.ContextTimeoutEnabled = true
	options.DialTimeout, options.ReadTimeout, options.WriteTimeout = patience, patience, patience
	options.DialerRetries, options.MaxRetries = 1, 2
	options.MaxRetryBackoff = 50 * time.Millisecond // these are for connections that Redis has closed; an outage is waited out by follow
	return options, nil
}

// newClient returns a client whose connections end with ctx, so that nobody waits for a Redis that hangs. Its library says nothing by itself: its one
// logger is the process's and writes to stderr, and what it has to say comes back as errors too.
func newClient(ctx context.Context, options *redis.Options) *redis.Client {
	redis.SetLogger(silence{})
	options.Dialer = dialer{ctx, options.TLSConfig}.dial
	return redis.NewClient(options)
}

// bounded gives one exchange with Redis its time.
func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, patience)
}

// A dialer opens connections that end with a context.
type dialer struct {
	life context.Context
	tls  *tls.Config // nil for none
}

func (d dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	defer context.AfterFunc(d.life, cancel)()
	// A Redis whose machine vanished is noticed by nothing else on a subscription that hears nothing.
	keep := net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 3}
	plain, err := (&net.Dialer{KeepAliveConfig: keep}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: plain, release: context.AfterFunc(d.life, func() { plain.Close() })}
	if d.tls == nil {
		return c, nil
	}
	secure := tls.Client(c, d.tls)
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("begin TLS: %w", err), ignoreClosed(c.Close()))
	}
	return secure, nil
}

// A conn is a connection that something else may close too.
type conn struct {
	net.Conn
	release func() bool // of who else may close it
}

// Close ends the connection.
func (c *conn) Close() error {
	c.release()
	return c.Conn.Close()
}

// SyscallConn is what go-redis looks for to see, before it uses an idle connection, whether Redis has closed it.
func (c *conn) SyscallConn() (syscall.RawConn, error) {
	raw, ok := c.Conn.(syscall.Conn)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	return raw.SyscallConn()
}

// ignoreClosed drops what the end of a connection says that the dialer has ended before.
func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// silence is a logger of go-redis (internal/log.go, Logging).
type silence struct{}

// Printf does nothing.
func (silence) Printf(context.Context, string, ...any) {}
