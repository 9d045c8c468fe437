package firewall

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"vitrine/deploy"
	"vitrine/deployments"
)

var _ deployments.Firewall = (*Firewall)(nil)

const (
	// probeEvery is how long a probe counts.
	probeEvery = time.Hour
	// retryAfter is the least time between two tries to put the firewall up, however many attempts wait for it.
	retryAfter = 2 * time.Second
)

// Whom an attempt waits for, as [deployments.Unavailable] names it. What is wrong in detail is for the operator: people without an account may read this.
const (
	waitsForFirewall = "the server's firewall, which is not up; `vitrine doctor` on the server says why"
	waitsForProbe    = "the server's firewall, which lets a preview or a build reach what it must not; the server's log says what"
)

// An Engine is what the firewall needs of the one that runs containers.
type Engine interface {
	// RunOneShot runs a program in a container and returns what it printed. One at a time is run.
	RunOneShot(ctx context.Context, o deploy.OneShot) (stdout []byte, err error)
	// DefaultBridge returns the network that builds run in.
	DefaultBridge(ctx context.Context) (deploy.Bridge, error)
	// Occupied returns the networks that a new one must not overlap.
	Occupied(ctx context.Context) ([]netip.Prefix, error)
}

// A Builder runs a command where builds run.
type Builder interface {
	// RunCommand runs a command in an image as a build does and returns what it printed.
	RunCommand(ctx context.Context, image string, command []string) (stdout []byte, err error)
}

// A Program is this very program, within an image on the engine.
type Program struct {
	Image string
	// Command begins its command line. The firewall appends "look", "apply <policy>", "remove <instance>" or "probe <address>...", which print what
	// [Look], [Apply] and [Probe] return as JSON.
	Command []string
}

// Config says what a Firewall works with.
type Config struct {
	Instance string
	Pool     netip.Prefix // of the previews' networks
	// Builds has builds held off as well, while nobody else uses the engine's default network.
	Builds   bool
	Listener netip.AddrPort // see Policy
	Allow    []Destination
	Engine   Engine
	Builder  Builder
	// Program brings this program onto the engine, where it is not there yet.
	Program func(context.Context) (Program, error)
	Now     func() time.Time
	Log     *slog.Logger
}

// A Firewall keeps the rules of one instance in the kernel of the engine's host. Its methods may be called side by side.
type Firewall struct {
	Config
	turn chan struct{} // held by who works on the rules

	mu    sync.Mutex // guards the rest
	state error      // why environments have to wait; nil while the firewall is up
	tried time.Time

	// Held together with turn.
	view   *View     // of the host's network namespace; nil for unknown
	probed time.Time // when a probe last found nothing in reach
	policy Policy    // that was applied last
	bridge deploy.Bridge
}

// errNotYet is the state before the first try.
var errNotYet = errors.New("the firewall was not looked at yet")

// New returns a Firewall that was not put up yet.
func New(c Config) *Firewall {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &Firewall{Config: c, turn: make(chan struct{}, 1), state: errNotYet}
}

