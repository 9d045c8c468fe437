// Package embeddedredis runs a Redis in this process, for when none is configured. What it holds is gone with the process; the routes are
// derived from the store and written again at start.
package embeddedredis

import (
	"crypto/rand"
	"fmt"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// A Server is a running Redis on a free port of 127.0.0.1.
type Server struct {
	redis    *miniredis.Miniredis
	password string
	stop     chan struct{}
	done     chan struct{}
}

// Start runs a Redis until Close. It asks for a password that only its URL has: other users of the machine reach the port too.
func Start() (*Server, error) {
	ticker := time.NewTicker(time.Second)
	s, err := start(time.Now, ticker.C, ticker.Stop)
	if err != nil {
		ticker.Stop()
	}
	return s, err
}

func start(now func() time.Time, ticks <-chan time.Time, stopTicks func()) (*Server, error) {
	s := &Server{redis: miniredis.NewMiniRedis(), password: rand.Text(), stop: make(chan struct{}), done: make(chan struct{})}
	s.redis.RequireAuth(s.password)
	if err := s.redis.StartAddr("127.0.0.1:0"); err != nil {
		return nil, fmt.Errorf("start the embedded Redis: %w", err)
	}
	go s.age(now, ticks, stopTicks)
	return s, nil
}

// age lets keys expire: miniredis leaves the passing of time to its owner.
func (s *Server) age(now func() time.Time, ticks <-chan time.Time, stopTicks func()) {
	defer close(s.done)
	defer stopTicks()
	last := now()
	for {
		select {
		case <-s.stop:
			return
		case <-ticks:
			t := now()
			if passed := t.Sub(last); passed > 0 {
				s.redis.FastForward(passed)
			}
			last = t
		}
	}
}

// URL returns how to reach the server: "redis://:password@127.0.0.1:port".
func (s *Server) URL() string { return fmt.Sprintf("redis://:%s@%s", s.password, s.redis.Addr()) }

// Close ends the server and what it holds. It is called once.
func (s *Server) Close() error {
	close(s.stop)
	<-s.done
	s.redis.Close()
	return nil
}
