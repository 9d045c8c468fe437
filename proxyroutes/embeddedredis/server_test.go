package embeddedredis

import (
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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

func TestKeysExpireWithTheClock(t *testing.T) {
	times := make(chan time.Time, 1)
	ticks := make(chan time.Time)
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	times <- begin
	s, err := start(func() time.Time { return <-times }, ticks, func() {})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c := client(t, s.URL())
	c.Set(t.Context(), "k", "v", 30*time.Second)
	pass := func(now time.Time) {
		ticks <- now
		times <- now
		ticks <- now // taken once the first was worked off
		times <- now
	}
	pass(begin.Add(29 * time.Second))
	if c.Exists(t.Context(), "k").Val() != 1 {
		t.Error("the key is gone after 29 of 30 seconds")
	}
	pass(begin.Add(10 * time.Second)) // a clock that was set back
	if c.Exists(t.Context(), "k").Val() != 1 {
		t.Error("the key is gone as the clock went back")
	}
	pass(begin.Add(12 * time.Second))
	if c.Exists(t.Context(), "k").Val() != 0 {
		t.Error("the key outlives its 30 seconds")
	}
}

func TestItListensOnLoopbackAndAsksForThePassword(t *testing.T) {
	s, err := Start()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	options, err := redis.ParseURL(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(options.Addr, "127.0.0.1:") || options.Password == "" {
		t.Errorf("the URL is %s", s.URL())
	}
	if err := client(t, s.URL()).Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Errorf("with the password: %v", err)
	}
	if err := client(t, "redis://"+options.Addr).Get(t.Context(), "k").Err(); err == nil || !strings.Contains(err.Error(), "NOAUTH") {
		t.Errorf("without the password: %v", err)
	}
}
