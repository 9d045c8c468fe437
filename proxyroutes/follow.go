package proxyroutes

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"vitrine/deployments"
)

// pipelined is how many commands go to Redis in one piece.
const pipelined = 500

// follow keeps the table fresh until ctx is done: by what is published, by a full re-read every so often, as foreign writers publish nothing,
// and by one whenever the subscription is new, as what was published before is lost.
func (r *Records) follow(ctx context.Context) {
	defer close(r.done)
	subscription := r.client.Subscribe(ctx, changes, deads)
	defer subscription.Close()
	published := subscription.ChannelWithSubscriptions()
	ticker := time.NewTicker(r.reread)
	defer ticker.Stop()
	for {
		// Errors are logged where they are met; the next round tries again.
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			_ = r.readAll(ctx)
		case message := <-published:
			switch m := message.(type) {
			case *redis.Subscription:
				_ = r.readAll(ctx)
			case *redis.Message:
				host, _, _ := strings.Cut(m.Payload, ";")
				_ = r.readHosts(ctx, []string{host})
			}
		case m := <-r.table.marks:
			r.mark(ctx, m)
		}
	}
}

// mark brings a dead mark to Redis. One that does not get there counts in this process only.
func (r *Records) mark(ctx context.Context, m mark) {
	backend := m.frontend.Backends[m.index].Raw
	announcement := fmt.Sprintf("%s;%s;%d;%d", m.host, backend, m.index, len(m.frontend.Backends))
	keys := []string{frontendPrefix + m.frontend.Key, deadPrefix + m.host}
	if err := r.scripts.mark.Run(ctx, r.client, keys, m.index, backend, int(deadFor.Seconds()), announcement).Err(); err != nil {
		r.log.Warn("a dead backend could not be marked in Redis", "host", m.host, "backend", backend, "error", err)
	}
}

