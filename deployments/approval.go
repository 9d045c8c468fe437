package deployments

import (
	"context"
	"fmt"
)

// unapproved decides what becomes of an attempt at the head of a fork that nobody has approved, and reports whether there is something to build: the commit
// that is live, which somebody approved, where that is to be deployed again. Else the head waits.
func (a *attempt) unapproved(ctx context.Context, head Source, title string) (bool, error) {
	if err := a.adopt(ctx, Head{Open: true, Source: head, Title: title}); err != nil {
		return false, err
	}
	if a.env.Force && a.env.Live != 0 {
		live, err := a.Store.Deployment(ctx, a.env.Live)
		if err != nil {
			return false, err
		}
		if live.Source.SHA == a.env.Approved {
			return true, a.adopt(ctx, Head{Open: true, Source: live.Source})
		}
	}
	a.endPhase()
	a.d.Phase, a.d.Reason = Cancelled, fmt.Sprintf("%s waits for approval: code from a fork runs after somebody with write access approved it", head.ShortSHA())
	return false, a.Store.Hold(ctx, a.d)
}
