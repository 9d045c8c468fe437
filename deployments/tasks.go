package deployments

import (
	"context"
	"maps"
	"slices"
	"sync"
)

// tasks runs at most one function at a time for each key, and a limited number altogether, and joins them all. The zero value is not usable; see
// newTasks.
type tasks struct {
	base  context.Context // every task's parent; its end ends them all
	limit int
	group sync.WaitGroup

	mu      sync.Mutex
	running map[int64]*task
}

type task struct {
	generation int64
	cancel     context.CancelCauseFunc
	done       chan struct{}
}

func newTasks(base context.Context, limit int) *tasks {
	return &tasks{base: base, limit: limit, running: make(map[int64]*task)}
}

// start runs f unless the key is busy or the limit is reached, and reports whether it did. done is called after the key is free again; it is the moment
// to try again what was refused.
func (t *tasks) start(key, generation int64, f func(context.Context), done func()) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.running[key] != nil || len(t.running) >= t.limit || t.base.Err() != nil {
		return false
	}
	ctx, cancel := context.WithCancelCause(t.base)
	current := &task{generation: generation, cancel: cancel, done: make(chan struct{})}
	t.running[key] = current
	t.group.Go(func() {
		defer done()
		defer t.finish(key, current)
		f(ctx)
	})
	return true
}

func (t *tasks) finish(key int64, current *task) {
	current.cancel(nil)
	t.mu.Lock()
	delete(t.running, key)
	t.mu.Unlock()
	close(current.done)
}

// keys returns those that have a task.
func (t *tasks) keys() []int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Collect(maps.Keys(t.running))
}

// supersede cancels the key's task where it works for an older generation.
func (t *tasks) supersede(key, generation int64, cause error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if current := t.running[key]; current != nil && current.generation < generation {
		current.cancel(cause)
	}
}

// stop cancels the key's task, if there is one, and returns when it has ended.
func (t *tasks) stop(key int64, cause error) {
	t.mu.Lock()
	current := t.running[key]
	t.mu.Unlock()
	if current != nil {
		current.cancel(cause)
		<-current.done
	}
}

// busy reports whether the key has a task.
func (t *tasks) busy(key int64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.running[key] != nil
}

// wait returns when every task has ended. Nothing may be started any more: the base context is done.
func (t *tasks) wait() { t.group.Wait() }
