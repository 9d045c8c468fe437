package deployments

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

func TestTasksRunOneForEachKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		base, end := context.WithCancelCause(t.Context())
		tasks := newTasks(base, 9)
		release := make(chan struct{})
		var running, freed atomic.Int32
		hold := func(context.Context) {
			running.Add(1)
			<-release
		}
		done := func() {
			freed.Add(1)
			if tasks.busy(1) {
				t.Error("the key is busy when done is called")
			}
		}
		if !tasks.start(1, 0, hold, done) || tasks.start(1, 0, hold, done) || !tasks.start(2, 0, hold, func() {}) {
			t.Error("want one of key 1 and one of key 2 to start")
		}
		synctest.Wait()
		if n := running.Load(); n != 2 || !tasks.busy(1) || !tasks.busy(2) {
			t.Errorf("%d run, busy %t and %t", n, tasks.busy(1), tasks.busy(2))
		}
		close(release)
		synctest.Wait()
		if freed.Load() != 1 || tasks.busy(1) || tasks.busy(2) {
			t.Errorf("done was called %d times, busy %t and %t", freed.Load(), tasks.busy(1), tasks.busy(2))
		}
		if !tasks.start(1, 0, hold, done) {
			t.Error("a key that is free did not start")
		}
		end(errShutdown)
		tasks.wait()
		if tasks.start(1, 0, hold, done) {
			t.Error("started after the end")
		}
	})
}

func TestTasksAreCancelledWithACause(t *testing.T) {
	cause := errors.New("a reason")
	for name, test := range map[string]struct {
		cancel func(tasks *tasks, end context.CancelCauseFunc)
		want   error
	}{
		"a newer generation": {func(tasks *tasks, _ context.CancelCauseFunc) { tasks.supersede(1, 3, cause) }, cause},
		"the same generation": {func(tasks *tasks, end context.CancelCauseFunc) {
			tasks.supersede(1, 2, cause)
			end(errShutdown)
		}, errShutdown},
		"another key": {func(tasks *tasks, end context.CancelCauseFunc) {
			tasks.supersede(2, 3, cause)
			tasks.stop(2, cause)
			end(errShutdown)
		}, errShutdown},
		"the end":  {func(_ *tasks, end context.CancelCauseFunc) { end(errShutdown) }, errShutdown},
		"it stops": {func(tasks *tasks, _ context.CancelCauseFunc) { tasks.stop(1, cause) }, cause},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				base, end := context.WithCancelCause(t.Context())
				defer end(nil)
				tasks := newTasks(base, 9)
				var got error
				tasks.start(1, 2, func(ctx context.Context) {
					<-ctx.Done()
					got = context.Cause(ctx)
				}, func() {})
				test.cancel(tasks, end)
				tasks.wait()
				if got != test.want || tasks.busy(1) {
					t.Errorf("cancelled because %v, want %v; busy %t", got, test.want, tasks.busy(1))
				}
			})
		})
	}
}

// Whoever stops a task may remove what it worked at: it has ended by then.
func TestStopJoins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tasks := newTasks(t.Context(), 9)
		ended := false
		hold := make(chan struct{})
		tasks.start(1, 0, func(ctx context.Context) {
			<-ctx.Done()
			<-hold
			ended = true
		}, func() {})
		stopped := make(chan struct{})
		go func() {
			tasks.stop(1, errShutdown)
			close(stopped)
		}()
		synctest.Wait()
		select {
		case <-stopped:
			t.Error("stop returned while the task runs")
		default:
		}
		close(hold)
		<-stopped
		if !ended {
			t.Error("stop returned before the task had ended")
		}
	})
}
