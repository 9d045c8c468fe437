package proxyroutes

import (
	"context"
	"errors"
)

// Ping reports whether the Redis at an address as Config.URL's answers and could hold the records, with the error that Open would give or log. It
// changes nothing there.
func Ping(ctx context.Context, address string) error {
	options, err := optionsOf(address, nil)
	if err != nil {
		return err
	}
	client := newClient(ctx, options)
	err = checkVersion(ctx, client)
	return errors.Join(explain(options, err), client.Close())
}
