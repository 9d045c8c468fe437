package proxyroutes

import (
	"context"
	"fmt"
	"os/exec"
	"testing"
	"time"

	"vitrine/deployments"
)

// BenchmarkReadAll reads everything of a redis-server with 5,000 hosts, of which two in a hundred have a dead mark, and 20,000 keys of other
// applications; and writes all of the hosts anew.
func BenchmarkReadAll(b *testing.B) {
	r := openBench(b)
	ctx := context.Background()
	routes := make([]deployments.Route, 5000)
	for i := range routes {
		routes[i] = deployments.Route{
			Host: fmt.Sprintf("shop-pr-%d.bench.test", i), Identifier: "shop", Revision: 1, Backends: []string{"http://10.0.0.1:80", "http://10.0.0.2:80"},
		}
	}
	if err := r.Write(ctx, routes); err != nil {
		b.Fatal(err)
	}
	pipe := r.client.Pipeline()
	for i := range 20_000 {
		pipe.Set(ctx, fmt.Sprint("session:", i), "x", 0)
		if i < 100 {
			pipe.SAdd(ctx, fmt.Sprint("dead:shop-pr-", i, ".bench.test"), 1)
		}
	}
	if _, err := pipe.Exec(ctx); err != nil {
		b.Fatal(err)
	}
	b.Run("read", func(b *testing.B) {
		for b.Loop() {
			if err := r.readAll(ctx); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("write", func(b *testing.B) {
		for revision := int64(2); b.Loop(); revision++ {
			for i := range routes {
				routes[i].Revision = revision
			}
			if err := r.Write(ctx, routes); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// openBench opens records in a redis-server that listens on a socket in a folder of the benchmark's.
func openBench(b *testing.B) *Records {
	socket := b.TempDir() + "/redis"
	server := exec.Command("redis-server", "--port", "0", "--unixsocket", socket, "--save", "", "--dir", b.TempDir())
	if err := server.Start(); err != nil {
		b.Fatalf("this benchmark needs a redis-server: %v", err)
	}
	b.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait() // says that it was killed
	})
	address := "unix://" + socket
	for deadline := time.Now().Add(20 * time.Second); Ping(b.Context(), address) != nil; {
		if time.Now().After(deadline) {
			b.Fatal("redis-server does not answer")
		}
	}
	r, err := Open(b.Context(), Config{URL: address, Lobby: "http://127.0.0.1:8080", Domain: "bench.test", Reread: time.Hour})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { r.Close() })
	return r
}
