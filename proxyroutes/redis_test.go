package proxyroutes_test

import (
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"testing"

	"github.com/redis/go-redis/v9"

	"vitrine/proxyroutes/embeddedredis"
)

// A redisServer is a real one, on a port of its own, that keeps nothing on disk.
type redisServer struct {
	t       *testing.T
	port    int
	process *exec.Cmd
}

func startRedis(t *testing.T) *redisServer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &redisServer{t: t, port: listener.Addr().(*net.TCPAddr).Port}
	listener.Close()
	s.start()
	t.Cleanup(s.kill)
	return s
}

func (s *redisServer) url() string { return fmt.Sprintf("redis://127.0.0.1:%d", s.port) }

func (s *redisServer) start() {
	s.t.Helper()
	s.process = exec.Command("redis-server", "--port", strconv.Itoa(s.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", s.t.TempDir())
	if err := s.process.Start(); err != nil {
		s.t.Fatalf("these tests need a redis-server: %v", err)
	}
	c := client(s.t, s.url())
	eventually(s.t, "redis-server answers", func() bool { return c.Ping(s.t.Context()).Err() == nil })
}

func (s *redisServer) kill() {
	if s.process == nil {
		return
	}
	if err := s.process.Process.Kill(); err != nil {
		s.t.Errorf("kill redis-server: %v", err)
	}
	_ = s.process.Wait() // says that it was killed
	s.process = nil
}

func startEmbedded(t *testing.T) string {
	t.Helper()
	s, err := embeddedredis.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close the embedded Redis: %v", err)
		}
	})
	return s.URL()
}

func client(t *testing.T, url string) *redis.Client {
	t.Helper()
	options, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	c := redis.NewClient(options)
	t.Cleanup(func() { c.Close() })
	return c
}
