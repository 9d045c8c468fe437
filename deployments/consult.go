package deployments

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// forgePatience is how long an attempt waits for what the forge says of the head, before it goes on with the commit that the event named.
const forgePatience = 10 * time.Second

// skipUnfenced is why a fork is not deployed where nothing would keep it from the rest of the network.
const skipUnfenced = "code from forks runs only behind the server's firewall, which is off"

// errForgeSilent is the cause of a question to the forge that took too long.
var errForgeSilent = fmt.Errorf("no answer within %s", forgePatience)

// consult asks the forge how things stand, and reports whether there is something to build.
func (a *attempt) consult(ctx context.Context) (bool, error) {
	head, err := a.head(ctx, a.env)
	if err != nil {
		return a.withoutForge(ctx, err)
	}
	intent, source, cause := a.env.Resolve(head)
	if intent == Gone {
		a.d.Reason = cause
		w := Want{Origin: a.env.Origin, Intent: Gone, By: ByEvent, Cause: cause}
		if head.Open {
			w.Source, w.Title, w.Skip = source, head.Title, head.Skip
		}
		if err := a.want(ctx, w); err != nil {
			return false, err
		}
		return false, fmt.Errorf("%w: %s", ErrSuperseded, cause)
	}
	if source.Fork && source.SHA != a.env.Approved {
		return a.unapproved(ctx, source, head.Title)
	}
	if err := a.adopt(ctx, Head{Open: true, Source: source, Title: head.Title}); err != nil {
		return false, err
	}
	live, err := a.servesAlready(ctx)
	if err != nil || !live {
		return err == nil, err
	}
	a.d.Phase, a.d.Reason = Ready, source.ShortSHA()+" is live already"
	return false, a.Store.Settle(ctx, a.d)
}

// withoutForge goes on with the commit that the event named, once the forge has been silent for long enough; err is what came of asking it. Git may
// still answer. It does so once for each generation, which stays due: a late event may have named an old commit, or one of a pull request that was
// closed. An attempt that another neighbour ended does not count. Of a fork only the forge's word counts.
func (a *attempt) withoutForge(ctx context.Context, err error) (bool, error) {
	var u *Unavailable
	source := a.env.Source()
	if ctx.Err() != nil || !errors.As(err, &u) || source.SHA == "" || source.Fork || a.Now().Before(a.forgeGivenUpAt(a.env.ID)) || !a.firstGuess() {
		return false, err
	}
	if live, readErr := a.servesAlready(ctx); readErr != nil || live {
		return false, errors.Join(err, readErr)
	}
	a.log.Warn("the forge does not answer; going on with the commit of the event", "source", source.ShortSHA(), "error", err)
	a.d.Unconfirmed = true
	if err := a.adopt(ctx, Head{Open: true, Source: source}); err != nil {
		return false, err
	}
	return true, nil
}

// firstGuess reports, once, that no attempt at this generation has gone on without the forge; see forgetGuess.
func (a *attempt) firstGuess() bool {
	a.Controller.mu.Lock()
	defer a.Controller.mu.Unlock()
	if a.guessed[a.env.ID] == a.env.Generation {
		return false
	}
	a.guessed[a.env.ID] = a.env.Generation
	return true
}

// forgetGuess lets the next attempt go on without the forge as this one did, which came to nothing.
func (a *attempt) forgetGuess() {
	a.Controller.mu.Lock()
	defer a.Controller.mu.Unlock()
	if a.d.Unconfirmed {
		delete(a.guessed, a.env.ID)
	}
}

// adopt records the head that is deployed.
func (a *attempt) adopt(ctx context.Context, head Head) error {
	a.d.Source = head.Source
	return a.Store.Adopt(ctx, a.d, head)
}

// servesAlready reports whether the attempt's commit is live, and nobody asked for it to be deployed again.
func (a *attempt) servesAlready(ctx context.Context) (bool, error) {
	if a.env.Live == 0 || a.env.Force {
		return false, nil
	}
	live, err := a.Store.Deployment(ctx, a.env.Live)
	return live.Source.SHA == a.d.Source.SHA, err
}

// head returns what the forge says of the environment now. What was given by hand has no forge to ask.
func (c *Controller) head(ctx context.Context, e Environment) (Head, error) {
	if e.Origin.Repo == "" || e.Intent == Gone && e.By != ByEvent {
		return Head{Open: true, Source: e.Source()}, nil
	}
	select {
	case c.asks <- struct{}{}:
		defer func() { <-c.asks }()
	case <-ctx.Done():
		return Head{}, context.Cause(ctx)
	}
	// A question that takes all of the patience has to end after it, by the clock that forgeGivenUpAt is held against.
	began := c.Now()
	bounded, cancel := context.WithTimeoutCause(ctx, forgePatience, errForgeSilent)
	defer cancel()
	head, err := c.Forge.Head(bounded, e.Origin)
	if err != nil && ctx.Err() != nil {
		return head, context.Cause(ctx)
	}
	if head.Source.Fork && c.Firewall == nil && head.Skip == "" {
		head.Skip, head.Binding = skipUnfenced, true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		delete(c.silent, e.ID)
	} else if c.silent[e.ID].IsZero() {
		c.silent[e.ID] = began
	}
	return head, away("GitHub", err)
}

// keepRemotes has the forge renew what git needs to fetch the repositories that have something live, so that it is at hand when the forge is silent.
// What fails is tried again the next time.
func (c *Controller) keepRemotes(ctx context.Context) {
	owned, err := c.Store.Owned(ctx)
	if err != nil {
		c.Log.Error("list the live repositories", "error", err)
		return
	}
	kept := make(map[string]bool)
	for _, d := range owned {
		repo := d.Source.Repo
		if d.Phase != Ready || repo == "" || kept[repo] {
			continue
		}
		kept[repo] = true
		if _, err := c.Forge.Remote(ctx, repo); err != nil {
			c.Log.Debug("keep a token for git", "repo", repo, "error", err)
		}
	}
}

// forgeGivenUpAt returns when an attempt at the environment need not wait for the forge any more.
func (c *Controller) forgeGivenUpAt(environment int64) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.silent[environment].Add(forgePatience)
}

// retryWithoutForge returns when to try again an attempt that was to be tried again at until: earlier, where it need not wait for the forge then.
func (c *Controller) retryWithoutForge(environment int64, until time.Time) time.Time {
	if at := c.forgeGivenUpAt(environment); at.After(c.Now()) {
		return soonest(until, at)
	}
	return until
}
