package docker

import (
	"context"
	"fmt"
	"sync/atomic"

	"vitrine/deployments"
)

// A mask hides the secret values of one environment in what its services print. It may be used side by side.
type mask struct {
	environment string
	secrets     func(ctx context.Context, environment string) ([]string, error)
	known       atomic.Pointer[deployments.Mask]
}

// maskOf returns the mask of an environment, with what is known to be secret now.
func (r *Runtime) maskOf(ctx context.Context, environment string) (*mask, error) {
	m := &mask{environment: environment, secrets: r.secrets}
	return m, m.refresh(ctx)
}

// refresh takes up what has become known since.
func (m *mask) refresh(ctx context.Context) error {
	secrets, err := m.secrets(ctx, m.environment)
	if err != nil {
		return fmt.Errorf("ask what is to be hidden: %w", err)
	}
	m.known.Store(deployments.NewMask(secrets))
	return nil
}

// now returns what hides the secrets that are known at present; nil where there are none.
func (m *mask) now() *deployments.Mask { return m.known.Load() }
