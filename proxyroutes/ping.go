package proxyroutes

import (
	"context"
	"errors"
	"fmt"
)

// Ping reports whether the Redis at an address as Config.URL's answers. It changes nothing there.
func Ping(ctx context.Context, address string) error {
	options, err := optionsOf(address)
	if err != nil {
		return err
	}
	client := newClient(options)
	if err := errors.Join(client.Ping(ctx).Err(), client.Close()); err != nil {
		return fmt.Errorf("ask Redis at %s: %w", options.Addr, err)
	}
	return nil
}
