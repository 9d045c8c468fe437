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
)

// pipelined is how many commands go to Redis in one piece.
const pipelined = 500

// checkVersion reports whether the records are of this version, or there are none yet.
func checkVersion(ctx context.Context, client *redis.Client) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	found, err := client.Get(ctx, versionKey).Result()
	if errors.Is(err, redis.Nil) {
		return nil
	}
	if err == nil && found != version {
		err = fmt.Errorf("%w, %q", errVersion, found)
	}
	return err
}

// scan returns what follows the prefixes in the keys that begin with one and match the pattern behind it, by prefix. There may be some twice.
func (r *Records) scan(ctx context.Context, pattern string, prefixes ...string) (map[string][]string, error) {
	found := map[string][]string{}
	for cursor := uint64(0); ; {
		keys, next, err := r.scanPart(ctx, cursor, pattern)
		if err != nil {
			return nil, fmt.Errorf("scan the keys %s: %w", pattern, err)
		}
		for _, key := range keys {
			for _, prefix := range prefixes {
				if host, ok := strings.CutPrefix(key, prefix); ok {
					found[prefix] = append(found[prefix], host)
				}
			}
		}
		if cursor = next; cursor == 0 {
			return found, nil
		}
	}
}

func (r *Records) scanPart(ctx context.Context, cursor uint64, pattern string) (keys []string, next uint64, err error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	return r.client.Scan(ctx, cursor, pattern, pipelined).Result()
}

// read asks for the lists and revisions of hosts and for the dead sets of dead. A key that holds something else counts as not there.
func (r *Records) read(ctx context.Context, hosts, dead []string) (reading, error) {
	out := newReading(len(hosts), len(dead))
	for chunk := range slices.Chunk(hosts, pipelined) {
		if err := r.readLists(ctx, chunk, out); err != nil {
			return reading{}, fmt.Errorf("read the frontends: %w", err)
		}
	}
	for chunk := range slices.Chunk(dead, pipelined) {
		if err := r.readDead(ctx, chunk, out); err != nil {
			return reading{}, fmt.Errorf("read the dead backends: %w", err)
		}
	}
	return out, nil
}

// readLists asks for the revisions before the lists: where a write comes between, the revision is taken for too low, and the next reading mends it.
func (r *Records) readLists(ctx context.Context, hosts []string, out reading) error {
	keys := make([]string, len(hosts))
	lists := make([]*redis.StringSliceCmd, len(hosts))
	pipe := r.client.Pipeline()
	for i, host := range hosts {
		keys[i] = revisionPrefix + host
	}
	revisions := pipe.MGet(ctx, keys...)
	for i, host := range hosts {
		lists[i] = pipe.LRange(ctx, frontendPrefix+host, 0, -1)
	}
	if err := execute(ctx, pipe); err != nil {
		return err
	}
	for i, host := range hosts {
		out.lists[host], out.revisions[host] = lists[i].Val(), 0
		if text, ok := revisions.Val()[i].(string); ok {
			out.revisions[host], _ = strconv.ParseInt(text, 10, 64) // what is no number is not ours
		}
	}
	return nil
}

func (r *Records) readDead(ctx context.Context, hosts []string, out reading) error {
	members := make([]*redis.StringSliceCmd, len(hosts))
	remaining := make([]*redis.DurationCmd, len(hosts))
	pipe := r.client.Pipeline()
	for i, host := range hosts {
		members[i], remaining[i] = pipe.SMembers(ctx, deadPrefix+host), pipe.PTTL(ctx, deadPrefix+host)
	}
	if err := execute(ctx, pipe); err != nil {
		return err
	}
	now := r.table.now()
	for i, host := range hosts {
		out.dead[host] = deadIndexes(members[i].Val(), remaining[i].Val(), now)
	}
	return nil
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

// execute sends the commands. That a key holds something else than a command takes it for is no error here.
func execute(ctx context.Context, pipe redis.Pipeliner) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	commands, err := pipe.Exec(ctx)
	if err == nil || !wrongType(err) {
		return err
	}
	for _, command := range commands { // the first error may hide others
		if err := command.Err(); err != nil && !wrongType(err) {
			return err
		}
	}
	return nil
}

func wrongType(err error) bool { return redis.HasErrorPrefix(err, "WRONGTYPE") }

func union(lists ...[]string) []string {
	all := slices.Concat(lists...)
	slices.Sort(all)
	return slices.Compact(all)
}
