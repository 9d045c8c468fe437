package redistest_test

import (
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"vitrine/proxyroutes"
	"vitrine/proxyroutes/redistest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStoppedAndRestarted(t *testing.T) {
	s := redistest.Start(t)
	address := s.URL()
	options, err := redis.ParseURL(address)
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(options)
	defer client.Close()
	holds := func(want int64) {
		t.Helper()
		if s.URL() != address {
			t.Errorf("the server moved from %s to %s", address, s.URL())
		}
		if n, err := client.DBSize(t.Context()).Result(); err != nil || n != want {
			t.Errorf("the server holds %d keys (%v), want %d", n, err, want)
		}
	}
	if err := client.Set(t.Context(), "key", "value", 0).Err(); err != nil {
		t.Fatal(err)
	}
	s.Stop()
	s.Stop()
	if proxyroutes.Ping(t.Context(), address) == nil {
		t.Error("the server answers after Stop")
	}
	s.Restart(false)
	holds(1)
	s.Restart(false) // without a Stop before
	holds(1)
	s.Restart(true)
	holds(0)
}

func TestPassword(t *testing.T) {
	s := redistest.Start(t, redistest.WithPassword("opensesame"))
	for range 2 {
		if err := proxyroutes.Ping(t.Context(), s.URL()); err != nil {
			t.Error(err)
		}
		if proxyroutes.Ping(t.Context(), strings.Replace(s.URL(), ":opensesame@", "", 1)) == nil {
			t.Error("the server answers without the password")
		}
		s.Restart(true)
	}
}
