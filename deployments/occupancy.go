package deployments

import (
	"context"
	"net/netip"
	"time"
)

// occupiedFor is how long a list of the engine's networks counts. One that came into being since costs an attempt, which is made again.
const occupiedFor = time.Second

// An occupancy remembers which networks the engine has, so that attempts that begin together share one listing.
type occupancy struct {
	turn     chan struct{} // held by who reads or writes the others
	networks []netip.Prefix
	at       time.Time
}

func newOccupancy() *occupancy { return &occupancy{turn: make(chan struct{}, 1)} }

// list returns the networks that the engine had within the last second.
func (o *occupancy) list(ctx context.Context, now time.Time, r Runtime) ([]netip.Prefix, error) {
	select {
	case o.turn <- struct{}{}:
		defer func() { <-o.turn }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if now.Sub(o.at) > occupiedFor {
		networks, err := r.Occupied(ctx)
		if err != nil {
			return nil, away("the Docker engine", err)
		}
		o.networks, o.at = networks, now
	}
	return o.networks, nil
}
