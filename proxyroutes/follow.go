package proxyroutes

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// readTime bounds a reading of everything, which is many answers.
const readTime = 5 * patience

// pause returns how long to wait after the given number of failures in a row, 1 at least: a quarter of a second, doubled each time up to four
// seconds, give or take a fifth so that those who lost Redis together do not come back together.
func pause(failures int) time.Duration {
	d := 250 * time.Millisecond << min(failures-1, 4)
	return d + time.Duration((rand.Float64()-0.5)*0.4*float64(d))
}

// follow keeps the table fresh until ctx is done: by what is published, by a full re-read every so often, as foreign writers publish nothing,
// and by one whenever the subscription is new, as what was published before is lost. While Redis is away it tries again, less and less often. The
// error is that of the reading before.
func (r *Records) follow(ctx context.Context, err error) {
	defer close(r.done)
	var s subscription
	defer s.close()
	failures := 0
	next := time.NewTimer(0)
	defer next.Stop()
	again := func(err error) {
		if err == nil {
			failures = 0
			s.open(ctx, r.client)
			next.Reset(r.reread)
			return
		}
		failures++
		s.close() // go-redis would try all the time
		next.Reset(pause(failures))
	}
	for again(err); ; {
		// Errors are logged where they are met.
		select {
		case <-ctx.Done():
			return
		case <-next.C:
			again(r.readAll(ctx))
		case message := <-s.published:
			hosts, all := s.hear(message)
			if all {
				next.Reset(0)
			} else if err := r.readHosts(ctx, hosts); err != nil {
				again(err)
			}
		case <-r.table.marked:
			if r.answers() {
				if err := r.bring(ctx); err != nil {
					again(err)
				}
			}
		}
	}
}

// A subscription hears what is published while it is open. The zero value is closed.
type subscription struct {
	redis     *redis.PubSub
	published <-chan any // nil while it is closed
}

func (s *subscription) open(ctx context.Context, client *redis.Client) {
	if s.redis == nil {
		s.redis = client.Subscribe(ctx, changes, deads)
		s.published = s.redis.ChannelWithSubscriptions()
	}
}

// hear returns the hosts of a message and of those that have come since, or that everything is to be read: the subscription is new, or has ended.
func (s *subscription) hear(message any) (hosts []string, all bool) {
	for {
		m, ok := message.(*redis.Message)
		if !ok {
			if message == nil {
				s.close()
			}
			return nil, true
		}
		host, _, _ := strings.Cut(m.Payload, ";")
		if hosts = append(hosts, host); len(hosts) == pipelined {
			return union(hosts), false
		}
		select {
		case message = <-s.published:
		default:
			return union(hosts), false
		}
	}
}

// close ends it, and what go-redis runs for it, which may be about to hand over what it heard.
func (s *subscription) close() {
	if s.redis == nil {
		return
	}
	_ = s.redis.Close() // says at most that it is closed already
	for range s.published {
	}
	s.redis, s.published = nil, nil
}

// answers reports whether everything went well with Redis when last heard of.
func (r *Records) answers() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked && r.state == fine
}

// report logs when Redis goes away, when it is away for another reason, and when it is back: fine says that everything was read and written. It
// returns the error explained.
func (r *Records) report(ctx context.Context, err error) error {
	err = explain(r.client.Options(), err)
	if ctx.Err() != nil {
		return err // nobody waits for the answer any more
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	before, now := r.state, kindOf(err)
	r.state, r.asked = now, true
	switch {
	case now == before:
	case now == fine:
		r.log.Info("Redis answers again")
	default:
		r.log.Warn("Redis cannot be read; the routes stay as they were, and it is tried again", "error", err)
	}
	return err
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

// readAll brings Redis to what this process was asked to write and Redis does not have, and the table to what Redis holds. A Redis that was emptied
// costs no request: it has its records again before the table is brought to it.
func (r *Records) readAll(ctx context.Context) error {
	if err := r.lock(ctx); err != nil {
		return err
	}
	defer r.unlock()
	whole, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	return r.report(ctx, r.exchange(whole))
}

func (r *Records) exchange(ctx context.Context) error {
	if err := checkVersion(ctx, r.client); err != nil {
		return err
	}
	// One walk through the keys for both prefixes: there may be many of other applications.
	found, err := r.scan(ctx, "[fd][re]*:*", frontendPrefix, deadPrefix)
	if err != nil {
		return err
	}
	// What the table has and the scan does not is asked for by name: a scan may miss a key that is deleted and written meanwhile.
	hosts, dead := r.table.hosts()
	got, err := r.read(ctx, union(found[frontendPrefix], hosts, r.ledger.hosts()), union(found[deadPrefix], dead))
	if err != nil {
		return err
	}
	if err := r.settle(ctx, got); err != nil {
		return err
	}
	return r.bringMarks(ctx)
}

// readHosts brings some hosts of the table to what Redis holds.
func (r *Records) readHosts(ctx context.Context, hosts []string) error {
	whole, cancel := bounded(ctx)
	defer cancel()
	if err := r.lock(whole); err != nil {
		return err
	}
	defer r.unlock()
	got, err := r.read(whole, hosts, hosts)
	if err == nil {
		err = r.settle(whole, got)
	}
	if err != nil {
		return r.report(ctx, err)
	}
	return nil
}

// settle has Redis take what it does not have by the reading, and brings the table to both.
func (r *Records) settle(ctx context.Context, got reading) error {
	missing, lost := r.ledger.missing(got)
	taken, overtaken, err := r.send(ctx, missing)
	if len(overtaken) > 0 {
		again, readErr := r.read(ctx, hostsOf(overtaken), nil)
		for _, route := range overtaken {
			delete(got.lists, route.Host) // where it cannot be read, the table stays as it is
			delete(got.revisions, route.Host)
		}
		for host, list := range again.lists {
			got.lists[host], got.revisions[host] = list, again.revisions[host]
		}
		err = errors.Join(err, readErr)
	}
	r.ledger.apply(got)
	r.ledger.took(taken)
	if lost > 0 && err == nil {
		r.log.Info("wrote records again that Redis had lost", "hosts", lost)
	}
	return err
}

// bring tells Redis of the dead marks that it does not have yet.
func (r *Records) bring(ctx context.Context) error {
	if err := r.lock(ctx); err != nil {
		return err
	}
	defer r.unlock()
	if err := r.bringMarks(ctx); err != nil {
		return r.report(ctx, err)
	}
	return nil
}

// bringMarks wants the right to read. A mark that does not get to Redis counts in this process only until then.
func (r *Records) bringMarks(ctx context.Context) error {
	for _, m := range r.table.unmarked() {
		backend := m.frontend.Backends[m.index].Raw
		announcement := fmt.Sprintf("%s;%s;%d;%d", m.host, backend, m.index, len(m.frontend.Backends))
		keys := []string{frontendPrefix + m.frontend.Key, deadPrefix + m.host}
		err := r.runMark(ctx, keys, m.index, backend, int(deadFor.Seconds()), announcement)
		if err != nil && kindOf(err) != refused {
			return fmt.Errorf("mark a dead backend: %w", err)
		}
		if err != nil {
			r.log.Warn("a dead backend could not be marked in Redis", "host", m.host, "backend", backend, "error", err)
		}
		r.table.handOver(m)
	}
	return nil
}

func (r *Records) runMark(ctx context.Context, keys []string, args ...any) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	return r.scripts.mark.Run(ctx, r.client, keys, args...).Err()
}
