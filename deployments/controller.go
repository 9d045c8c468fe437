package deployments

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/robfig/cron/v3"
)

// errShutdown is the cause of what is cancelled because the process stops.
var errShutdown = errors.New("the server stopped")

// How much goes on side by side at most, however much is due: nobody gains where a thousand questions reach the forge at once.
const (
	attemptsAtOnce = 128 // most of these wait for a build slot, or for a service to become healthy
	questions      = 8   // of attempts to the forge
	pushesAtOnce   = 2   // each already keeps the engine's cores busy
	atOnce         = 16
)

// routesFirstTime bounds how long the start waits for the routes.
const routesFirstTime = 10 * time.Second

// Config is what a Controller needs to know.
type Config struct {
	Domain string // base domain of the previews' hosts
	// PreviewURL returns the link to a host's label: "https://shop-pr-42.preview.acme.dev".
	PreviewURL func(label string) string
	Subnets    netip.Prefix  // address pool of the deployments' networks
	Builds     int           // how many attempts fetch and build side by side
	Drain      time.Duration // how long what was replaced still runs after the switch
	LogDir     string        // holds a folder of build logs for each environment
	// ReportPause is the least time between two reports of one environment.
	ReportPause time.Duration
	Now         func() time.Time
	Log         *slog.Logger
}

// Ports are what a Controller drives.
type Ports struct {
	Store    Store
	Forge    Forge
	Clerk    Clerk
	Reporter Reporter
	Builder  Builder
	Stacks   StackReader
	Runtime  Runtime
	Routes   Routes
	Firewall Firewall // nil for none
}

// A Controller brings what is there to what is wanted. Make one with NewController, start it with Run; its other methods are safe to call side by side.
type Controller struct {
	Config
	Ports

	slots    chan struct{} // one for each build under way
	asks     chan struct{} // one for each attempt that asks the forge
	occupied *occupancy
	wake     chan struct{} // something may be due

	attempts  *tasks // by environment
	removals  *tasks // by deployment
	pushes    *tasks // by deployment
	reports   *tasks // by environment
	requests  *tasks // by request
	routing   *tasks // a single one
	restores  *tasks // by deployment
	tellings  *tasks // by deployment
	detouring *tasks // by deployment
	comparing *tasks // a single one

	mu       sync.Mutex
	failures map[string]failure  // of work that has no row to count in, by what it is
	recalls  []time.Time         // when something is due that the Store holds back
	reported map[int64]time.Time // by environment, for as long as there is a pause
	hosts    doubt               // whether each host's record is as the Store says
	strays   map[string]bool     // image references that nothing owned at the last sweep
	silent   map[int64]time.Time // since when the forge does not say what it has, by environment
	guessed  map[int64]int64     // the generation that was last deployed without the forge's word, by environment

	records      doubt               // whether the records know what the forge has open, and nothing else
	liveDoubtful bool                // any live deployment may have stopped
	stopped      map[int64]time.Time // deployments that have become live or that a container of has ended, and from when on they are looked after
	starting     map[int64]bool      // environments of which an attempt starts another version
	incidents    []Incident          // what was heard of containers and not looked at yet
	lost         bool                // the engine was, since then
	resumed      map[int64]bool      // deployments whose Condition was taken over from a former process, where there was one

	watching map[int64]*watched // by environment; only the dispatcher has it
	detours  map[int64]bool     // deployments of which something has ended and whose backends were not looked at since; only the dispatcher has it
	faring   sync.Mutex         // held while a Condition changes
}

// A failure is how often something failed in a row, and when it may be tried again.
type failure struct {
	count int
	until time.Time
}

// NewController returns a Controller that has not started.
func NewController(c Config, p Ports) *Controller {
	return &Controller{
		Config:   c,
		Ports:    p,
		hosts:    doubt{remedy: "write all routes"},
		records:  doubt{remedy: "compare the records with the forge"},
		slots:    make(chan struct{}, c.Builds),
		asks:     make(chan struct{}, questions),
		occupied: newOccupancy(),
		wake:     make(chan struct{}, 1),
		failures: make(map[string]failure),
		reported: make(map[int64]time.Time),
		strays:   make(map[string]bool),
		silent:   make(map[int64]time.Time),
		guessed:  make(map[int64]int64),
		stopped:  make(map[int64]time.Time),
		starting: make(map[int64]bool),
		resumed:  make(map[int64]bool),
		watching: make(map[int64]*watched),
		detours:  make(map[int64]bool),
	}
}

