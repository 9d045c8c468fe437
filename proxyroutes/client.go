package proxyroutes

import (
	"context"

	"github.com/redis/go-redis/v9"
)

// newClient returns a client whose library says nothing by itself: its one logger is the process's and writes to stderr, and what it has to say comes
// back as errors too.
func newClient(options *redis.Options) *redis.Client {
	redis.SetLogger(silence{})
	return redis.NewClient(options)
}

// silence is a logger of go-redis (internal/log.go, Logging).
type silence struct{}

// Printf does nothing.
func (silence) Printf(context.Context, string, ...any) {}