// Ready implements [deployments.Firewall].
func (f *Firewall) Ready(ctx context.Context) error {
	if f.known() == nil {
		return nil
	}
	select {
	case f.turn <- struct{}{}:
		defer func() { <-f.turn }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	// Somebody else may have been at it meanwhile.
	f.mu.Lock()
	state, tried := f.state, f.tried
	f.mu.Unlock()
	if state == nil || f.Now().Sub(tried) < retryAfter {
		return state
	}
	return f.check(ctx)
}

// Sweep implements [deployments.Firewall].
func (f *Firewall) Sweep(ctx context.Context) error {
	select {
	case f.turn <- struct{}{}:
		defer func() { <-f.turn }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return f.check(ctx)
}

// Remove takes the rules away, wherever they were put.
func (f *Firewall) Remove(ctx context.Context) error {
	f.turn <- struct{}{}
	defer func() { <-f.turn }()
	f.mu.Lock()
	f.state = errNotYet
	f.mu.Unlock()
	err := f.look(ctx)
	if err == nil && f.direct() {
		err = Remove(f.Instance)
	}
	if f.view == nil || !f.direct() || errors.Is(err, syscall.EPERM) {
		_, err = f.inContainer(ctx, deploy.OneShot{NetAdmin: true}, "remove", f.Instance)
	}
	return err
}

// known returns why environments have to wait.
func (f *Firewall) known() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state
}

// check puts the rules up, or looks whether they still are, and tests them where the last test is too long ago. It notes what comes of it.
func (f *Firewall) check(ctx context.Context) error {
	err := f.uphold(ctx)
	if ctx.Err() != nil && err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tried = f.Now()
	if f.state != nil || err == nil || disproved(err) {
		f.state = asWaiting(err)
	}
	return asWaiting(err)
}

// errApply is wrapped by what keeps the rules from being put up.
var errApply = errors.New("put the firewall up")

// disproved reports whether err says that rules that were up are not any more, or do not hold. A test that came to nothing does not say so, nor does an engine
// that is away, which starts nothing either.
func disproved(err error) bool {
	var leak *Leak
	var away *deployments.Unavailable
	return errors.As(err, &leak) || errors.Is(err, errApply) && !errors.As(err, &away)
}

// asWaiting says who is waited for, where err does not say so itself.
func asWaiting(err error) error {
	var known *deployments.Unavailable
	if err == nil || errors.As(err, &known) {
		return err
	}
	neighbour := waitsForFirewall
	var leak *Leak
	if errors.As(err, &leak) {
		neighbour = waitsForProbe
	}
	return &deployments.Unavailable{Neighbour: neighbour, Err: err}
}

func (f *Firewall) uphold(ctx context.Context) error {
	bridge, err := f.Engine.DefaultBridge(ctx)
	if err != nil {
		return err
	}
	f.bridge = bridge
	due := f.Now().Sub(f.probed) >= probeEvery
	if f.view == nil || due {
		if err := f.look(ctx); err != nil {
			return err
		}
	}
	policy := f.policyFor(bridge)
	changed, err := f.apply(ctx, policy)
	if err != nil {
		return fmt.Errorf("%w: %w", errApply, err)
	}
	other := policy.BuildBridge != f.policy.BuildBridge
	if changed {
		f.Log.Info("firewall put up", "table", tableName(f.Instance), "direct", f.direct(), "builds", policy.BuildBridge != "", "probed", !f.probed.IsZero())
	}
	f.policy = policy
	if !due && !other {
		return nil
	}
	if f.Builds && policy.BuildBridge == "" {
		f.Log.Warn("builds are not held off: others use the engine's default network, or it has none", "bridge", bridge.Name, "containers", bridge.Foreign)
	}
	f.probed = time.Time{}
	if err := f.probe(ctx, bridge); err != nil {
		return err
	}
	f.probed = f.Now()
	return nil
}

// policyFor returns what is to be applied. Somebody else's containers in the default network did not ask to be held off from anything.
func (f *Firewall) policyFor(bridge deploy.Bridge) Policy {
	p := Policy{Instance: f.Instance, Pool: f.Pool, Resolvers: f.view.Resolvers, Listener: f.Listener, Allow: f.Allow}
	if f.Builds && len(bridge.Foreign) == 0 {
		p.BuildBridge = bridge.Name
	}
	return p
}

// look finds out what the host's network namespace is like.
func (f *Firewall) look(ctx context.Context) error {
	out, err := f.inContainer(ctx, deploy.OneShot{}, "look")
	if err != nil {
		return fmt.Errorf("look at the host's network: %w", err)
	}
	var v View
	if err := json.Unmarshal(out, &v); err != nil {
		return fmt.Errorf("look at the host's network: %w", err)
	}
	f.view = &v
	return nil
}

// direct reports whether this process is in the host's network namespace.
func (f *Firewall) direct() bool {
	own, err := Namespace()
	return err == nil && f.view != nil && own == f.view.Namespace
}

// apply brings the rules to the policy from here where that is possible, else from a container.
func (f *Firewall) apply(ctx context.Context, p Policy) (changed bool, err error) {
	if f.direct() {
		changed, err = Apply(p)
		if !errors.Is(err, syscall.EPERM) {
			return changed, err
		}
	}
	text, err := json.Marshal(p)
	if err != nil {
		return false, err
	}
	out, err := f.inContainer(ctx, deploy.OneShot{NetAdmin: true}, "apply", string(text))
	if err != nil {
		return false, err
	}
	return changed, json.Unmarshal(out, &changed)
}

// inContainer runs this program in a container.
func (f *Firewall) inContainer(ctx context.Context, o deploy.OneShot, args ...string) ([]byte, error) {
	program, err := f.Program(ctx)
	if err != nil {
		return nil, err
	}
	o.Image, o.Command = program.Image, slices.Concat(program.Command, args)
	return f.Engine.RunOneShot(ctx, o)
}

// Describe says in plain words how the firewall was put up last, and what it does not do.
func (f *Firewall) Describe() string {
	f.turn <- struct{}{}
	defer func() { <-f.turn }()
	text := "holds previews and builds off"
	switch {
	case !f.Builds:
		text = "holds previews off; firewall-builds is off, so that builds reach whatever this machine reaches"
	case len(f.bridge.Foreign) > 0:
		text = fmt.Sprintf("holds previews off, but not builds, as %s is used by %s too: stop them or give them a network of their own, or builds reach whatever "+
			"this machine reaches", f.bridge.Name, strings.Join(f.bridge.Foreign, ", "))
	case f.bridge.Name == "":
		text = "holds previews off; the engine has no default network for builds"
	}
	if f.direct() {
		return text + "; put up directly"
	}
	return text + "; put up by a container"
}