// lock takes the right to read into the table.
func (r *Records) lock(ctx context.Context) error {
	select {
	case r.reading <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (r *Records) unlock() { <-r.reading }

// readAll brings the table to what Redis holds. Records that this process wrote and that Redis has lost are written again first, so that a Redis
// that was restarted empty costs no request.
func (r *Records) readAll(ctx context.Context) error {
	if err := r.lock(ctx); err != nil {
		return err
	}
	defer r.unlock()
	all, err := r.everything(ctx)
	r.report(ctx, err)
	if err != nil {
		return err
	}
	r.table.apply(all)
	return nil
}

// readHosts brings some hosts of the table to what Redis holds.
func (r *Records) readHosts(ctx context.Context, hosts []string) error {
	if err := r.lock(ctx); err != nil {
		return err
	}
	defer r.unlock()
	some, err := r.read(ctx, hosts, hosts)
	r.report(ctx, err)
	if err != nil {
		return err
	}
	r.table.apply(some)
	return nil
}

// report logs when Redis goes away and when it is back; it wants the right to read.
func (r *Records) report(ctx context.Context, err error) {
	switch {
	case err == nil && r.away:
		r.away = false
		r.log.Info("Redis answers again")
	case err != nil && !r.away && ctx.Err() == nil:
		r.away = true
		r.log.Warn("Redis cannot be read; the routes stay as they were", "error", err)
	}
}

func (r *Records) everything(ctx context.Context) (reading, error) {
	hosts, err := r.scan(ctx, frontendPrefix, "*")
	if err != nil {
		return reading{}, err
	}
	dead, err := r.scan(ctx, deadPrefix, "*")
	if err != nil {
		return reading{}, err
	}
	// What the table has and the scan does not is asked for by name: a scan may miss a key that is deleted and written meanwhile.
	knownHosts, knownDead := r.table.hosts()
	all, err := r.read(ctx, union(hosts, knownHosts), union(dead, knownDead))
	if err != nil {
		return reading{}, err
	}
	lost, err := r.restore(ctx, all)
	if err != nil || len(lost) == 0 {
		return all, err
	}
	again, err := r.read(ctx, lost, nil)
	for host, list := range again.lists {
		all.lists[host] = list
	}
	return all, err
}

// restore writes again what this process wrote and the reading does not have, and returns the hosts. The revision decides as ever: what another
// process removed stays removed.
func (r *Records) restore(ctx context.Context, all reading) ([]string, error) {
	var lost []string
	for _, route := range r.missing(all) {
		if err := r.write(ctx, route); err != nil {
			return nil, fmt.Errorf("write the route of %s again: %w", route.Host, err)
		}
		lost = append(lost, route.Host)
	}
	if wildcard := "*." + r.domain; len(all.lists[wildcard]) == 0 {
		if err := r.Wildcard(ctx); err != nil {
			return nil, err
		}
		lost = append(lost, wildcard)
	}
	if len(lost) > 0 {
		r.log.Info("wrote records again that Redis had lost", "hosts", len(lost))
	}
	return lost, nil
}

func (r *Records) missing(all reading) []deployments.Route {
	r.mu.Lock()
	defer r.mu.Unlock()
	var routes []deployments.Route
	for host, route := range r.written {
		if len(all.lists[host]) == 0 {
			routes = append(routes, route)
		}
	}
	return routes
}

// scan returns what follows the prefix in the keys that begin with it and match the pattern behind it. There may be some twice.
func (r *Records) scan(ctx context.Context, prefix, pattern string) ([]string, error) {
	var hosts []string
	keys := r.client.Scan(ctx, 0, prefix+pattern, pipelined).Iterator()
	for keys.Next(ctx) {
		hosts = append(hosts, strings.TrimPrefix(keys.Val(), prefix))
	}
	if err := keys.Err(); err != nil {
		return nil, fmt.Errorf("scan the keys %s%s: %w", prefix, pattern, err)
	}
	return hosts, nil
}

// read asks for the lists of hosts and for the dead sets of dead. A key that holds something else counts as not there.
func (r *Records) read(ctx context.Context, hosts, dead []string) (reading, error) {
	out := reading{lists: make(map[string][]string, len(hosts)), dead: make(map[string][]deadIndex, len(dead))}
	for chunk := range slices.Chunk(hosts, pipelined) {
		pipe := r.client.Pipeline()
		var lists []*redis.StringSliceCmd
		for _, host := range chunk {
			lists = append(lists, pipe.LRange(ctx, frontendPrefix+host, 0, -1))
		}
		if err := execute(ctx, pipe); err != nil {
			return reading{}, fmt.Errorf("read the frontends: %w", err)
		}
		for i, host := range chunk {
			out.lists[host] = lists[i].Val()
		}
	}
	for chunk := range slices.Chunk(dead, pipelined) {
		pipe := r.client.Pipeline()
		var members []*redis.StringSliceCmd
		var remaining []*redis.DurationCmd
		for _, host := range chunk {
			members = append(members, pipe.SMembers(ctx, deadPrefix+host))
			remaining = append(remaining, pipe.PTTL(ctx, deadPrefix+host))
		}
		if err := execute(ctx, pipe); err != nil {
			return reading{}, fmt.Errorf("read the dead backends: %w", err)
		}
		for i, host := range chunk {
			out.dead[host] = deadIndexes(members[i].Val(), remaining[i].Val(), r.table.now())
		}
	}
	return out, nil
}

func deadIndexes(members []string, remaining time.Duration, now time.Time) []deadIndex {
	var until time.Time
	if remaining > 0 {
		until = now.Add(remaining)
	}
	var indexes []deadIndex
	for _, m := range members {
		if i, err := strconv.Atoi(m); err == nil {
			indexes = append(indexes, deadIndex{index: i, until: until})
		}
	}
	return indexes
}

// execute sends the commands. An answer of Redis that refuses one of them, such as WRONGTYPE, is no error here.
func execute(ctx context.Context, pipe redis.Pipeliner) error {
	_, err := pipe.Exec(ctx)
	var refused redis.Error
	if errors.As(err, &refused) && strings.HasPrefix(refused.Error(), "WRONGTYPE") {
		return nil
	}
	return err
}

func union(a, b []string) []string {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}
