package deployments

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// comparisonTime bounds a comparison of everything.
const comparisonTime = 2 * time.Minute

// catchUp makes up for deliveries that did not reach us: those that failed are asked for again, and what the forge has open is compared with the records.
func (c *Controller) catchUp(ctx context.Context) {
	bounded, cancel := context.WithTimeout(ctx, comparisonTime)
	defer cancel()
	c.outcome(ctx, "have missed deliveries sent again", c.Forge.Redeliver(bounded))
	c.raise(&c.records)
}

// startComparison compares the records with what the forge has open, where they may differ.
func (c *Controller) startComparison(context.Context) (time.Time, error) {
	return c.lookInto(&c.records, c.comparing, c.compare), nil
}

// compare wants what the forge has open and the records do not know, and the end of what the records have and the forge does not have open. Each want has the
// forge asked again before anything is done, so that an answer that was out of date does no harm.
func (c *Controller) compare(ctx context.Context) error {
	bounded, cancel := context.WithTimeout(ctx, comparisonTime)
	defer cancel()
	began := c.Now()
	opened, err := c.Forge.Opened(bounded)
	errs := []error{err}
	if err == nil {
		unlisted, err := c.unlisted(ctx, opened)
		opened, errs = append(opened, unlisted...), append(errs, err)
	}
	for _, o := range opened {
		environments, err := c.Store.EnvironmentsOf(ctx, o.Repo)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if wants := o.differences(environments, began); len(wants) > 0 {
			c.Log.Info("the forge and the records differ", "repo", o.Repo, "wants", len(wants))
			errs = append(errs, c.Accept(ctx, Delivery{Event: "comparison", Wants: wants}))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return away("GitHub", fmt.Errorf("compare what is open with the records: %w", err))
	}
	return nil
}

// unlisted returns the repositories that something is live of and that a complete answer does not have any more. An answer that has none at all is not
// believed.
func (c *Controller) unlisted(ctx context.Context, opened []Opened) (unlisted []Opened, err error) {
	owned, err := c.Store.Owned(ctx)
	if err != nil {
		return nil, err
	}
	listed := make(map[string]bool)
	for _, o := range opened {
		listed[strings.ToLower(o.Repo)] = true
	}
	for _, d := range owned {
		repo := d.Source.Repo
		if d.Phase != Ready || repo == "" || listed[strings.ToLower(repo)] {
			continue
		}
		if len(opened) == 0 {
			c.Log.Warn("the forge lists no repository at all, though something is live; its answer is not believed", "repo", repo)
			return nil, nil
		}
		listed[strings.ToLower(repo)] = true
		unlisted = append(unlisted, Opened{Repo: repo, Cause: "the repository is found no longer there"})
	}
	return unlisted, nil
}

// differences returns what is to be wanted so that the environments of a repository become those that it has open. asked is when the forge was asked; what
// was heard of later is left alone.
func (o Opened) differences(environments []Environment, asked time.Time) (wants []Want) {
	known := make(map[string]Environment, len(environments))
	for _, e := range environments {
		known[e.Origin.Key()] = e
	}
	open := make(map[string]bool, len(o.Heads))
	for _, h := range o.Heads {
		key := h.Origin.Key()
		open[key] = true
		e, ok := known[key]
		cause := ""
		switch {
		case !ok:
			cause = "found open at " + h.Source.ShortSHA()
		case e.SeenAt.After(asked):
		case e.Seen != h.Source.SHA:
			cause = "found at " + h.Source.ShortSHA()
		case e.Intent == Gone && e.By == ByEvent && e.Skipped == "":
			cause = "found open again at " + h.Source.ShortSHA()
		}
		if cause != "" {
			wants = append(wants, Want{Origin: h.Origin, Source: h.Source, Title: h.Title, Intent: Up, By: ByEvent, Cause: cause, SeenAt: h.SeenAt})
		}
	}
	for _, e := range environments {
		unknown := o.BranchesUnknown && e.Origin.PullRequest == 0
		if e.Intent == Up && !open[e.Origin.Key()] && strings.EqualFold(e.Origin.Repo, o.Repo) && !unknown && !e.SeenAt.After(asked) {
			wants = append(wants, Want{Origin: e.Origin, Intent: Gone, By: ByEvent, Cause: cmp.Or(o.Cause, "found no longer open")})
		}
	}
	return wants
}
