package registry

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/distribution/distribution/v3/registry/api/errcode"
)

const (
	// lookAgain is how often a storage that is away is asked again, and how often calls are looked at.
	lookAgain = time.Second
	// patience is how long a call may run before the storage is asked whether it is there at all, and between two such questions.
	patience = 5 * time.Second
	// stall is how long a call may go on without a byte from or to its client while the storage answers others. A server that copies a layer of some
	// gigabytes is well inside it.
	stall = 2 * time.Minute
)

var (
	errAway    = errors.New("the registry's storage is away")
	errStalled = errors.New("the registry's storage does not go on")
	errClosed  = errors.New("the registry is closing")
)

// A gate stands before a registry whose storage is a network away. While the storage does not answer, the gate ends the calls under way and answers
// further ones with 503 at once: else each would take as long as the storage's client tries, which knows no limit for a connection that hangs.
//
// It finds out by asking the storage for something small whenever a call ended in an error of the server's or takes long.
type gate struct {
	app   http.Handler
	reach func(context.Context) error // nil when the storage answers
	log   *slog.Logger

	doubts chan struct{} // of capacity 1
	calls  sync.WaitGroup

	mu      sync.Mutex
	away    error // why it is closed; nil while the storage answers
	closing bool
	running map[*call]struct{}
}

// A call is a request under way.
type call struct {
	cancel  context.CancelCauseFunc
	since   time.Time
	touched atomic.Int64 // when a byte went through last, in nanoseconds of the Unix time
}

func (c *call) touch() { c.touched.Store(time.Now().UnixNano()) }

func newGate(app http.Handler, reach func(context.Context) error, log *slog.Logger) *gate {
	return &gate{app: app, reach: reach, log: log, doubts: make(chan struct{}, 1), running: map[*call]struct{}{}}
}

// ServeHTTP implements [http.Handler].
func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	c := &call{cancel: cancel, since: time.Now()}
	c.touch()
	if !g.enter(c) {
		refuse(w)
		return
	}
	defer g.leave(c)
	r = r.WithContext(ctx)
	r.Body = &countedBody{ReadCloser: r.Body, call: c}
	a := &answer{ResponseWriter: w, ctx: ctx, call: c}
	g.app.ServeHTTP(a, r)
	if a.status >= http.StatusInternalServerError {
		g.doubt()
	}
}

func (g *gate) enter(c *call) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.away != nil || g.closing {
		return false
	}
	g.running[c] = struct{}{}
	g.calls.Add(1)
	return true
}

func (g *gate) leave(c *call) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.running, c)
	g.calls.Done()
}

// close ends the calls under way and waits for them. It is called once, when no further ones come.
func (g *gate) close() {
	g.mu.Lock()
	g.closing = true
	g.end(errClosed)
	g.mu.Unlock()
	g.calls.Wait()
}

// end ends the calls under way. The caller holds the lock.
func (g *gate) end(cause error) {
	for c := range g.running {
		c.cancel(cause)
	}
}

// refuse answers as the registry answers errors (OCI distribution specification 1.1, "Error codes").
func refuse(w http.ResponseWriter) {
	// The client is gone where this cannot be written.
	_ = errcode.ServeJSON(w, errcode.ErrorCodeUnavailable.WithMessage(errAway.Error()))
}

// doubt has the storage asked soon.
func (g *gate) doubt() {
	select {
	case g.doubts <- struct{}{}:
	default:
	}
}

// watch asks the storage whenever there is a reason to, until ctx is done.
func (g *gate) watch(ctx context.Context) {
	ticker := time.NewTicker(lookAgain)
	defer ticker.Stop()
	var asked time.Time
	for {
		doubted := false
		select {
		case <-ctx.Done():
			return
		case <-g.doubts:
			doubted = true
		case <-ticker.C:
		}
		if doubted || g.suspicious(time.Now(), asked) {
			err := g.reach(ctx)
			if ctx.Err() != nil {
				return
			}
			asked = time.Now()
			g.learn(ctx, err)
		}
	}
}

// suspicious ends the calls that stall, and reports whether the storage is to be asked: it is away, or a call takes long.
func (g *gate) suspicious(now, asked time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	ask := g.away != nil
	for c := range g.running {
		if now.Sub(time.Unix(0, c.touched.Load())) > stall {
			c.cancel(errStalled)
		}
		if now.Sub(c.since) > patience && now.Sub(asked) > patience {
			ask = true
		}
	}
	return ask
}

// learn takes what the storage answered: it opens or closes the gate, and says so once. What lasts until somebody mends it is said as an error, also
// when it takes the place of something that passes.
func (g *gate) learn(ctx context.Context, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	before := g.away
	g.away = err
	switch {
	case err == nil && before == nil:
	case err == nil:
		g.log.InfoContext(ctx, "registry storage is back", "part", "registry")
	case isMistake(err):
		g.end(errAway)
		if before == nil || !isMistake(before) {
			g.log.ErrorContext(ctx, "registry storage cannot be used; pushes wait", "part", "registry", "error", err)
		}
	default:
		g.end(errAway)
		if before == nil || isMistake(before) {
			g.log.WarnContext(ctx, "registry storage is away; pushes wait", "part", "registry", "error", err)
		}
	}
}

// An answer is what the application answers, with 503 in place of what it makes of a call that the gate ended: 499, as if the client had gone away, or
// 500.
type answer struct {
	http.ResponseWriter
	ctx    context.Context
	call   *call
	status int
}

// WriteHeader implements [http.ResponseWriter].
func (a *answer) WriteHeader(status int) {
	if cause := context.Cause(a.ctx); status >= http.StatusBadRequest &&
		(errors.Is(cause, errAway) || errors.Is(cause, errStalled) || errors.Is(cause, errClosed)) {
		status = http.StatusServiceUnavailable
	}
	if a.status == 0 {
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (a *answer) Write(p []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	n, err := a.ResponseWriter.Write(p)
	a.call.touch()
	return n, err
}

// Unwrap serves [http.ResponseController].
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// A countedBody tells its call of what the client sends.
type countedBody struct {
	io.ReadCloser
	call *call
}

// Read implements [io.Reader].
func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.call.touch()
	return n, err
}
