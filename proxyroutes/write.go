package proxyroutes

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/redis/go-redis/v9"

	"vitrine/deployments"
)

// Write brings each host's record to the route, in one step with the deletion of the host's dead marks, unless the host has seen a higher
// revision. When it returns nil the Table of this process serves what was written. A route that Redis refuses does not hold up the others.
//
// Where Redis does not answer or takes no writes, the Table serves the routes all the same, and Redis gets them when it is back, unless it has newer
// ones then; the error is a [deployments.Unavailable].
func (r *Records) Write(ctx context.Context, routes []deployments.Route) error {
	var errs []error
	var asked []deployments.Route
	for _, route := range routes {
		if err := check(route); err != nil {
			errs = append(errs, err)
		} else if r.ledger.ask(route, r.record(route)) {
			asked = append(asked, route)
		}
	}
	if len(asked) == 0 {
		return errors.Join(errs...)
	}
	if !r.answers() {
		r.ledger.show(hostsOf(asked)) // nobody waits for the try
		if err := checkVersion(ctx, r.client); err != nil {
			return errors.Join(append(errs, r.unavailable(ctx, err))...)
		}
	}
	taken, overtaken, err := r.send(ctx, asked)
	r.ledger.show(hostsOf(asked))
	r.ledger.took(taken)
	if err == nil && len(overtaken) > 0 {
		err = r.readHosts(ctx, hostsOf(overtaken)) // by what is not known yet
	}
	return errors.Join(append(errs, r.unavailable(ctx, err))...)
}

// unavailable says, of an error of Redis, whom to wait for.
func (r *Records) unavailable(ctx context.Context, err error) error {
	if err == nil || kindOf(err) == refused {
		return err
	}
	err = r.report(ctx, err)
	return &deployments.Unavailable{Neighbour: "Redis", Err: fmt.Errorf("write routes: %w", err)}
}

// record returns the route's list in Redis, which is empty for a removal.
func (r *Records) record(route deployments.Route) []string {
	switch {
	case route.Removed:
		return nil
	case len(route.Backends) == 0:
		return []string{route.Identifier, r.lobby}
	default:
		return append([]string{route.Identifier}, route.Backends...)
	}
}

// send has Redis take the routes, in pieces. It returns those that Redis has taken, and those that a higher revision overtook. The error joins those of
// the routes that Redis refuses, and ends with the first that tells of Redis itself: what was not sent by then stays in the ledger.
func (r *Records) send(ctx context.Context, routes []deployments.Route) (taken, overtaken []deployments.Route, err error) {
	var errs []error
	for chunk := range slices.Chunk(routes, pipelined) {
		answers := r.sendChunk(ctx, chunk)
		var away error
		for i, route := range chunk {
			took, err := answers[i].Int()
			switch {
			case err == nil && took == 1:
				taken = append(taken, route)
			case err == nil && took < 0:
				away = errors.Join(errVersion, checkVersion(ctx, r.client))
			case err == nil:
				overtaken = append(overtaken, route)
			case kindOf(err) == refused:
				if route.Host != r.wildcard.Host { // nobody else asks for that again
					r.ledger.forget([]deployments.Route{route})
				}
				errs = append(errs, fmt.Errorf("write the route of %s: %w", route.Host, err))
			default:
				away = err
			}
		}
		if away != nil {
			errs = []error{away}
			break
		}
	}
	r.ledger.forget(overtaken)
	return taken, overtaken, errors.Join(errs...)
}

func (r *Records) sendChunk(ctx context.Context, routes []deployments.Route) []*redis.Cmd {
	ctx, cancel := bounded(ctx)
	defer cancel()
	pipe := r.client.Pipeline()
	// An emptied Redis has neither the version nor the scripts.
	pipe.SetNX(ctx, versionKey, version, 0)
	pipe.ScriptLoad(ctx, writeLua)
	pipe.ScriptLoad(ctx, removeLua)
	answers := make([]*redis.Cmd, len(routes))
	for i, route := range routes {
		answers[i] = r.queue(ctx, pipe, route)
	}
	_, _ = pipe.Exec(ctx) // each command has its error
	return answers
}

func (r *Records) queue(ctx context.Context, pipe redis.Pipeliner, route deployments.Route) *redis.Cmd {
	revision := revisionPrefix
	if route.Host == r.wildcard.Host {
		revision = wildcardPrefix
	}
	keys := []string{frontendPrefix + route.Host, deadPrefix + route.Host, revision + route.Host, versionKey}
	args := []any{version, route.Revision, route.Host, changes}
	if route.Removed {
		return r.scripts.remove.EvalSha(ctx, pipe, keys, append(args, int(tombstone.Seconds()))...)
	}
	for _, part := range r.record(route) {
		args = append(args, part)
	}
	return r.scripts.write.EvalSha(ctx, pipe, keys, args...)
}

func hostsOf(routes []deployments.Route) []string {
	hosts := make([]string, len(routes))
	for i, route := range routes {
		hosts[i] = route.Host
	}
	return hosts
}
