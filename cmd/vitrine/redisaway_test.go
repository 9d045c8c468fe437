package main

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"vitrine/proxyroutes/redistest"
)

// visitors is how many ask for the preview at the same time.
const visitors = 8

func TestRedisAway(t *testing.T)     { redisAway(t, 4*time.Second) }
func TestSoakRedisAway(t *testing.T) { redisAway(t, 30*time.Second) }

// redisAway holds that a Redis which is killed under load, and comes back empty, costs no request to a known host, and that a push goes live
// meanwhile.
func redisAway(t *testing.T, away time.Duration) {
	w := newWorldBeside(t, neighbours{redis: redistest.Start(t)})
	w.start()
	s := w.story()
	ctx := w.bounded(2*time.Minute + away)
	w.must(s.open(ctx))

	visit, leave := context.WithCancel(ctx)
	defer leave()
	ended := make(chan error, visitors)
	for range visitors {
		go func() { ended <- s.visit(visit, "shop-pr-1") }()
	}
	w.redis.Stop()
	gone := time.Now()
	w.pushLabel("Meanwhile")
	w.must(s.answers(ctx, "shop-pr-1", "Meanwhile: 12"))
	w.eventually("the history says who is waited for", func() bool { return w.tellings("acme/shop#1", "the route waits for Redis") > 0 })
	select {
	case <-time.After(away - time.Since(gone)): // the outage itself
	case err := <-ended:
		t.Fatalf("a visitor was sent away: %v", err)
	}
	w.redis.Restart(true)
	options, err := redis.ParseURL(w.redisURL())
	w.must(err)
	records := redis.NewClient(options)
	defer records.Close()
	w.eventually("the records are back", func() bool {
		return len(w.record(records, "shop-pr-1")) == 2 && len(w.record(records, "shop-stock")) == 2
	})
	w.settled()
	w.must(s.answers(ctx, "shop-stock", "Meanwhile: 12"))
	leave()
	for range visitors {
		err = errors.Join(err, <-ended)
	}
	if err != nil {
		t.Errorf("visitors were sent away: %v", err)
	}
	w.stop()
}