// Run works until ctx is done, then ends what is under way, which stays due, and returns when nothing runs any more. It is called once.
func (c *Controller) Run(ctx context.Context) error {
	if err := c.Store.Interrupt(ctx, errShutdown.Error()); err != nil {
		return fmt.Errorf("end the attempts of a former process: %w", err)
	}
	base, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	c.attempts, c.removals, c.pushes = newTasks(base, attemptsAtOnce), newTasks(base, atOnce), newTasks(base, pushesAtOnce)
	c.reports, c.requests, c.routing, c.restores = newTasks(base, atOnce), newTasks(base, atOnce), newTasks(base, 1), newTasks(base, atOnce)
	c.tellings, c.detouring, c.comparing = newTasks(base, atOnce), newTasks(base, atOnce), newTasks(base, 1)
	c.routesFirst(ctx)
	c.sweep(ctx, true)

	schedule := cron.New(cron.WithChain(cron.SkipIfStillRunning(cron.DiscardLogger)))
	for spec, job := range map[string]func(){
		"@every 1m":  func() { c.expire(ctx) },
		"@every 5m":  func() { c.sweep(ctx, false) },
		"@every 20m": func() { c.keepRemotes(ctx) },
		"@every 3m":  func() { c.catchUp(ctx) },
	} {
		if _, err := schedule.AddFunc(spec, job); err != nil {
			stop(errShutdown)
			return fmt.Errorf("schedule %s: %w", spec, err)
		}
	}
	schedule.Start()
	var watching sync.WaitGroup
	watching.Go(func() { c.watch(ctx) })
	watching.Go(func() { c.keepRemotes(ctx) })
	watching.Go(func() { c.catchUp(ctx) })
	c.dispatch(ctx)
	watching.Wait()
	<-schedule.Stop().Done()
	stop(errShutdown)
	for _, t := range []*tasks{c.requests, c.attempts, c.pushes, c.removals, c.routing, c.restores, c.tellings, c.detouring, c.comparing, c.reports} {
		t.wait()
	}
	return nil
}

// routesFirst has visitors served before the first sweep, which may wait for neighbours. What fails is made up for after it.
func (c *Controller) routesFirst(ctx context.Context) {
	bounded, cancel := context.WithTimeout(ctx, routesFirstTime)
	defer cancel()
	if err := c.reconcileRoutes(bounded); err != nil && ctx.Err() == nil {
		c.Log.Warn("write all routes", "error", err)
	}
}

// Accept takes in what a delivery asks for. When it returns nil, that is on disk and will be done.
func (c *Controller) Accept(ctx context.Context, d Delivery) error {
	if _, err := c.Store.Accept(ctx, d); err != nil {
		return err
	}
	if d.Compare {
		c.raise(&c.records)
	}
	c.poke()
	return nil
}

// want takes in what the controller itself decided.
func (c *Controller) want(ctx context.Context, w Want) error {
	return c.Accept(ctx, Delivery{Wants: []Want{w}})
}

