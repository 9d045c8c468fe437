package bot

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/google/go-github/v60/github"
)

const (
	// pagesAPass bounds how many pages of deliveries one pass reads, of the App's 5000 requests an hour.
	pagesAPass = 50
	// asksAPass bounds how many deliveries one pass asks for again. The next pass goes on.
	asksAPass = 50
)

// Redeliver implements [deployments.Forge]: the deliveries since the last pass are listed, the first time those of three days, and of what never arrived
// some is asked for again; see [missed]. While a pass is under way another does nothing.
func (b *Bot) Redeliver(ctx context.Context) error {
	if !b.missed.passing.TryLock() {
		return nil
	}
	defer b.missed.passing.Unlock()
	now := b.config.Now()
	listed, err := b.listDeliveries(ctx, b.missed.since(now))
	if forbidden(err) {
		b.lose("deliveries of webhooks", "", err)
		return nil
	}
	if err != nil {
		return err
	}
	b.missed.learn(listed, now)
	for _, u := range b.missed.due(now, asksAPass) {
		_, _, err := b.apps.app.Apps.RedeliverHookDelivery(ctx, u.attempt)
		switch {
		case err == nil || accepted(err):
			u.ask(now)
			b.config.Log.Info("asked for a delivery again", "delivery", u.guid, "event", u.event, "try", u.tries())
		case gone(err) || statusOf(err) == http.StatusUnprocessableEntity:
			u.giveUp()
		case forbidden(err):
			b.lose("redelivery of webhooks", "", err)
			return nil
		default:
			return fmt.Errorf("ask for delivery %s again: %w", u.guid, away(ctx, err))
		}
	}
	return nil
}

// listDeliveries returns the attempts since a time, newest first.
func (b *Bot) listDeliveries(ctx context.Context, since time.Time) (listed []*github.HookDelivery, err error) {
	options := &github.ListCursorOptions{PerPage: perPage}
	for range pagesAPass {
		page, answer, err := b.apps.app.Apps.ListHookDeliveries(ctx, options)
		if err != nil {
			return nil, fmt.Errorf("list the deliveries of webhooks: %w", away(ctx, err))
		}
		for _, d := range page {
			if d.GetDeliveredAt().Before(since) {
				return listed, nil
			}
			listed = append(listed, d)
		}
		if answer.Cursor == "" {
			return listed, nil
		}
		options.Cursor = answer.Cursor
	}
	b.config.Log.Warn("there are more deliveries of webhooks than one pass reads; what failed before is not asked for again", "read", len(listed))
	return listed, nil
}
