package bot

import (
	"context"
	"fmt"
	"net/http"

	"github.com/google/go-github/v60/github"
)

// Redeliver implements [deployments.Forge]: of the deliveries that GitHub still knows, those that failed each time are asked for again.
func (b *Bot) Redeliver(ctx context.Context) error {
	options := &github.ListCursorOptions{PerPage: perPage}
	delivered := map[string]bool{}
	failed := map[string]int64{}
	for {
		found, answer, err := b.apps.app.Apps.ListHookDeliveries(ctx, options)
		if err != nil {
			return away(ctx, fmt.Errorf("list the deliveries of webhooks: %w", err))
		}
		for _, d := range found {
			if d.GetStatusCode() > 0 && d.GetStatusCode() < http.StatusBadRequest {
				delivered[d.GetGUID()] = true
			} else if failed[d.GetGUID()] == 0 {
				failed[d.GetGUID()] = d.GetID()
			}
		}
		if answer.Cursor == "" {
			break
		}
		options.Cursor = answer.Cursor
	}
	for guid, id := range failed {
		if delivered[guid] {
			continue
		}
		if _, _, err := b.apps.app.Apps.RedeliverHookDelivery(ctx, id); err != nil && !accepted(err) {
			return away(ctx, fmt.Errorf("ask for delivery %s again: %w", guid, err))
		}
	}
	return nil
}