// poke makes the dispatcher look again.
func (c *Controller) poke() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// dispatch starts what is due, whenever something changed and whenever something's time has come, until ctx is done.
func (c *Controller) dispatch(ctx context.Context) {
	for ctx.Err() == nil {
		began := c.Now()
		next, err := c.startDue(ctx)
		if err != nil && ctx.Err() == nil {
			c.Log.Error("look for due work", "error", err)
			next = c.Now().Add(firstDelay)
		}
		// However often it is poked, looking takes half of the time at most.
		breathe(ctx, min(c.Now().Sub(began), firstDelay))
		timer := time.NewTimer(max(0, next.Sub(c.Now())))
		select {
		case <-ctx.Done():
		case <-c.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// breathe waits until d has passed or ctx is done.
func breathe(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// startDue starts everything that is due and returns when to look again at the latest.
func (c *Controller) startDue(ctx context.Context) (time.Time, error) {
	next := soonest(c.Now().Add(time.Minute), c.nextRecall())
	for _, start := range []func(context.Context) (time.Time, error){
		c.startAttempts, c.startRequests, c.startRemovals, c.startReports, c.startPushes, c.startRoutes, c.startComparison, c.startTellings, c.startDetours, c.startRestores,
	} {
		at, err := start(ctx)
		if err != nil {
			return next, err
		}
		if !at.IsZero() {
			next = earlier(next, at)
		}
	}
	return next, nil
}

// recall has the dispatcher look again at that time. Lists of what is due leave out what the Store holds back, and until when.
func (c *Controller) recall(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.recalls = append(c.recalls, at)
}

// nextRecall returns the first of the times given to recall that is still to come, the zero time for none.
func (c *Controller) nextRecall() (next time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.Now()
	c.recalls = slices.DeleteFunc(c.recalls, func(at time.Time) bool { return !at.After(now) })
	for _, at := range c.recalls {
		next = soonest(next, at)
	}
	return next
}

func (c *Controller) startAttempts(ctx context.Context) (next time.Time, err error) {
	if err := c.supersede(ctx); err != nil {
		return next, err
	}
	// Those that are at work already are among the first.
	due, next, err := c.Store.Due(ctx, c.Now(), 2*attemptsAtOnce)
	if err != nil {
		return next, err
	}
	for _, e := range due {
		if at := c.held("postpone " + e.Name); !at.IsZero() {
			next = soonest(next, at)
			continue
		}
		c.attempts.start(e.ID, e.Generation, func(ctx context.Context) { c.attempt(ctx, e) }, c.poke)
	}
	return next, nil
}

// supersede cancels the attempts that work for an older generation than the environment's.
func (c *Controller) supersede(ctx context.Context) error {
	for _, id := range c.attempts.keys() {
		e, err := c.Store.Environment(ctx, id)
		if err != nil {
			return err
		}
		c.attempts.supersede(id, e.Generation, supersededBy(e))
	}
	return nil
}

func supersededBy(e Environment) error {
	if e.Intent == Gone {
		return fmt.Errorf("%w: %s", ErrSuperseded, e.Cause)
	}
	return fmt.Errorf("%w: %s", ErrSuperseded, e.Source().ShortSHA())
}

// soonest returns the earlier of two times, of which the zero one does not count.
func soonest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// expire asks for the end of what has outlived its time, and warns of what soon will have.
func (c *Controller) expire(ctx context.Context) {
	if warned, err := c.Store.Warn(ctx, c.Now()); err != nil {
		c.Log.Error("warn of what expires soon", "error", err)
	} else if warned > 0 {
		c.poke()
	}
	expired, err := c.Store.Expired(ctx, c.Now())
	if err != nil {
		c.Log.Error("look for expired environments", "error", err)
		return
	}
	for _, e := range expired {
		cause := "expired on " + e.Expires.UTC().Format("2 Jan 2006, 15:04 UTC")
		if err := c.want(ctx, Want{Origin: e.Origin, Intent: Gone, By: ByExpiry, Cause: cause}); err != nil {
			c.Log.Error("expire an environment", "environment", e.Name, "error", err)
		}
	}
}

// held reports until when the work named what is held back after failures; the zero time where it is not.
func (c *Controller) held(what string) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f := c.failures[what]; c.Now().Before(f.until) {
		return f.until
	}
	return time.Time{}
}

// outcome counts a failure of the work named what and logs it, or forgets them after a success or a cancellation. It returns how many there were in
// a row, this one included.
func (c *Controller) outcome(ctx context.Context, what string, err error) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := c.failures[what]
	if err == nil || ctx.Err() != nil {
		delete(c.failures, what)
		return f.count
	}
	f.until = retryAt(c.Now(), f.count, err)
	f.count++
	c.failures[what] = f
	c.Log.Warn(what, "error", err, "failures", f.count, "again", f.until)
	return f.count
}

// forgetFailures forgets those of the work whose name begins with the prefix, which is not held back any more.
func (c *Controller) forgetFailures(prefix string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	maps.DeleteFunc(c.failures, func(what string, _ failure) bool { return strings.HasPrefix(what, prefix) })
}
