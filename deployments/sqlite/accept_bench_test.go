package sqlite

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"

	"vitrine/deployments"
)

// BenchmarkAccept takes in deliveries of three kinds, one after the other and from 64 senders at once.
func BenchmarkAccept(b *testing.B) {
	kinds := []struct {
		name     string
		delivery func(i int) deployments.Delivery
	}{
		{"new pull request", func(i int) deployments.Delivery {
			return deployments.Delivery{Event: "pull_request opened", Wants: []deployments.Want{push(pull(i+1), commit(i, "login"))}}
		}},
		{"push to a pull request", func(i int) deployments.Delivery {
			return deployments.Delivery{Event: "pull_request synchronize", Wants: []deployments.Want{push(pull(i%50+1), commit(i, "login"))}}
		}},
		{"request", func(i int) deployments.Delivery {
			return deployments.Delivery{Event: "push", Requests: []deployments.Request{{Origin: pull(i%50 + 1), Payload: []byte(`{}`)}}}
		}},
	}
	for _, kind := range kinds {
		for _, senders := range []int{1, 64} {
			b.Run(fmt.Sprintf("%s/%d", kind.name, senders), func(b *testing.B) { benchmarkAccept(b, kind.delivery, senders) })
		}
	}
}

func benchmarkAccept(b *testing.B, delivery func(i int) deployments.Delivery, senders int) {
	f := newFixture(b)
	var last atomic.Int64
	accept := func() {
		i := int(last.Add(1))
		d := delivery(i)
		d.GUID = fmt.Sprintf("guid-%d", i)
		if _, err := f.Accept(b.Context(), d); err != nil {
			b.Error(err)
		}
	}
	if senders == 1 {
		for b.Loop() {
			accept()
		}
		return
	}
	b.SetParallelism(max(1, senders/runtime.GOMAXPROCS(0))) // for each processor
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			accept()
		}
	})
}
